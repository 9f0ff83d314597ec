// The gradient of RUN neighbouring quads at one level (by the workgroup's y) into the table. Neighbouring samples of a ray often
// share a cell; their sums leave together.

@group(0) @binding(1) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> d_arena: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;

const RUN: u32 = 4u;

fn flush(level: GridLevel, cell: vec3<u32>, sums: ptr<function, array<vec2<f32>, 8>>, scale: f32) {
    for (var corner = 0u; corner < 8u; corner++) {
        let sum = (*sums)[corner];
        add(grid_row(level, grid_vertex(cell, corner)), to_fixed(sum.x, scale), to_fixed(sum.y, scale));
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let quads = grid.quads;
    let number = level_of(id.y, groups.y);
    let level = grid.levels[number];
    let scale = scales[number];
    var sums: array<vec2<f32>, 8>;
    var held = vec3(0u);
    var holds = false;
    for (var quad = RUN * id.x; quad < min(RUN * (id.x + 1u), quads); quad++) {
        let at = (grid.d_features_at + 2u * number) * quads + quad;
        let d0 = d_arena[at];
        let d1 = d_arena[at + quads];
        if all(d0 == vec4(0.0)) && all(d1 == vec4(0.0)) {
            continue;
        }
        let x = points[quad];
        let y = points[quads + quad];
        let z = points[2u * quads + quad];
        for (var k = 0u; k < 4u; k++) {
            let position = vec3(x[k], y[k], z[k]) * level.scale + grid.shift;
            let low = floor(position);
            let share = position - low;
            let cell = vec3<u32>(low);
            if holds && any(cell != held) {
                flush(level, held, &sums, scale);
                sums = array<vec2<f32>, 8>();
            }
            held = cell;
            holds = true;
            let d = vec2(d0[k], d1[k]);
            for (var corner = 0u; corner < 8u; corner++) {
                sums[corner] += grid_weight(share, corner) * d;
            }
        }
    }
    if holds {
        flush(level, held, &sums, scale);
    }
}
