// All of space into a cube of side 4 (mip-NeRF 360 with the maximum norm).
fn contract(x: vec3<f32>) -> vec3<f32> {
    let norm = max(max(abs(x.x), abs(x.y)), abs(x.z));
    if norm <= 1.0 {
        return x;
    }
    return (2.0 - 1.0 / norm) * (x / norm);
}
