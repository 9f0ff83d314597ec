// Features of four samples at one level (by the workgroup's y).

@group(0) @binding(2) var<storage, read_write> arena: array<vec4<f32>>;

fn interpolate(level: GridLevel, point: vec3<f32>) -> vec2<f32> {
    let at = point * level.scale + grid.shift;
    let low = floor(at);
    let share = at - low;
    let cell = vec3<u32>(low);
    var sum = vec2(0.0);
    for (var corner = 0u; corner < 8u; corner++) {
        sum += grid_weight(share, corner) * entry(grid_row(level, grid_vertex(cell, corner)));
    }
    return ENTRY_UNIT * sum;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    if id.x >= grid.quads {
        return;
    }
    let number = level_of(id.y, groups.y);
    let at = (grid.features_at + 2u * number) * grid.quads + id.x;
    if all(arena[3u * grid.quads + id.x] == vec4(0.0)) {
        arena[at] = vec4(0.0);
        arena[at + grid.quads] = vec4(0.0);
        return;
    }
    let level = grid.levels[number];
    let x = arena[id.x];
    let y = arena[grid.quads + id.x];
    let z = arena[2u * grid.quads + id.x];
    let f0 = interpolate(level, vec3(x.x, y.x, z.x));
    let f1 = interpolate(level, vec3(x.y, y.y, z.y));
    let f2 = interpolate(level, vec3(x.z, y.z, z.z));
    let f3 = interpolate(level, vec3(x.w, y.w, z.w));
    arena[at] = vec4(f0.x, f1.x, f2.x, f3.x);
    arena[at + grid.quads] = vec4(f0.y, f1.y, f2.y, f3.y);
}
