// Sample positions in the grids' unit cube: x, y, z, and 1 inside of it, else 0 (then at the origin). On a ray that sees
// nothing no sample is inside, and none costs what a sample costs.

@group(0) @binding(1) var<storage, read> rays: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bins: array<f32>;
@group(0) @binding(3) var<storage, read_write> arena: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    if id.x >= quads {
        return;
    }
    let ray = id.x * 4u / batch.samples;
    let first = ray * (batch.samples + 1u) + (id.x * 4u - ray * batch.samples);
    if batch.half_side > 0.0 && bins[first] >= bins[first + 4u] {
        for (var c = 0u; c < 4u; c++) {
            arena[c * quads + id.x] = vec4(0.0);
        }
        return;
    }
    let origin = rays[3u * ray].xyz;
    let direction = rays[3u * ray + 1u].xyz;
    var near = distance_of(bins[first]);
    var x: vec4<f32>;
    var y: vec4<f32>;
    var z: vec4<f32>;
    var inside: vec4<f32>;
    for (var k = 0u; k < 4u; k++) {
        let far = distance_of(bins[first + k + 1u]);
        let point = 0.25 * contract(origin + direction * (0.5 * (near + far))) + 0.5;
        let is_inside = all(point > vec3(0.0)) && all(point < vec3(1.0));
        let kept = select(vec3(0.0), point, is_inside);
        x[k] = kept.x;
        y[k] = kept.y;
        z[k] = kept.z;
        inside[k] = select(0.0, 1.0, is_inside);
        near = far;
    }
    arena[id.x] = x;
    arena[quads + id.x] = y;
    arena[2u * quads + id.x] = z;
    arena[3u * quads + id.x] = inside;
}
