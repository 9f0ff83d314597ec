// A random point of each of the batch's cells, reaching half a cell beyond it, so that what grows is found a little early;
// in the grids' unit cube, as `points` leaves them. Four cells an invocation.

@group(0) @binding(1) var<storage, read_write> arena: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    if id.x >= quads {
        return;
    }
    let side = 2.0 * batch.half_side / f32(CELLS);
    var x: vec4<f32>;
    var y: vec4<f32>;
    var z: vec4<f32>;
    for (var k = 0u; k < 4u; k++) {
        let cell = batch.first_ray + 4u * id.x + k;
        let low = vec3<f32>(vec3(cell % CELLS, cell / CELLS % CELLS, cell / (CELLS * CELLS)));
        let share = vec3(
            random(3u * cell, FOR_CELLS),
            random(3u * cell + 1u, FOR_CELLS),
            random(3u * cell + 2u, FOR_CELLS),
        );
        let point = 0.25 * contract((low + 2.0 * share - 0.5) * side - batch.half_side) + 0.5;
        x[k] = point.x;
        y[k] = point.y;
        z[k] = point.z;
    }
    arena[id.x] = x;
    arena[quads + id.x] = y;
    arena[2u * quads + id.x] = z;
    arena[3u * quads + id.x] = vec4(1.0);
}
