// dL/d(features) of a group of quads and, for the sums over samples that give dL/d(weights), what each layer saw and what
// came back to it. The hidden layers are computed again: reading them would cost more. A weight is read once for the group.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
// [rays][HIDDEN].
@group(0) @binding(2) var<storage, read> ray_hidden: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> arena: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_arena: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> kept: array<Kept>;

var<private> x: array<mat4x4<f32>, GROUP * BASE_IN>;
var<private> d_x: array<mat4x4<f32>, GROUP * BASE_IN>;
var<private> base: array<mat4x4<f32>, GROUP * HEAD_IN>;
var<private> d_base: array<mat4x4<f32>, GROUP * HEAD_IN>;
var<private> d_second: array<mat4x4<f32>, GROUP * HEAD_OUT>;
var<private> d_logit: array<vec4<f32>, GROUP>;

fn keep(block: u32, quad: u32, values: mat4x4<f32>) {
    kept[block * quad_count() + quad] = packed(values);
}

fn take(q: u32, quad: u32) {
    let quads = quad_count();
    for (var o = 0u; o < HEAD_IN; o++) {
        base[q * HEAD_IN + o] = block(BASE_AT + 4u * o, quad);
        d_base[q * HEAD_IN + o] = mat4x4<f32>();
    }
    let d_density = d_arena[D_DENSITY_AT * quads + quad] * arena[3u * quads + quad];
    d_logit[q] = d_density * d_density_of(base[q * HEAD_IN][0]);
    base[q * HEAD_IN][0] = vec4(0.0);
    for (var o = 0u; o < HEAD_IN; o++) {
        keep(BASE_KEPT + o, quad, base[q * HEAD_IN + o]);
    }
}

fn color(q: u32, quad: u32) {
    let quads = quad_count();
    var d_logits: mat4x4<f32>;
    for (var c = 0u; c < 3u; c++) {
        let color = arena[(COLOR_AT + c) * quads + quad];
        d_logits[c] = d_arena[(D_COLOR_AT + c) * quads + quad] * color * (1.0 - color);
    }
    keep(D_COLOR_KEPT, quad, d_logits);
    for (var o = 0u; o < HEAD_OUT; o++) {
        let hidden = unpacked(kept[(HEAD2_KEPT + o) * quads + quad]);
        for (var c = 0u; c < 4u; c++) {
            let weights = network[COLOR + 4u * o + c];
            let d = d_logits[0] * weights.x + d_logits[1] * weights.y + d_logits[2] * weights.z;
            d_second[q * HEAD_OUT + o][c] = where_positive(d, hidden[c]);
        }
        keep(D_HEAD2_KEPT + o, quad, d_second[q * HEAD_OUT + o]);
    }
}

// What a neuron gave, and what came back to it.
struct Neuron {
    value: vec4<f32>,
    back: vec4<f32>,
}

fn head_neuron(q: u32, j: u32, of_ray: f32) -> Neuron {
    let row = HEAD + j * HEAD_ROW;
    var h = vec4(of_ray);
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
    return Neuron(relu(h), d);
}

fn head_block(q: u32, quad: u32, number: u32) {
    let of_ray = ray_hidden[quad * 4u / batch.samples * HEAD_OUT + number];
    let a = head_neuron(q, 4u * number, of_ray.x);
    let b = head_neuron(q, 4u * number + 1u, of_ray.y);
    let c = head_neuron(q, 4u * number + 2u, of_ray.z);
    let d = head_neuron(q, 4u * number + 3u, of_ray.w);
    keep(HEAD1_KEPT + number, quad, mat4x4<f32>(a.value, b.value, c.value, d.value));
    keep(D_HEAD1_KEPT + number, quad, mat4x4<f32>(a.back, b.back, c.back, d.back));
}

// What came back to the density network's outputs is whole; begins the way through its layers.
fn density(q: u32, quad: u32) {
    d_base[q * HEAD_IN][0] = d_logit[q];
    for (var o = 0u; o < HEAD_IN; o++) {
        keep(D_BASE_KEPT + o, quad, d_base[q * HEAD_IN + o]);
    }
    for (var k = 0u; k < BASE_IN; k++) {
        x[q * BASE_IN + k] = block(FEATURES_AT + 4u * k, quad);
        d_x[q * BASE_IN + k] = mat4x4<f32>();
        keep(FEATURES_KEPT + k, quad, x[q * BASE_IN + k]);
    }
}

fn base_neuron(q: u32, j: u32) -> Neuron {
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
    return Neuron(relu(h), d);
}

fn base_block(q: u32, quad: u32, number: u32) {
    let a = base_neuron(q, 4u * number);
    let b = base_neuron(q, 4u * number + 1u);
    let c = base_neuron(q, 4u * number + 2u);
    let d = base_neuron(q, 4u * number + 3u);
    keep(BASE_HIDDEN_KEPT + number, quad, mat4x4<f32>(a.value, b.value, c.value, d.value));
    keep(D_BASE_HIDDEN_KEPT + number, quad, mat4x4<f32>(a.back, b.back, c.back, d.back));
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
        for (var q = 0u; q < GROUP; q++) {
            for (var c = 0u; c < FEATURES; c++) {
                d_arena[c * quads + first + q] = vec4(0.0);
            }
            // Where nothing came back, what went in does not matter: it is finite, if old.
            for (var b = 0u; b < FEATURES_KEPT; b++) {
                keep(b, first + q, mat4x4<f32>());
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
    for (var number = 0u; number < HIDDEN / 4u; number++) {
        head_block(0u, first, number);
        if GROUP > 1u {
            head_block(1u, first + 1u, number);
        }
    }
    density(0u, first);
    if GROUP > 1u {
        density(1u, first + 1u);
    }
    for (var number = 0u; number < HIDDEN / 4u; number++) {
        base_block(0u, first, number);
        if GROUP > 1u {
            base_block(1u, first + 1u, number);
        }
    }
    give(0u, first);
    if GROUP > 1u {
        give(1u, first + 1u);
    }
}
