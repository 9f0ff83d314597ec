// Quaternions are (w, x, y, z) in a vec4's (x, y, z, w) components.

fn quaternion_inverse_length(q: vec4<f32>) -> f32 {
    return inverseSqrt(max(dot(q, q), 1e-30));
}

// Rotation matrix of a unit quaternion.
fn quaternion_matrix(q: vec4<f32>) -> mat3x3<f32> {
    let w = q.x;
    let v = q.yzw;
    return mat3x3<f32>(
        vec3(1.0 - 2.0 * (v.y * v.y + v.z * v.z), 2.0 * (v.x * v.y + w * v.z), 2.0 * (v.x * v.z - w * v.y)),
        vec3(2.0 * (v.x * v.y - w * v.z), 1.0 - 2.0 * (v.x * v.x + v.z * v.z), 2.0 * (v.y * v.z + w * v.x)),
        vec3(2.0 * (v.x * v.z + w * v.y), 2.0 * (v.y * v.z - w * v.x), 1.0 - 2.0 * (v.x * v.x + v.y * v.y)),
    );
}

// dL/dq of a unit quaternion from dL/dR, given as columns.
fn quaternion_matrix_backward(q: vec4<f32>, d: mat3x3<f32>) -> vec4<f32> {
    let w = q.x;
    let v = q.yzw;
    // d[column][row]
    let curl = vec3(d[1].z - d[2].y, d[2].x - d[0].z, d[0].y - d[1].x);
    let xy = d[1].x + d[0].y;
    let xz = d[2].x + d[0].z;
    let yz = d[2].y + d[1].z;
    return 2.0 * vec4(
        dot(v, curl),
        -2.0 * v.x * (d[1].y + d[2].z) + v.y * xy + v.z * xz + w * curl.x,
        v.x * xy - 2.0 * v.y * (d[0].x + d[2].z) + v.z * yz + w * curl.y,
        v.x * xz + v.y * yz - 2.0 * v.z * (d[0].x + d[1].y) + w * curl.z,
    );
}
