// The sixteen harmonics of a direction, tiny-cuda-nn's degree 4: order and signs of 3D Gaussian Splatting.
fn harmonics_of(d: vec3<f32>) -> array<f32, 16> {
    let x = d.x;
    let y = d.y;
    let z = d.z;
    return array<f32, 16>(
        SH_0,
        -SH_1 * y,
        SH_1 * z,
        -SH_1 * x,
        SH_2A * x * y,
        -SH_2A * y * z,
        SH_2B * z * z - SH_2C,
        -SH_2A * x * z,
        SH_2D * (x * x - y * y),
        -SH_3A * y * (3.0 * x * x - y * y),
        SH_3B * x * y * z,
        (SH_3D - SH_3C * z * z) * y,
        z * (SH_3E * z * z - SH_3F),
        (SH_3D - SH_3C * z * z) * x,
        SH_3G * z * (x * x - y * y),
        -SH_3A * x * (x * x - 3.0 * y * y),
    );
}
