// Bins of the first level: equal in spacing within the part of the ray that may see something; while training, all edges
// of a ray move by the same random share of the way between the middles of their neighbours.

@group(0) @binding(1) var<storage, read> spans: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> bins: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    let count = batch.samples;
    let span = spans[id.x];
    let width = (span.y - span.x) / f32(count);
    var share = 0.5;
    if batch.is_training != 0u {
        share = random(batch.first_ray + id.x, FOR_FIRST_BINS);
    }
    for (var i = 0u; i <= count; i++) {
        let edge = span.x + f32(i) * width;
        let low = max(edge - 0.5 * width, span.x);
        let high = min(edge + 0.5 * width, span.y);
        var u = edge;
        if batch.is_training != 0u {
            u = low + (high - low) * share;
        }
        bins[id.x * (count + 1u) + i] = u;
    }
}
