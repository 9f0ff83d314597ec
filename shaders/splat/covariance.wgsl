// Local affine projection of a 3D Gaussian (EWA splatting, Zwicker et al. 2001). The covariance is kept as a product
// F Fᵀ + EPS_2D I with F of 2×3, so that its determinant has no cancellation.
struct Factor {
    // Rows of F.
    a: vec3<f32>,
    b: vec3<f32>,
    // Rows of J·W, W the rotation from world to camera.
    u: vec3<f32>,
    v: vec3<f32>,
    // Columns of R·S, world space.
    m: mat3x3<f32>,
}

struct Covariance {
    xx: f32,
    xy: f32,
    yy: f32,
    determinant: f32,
    // Share of the opacity that is left where the blur is compensated.
    compensation: f32,
}

// x and y of the camera-space position as the Jacobian sees them.
fn clamped_position(p: vec3<f32>) -> vec2<f32> {
    return p.z * clamp(p.xy / p.z, view.slope_low, view.slope_high);
}

fn world_row(row: u32) -> vec3<f32> {
    let w = view.world_to_camera;
    return vec3(w[0][row], w[1][row], w[2][row]);
}

fn camera_position_of(mean: vec3<f32>) -> vec3<f32> {
    return (view.world_to_camera * vec4(mean, 1.0)).xyz;
}

// `q` of unit length.
fn factor_of(p: vec3<f32>, q: vec4<f32>, log_scale: vec3<f32>) -> Factor {
    var f: Factor;
    let scale = exp(log_scale);
    let r = quaternion_matrix(q);
    f.m = mat3x3<f32>(r[0] * scale.x, r[1] * scale.y, r[2] * scale.z);
    let t = clamped_position(p);
    let slope = view.focal / p.z;
    let w2 = world_row(2u);
    f.u = slope.x * world_row(0u) - (slope.x * t.x / p.z) * w2;
    f.v = slope.y * world_row(1u) - (slope.y * t.y / p.z) * w2;
    f.a = f.u * f.m;
    f.b = f.v * f.m;
    return f;
}

fn covariance_of(f: Factor) -> Covariance {
    let aa = dot(f.a, f.a);
    let bb = dot(f.b, f.b);
    let normal = cross(f.a, f.b);
    let sharp = dot(normal, normal);
    let determinant = sharp + EPS_2D * (aa + bb) + EPS_2D * EPS_2D;
    return Covariance(aa + EPS_2D, dot(f.a, f.b), bb + EPS_2D, determinant, sqrt(sharp / determinant));
}
