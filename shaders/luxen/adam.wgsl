// One Adam step on four parameters an invocation.

struct AdamParams {
    // Vectors of four.
    count: u32,
    // Levels of the table, and where each ends, in vectors.
    levels: u32,
    // 1: only take in the fixed-point sums, update nothing.
    collect_only: u32,
    // Learning rate / (1 - beta1^step).
    step_size: f32,
    // 1 / (1 - beta2^step).
    second_correction: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    // Whether earlier chunks of the step left something in `carried`.
    carries: u32,
    // Whether a table's sums were added in pairs, see `add_in_pairs`.
    in_pairs: u32,
    padding0: u32,
    padding1: u32,
    ends: array<vec4<u32>, 4>,
}

@group(0) @binding(0) var<uniform> params: AdamParams;

// Returns the updated parameters.
fn adam_of_four(at: u32, gradient: vec4<f32>) -> vec4<f32> {
    var parameter = parameters[at];
    var first = first_moments[at];
    var second = second_moments[at];
    for (var k = 0u; k < 4u; k++) {
        let updated = adam_update(
            Updated(parameter[k], first[k], second[k]),
            gradient[k],
            params.beta1,
            params.beta2,
            params.step_size,
            params.second_correction,
            params.epsilon,
        );
        parameter[k] = updated.parameter;
        first[k] = updated.first_moment;
        second[k] = updated.second_moment;
    }
    parameters[at] = parameter;
    first_moments[at] = first;
    second_moments[at] = second;
    return parameter;
}
