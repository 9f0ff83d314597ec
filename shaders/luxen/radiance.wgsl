// The field at four samples of a ray: density and color from features.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> ray_hidden: array<f32>;
@group(0) @binding(3) var<storage, read_write> arena: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    if id.x >= quads {
        return;
    }
    let inside = arena[3u * quads + id.x];
    if all(inside == vec4(0.0)) {
        let end = select(HEAD2_AT, HEAD2_AT + HIDDEN, batch.is_training != 0u);
        for (var c = DENSITY_AT; c < end; c++) {
            arena[c * quads + id.x] = vec4(0.0);
        }
        return;
    }
    var x: array<mat4x4<f32>, BASE_IN>;
    for (var k = 0u; k < BASE_IN; k++) {
        let at = (FEATURES_AT + 4u * k) * quads + id.x;
        x[k] = mat4x4<f32>(arena[at], arena[at + quads], arena[at + 2u * quads], arena[at + 3u * quads]);
    }
    var base: array<mat4x4<f32>, HEAD_IN>;
    for (var o = 0u; o < HEAD_IN; o++) {
        base[o] = outer(vec4(1.0), network[BASE_BIAS + o]);
    }
    for (var j = 0u; j < HIDDEN; j++) {
        let row = j * BASE_ROW;
        var h = vec4(network[row + BASE_ROW - 1u].x);
        for (var k = 0u; k < BASE_IN; k++) {
            h += x[k] * network[row + k];
        }
        h = relu(h);
        for (var o = 0u; o < HEAD_IN; o++) {
            base[o] += outer(h, network[row + BASE_IN + o]);
        }
    }
    for (var o = 0u; o < HEAD_IN; o++) {
        for (var c = 0u; c < 4u; c++) {
            arena[(BASE_AT + 4u * o + c) * quads + id.x] = base[o][c];
        }
    }
    arena[DENSITY_AT * quads + id.x] = density_of(base[0][0]) * inside;

    base[0][0] = vec4(0.0);
    let hidden = id.x * 4u / batch.samples * HIDDEN;
    var second: array<mat4x4<f32>, HEAD_OUT>;
    for (var o = 0u; o < HEAD_OUT; o++) {
        second[o] = outer(vec4(1.0), network[HEAD_BIAS + o]);
    }
    for (var j = 0u; j < HIDDEN; j++) {
        let row = HEAD + j * HEAD_ROW;
        var h = vec4(ray_hidden[hidden + j]);
        for (var k = 0u; k < HEAD_IN; k++) {
            h += base[k] * network[row + k];
        }
        h = relu(h);
        for (var o = 0u; o < HEAD_OUT; o++) {
            second[o] += outer(h, network[row + HEAD_IN + o]);
        }
    }
    let bias = network[COLOR_BIAS];
    var red = vec4(bias.x);
    var green = vec4(bias.y);
    var blue = vec4(bias.z);
    for (var o = 0u; o < HEAD_OUT; o++) {
        for (var c = 0u; c < 4u; c++) {
            let h = relu(second[o][c]);
            let weights = network[COLOR + 4u * o + c];
            red += h * weights.x;
            green += h * weights.y;
            blue += h * weights.z;
            if batch.is_training != 0u {
                arena[(HEAD2_AT + 4u * o + c) * quads + id.x] = h;
            }
        }
    }
    arena[COLOR_AT * quads + id.x] = sigmoid(red);
    arena[(COLOR_AT + 1u) * quads + id.x] = sigmoid(green);
    arena[(COLOR_AT + 2u) * quads + id.x] = sigmoid(blue);
}

fn sigmoid(logit: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-logit));
}
