@group(0) @binding(1) var<storage, read> back: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> went_in: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) split: u32) {
    let row = 8u * group.y;
    let column = 8u * group.x;
    var sums: array<f32, 64>;
    for (var quad = split; quad < layer.quads; quad += SPLITS) {
        var a: array<vec4<f32>, 8>;
        for (var m = 0u; m < 8u; m++) {
            let channel = min(row + m, layer.rows - 1u);
            a[m] = back[(layer.row_at + channel) * layer.quads + quad];
        }
        for (var n = 0u; n < 8u; n++) {
            let channel = min(column + n, layer.columns - 1u);
            var b = went_in[(layer.column_at + channel) * layer.quads + quad];
            if column + n >= layer.columns {
                b = vec4(1.0);
            }
            for (var m = 0u; m < 8u; m++) {
                sums[m * 8u + n] += dot(a[m], b);
            }
        }
    }
    let first = partial_at(row, column) + split;
    for (var k = 0u; k < 64u; k++) {
        partials[first + k * SPLITS] = sums[k];
    }
}
