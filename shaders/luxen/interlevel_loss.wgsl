// What the final weights exceed the proposal's by (mip-NeRF 360), and dL/d(density) of the proposal. One ray an invocation;
// `arena` and `d_arena` are the proposal's, `batch` is of its level.

@group(0) @binding(1) var<storage, read> final_bins: array<f32>;
@group(0) @binding(2) var<storage, read> final_arena: array<f32>;
@group(0) @binding(3) var<storage, read> bins: array<f32>;
@group(0) @binding(4) var<storage, read> arena: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_arena: array<f32>;
@group(0) @binding(6) var<storage, read_write> losses: array<vec4<f32>>;

struct Final {
    samples: u32,
    // Channel of the weights.
    weight_at: u32,
    padding0: u32,
    padding1: u32,
}
@group(0) @binding(7) var<uniform> last: Final;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let ray = id.x;
    if ray >= batch.rays {
        return;
    }
    let count = batch.samples;
    let first_bin = ray * (count + 1u);
    let weight = row_of(batch.density_at + 1u, ray);
    let d = row_of(batch.d_density_at, ray);
    for (var k = 0u; k < count; k++) {
        d_arena[d + k] = 0.0;
    }
    let final_first = ray * (last.samples + 1u);
    let final_weight = (last.weight_at * batch.rays + ray) * last.samples;
    // Bins `low` to `high` of the proposal enclose the final one; `below_low`: sum of weights before `low`, `to_high`: up
    // to and with `high`.
    var low = 0u;
    var high = 0u;
    var below_low = 0.0;
    var to_high = arena[weight];
    var low_end = bins[first_bin + 1u];
    var high_end = low_end;
    var loss = 0.0;
    for (var i = 0u; i < last.samples; i++) {
        let near = final_bins[final_first + i];
        let far = final_bins[final_first + i + 1u];
        while low + 1u < count && low_end <= near {
            below_low += arena[weight + low];
            low++;
            low_end = bins[first_bin + low + 1u];
        }
        while high + 1u < count && high_end <= far {
            high++;
            to_high += arena[weight + high];
            high_end = bins[first_bin + high + 1u];
        }
        let w = final_arena[final_weight + i];
        let excess = max(w - (to_high - below_low), 0.0);
        if excess > 0.0 {
            let share = batch.interlevel_scale / (w + 1e-7);
            loss += share * excess * excess;
            // All bins from `low` to `high` get this: as steps up and down, summed below.
            let step = -2.0 * share * excess;
            d_arena[d + low] += step;
            if high + 1u < count {
                d_arena[d + high + 1u] -= step;
            }
        }
    }
    var running = 0.0;
    for (var k = 0u; k < count; k++) {
        running += d_arena[d + k];
        d_arena[d + k] = running;
    }
    d_composite(ray);
    losses[ray].w += loss;
}
