// One thread a splat: from the image plane to mean, quaternion and log-scales.
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read> quats: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> log_scales: array<f32>;
@group(0) @binding(4) var<storage, read> projected: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> d_projected: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> d_means: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_quats: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> d_log_scales: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= view.splats {
        return;
    }
    if projected[PROJECTED * i + 1u].w == 0.0 {
        d_quats[i] = vec4(0.0);
        d_log_scales[3u * i] = 0.0;
        d_log_scales[3u * i + 1u] = 0.0;
        d_log_scales[3u * i + 2u] = 0.0;
        return;
    }
    let log_scale = vec3(log_scales[3u * i], log_scales[3u * i + 1u], log_scales[3u * i + 2u]);
    let p = camera_position_of(vec3(means[3u * i], means[3u * i + 1u], means[3u * i + 2u]));
    let inverse_length = quaternion_inverse_length(quats[i]);
    let q = quats[i] * inverse_length;
    let f = factor_of(p, q, log_scale);
    let cov = covariance_of(f);
    let conic = vec3(cov.yy, -cov.xy, cov.xx) / cov.determinant;
    let d0 = d_projected[PROJECTED * i];
    let d1 = d_projected[PROJECTED * i + 1u];

    // dL/dcov = −conic · dL/dconic · conic, all symmetric 2×2.
    let g = mat2x2<f32>(vec2(d0.z, 0.5 * d0.w), vec2(0.5 * d0.w, d1.x));
    let k = mat2x2<f32>(conic.xy, conic.yz);
    var d_cov = k * g * k;
    if view.antialiased != 0u {
        // c² = det(F Fᵀ)/det cov, with the gradient (1 − c²) conic − EPS_2D/det cov · I; here with the sign of the above.
        let squared = cov.compensation * cov.compensation;
        let d_squared = 0.5 * d1.z / squared;
        let diagonal = d_squared * EPS_2D / cov.determinant;
        d_cov -= (d_squared * (1.0 - squared)) * k - mat2x2<f32>(vec2(diagonal, 0.0), vec2(0.0, diagonal));
    }
    // cov = F Fᵀ + …; rows of dL/dF.
    let d_a = -2.0 * (d_cov[0].x * f.a + d_cov[1].x * f.b);
    let d_b = -2.0 * (d_cov[0].y * f.a + d_cov[1].y * f.b);

    // F = [u; v] · m.
    let d_m = mat3x3<f32>(
        d_a.x * f.u + d_b.x * f.v,
        d_a.y * f.u + d_b.y * f.v,
        d_a.z * f.u + d_b.z * f.v,
    );
    let d_u = f.m * d_a;
    let d_v = f.m * d_b;
    let scale = exp(log_scale);
    d_log_scales[3u * i] = dot(f.m[0], d_m[0]);
    d_log_scales[3u * i + 1u] = dot(f.m[1], d_m[1]);
    d_log_scales[3u * i + 2u] = dot(f.m[2], d_m[2]);
    let d_q = quaternion_matrix_backward(q, mat3x3<f32>(d_m[0] * scale.x, d_m[1] * scale.y, d_m[2] * scale.z));
    d_quats[i] = (d_q - q * dot(q, d_q)) * inverse_length;

    // u = (fx/z) W₀ − (fx tx/z²) W₂, v alike; mean2d = f · p.xy/z + c.
    let w0 = world_row(0u);
    let w1 = world_row(1u);
    let w2 = world_row(2u);
    let slope = view.focal / p.z;
    let t = clamped_position(p);
    let d_diagonal = vec2(dot(d_u, w0), dot(d_v, w1));
    let d_last = vec2(dot(d_u, w2), dot(d_v, w2));
    let ratio = p.xy / p.z;
    let free = (ratio >= view.slope_low) & (ratio <= view.slope_high);
    let d_mean2d = d0.xy;
    let d_xy = slope * d_mean2d - select(vec2(0.0), slope / p.z * d_last, free);
    // tx = x where free, else proportional to z.
    let power = select(vec2(1.0), vec2(2.0), free);
    let d_z = dot(slope / p.z, power * t / p.z * d_last - d_diagonal - p.xy * d_mean2d) + d1.y;
    let d_mean = d_xy.x * w0 + d_xy.y * w1 + d_z * w2;
    d_means[3u * i] += d_mean.x;
    d_means[3u * i + 1u] += d_mean.y;
    d_means[3u * i + 2u] += d_mean.z;
}
