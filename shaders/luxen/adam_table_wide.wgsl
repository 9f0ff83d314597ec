// `adam_table` with eight parameters an invocation, each access two to a component: a processor's adapter pays for accesses.
// An entry's two features lie in one integer of 64 bits, hence even and odd parameters apart.

@group(0) @binding(1) var<storage, read> scales: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4<u64>>;
// What earlier chunks of the step gave.
@group(0) @binding(3) var<storage, read_write> carried: array<vec4<u64>>;
@group(0) @binding(4) var<storage, read_write> parameters: array<vec4<u64>>;
@group(0) @binding(5) var<storage, read_write> first_moments: array<vec4<u64>>;
@group(0) @binding(6) var<storage, read_write> second_moments: array<vec4<u64>>;

struct Eight {
    even: vec4<f32>,
    odd: vec4<f32>,
}

fn eight_of(stored: vec4<u64>) -> Eight {
    return Eight(bitcast<vec4<f32>>(vec4<u32>(stored)), bitcast<vec4<f32>>(vec4<u32>(stored >> vec4(32u))));
}

fn stored_of(even: vec4<f32>, odd: vec4<f32>) -> vec4<u64> {
    let low = vec4<u64>(bitcast<vec4<u32>>(even));
    return low | (vec4<u64>(bitcast<vec4<u32>>(odd)) << vec4(32u));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_index(group, groups, local, 64u);
    if 2u * at >= params.count {
        return;
    }
    var gradient = Eight(vec4(0.0), vec4(0.0));
    let sum = sums[at];
    let is_summed = any(sum != vec4<u64>());
    if is_summed {
        let even = bitcast<vec4<i32>>(vec4<u32>(sum));
        let odd = bitcast<vec4<i32>>(vec4<u32>(sum >> vec4(32u)));
        let lent = select(vec4(0), vec4(1), even < vec4(0));
        let scale = scales[16u + level_of_four(2u * at)];
        gradient.even = vec4<f32>(even) * scale;
        gradient.odd = vec4<f32>(select(odd, odd + lent, params.in_pairs != 0u)) * scale;
        sums[at] = vec4<u64>();
    }
    if params.collect_only != 0u {
        if is_summed {
            let earlier = eight_of(carried[at]);
            carried[at] = stored_of(earlier.even + gradient.even, earlier.odd + gradient.odd);
        }
        return;
    }
    if params.carries != 0u {
        let earlier = eight_of(carried[at]);
        gradient.even += earlier.even;
        gradient.odd += earlier.odd;
        carried[at] = vec4<u64>();
    }
    let second = eight_of(second_moments[at]);
    if all(gradient.even == vec4(0.0)) && all(gradient.odd == vec4(0.0))
        && all(second.even == vec4(0.0)) && all(second.odd == vec4(0.0)) {
        return;
    }
    let parameter = eight_of(parameters[at]);
    let first = eight_of(first_moments[at]);
    let even = adam_of_four(Four(parameter.even, first.even, second.even), gradient.even);
    let odd = adam_of_four(Four(parameter.odd, first.odd, second.odd), gradient.odd);
    parameters[at] = stored_of(even.parameter, odd.parameter);
    first_moments[at] = stored_of(even.first, odd.first);
    second_moments[at] = stored_of(even.second, odd.second);
}
