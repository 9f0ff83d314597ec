// One thread a splat: adds up its slots in their order and leaves the image plane. Where slots are bound in parts, sums
// wait in `d_projected` for those of the next part.
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> slot_ranges: array<vec2<u32>>;
// From slot `view.first` on, as `slots_b`.
@group(0) @binding(3) var<storage, read> slots_a: array<f32>;
@group(0) @binding(4) var<storage, read> slots_b: array<f32>;
// Two vec4 a splat: (d_mean2d, d_conic.xx, d_conic.xy) (d_conic.yy, d_depth, d_log_opacity, 0), and one: (d_rgb, 0).
@group(0) @binding(5) var<storage, read_write> d_projected: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> logit_opacities: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_logit_opacities: array<f32>;
// If ABSOLUTE, the pixels' gradients are added up without their signs.
@group(0) @binding(8) var<storage, read_write> d_mean2d: array<vec2<f32>>;

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
    let is_last = view.end >= view.capacity;
    let p1 = projected[PROJECTED * i + 1u];
    if p1.w == 0.0 {
        d_logit_opacities[i] = 0.0;
        d_mean2d[i] = vec2(0.0);
        return;
    }
    let p0 = projected[PROJECTED * i];
    let range = slot_ranges[i];
    var d0 = 0.0;
    var d1 = vec2(0.0);
    var d2 = vec3(0.0);
    var color = vec3(0.0);
    var depth = 0.0;
    var absolute = vec2(0.0);
    if view.first > 0u {
        let sums_0 = d_projected[PROJECTED * i];
        let sums_1 = d_projected[PROJECTED * i + 1u];
        let sums_2 = d_projected[PROJECTED * i + 2u];
        d0 = sums_0.x;
        d1 = sums_0.yz;
        d2 = vec3(sums_0.w, sums_1.xy);
        color = vec3(sums_1.zw, sums_2.x);
        depth = sums_2.y;
        absolute = sums_2.zw;
    }
    let begin = HALF * (clamp(range.x, view.first, view.end) - view.first);
    let end = HALF * (clamp(range.x + range.y, view.first, view.end) - view.first);
    for (var slot = begin; slot < end; slot += HALF) {
        d0 += slots_a[slot];
        d1 += vec2(slots_a[slot + 1u], slots_a[slot + 2u]);
        d2 += vec3(slots_a[slot + 3u], slots_a[slot + 4u], slots_b[slot]);
        color += vec3(slots_b[slot + 1u], slots_b[slot + 2u], slots_b[slot + 3u]);
        depth += slots_b[slot + 4u];
        if ABSOLUTE {
            absolute += vec2(slots_a[slot + HALF - 1u], slots_b[slot + HALF - 1u]);
        }
    }
    if !is_last {
        d_projected[PROJECTED * i] = vec4(d0, d1, d2.x);
        d_projected[PROJECTED * i + 1u] = vec4(d2.yz, color.rg);
        d_projected[PROJECTED * i + 2u] = vec4(color.b, depth, absolute);
        return;
    }
    let conic = vec3(p0.zw, p1.x);
    let d_mean = vec2(conic.x * d1.x + conic.y * d1.y, conic.y * d1.x + conic.z * d1.y);
    d_projected[PROJECTED * i] = vec4(d_mean, 0.5 * d2.x, d2.y);
    d_projected[PROJECTED * i + 1u] = vec4(0.5 * d2.z, depth, -d0, 0.0);
    d_projected[PROJECTED * i + 2u] = vec4(color, 0.0);
    // d alpha / d logit = alpha (1 − opacity), and d alpha / d sigma = −alpha; the opacity before any compensation.
    var opacity = p1.y;
    if view.antialiased != 0u {
        opacity = 1.0 / (1.0 + exp(-logit_opacities[i]));
    }
    d_logit_opacities[i] = -d0 * (1.0 - opacity);
    d_mean2d[i] = select(d_mean, absolute, ABSOLUTE);
}
