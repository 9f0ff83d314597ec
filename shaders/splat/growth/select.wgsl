// What becomes of each splat (3D Gaussian Splatting, Kerbl et al. 2023, section 5.2): what is faint, oversized or not
// finite goes; where the photos pull hard, a small splat is doubled and a large one split.
@group(0) @binding(1) var<storage, read> log_scales: array<f32>;
@group(0) @binding(2) var<storage, read> logit_opacities: array<f32>;
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read_write> actions: array<u32>;
// 1 where the splat stays.
@group(0) @binding(5) var<storage, read_write> kept: array<u32>;
// Ascending with falling gradient.
@group(0) @binding(6) var<storage, read_write> keys: array<u32>;

// How much narrower the halves of a split splat are.
const SHRINK: f32 = 1.6;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.splats {
        return;
    }
    let scale = exp(vec3(log_scales[3u * i], log_scales[3u * i + 1u], log_scales[3u * i + 2u]));
    let largest = max(scale.x, max(scale.y, scale.z));
    let gradient = statistics[3u * i] / max(statistics[3u * i + 1u], 1.0);
    let radius = statistics[3u * i + 2u];
    let pulled = gradient > growth.gradient;
    let splits = (pulled && largest > growth.split_scale) || radius > growth.split_radius;
    let allowed = select(growth.max_scale, growth.max_scale * SHRINK, splits);
    // Comparisons with what is not a number fail.
    let stays = opacity_of(logit_opacities[i]) >= growth.min_opacity
        && scale.x <= allowed && scale.y <= allowed && scale.z <= allowed
        && !(radius > growth.max_radius);
    var action = ACTION_REMOVE;
    if stays {
        action = select(select(ACTION_KEEP, ACTION_DUPLICATE, pulled), ACTION_SPLIT, splits);
    }
    actions[i] = action;
    kept[i] = select(0u, 1u, stays);
    let grows = action == ACTION_DUPLICATE || action == ACTION_SPLIT;
    keys[i] = select(SKIPPED_KEY, 0x7fffffffu - bitcast<u32>(max(gradient, 0.0)), grows);
}
