// dL/d(position in the grid's unit cube) of four samples, from dL/d(features): the slopes of all levels' trilinear weights.

@group(0) @binding(2) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_arena: array<vec4<f32>>;
// [3][samples].
@group(0) @binding(4) var<storage, read_write> d_points: array<vec4<f32>>;

fn d_point(level: GridLevel, point: vec3<f32>, d: vec2<f32>) -> vec3<f32> {
    let at = point * level.scale + grid.shift;
    let low = floor(at);
    let share = at - low;
    let cell = vec3<u32>(low);
    var sum = vec3(0.0);
    for (var corner = 0u; corner < 8u; corner++) {
        let value = dot(entry(grid_row(level, grid_vertex(cell, corner))), d);
        sum += value * grid_slope(share, corner);
    }
    return ENTRY_UNIT * level.scale * sum;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = grid.quads;
    if id.x >= quads {
        return;
    }
    let inside = points[3u * quads + id.x];
    let x = points[id.x];
    let y = points[quads + id.x];
    let z = points[2u * quads + id.x];
    var sums = array<vec3<f32>, 4>();
    for (var l = 0u; l < 16u; l++) {
        let level = grid.levels[l];
        if level.entries == 0u {
            break;
        }
        let at = (grid.d_features_at + 2u * l) * quads + id.x;
        let d0 = d_arena[at];
        let d1 = d_arena[at + quads];
        for (var k = 0u; k < 4u; k++) {
            if inside[k] != 0.0 {
                sums[k] += d_point(level, vec3(x[k], y[k], z[k]), vec2(d0[k], d1[k]));
            }
        }
    }
    for (var axis = 0u; axis < 3u; axis++) {
        d_points[axis * quads + id.x] = vec4(sums[0][axis], sums[1][axis], sums[2][axis], sums[3][axis]);
    }
}
