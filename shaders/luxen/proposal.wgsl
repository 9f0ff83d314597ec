// Density of a proposal at the samples of two quads, of which there are a multiple of four. A weight is read once for both.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read_write> arena: array<vec4<f32>>;

const GROUP: u32 = 2u;

var<private> x: array<mat4x4<f32>, GROUP * ROW>;
var<private> logit: array<vec4<f32>, GROUP>;

fn take(q: u32, quad: u32) {
    let features = features_of(quad);
    for (var k = 0u; k < ROW; k++) {
        x[ROW * q + k] = features[k];
    }
    logit[q] = vec4(network[OUT_BIAS].x);
}

fn neuron(q: u32, row: u32) {
    let last = network[row + 2u];
    let h = x[ROW * q] * network[row] + x[ROW * q + 1u] * network[row + 1u] + x[ROW * q + 2u] * last;
    logit[q] += relu(h) * last.w;
}

fn give(q: u32, quad: u32) {
    let quads = quad_count();
    arena[LOGIT_AT * quads + quad] = logit[q];
    arena[DENSITY_AT * quads + quad] = density_of(logit[q]) * arena[3u * quads + quad];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    let first = GROUP * id.x;
    if first >= quads {
        return;
    }
    let inside = arena[3u * quads + first] + arena[3u * quads + first + 1u];
    if all(inside == vec4(0.0)) {
        for (var q = 0u; q < GROUP; q++) {
            arena[LOGIT_AT * quads + first + q] = vec4(0.0);
            arena[DENSITY_AT * quads + first + q] = vec4(0.0);
        }
        return;
    }
    take(0u, first);
    take(1u, first + 1u);
    for (var j = 0u; j < HIDDEN; j++) {
        neuron(0u, ROW * j);
        neuron(1u, ROW * j);
    }
    give(0u, first);
    give(1u, first + 1u);
}
