// Distances along a ray are sampled uniformly up to 1 and uniformly in disparity beyond (nerfstudio's
// UniformLinDispPiecewise). Bins are kept as u in [0, 1] between the planes.

fn spacing_inverse(s: f32) -> f32 {
    return select(0.5 / (1.0 - s), 2.0 * s, s < 0.5);
}

// Distance of a bin edge.
fn distance_of(u: f32) -> f32 {
    return spacing_inverse(u * batch.far + (1.0 - u) * batch.near);
}
