// Distances along a ray are sampled uniformly up to 1 and uniformly in disparity beyond (nerfstudio's
// UniformLinDispPiecewise). Bins are kept as u in [0, 1] between the planes.

fn spacing(distance: f32) -> f32 {
    return select(1.0 - 0.5 / distance, 0.5 * distance, distance < 1.0);
}

fn spacing_inverse(s: f32) -> f32 {
    return select(0.5 / (1.0 - s), 2.0 * s, s < 0.5);
}

// Distance of a bin edge.
fn distance_of(u: f32) -> f32 {
    return spacing_inverse(u * batch.far + (1.0 - u) * batch.near);
}

// Bin edge of a distance.
fn bin_of(distance: f32) -> f32 {
    return clamp((spacing(distance) - batch.near) / (batch.far - batch.near), 0.0, 1.0);
}
