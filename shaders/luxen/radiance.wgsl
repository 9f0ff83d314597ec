// The field at the samples of a group of quads: density and color from features. A weight is read once for the group.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
// [rays][HIDDEN].
@group(0) @binding(2) var<storage, read> ray_hidden: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> arena: array<vec4<f32>>;
// Of a picture: nothing.
@group(0) @binding(4) var<storage, read_write> kept: array<Kept>;

var<private> x: array<mat4x4<f32>, GROUP * BASE_IN>;
var<private> base: array<mat4x4<f32>, GROUP * HEAD_IN>;
var<private> second: array<mat4x4<f32>, GROUP * HEAD_OUT>;
var<private> inside: array<vec4<f32>, GROUP>;

fn take(q: u32, quad: u32) {
    let quads = quad_count();
    inside[q] = arena[3u * quads + quad];
    for (var k = 0u; k < BASE_IN; k++) {
        x[q * BASE_IN + k] = block(FEATURES_AT + 4u * k, quad);
    }
    for (var o = 0u; o < HEAD_IN; o++) {
        base[q * HEAD_IN + o] = outer(vec4(1.0), network[BASE_BIAS + o]);
    }
}

fn base_neuron(q: u32, row: u32) {
    var h = vec4(network[row + BASE_ROW - 1u].x);
    for (var k = 0u; k < BASE_IN; k++) {
        h += x[q * BASE_IN + k] * network[row + k];
    }
    h = relu(h);
    for (var o = 0u; o < HEAD_IN; o++) {
        base[q * HEAD_IN + o] += outer(h, network[row + BASE_IN + o]);
    }
}

// Stores the density network's outputs, and begins the color network, which has no use for the logit.
fn density(q: u32, quad: u32) {
    let quads = quad_count();
    for (var o = 0u; o < HEAD_IN; o++) {
        for (var c = 0u; c < 4u; c++) {
            arena[(BASE_AT + 4u * o + c) * quads + quad] = base[q * HEAD_IN + o][c];
        }
    }
    arena[DENSITY_AT * quads + quad] = density_of(base[q * HEAD_IN][0]) * inside[q];
    base[q * HEAD_IN][0] = vec4(0.0);
    for (var o = 0u; o < HEAD_OUT; o++) {
        second[q * HEAD_OUT + o] = outer(vec4(1.0), network[HEAD_BIAS + o]);
    }
}

fn head_neuron(q: u32, j: u32, of_ray: f32) {
    let row = HEAD + j * HEAD_ROW;
    var h = vec4(of_ray);
    for (var k = 0u; k < HEAD_IN; k++) {
        h += base[q * HEAD_IN + k] * network[row + k];
    }
    h = relu(h);
    for (var o = 0u; o < HEAD_OUT; o++) {
        second[q * HEAD_OUT + o] += outer(h, network[row + HEAD_IN + o]);
    }
}

fn head_block(q: u32, quad: u32, block: u32) {
    let of_ray = ray_hidden[quad * 4u / batch.samples * HEAD_OUT + block];
    head_neuron(q, 4u * block, of_ray.x);
    head_neuron(q, 4u * block + 1u, of_ray.y);
    head_neuron(q, 4u * block + 2u, of_ray.z);
    head_neuron(q, 4u * block + 3u, of_ray.w);
}

// What four neurons of the second layer bring to red, green and blue.
fn color_of(q: u32, quad: u32, o: u32) -> mat3x4<f32> {
    var rgb: mat3x4<f32>;
    var block: mat4x4<f32>;
    for (var c = 0u; c < 4u; c++) {
        let h = relu(second[q * HEAD_OUT + o][c]);
        let weights = network[COLOR + 4u * o + c];
        rgb += mat3x4<f32>(h * weights.x, h * weights.y, h * weights.z);
        block[c] = h;
    }
    if batch.is_training != 0u {
        kept[(HEAD2_KEPT + o) * quad_count() + quad] = packed(block);
    }
    return rgb;
}

fn color(q: u32, quad: u32) {
    let quads = quad_count();
    let bias = network[COLOR_BIAS];
    var rgb = mat3x4<f32>(vec4(bias.x), vec4(bias.y), vec4(bias.z));
    rgb += color_of(q, quad, 0u);
    rgb += color_of(q, quad, 1u);
    rgb += color_of(q, quad, 2u);
    rgb += color_of(q, quad, 3u);
    rgb += color_of(q, quad, 4u);
    rgb += color_of(q, quad, 5u);
    rgb += color_of(q, quad, 6u);
    rgb += color_of(q, quad, 7u);
    if HEAD_OUT > 8u {
        rgb += color_of(q, quad, 8u);
        rgb += color_of(q, quad, 9u);
        rgb += color_of(q, quad, 10u);
        rgb += color_of(q, quad, 11u);
        rgb += color_of(q, quad, 12u);
        rgb += color_of(q, quad, 13u);
        rgb += color_of(q, quad, 14u);
        rgb += color_of(q, quad, 15u);
    }
    arena[COLOR_AT * quads + quad] = sigmoid(rgb[0]);
    arena[(COLOR_AT + 1u) * quads + quad] = sigmoid(rgb[1]);
    arena[(COLOR_AT + 2u) * quads + quad] = sigmoid(rgb[2]);
}

fn sigmoid(logit: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-logit));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    let first = GROUP * id.x;
    if first >= quads {
        return;
    }
    if is_outside(first) {
        for (var c = DENSITY_AT; c < COLOR_AT + 3u; c++) {
            for (var q = 0u; q < GROUP; q++) {
                arena[c * quads + first + q] = vec4(0.0);
            }
        }
        return;
    }
    take(0u, first);
    if GROUP > 1u {
        take(1u, first + 1u);
    }
    for (var j = 0u; j < HIDDEN; j++) {
        base_neuron(0u, j * BASE_ROW);
        if GROUP > 1u {
            base_neuron(1u, j * BASE_ROW);
        }
    }
    density(0u, first);
    if GROUP > 1u {
        density(1u, first + 1u);
    }
    for (var block = 0u; block < HEAD_OUT; block++) {
        head_block(0u, first, block);
        if GROUP > 1u {
            head_block(1u, first + 1u, block);
        }
    }
    color(0u, first);
    if GROUP > 1u {
        color(1u, first + 1u);
    }
}
