// The gradient of four samples at one level (the workgroup's y) into the table. Neighbouring samples of a ray often share a
// cell; their sums leave together.

@group(0) @binding(1) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> d_arena: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_table: array<atomic<i32>>;

fn flush(level: GridLevel, cell: vec3<u32>, sums: ptr<function, array<vec2<f32>, 8>>, scale: f32) {
    for (var corner = 0u; corner < 8u; corner++) {
        let row = 2u * grid_row(level, grid_vertex(cell, corner));
        let sum = (*sums)[corner];
        let first = to_fixed(sum.x, scale);
        let second = to_fixed(sum.y, scale);
        if first != 0 {
            atomicAdd(&d_table[row], first);
        }
        if second != 0 {
            atomicAdd(&d_table[row + 1u], second);
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = grid.quads;
    if id.x >= quads {
        return;
    }
    let level = grid.levels[id.y];
    let scale = scales[id.y];
    let x = points[id.x];
    let y = points[quads + id.x];
    let z = points[2u * quads + id.x];
    let at = (grid.d_features_at + 2u * id.y) * quads + id.x;
    let d0 = d_arena[at];
    let d1 = d_arena[at + quads];
    if all(d0 == vec4(0.0)) && all(d1 == vec4(0.0)) {
        return;
    }
    var sums: array<vec2<f32>, 8>;
    var held = vec3(0u);
    for (var k = 0u; k < 4u; k++) {
        let position = vec3(x[k], y[k], z[k]) * level.scale + grid.shift;
        let low = floor(position);
        let share = position - low;
        let cell = vec3<u32>(low);
        if k > 0u && any(cell != held) {
            flush(level, held, &sums, scale);
            sums = array<vec2<f32>, 8>();
        }
        held = cell;
        let d = vec2(d0[k], d1[k]);
        for (var corner = 0u; corner < 8u; corner++) {
            sums[corner] += grid_weight(share, corner) * d;
        }
    }
    flush(level, held, &sums, scale);
}
