// One thread a splat: cull, project, count the tiles it touches.
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read> quats: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> log_scales: array<f32>;
@group(0) @binding(4) var<storage, read> logit_opacities: array<f32>;
@group(0) @binding(5) var<storage, read_write> projected: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> depth_keys: array<u32>;
// (first slot, slots) of each splat; the first is known after the scan.
@group(0) @binding(7) var<storage, read_write> slot_ranges: array<vec2<u32>>;

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
    let mean = vec3(means[3u * i], means[3u * i + 1u], means[3u * i + 2u]);
    let log_scale = vec3(log_scales[3u * i], log_scales[3u * i + 1u], log_scales[3u * i + 2u]);
    var opacity = 1.0 / (1.0 + exp(-logit_opacities[i]));
    let p = camera_position_of(mean);
    var tiles = 0u;
    if p.z > NEAR && p.z < FAR && opacity >= ALPHA_MIN {
        let q = quats[i];
        let c = covariance_of(factor_of(p, q * quaternion_inverse_length(q), log_scale));
        let conic = vec3(c.yy, -c.xy, c.xx) / c.determinant;
        let mean2d = view.focal * (p.xy / p.z) + view.center;
        if view.antialiased != 0u {
            opacity *= c.compensation;
        }
        let cut = cut_of(opacity);
        let extent = sqrt(cut * vec2(c.xx, c.yy));
        // Not finite: too large to draw.
        if c.determinant < 1e38 && cut >= 0.0 && conic.x > 0.0 && conic.z > 0.0 && all(abs(mean2d) < vec2(1e9)) {
            let ellipse = ellipse_of(mean2d, conic, cut, extent);
            let rows = tile_rows(ellipse);
            for (var row = rows.x; row < rows.y; row++) {
                let span = tiles_in_row(ellipse, row);
                tiles += span.y - span.x;
            }
        }
        if tiles > 0u {
            projected[PROJECTED * i] = vec4(mean2d, conic.xy);
            projected[PROJECTED * i + 1u] = vec4(conic.z, opacity, p.z, extent.x);
            projected[PROJECTED * i + 2u] = vec4(0.0, 0.0, 0.0, extent.y);
        }
    }
    if tiles == 0u {
        projected[PROJECTED * i + 1u] = vec4(0.0);
    }
    depth_keys[i] = select(SKIPPED_KEY, bitcast<u32>(p.z) - NEAR_BITS, tiles > 0u);
    slot_ranges[i] = vec2(0u, tiles);
}
