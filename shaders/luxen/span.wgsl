// Which part of a ray may see something.

// Least and largest bin edge; (0, 0) where all that the ray crosses is empty, (0, 1) where scenes are not bounded. Walks the
// box in steps of a cell's side; a step on either side is kept, because a corner may be missed.
fn span_of(origin: vec3<f32>, direction: vec3<f32>) -> vec2<f32> {
    if batch.half_side <= 0.0 {
        return vec2(0.0, 1.0);
    }
    let a = (-batch.half_side - origin) / direction;
    let b = (batch.half_side - origin) / direction;
    let enter = min(a, b);
    let leave = max(a, b);
    let near = max(max(max(enter.x, enter.y), enter.z), distance_of(0.0));
    let far = min(min(min(leave.x, leave.y), leave.z), distance_of(1.0));
    let step = 2.0 * batch.half_side / f32(CELLS);
    let per_unit = 1.0 / step;
    // Steps are counted up to 2 CELLS, more than the box's diagonal.
    var first = 2u * CELLS;
    var last = 0u;
    for (var i = 0u; i < 2u * CELLS; i++) {
        let distance = near + (f32(i) + 0.5) * step;
        if distance >= far {
            break;
        }
        let at = (origin + direction * distance + batch.half_side) * per_unit;
        let cell = vec3<u32>(clamp(at, vec3(0.0), vec3(f32(CELLS - 1u))));
        if cells[(cell.z * CELLS + cell.y) * CELLS + cell.x] >= batch.least_density {
            first = min(first, i);
            last = i;
        }
    }
    if first > last {
        return vec2(0.0);
    }
    let begin = max(near + (f32(first) - 1.0) * step, near);
    let end = min(near + (f32(last) + 2.0) * step, far);
    return vec2(bin_of(begin), bin_of(end));
}
