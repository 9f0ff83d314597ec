// dL/dx of `contract`.
fn contract_backward(x: vec3<f32>, d: vec3<f32>) -> vec3<f32> {
    let size = abs(x);
    let norm = max(max(size.x, size.y), size.z);
    if norm <= 1.0 {
        return d;
    }
    let inverse = 1.0 / norm;
    let factor = (2.0 - inverse) * inverse;
    let slope = 2.0 * (inverse - 1.0) * inverse * inverse;
    var through_norm = vec3(0.0);
    let along = slope * dot(x, d);
    if size.x == norm {
        through_norm.x = along * sign(x.x);
    } else if size.y == norm {
        through_norm.y = along * sign(x.y);
    } else {
        through_norm.z = along * sign(x.z);
    }
    return factor * d + through_norm;
}
