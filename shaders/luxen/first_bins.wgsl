// Bins of the first level: equal in spacing; while training, all edges of a ray move by the same random share of the way
// between the middles of their neighbours.

@group(0) @binding(1) var<storage, read_write> bins: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    let count = batch.samples;
    let width = 1.0 / f32(count);
    var share = 0.5;
    if batch.is_training != 0u {
        share = random(batch.first_ray + id.x, FOR_FIRST_BINS);
    }
    for (var i = 0u; i <= count; i++) {
        let edge = f32(i) * width;
        let low = max(edge - 0.5 * width, 0.0);
        let high = min(edge + 0.5 * width, 1.0);
        var u = edge;
        if batch.is_training != 0u {
            u = low + (high - low) * share;
        }
        bins[id.x * (count + 1u) + i] = u;
    }
}
