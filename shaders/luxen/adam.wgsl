// One Adam step.

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

// Four parameters and their moments.
struct Four {
    parameter: vec4<f32>,
    first: vec4<f32>,
    second: vec4<f32>,
}

fn adam_of_four(old: Four, gradient: vec4<f32>) -> Four {
    var four: Four;
    for (var k = 0u; k < 4u; k++) {
        let updated = adam_update(
            Updated(old.parameter[k], old.first[k], old.second[k]),
            gradient[k],
            params.beta1,
            params.beta2,
            params.step_size,
            params.second_correction,
            params.epsilon,
        );
        four.parameter[k] = updated.parameter;
        four.first[k] = updated.first_moment;
        four.second[k] = updated.second_moment;
    }
    return four;
}
