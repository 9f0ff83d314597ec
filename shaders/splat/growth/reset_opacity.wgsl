// All splats become faint, so that those that are not needed do not come back.
@group(0) @binding(1) var<storage, read_write> logit_opacities: array<f32>;
@group(0) @binding(2) var<storage, read_write> first_moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> second_moments: array<f32>;

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
    logit_opacities[i] = min(logit_opacities[i], growth.max_logit);
    first_moments[i] = 0.0;
    second_moments[i] = 0.0;
}
