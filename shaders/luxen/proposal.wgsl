// Density of a proposal at four samples.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read_write> arena: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    if id.x >= quads {
        return;
    }
    let inside = arena[3u * quads + id.x];
    if all(inside == vec4(0.0)) {
        arena[LOGIT_AT * quads + id.x] = vec4(0.0);
        arena[DENSITY_AT * quads + id.x] = vec4(0.0);
        return;
    }
    let at = FEATURES_AT * quads + id.x;
    let x0 = mat4x4<f32>(arena[at], arena[at + quads], arena[at + 2u * quads], arena[at + 3u * quads]);
    let x4 = mat4x4<f32>(
        arena[at + 4u * quads],
        arena[at + 5u * quads],
        arena[at + 6u * quads],
        arena[at + 7u * quads],
    );
    let x8 = mat4x4<f32>(arena[at + 8u * quads], arena[at + 9u * quads], vec4(1.0), vec4(0.0));
    var logit = vec4(network[OUT_BIAS].x);
    for (var j = 0u; j < HIDDEN; j++) {
        let last = network[j * ROW + 2u];
        let h = x0 * network[j * ROW] + x4 * network[j * ROW + 1u] + x8 * last;
        logit += relu(h) * last.w;
    }
    arena[LOGIT_AT * quads + id.x] = logit;
    arena[DENSITY_AT * quads + id.x] = density_of(logit) * inside;
}
