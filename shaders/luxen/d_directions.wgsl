// dL/d(direction) from dL/d(harmonics), of `harmonics_of` as polynomials of x, y and z.
fn d_direction_of(v: vec3<f32>, d: array<f32, 16>) -> vec3<f32> {
    let x = v.x;
    let y = v.y;
    let z = v.z;
    let c = x * x - y * y;
    let e = SH_3D - SH_3C * z * z;
    var sum = SH_1 * vec3(-d[3], -d[1], d[2]);
    sum += SH_2A * (d[4] * vec3(y, x, 0.0) - d[5] * vec3(0.0, z, y) - d[7] * vec3(z, 0.0, x));
    sum += 2.0 * SH_2B * d[6] * vec3(0.0, 0.0, z) + 2.0 * SH_2D * d[8] * vec3(x, -y, 0.0);
    sum -= SH_3A * (d[9] * vec3(6.0 * x * y, 3.0 * c, 0.0) + d[15] * vec3(3.0 * c, -6.0 * x * y, 0.0));
    sum += SH_3B * d[10] * vec3(y * z, x * z, x * y);
    sum += d[11] * vec3(0.0, e, -2.0 * SH_3C * y * z) + d[13] * vec3(e, 0.0, -2.0 * SH_3C * x * z);
    sum += d[12] * vec3(0.0, 0.0, 3.0 * SH_3E * z * z - SH_3F);
    sum += SH_3G * d[14] * vec3(2.0 * x * z, -2.0 * y * z, c);
    return sum;
}
