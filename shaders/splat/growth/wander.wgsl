// After each optimizer step: faint splats move at random inside what they cover, so that they find where they are needed
// (Kheradmand et al. 2024, section 4.1). Nothing happens while `halt` is set.
@group(0) @binding(1) var<storage, read> halt: array<u32>;
@group(0) @binding(2) var<storage, read> quats: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> log_scales: array<f32>;
@group(0) @binding(4) var<storage, read> logit_opacities: array<f32>;
@group(0) @binding(5) var<storage, read_write> means: array<f32>;

// Where the moves fade out, and how sharply.
const FADE_TRANSPARENCY: f32 = 0.995;
const FADE_SHARPNESS: f32 = 100.0;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.splats || halt[0] != 0u {
        return;
    }
    let transparency = 1.0 - opacity_of(logit_opacities[i]);
    let strength = growth.noise * opacity_of(FADE_SHARPNESS * (transparency - FADE_TRANSPARENCY));
    let variance = exp(2.0 * vec3(log_scales[3u * i], log_scales[3u * i + 1u], log_scales[3u * i + 2u]));
    let rotation = quaternion_matrix(quats[i] * quaternion_inverse_length(quats[i]));
    let normals = strength * random_normals(random_key(i, RANDOM_NOISE));
    let move_by = rotation * (variance * (normals * rotation));
    for (var c = 0u; c < 3u; c++) {
        means[3u * i + c] += move_by[c];
    }
}
