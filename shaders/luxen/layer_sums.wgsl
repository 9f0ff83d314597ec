const BLOCKS: u32 = TILE / 4u;
// `main` names each block.
const_assert BLOCKS == 2u;

// Columns, then blocks of four rows. Arrays are indexed by constants, so that they can be registers: hence calls where a loop
// would say it shorter.
var<private> sums: array<vec4<f32>, TILE * BLOCKS>;
var<private> biases: array<vec4<f32>, BLOCKS>;
// Blocks of rows as their four samples, each with the block's four channels.
var<private> a: array<mat4x4<f32>, BLOCKS>;

fn take(layer: Layer, row: u32, quad: u32, k: u32) {
    a[k] = transpose(back_block(layer, row + 4u * k, quad));
    biases[k] += a[k][0] + a[k][1] + a[k][2] + a[k][3];
}

fn add(b: vec4<f32>, column: u32) {
    for (var k = 0u; k < BLOCKS; k++) {
        var sum = fma(a[k][0], vec4(b.x), sums[column * BLOCKS + k]);
        sum = fma(a[k][1], vec4(b.y), sum);
        sum = fma(a[k][2], vec4(b.z), sum);
        sums[column * BLOCKS + k] = fma(a[k][3], vec4(b.w), sum);
    }
}

fn add_block(layer: Layer, first: u32, quad: u32, m: u32) {
    let b = in_block(layer, first + 4u * m, quad);
    add(b[0], 4u * m);
    add(b[1], 4u * m + 1u);
    add(b[2], 4u * m + 2u);
    add(b[3], 4u * m + 3u);
}

@compute @workgroup_size(SPLITS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) split: u32) {
    var number = 0u;
    for (var l = 1u; l < layers.count; l++) {
        number += select(0u, 1u, group.x >= layers.each[l].first_tile);
    }
    let layer = layers.each[number];
    let tile = group.x - layer.first_tile;
    let row = TILE * (tile / tiles_across(layer));
    let column = TILE * (tile % tiles_across(layer));
    // Neighbouring quads one after the other: a processor fetches ahead.
    for (var quad = split; quad < layer.quads; quad += SPLITS) {
        take(layer, row, quad, 0u);
        take(layer, row, quad, 1u);
        add_block(layer, column, quad, 0u);
        add_block(layer, column, quad, 1u);
    }
    for (var n = 0u; n < TILE; n++) {
        for (var k = 0u; k < BLOCKS; k++) {
            let at = partial_at(layer, row + 4u * k, column + n) + split;
            let stride = TILE * SPLITS;
            let sum = sums[n * BLOCKS + k];
            partials[at] = sum.x;
            partials[at + stride] = sum.y;
            partials[at + 2u * stride] = sum.z;
            partials[at + 3u * stride] = sum.w;
        }
    }
    if layer.has_bias != 0u && column == 0u {
        for (var k = 0u; k < BLOCKS; k++) {
            let at = bias_partial_at(layer, row + 4u * k) + split;
            partials[at] = biases[k].x;
            partials[at + SPLITS] = biases[k].y;
            partials[at + 2u * SPLITS] = biases[k].z;
            partials[at + 3u * SPLITS] = biases[k].w;
        }
    }
}
