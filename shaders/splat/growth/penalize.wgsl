// Gradients of the penalties on mean opacity and mean scale, added to those of the photos.
@group(0) @binding(1) var<storage, read> log_scales: array<f32>;
@group(0) @binding(2) var<storage, read> logit_opacities: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_log_scales: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_logit_opacities: array<f32>;

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
    let opacity = opacity_of(logit_opacities[i]);
    d_logit_opacities[i] += growth.opacity_pull * opacity * (1.0 - opacity);
    for (var c = 0u; c < 3u; c++) {
        d_log_scales[3u * i + c] += growth.scale_pull * exp(log_scales[3u * i + c]);
    }
}
