// Four parameters an invocation.

@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> parameters: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> first_moments: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> second_moments: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_index(group, groups, local, 64u);
    if at >= params.count {
        return;
    }
    let four = adam_of_four(Four(parameters[at], first_moments[at], second_moments[at]), gradients[at]);
    parameters[at] = four.parameter;
    first_moments[at] = four.first;
    second_moments[at] = four.second;
}
