// dL/d(features) of a proposal, and what its layers saw and got back; see `radiance_backward`.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> arena: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> d_arena: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    if id.x >= quads {
        return;
    }
    let inside = arena[3u * quads + id.x];
    if all(inside == vec4(0.0)) {
        for (var c = 0u; c < D_HIDDEN_AT + HIDDEN; c++) {
            d_arena[c * quads + id.x] = vec4(0.0);
        }
        return;
    }
    let features = features_of(id.x);
    let x0 = features[0];
    let x4 = features[1];
    let x8 = features[2];
    let d_density = d_arena[D_DENSITY_AT * quads + id.x] * inside;
    let d_logit = d_density * d_density_of(arena[LOGIT_AT * quads + id.x]);
    var d0 = mat4x4<f32>();
    var d4 = mat4x4<f32>();
    var d8 = mat4x4<f32>();
    for (var j = 0u; j < HIDDEN; j++) {
        let first = network[j * ROW];
        let middle = network[j * ROW + 1u];
        let last = network[j * ROW + 2u];
        let h = x0 * first + x4 * middle + x8 * last;
        let d = where_positive(d_logit * last.w, h);
        d0 += outer(d, first);
        d4 += outer(d, middle);
        d8 += outer(d, last);
        d_arena[(HIDDEN_AT + j) * quads + id.x] = relu(h);
        d_arena[(D_HIDDEN_AT + j) * quads + id.x] = d;
    }
    d_arena[D_LOGIT_AT * quads + id.x] = d_logit;
    for (var c = 0u; c < 4u; c++) {
        d_arena[c * quads + id.x] = d0[c];
        d_arena[(4u + c) * quads + id.x] = d4[c];
    }
    d_arena[8u * quads + id.x] = d8[0];
    d_arena[9u * quads + id.x] = d8[1];
}
