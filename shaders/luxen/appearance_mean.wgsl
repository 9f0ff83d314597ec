// The mean appearance into the row after the last view.

@group(0) @binding(1) var<storage, read_write> appearances: array<f32>;

const APPEARANCE: u32 = 32u;

@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) at: u32) {
    var sum = 0.0;
    for (var view = 0u; view < batch.views; view++) {
        sum += appearances[view * APPEARANCE + at];
    }
    appearances[batch.views * APPEARANCE + at] = sum / f32(batch.views);
}
