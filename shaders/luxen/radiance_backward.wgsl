// dL/d(features) of a group of quads and, for the sums over samples that give dL/d(weights), what each layer saw and what
// came back to it. The hidden layers are computed again: reading them would cost more. A weight is read once for the group.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> ray_hidden: array<f32>;
@group(0) @binding(3) var<storage, read> arena: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_arena: array<vec4<f32>>;

var<private> x: array<mat4x4<f32>, GROUP * BASE_IN>;
var<private> d_x: array<mat4x4<f32>, GROUP * BASE_IN>;
var<private> base: array<mat4x4<f32>, GROUP * HEAD_IN>;
var<private> d_base: array<mat4x4<f32>, GROUP * HEAD_IN>;
var<private> d_second: array<mat4x4<f32>, GROUP * HEAD_OUT>;
var<private> d_logit: array<vec4<f32>, GROUP>;

fn take(q: u32, quad: u32) {
    let quads = quad_count();
    for (var o = 0u; o < HEAD_IN; o++) {
        base[q * HEAD_IN + o] = block(BASE_AT + 4u * o, quad);
        d_base[q * HEAD_IN + o] = mat4x4<f32>();
    }
    let d_density = d_arena[D_DENSITY_AT * quads + quad] * arena[3u * quads + quad];
    d_logit[q] = d_density * d_density_of(base[q * HEAD_IN][0]);
    base[q * HEAD_IN][0] = vec4(0.0);
}

fn color(q: u32, quad: u32) {
    let quads = quad_count();
    var d_logits: array<vec4<f32>, 3>;
    for (var c = 0u; c < 3u; c++) {
        let color = arena[(COLOR_AT + c) * quads + quad];
        let at = (D_COLOR_AT + c) * quads + quad;
        let d = d_arena[at] * color * (1.0 - color);
        d_logits[c] = d;
        d_arena[at] = d;
    }
    for (var o = 0u; o < HEAD_OUT; o++) {
        for (var c = 0u; c < 4u; c++) {
            let weights = network[COLOR + 4u * o + c];
            let d = d_logits[0] * weights.x + d_logits[1] * weights.y + d_logits[2] * weights.z;
            let d_hidden = where_positive(d, arena[(HEAD2_AT + 4u * o + c) * quads + quad]);
            d_second[q * HEAD_OUT + o][c] = d_hidden;
            d_arena[(D_HEAD2_AT + 4u * o + c) * quads + quad] = d_hidden;
        }
    }
}

fn head_neuron(q: u32, quad: u32, j: u32) {
    let quads = quad_count();
    let row = HEAD + j * HEAD_ROW;
    var h = vec4(ray_hidden[quad * 4u / batch.samples * HIDDEN + j]);
    for (var k = 0u; k < HEAD_IN; k++) {
        h += base[q * HEAD_IN + k] * network[row + k];
    }
    var d = vec4(0.0);
    for (var o = 0u; o < HEAD_OUT; o++) {
        d += d_second[q * HEAD_OUT + o] * network[row + HEAD_IN + o];
    }
    d = where_positive(d, h);
    for (var k = 0u; k < HEAD_IN; k++) {
        d_base[q * HEAD_IN + k] += outer(d, network[row + k]);
    }
    d_arena[(HEAD1_AT + j) * quads + quad] = relu(h);
    d_arena[(D_HEAD1_AT + j) * quads + quad] = d;
}

// Stores what came back to the density network's outputs, and begins the way through its layers.
fn density(q: u32, quad: u32) {
    let quads = quad_count();
    d_base[q * HEAD_IN][0] = d_logit[q];
    for (var o = 0u; o < HEAD_IN; o++) {
        for (var c = 0u; c < 4u; c++) {
            d_arena[(D_BASE_AT + 4u * o + c) * quads + quad] = d_base[q * HEAD_IN + o][c];
        }
    }
    for (var k = 0u; k < BASE_IN; k++) {
        x[q * BASE_IN + k] = block(FEATURES_AT + 4u * k, quad);
        d_x[q * BASE_IN + k] = mat4x4<f32>();
    }
}

fn base_neuron(q: u32, quad: u32, j: u32) {
    let quads = quad_count();
    let row = j * BASE_ROW;
    var h = vec4(network[row + BASE_ROW - 1u].x);
    for (var k = 0u; k < BASE_IN; k++) {
        h += x[q * BASE_IN + k] * network[row + k];
    }
    var d = vec4(0.0);
    for (var o = 0u; o < HEAD_IN; o++) {
        d += d_base[q * HEAD_IN + o] * network[row + BASE_IN + o];
    }
    d = where_positive(d, h);
    for (var k = 0u; k < BASE_IN; k++) {
        d_x[q * BASE_IN + k] += outer(d, network[row + k]);
    }
    d_arena[(BASE_HIDDEN_AT + j) * quads + quad] = relu(h);
    d_arena[(D_BASE_HIDDEN_AT + j) * quads + quad] = d;
}

fn give(q: u32, quad: u32) {
    let quads = quad_count();
    for (var k = 0u; k < BASE_IN; k++) {
        for (var c = 0u; c < 4u; c++) {
            d_arena[(4u * k + c) * quads + quad] = d_x[q * BASE_IN + k][c];
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    let first = GROUP * id.x;
    if first >= quads {
        return;
    }
    if is_outside(first) {
        for (var c = 0u; c < D_HEAD2_AT + HIDDEN; c++) {
            for (var q = 0u; q < GROUP; q++) {
                d_arena[c * quads + first + q] = vec4(0.0);
            }
        }
        return;
    }
    color(0u, first);
    take(0u, first);
    if GROUP > 1u {
        color(1u, first + 1u);
        take(1u, first + 1u);
    }
    for (var j = 0u; j < HIDDEN; j++) {
        head_neuron(0u, first, j);
        if GROUP > 1u {
            head_neuron(1u, first + 1u, j);
        }
    }
    density(0u, first);
    if GROUP > 1u {
        density(1u, first + 1u);
    }
    for (var j = 0u; j < HIDDEN; j++) {
        base_neuron(0u, first, j);
        if GROUP > 1u {
            base_neuron(1u, first + 1u, j);
        }
    }
    give(0u, first);
    if GROUP > 1u {
        give(1u, first + 1u);
    }
}
