// Turns as rotation vectors: axis times angle.

// sin(a) / a, (1 - cos(a)) / a^2, (a - sin(a)) / a^3, from a^2. By their series while the differences cancel: what they
// leave out at a^2 = 0.1 is 3e-10 of the values.
fn turn_factors(square: f32) -> vec3<f32> {
    if square < 0.1 {
        return vec3(
            1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)),
            0.5 - square / 24.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)),
            1.0 / 6.0 - square / 120.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0)),
        );
    }
    let angle = sqrt(square);
    let sine = sin(angle);
    return vec3(sine / angle, (1.0 - cos(angle)) / square, (angle - sine) / (square * angle));
}

// `v` turned (Rodrigues).
fn turned(turn: vec3<f32>, v: vec3<f32>) -> vec3<f32> {
    let factors = turn_factors(dot(turn, turn));
    let side = cross(turn, v);
    return v + factors.x * side + factors.y * cross(turn, side);
}

// dL/d(turn) from dL/d(small turn after it): by the transpose of the left Jacobian of SO(3).
fn d_turn(turn: vec3<f32>, d_small: vec3<f32>) -> vec3<f32> {
    let factors = turn_factors(dot(turn, turn));
    let side = cross(turn, d_small);
    return d_small - factors.y * side + factors.z * cross(turn, side);
}
