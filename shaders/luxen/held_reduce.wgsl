// The gradient of a network's weights from what each invocation held; see `proposal_held`.

struct Held {
    // Vectors of the network.
    count: u32,
    invocations: u32,
    // 1: add to what earlier chunks gave.
    accumulates: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> held: Held;
// [count][invocations].
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gradients: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= held.count {
        return;
    }
    var sum = vec4(0.0);
    for (var i = 0u; i < held.invocations; i++) {
        sum += partials[id.x * held.invocations + i];
    }
    if held.accumulates != 0u {
        sum += gradients[id.x];
    }
    gradients[id.x] = sum;
}
