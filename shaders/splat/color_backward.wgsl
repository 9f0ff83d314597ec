// One thread a splat of the part that is bound: colour to SH coefficients and, through the viewing direction, to the mean. Writes `d_means`, to
// which the geometry's share is added afterwards.
@group(0) @binding(1) var<storage, read> means: array<f32>;
// From splat `view.first` on, as `d_sh_rest`.
@group(0) @binding(2) var<storage, read> sh_rest: array<f32>;
@group(0) @binding(3) var<storage, read> projected: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> d_projected: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_sh_dc: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_sh_rest: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_means: array<f32>;
// Half the longer side of the box on the picture, pixels; 0 when culled.
@group(0) @binding(8) var<storage, read_write> radii: array<f32>;

// Gradient of one coefficient; returns d L / d basis value.
fn coefficient(first: u32, k: u32, basis: f32, d_color: vec3<f32>) -> f32 {
    let j = first + 3u * (k - 1u);
    d_sh_rest[j] = basis * d_color.r;
    d_sh_rest[j + 1u] = basis * d_color.g;
    d_sh_rest[j + 2u] = basis * d_color.b;
    return dot(vec3(sh_rest[j], sh_rest[j + 1u], sh_rest[j + 2u]), d_color);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = view.first + linear_index(group, groups, local, 64u);
    if i >= view.end {
        return;
    }
    var d_color = vec3(0.0);
    var radius = 0.0;
    let extent_x = projected[PROJECTED * i + 1u].w;
    if extent_x != 0.0 {
        let p2 = projected[PROJECTED * i + 2u];
        d_color = select(vec3(0.0), d_projected[PROJECTED * i + 2u].rgb, p2.rgb > vec3(0.0));
        radius = max(extent_x, p2.w);
    }
    radii[i] = radius;
    let first = 3u * view.rest_count * (i - view.first);
    d_sh_dc[3u * i] = SH_0 * d_color.r;
    d_sh_dc[3u * i + 1u] = SH_0 * d_color.g;
    d_sh_dc[3u * i + 2u] = SH_0 * d_color.b;
    for (var k = 3u * ((DEGREE + 1u) * (DEGREE + 1u) - 1u); k < 3u * view.rest_count; k++) {
        d_sh_rest[first + k] = 0.0;
    }
    var d_mean = vec3(0.0);
    if DEGREE >= 1u {
        let offset = vec3(means[3u * i], means[3u * i + 1u], means[3u * i + 2u]) - view.position.xyz;
        let inverse = inverseSqrt(max(dot(offset, offset), 1e-30));
        let d = offset * inverse;
        let x = d.x;
        let y = d.y;
        let z = d.z;
        var d_d = vec3(0.0);
        d_d.y -= SH_1 * coefficient(first, 1u, -SH_1 * y, d_color);
        d_d.z += SH_1 * coefficient(first, 2u, SH_1 * z, d_color);
        d_d.x -= SH_1 * coefficient(first, 3u, -SH_1 * x, d_color);
        if DEGREE >= 2u {
            d_d += SH_2A * vec3(y, x, 0.0) * coefficient(first, 4u, SH_2A * x * y, d_color);
            d_d -= SH_2A * vec3(0.0, z, y) * coefficient(first, 5u, -SH_2A * y * z, d_color);
            d_d.z += 2.0 * SH_2B * z * coefficient(first, 6u, SH_2B * z * z - SH_2C, d_color);
            d_d -= SH_2A * vec3(z, 0.0, x) * coefficient(first, 7u, -SH_2A * x * z, d_color);
            d_d += 2.0 * SH_2D * vec3(x, -y, 0.0) * coefficient(first, 8u, SH_2D * (x * x - y * y), d_color);
        }
        if DEGREE >= 3u {
            let c = x * x - y * y;
            let e = SH_3D - SH_3C * z * z;
            d_d -= SH_3A * vec3(6.0 * x * y, 3.0 * c, 0.0)
                * coefficient(first, 9u, -SH_3A * y * (3.0 * x * x - y * y), d_color);
            d_d += SH_3B * vec3(y * z, x * z, x * y) * coefficient(first, 10u, SH_3B * x * y * z, d_color);
            d_d += vec3(0.0, e, -2.0 * SH_3C * y * z) * coefficient(first, 11u, e * y, d_color);
            d_d.z += (3.0 * SH_3E * z * z - SH_3F)
                * coefficient(first, 12u, z * (SH_3E * z * z - SH_3F), d_color);
            d_d += vec3(e, 0.0, -2.0 * SH_3C * x * z) * coefficient(first, 13u, e * x, d_color);
            d_d += SH_3G * vec3(2.0 * x * z, -2.0 * y * z, c) * coefficient(first, 14u, SH_3G * z * c, d_color);
            d_d -= SH_3A * vec3(3.0 * c, -6.0 * x * y, 0.0)
                * coefficient(first, 15u, -SH_3A * x * (x * x - 3.0 * y * y), d_color);
        }
        d_mean = (d_d - d * dot(d, d_d)) * inverse;
    }
    d_means[3u * i] = d_mean.x;
    d_means[3u * i + 1u] = d_mean.y;
    d_means[3u * i + 2u] = d_mean.z;
}
