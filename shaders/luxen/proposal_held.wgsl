// dL/d(features) and dL/d(weights) of a proposal. The sums over samples that give the latter stay in the invocation: a
// processor pays for every access of storage memory, and hardly for arithmetic on what it holds. An invocation takes every
// n-th four quads. Arrays are indexed by constants where a quad's values lie in them, so that they can be registers; hence
// the calls that a loop would say shorter.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> arena: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> d_arena: array<vec4<f32>>;
// [NETWORK][invocations].
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<f32>>;

const GROUP: u32 = 4u;
const HELD_LANES: u32 = 8u;

var<private> sums: array<vec4<f32>, NETWORK>;
// Of a group's quads, see `features_of`.
var<private> x: array<mat4x4<f32>, GROUP * ROW>;
var<private> d_x: array<mat4x4<f32>, GROUP * ROW>;
var<private> d_logit: array<vec4<f32>, GROUP>;
// Of a neuron, over a group.
var<private> neuron: array<vec4<f32>, ROW>;

fn take(q: u32, quad: u32) {
    let quads = quad_count();
    let features = features_of(quad);
    for (var k = 0u; k < ROW; k++) {
        x[ROW * q + k] = features[k];
        d_x[ROW * q + k] = mat4x4<f32>();
    }
    let back = d_arena[D_DENSITY_AT * quads + quad] * arena[3u * quads + quad];
    d_logit[q] = back * d_density_of(arena[LOGIT_AT * quads + quad]);
    sums[OUT_BIAS].x += dot(d_logit[q], vec4(1.0));
}

fn backward(q: u32, row: u32) {
    let last = network[row + 2u];
    let logit = x[ROW * q] * network[row] + x[ROW * q + 1u] * network[row + 1u] + x[ROW * q + 2u] * last;
    let d = where_positive(d_logit[q] * last.w, logit);
    for (var k = 0u; k < ROW; k++) {
        d_x[ROW * q + k] += outer(d, network[row + k]);
        neuron[k] += d * x[ROW * q + k];
    }
    neuron[2].w += dot(relu(logit), d_logit[q]);
}

fn give(q: u32, quad: u32) {
    let quads = quad_count();
    for (var c = 0u; c < 4u; c++) {
        d_arena[c * quads + quad] = d_x[ROW * q][c];
        d_arena[(4u + c) * quads + quad] = d_x[ROW * q + 1u][c];
    }
    d_arena[8u * quads + quad] = d_x[ROW * q + 2u][0];
    d_arena[9u * quads + quad] = d_x[ROW * q + 2u][1];
}

@compute @workgroup_size(HELD_LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let invocations = HELD_LANES * groups.x;
    let quads = quad_count();
    // A chunk has a multiple of 64 rays, hence of 16 quads.
    for (var first = GROUP * id.x; first < quads; first += GROUP * invocations) {
        var inside = vec4(0.0);
        for (var q = 0u; q < GROUP; q++) {
            inside += arena[3u * quads + first + q];
        }
        if all(inside == vec4(0.0)) {
            for (var c = 0u; c < FEATURES; c++) {
                for (var q = 0u; q < GROUP; q++) {
                    d_arena[c * quads + first + q] = vec4(0.0);
                }
            }
            continue;
        }
        take(0u, first);
        take(1u, first + 1u);
        take(2u, first + 2u);
        take(3u, first + 3u);
        for (var j = 0u; j < HIDDEN; j++) {
            let row = ROW * j;
            for (var k = 0u; k < ROW; k++) {
                neuron[k] = vec4(0.0);
            }
            backward(0u, row);
            backward(1u, row);
            backward(2u, row);
            backward(3u, row);
            for (var k = 0u; k < ROW; k++) {
                sums[row + k] += neuron[k];
            }
        }
        give(0u, first);
        give(1u, first + 1u);
        give(2u, first + 2u);
        give(3u, first + 3u);
    }
    for (var i = 0u; i < NETWORK; i++) {
        partials[i * invocations + id.x] = sums[i];
    }
}
