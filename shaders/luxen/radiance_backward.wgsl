// dL/d(features) and, for the sums over samples that give dL/d(weights), what each layer saw and what came back to it. The
// hidden layers are computed again: reading them would cost more.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> ray_hidden: array<f32>;
@group(0) @binding(3) var<storage, read> arena: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_arena: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    if id.x >= quads {
        return;
    }
    let inside = arena[3u * quads + id.x];
    if all(inside == vec4(0.0)) {
        for (var c = 0u; c < D_HEAD2_AT + HIDDEN; c++) {
            d_arena[c * quads + id.x] = vec4(0.0);
        }
        return;
    }
    var d_logits: array<vec4<f32>, 3>;
    for (var c = 0u; c < 3u; c++) {
        let color = arena[(COLOR_AT + c) * quads + id.x];
        let at = (D_COLOR_AT + c) * quads + id.x;
        let d = d_arena[at] * color * (1.0 - color);
        d_logits[c] = d;
        d_arena[at] = d;
    }
    var d_second: array<mat4x4<f32>, HEAD_OUT>;
    for (var o = 0u; o < HEAD_OUT; o++) {
        for (var c = 0u; c < 4u; c++) {
            let weights = network[COLOR + 4u * o + c];
            let d = d_logits[0] * weights.x + d_logits[1] * weights.y + d_logits[2] * weights.z;
            let d_hidden = where_positive(d, arena[(HEAD2_AT + 4u * o + c) * quads + id.x]);
            d_second[o][c] = d_hidden;
            d_arena[(D_HEAD2_AT + 4u * o + c) * quads + id.x] = d_hidden;
        }
    }
    var base: array<mat4x4<f32>, HEAD_IN>;
    var d_base: array<mat4x4<f32>, HEAD_IN>;
    for (var o = 0u; o < HEAD_IN; o++) {
        let at = (BASE_AT + 4u * o) * quads + id.x;
        base[o] = mat4x4<f32>(arena[at], arena[at + quads], arena[at + 2u * quads], arena[at + 3u * quads]);
        d_base[o] = mat4x4<f32>();
    }
    let logit = base[0][0];
    base[0][0] = vec4(0.0);
    let hidden = id.x * 4u / batch.samples * HIDDEN;
    for (var j = 0u; j < HIDDEN; j++) {
        let row = HEAD + j * HEAD_ROW;
        var h = vec4(ray_hidden[hidden + j]);
        for (var k = 0u; k < HEAD_IN; k++) {
            h += base[k] * network[row + k];
        }
        var d = vec4(0.0);
        for (var o = 0u; o < HEAD_OUT; o++) {
            d += d_second[o] * network[row + HEAD_IN + o];
        }
        d = where_positive(d, h);
        for (var k = 0u; k < HEAD_IN; k++) {
            d_base[k] += outer(d, network[row + k]);
        }
        d_arena[(HEAD1_AT + j) * quads + id.x] = relu(h);
        d_arena[(D_HEAD1_AT + j) * quads + id.x] = d;
    }
    let d_density = d_arena[D_DENSITY_AT * quads + id.x] * inside;
    d_base[0][0] = d_density * d_density_of(logit);
    for (var o = 0u; o < HEAD_IN; o++) {
        for (var c = 0u; c < 4u; c++) {
            d_arena[(D_BASE_AT + 4u * o + c) * quads + id.x] = d_base[o][c];
        }
    }

    var x: array<mat4x4<f32>, BASE_IN>;
    var d_x: array<mat4x4<f32>, BASE_IN>;
    for (var k = 0u; k < BASE_IN; k++) {
        let at = (FEATURES_AT + 4u * k) * quads + id.x;
        x[k] = mat4x4<f32>(arena[at], arena[at + quads], arena[at + 2u * quads], arena[at + 3u * quads]);
        d_x[k] = mat4x4<f32>();
    }
    for (var j = 0u; j < HIDDEN; j++) {
        let row = j * BASE_ROW;
        var h = vec4(network[row + BASE_ROW - 1u].x);
        for (var k = 0u; k < BASE_IN; k++) {
            h += x[k] * network[row + k];
        }
        var d = vec4(0.0);
        for (var o = 0u; o < HEAD_IN; o++) {
            d += d_base[o] * network[row + BASE_IN + o];
        }
        d = where_positive(d, h);
        for (var k = 0u; k < BASE_IN; k++) {
            d_x[k] += outer(d, network[row + k]);
        }
        d_arena[(BASE_HIDDEN_AT + j) * quads + id.x] = relu(h);
        d_arena[(D_BASE_HIDDEN_AT + j) * quads + id.x] = d;
    }
    for (var k = 0u; k < BASE_IN; k++) {
        for (var c = 0u; c < 4u; c++) {
            d_arena[(4u * k + c) * quads + id.x] = d_x[k][c];
        }
    }
}
