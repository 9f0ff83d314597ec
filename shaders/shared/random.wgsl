// Random numbers without state: a hash of what the number is for. pcg4d of Jarzynski and Olano, "Hash Functions for GPU
// Rendering", JCGT 2020.

fn random_words(key: vec4<u32>) -> vec4<u32> {
    var v = key * 1664525u + 1013904223u;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    v ^= v >> vec4(16u);
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v;
}

// Three independent standard normals (Box and Muller 1958).
fn random_normals(key: vec4<u32>) -> vec3<f32> {
    let u = (vec4<f32>(random_words(key) >> vec4(8u)) + 0.5) / 16777216.0;
    let radius = sqrt(-2.0 * log(u.xz));
    let angle = 6.283185307179586 * u.yw;
    return vec3(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y));
}
