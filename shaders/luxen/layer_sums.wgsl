@group(0) @binding(1) var<storage, read> back: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> went_in: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

const BLOCKS: u32 = TILE / 4u;

fn back_at(row: u32, quad: u32) -> vec4<f32> {
    return back[(layer.row_at + min(row, layer.rows - 1u)) * layer.quads + quad];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = TILE * group.y;
    let column = TILE * group.x;
    let split = group.z * LANES + local;
    // Columns, then blocks of four rows. `a` holds a block as its four samples, each with the block's four channels.
    var sums: array<array<vec4<f32>, BLOCKS>, TILE>;
    var biases: array<vec4<f32>, BLOCKS>;
    // Neighbouring quads one after the other: a processor fetches ahead.
    let share = (layer.quads + SPLITS / LANES - 1u) / (SPLITS / LANES);
    let end = min(layer.quads, share * (group.z + 1u));
    for (var quad = share * group.z + local; quad < end; quad += LANES) {
        var a: array<mat4x4<f32>, BLOCKS>;
        for (var k = 0u; k < BLOCKS; k++) {
            let first = row + 4u * k;
            a[k] = transpose(mat4x4<f32>(
                back_at(first, quad),
                back_at(first + 1u, quad),
                back_at(first + 2u, quad),
                back_at(first + 3u, quad),
            ));
            biases[k] += a[k][0] + a[k][1] + a[k][2] + a[k][3];
        }
        for (var n = 0u; n < TILE; n++) {
            let channel = min(column + n, layer.columns - 1u);
            let b = went_in[(layer.column_at + channel) * layer.quads + quad];
            for (var k = 0u; k < BLOCKS; k++) {
                var sum = fma(a[k][0], vec4(b.x), sums[n][k]);
                sum = fma(a[k][1], vec4(b.y), sum);
                sum = fma(a[k][2], vec4(b.z), sum);
                sums[n][k] = fma(a[k][3], vec4(b.w), sum);
            }
        }
    }
    for (var n = 0u; n < TILE; n++) {
        for (var k = 0u; k < BLOCKS; k++) {
            let at = partial_at(row + 4u * k, column + n) + split;
            let stride = TILE * SPLITS;
            partials[at] = sums[n][k].x;
            partials[at + stride] = sums[n][k].y;
            partials[at + 2u * stride] = sums[n][k].z;
            partials[at + 3u * stride] = sums[n][k].w;
        }
    }
    if layer.has_bias != 0u && group.x == 0u {
        for (var k = 0u; k < BLOCKS; k++) {
            let at = bias_partial_at(row + 4u * k) + split;
            partials[at] = biases[k].x;
            partials[at + SPLITS] = biases[k].y;
            partials[at + 2u * SPLITS] = biases[k].z;
            partials[at + 3u * SPLITS] = biases[k].w;
        }
    }
}
