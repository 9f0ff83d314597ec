// The table's gradient arrives as fixed-point sums of one chunk of rays; they are taken in and cleared. Entries without
// gradient and moments are left alone: the step would be zero. Four parameters an invocation.

@group(0) @binding(1) var<storage, read> scales: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4<i32>>;
// What earlier chunks of the step gave.
@group(0) @binding(3) var<storage, read_write> carried: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> first_moments: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> second_moments: array<vec4<f32>>;

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
    var gradient = vec4(0.0);
    let sum = sums[at];
    if any(sum != vec4(0)) {
        let lent = select(vec4(0), vec4(0, 1, 0, 1), sum.xxzz < vec4(0));
        gradient = vec4<f32>(select(sum, sum + lent, params.in_pairs != 0u)) * scales[16u + level_of_four(at)];
        sums[at] = vec4(0);
    }
    if params.collect_only != 0u {
        if any(sum != vec4(0)) {
            carried[at] += gradient;
        }
        return;
    }
    if params.carries != 0u {
        let earlier = carried[at];
        if any(earlier != vec4(0.0)) {
            gradient += earlier;
            carried[at] = vec4(0.0);
        }
    }
    let second = second_moments[at];
    if all(gradient == vec4(0.0)) && all(second == vec4(0.0)) {
        return;
    }
    let four = adam_of_four(Four(parameters[at], first_moments[at], second), gradient);
    parameters[at] = four.parameter;
    first_moments[at] = four.first;
    second_moments[at] = four.second;
    keep(at, four.parameter);
}
