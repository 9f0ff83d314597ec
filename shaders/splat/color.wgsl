// One thread a splat of the part that is bound: spherical harmonics in the direction from the camera to the mean.
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read> sh_dc: array<f32>;
// From splat `view.first` on.
@group(0) @binding(3) var<storage, read> sh_rest: array<f32>;
@group(0) @binding(4) var<storage, read_write> projected: array<vec4<f32>>;

fn rest(first: u32, k: u32) -> vec3<f32> {
    let j = first + 3u * (k - 1u);
    return vec3(sh_rest[j], sh_rest[j + 1u], sh_rest[j + 2u]);
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
    if projected[PROJECTED * i + 1u].w == 0.0 {
        return;
    }
    let mean = vec3(means[3u * i], means[3u * i + 1u], means[3u * i + 2u]);
    let d = normalize(mean - view.position.xyz);
    let x = d.x;
    let y = d.y;
    let z = d.z;
    let first = 3u * view.rest_count * (i - view.first);
    var color = vec3(0.5) + SH_0 * vec3(sh_dc[3u * i], sh_dc[3u * i + 1u], sh_dc[3u * i + 2u]);
    if DEGREE >= 1u {
        color += SH_1 * (-y * rest(first, 1u) + z * rest(first, 2u) - x * rest(first, 3u));
    }
    if DEGREE >= 2u {
        color += SH_2A * (x * y * rest(first, 4u) - y * z * rest(first, 5u) - x * z * rest(first, 7u));
        color += (SH_2B * z * z - SH_2C) * rest(first, 6u);
        color += SH_2D * (x * x - y * y) * rest(first, 8u);
    }
    if DEGREE >= 3u {
        color -= SH_3A * y * (3.0 * x * x - y * y) * rest(first, 9u);
        color += SH_3B * x * y * z * rest(first, 10u);
        color += (SH_3D - SH_3C * z * z) * (y * rest(first, 11u) + x * rest(first, 13u));
        color += z * (SH_3E * z * z - SH_3F) * rest(first, 12u);
        color += SH_3G * z * (x * x - y * y) * rest(first, 14u);
        color -= SH_3A * x * (x * x - 3.0 * y * y) * rest(first, 15u);
    }
    let extent_y = projected[PROJECTED * i + 2u].w;
    projected[PROJECTED * i + 2u] = vec4(max(color, vec3(0.0)), extent_y);
}
