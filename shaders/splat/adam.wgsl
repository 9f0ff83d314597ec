// One Adam step (Kingma & Ba 2015) on one parameter group. Elements are [rows, width]; only the first `live` of each row
// are touched (higher SH bands before their time have neither gradient nor moments). Nothing happens while `halt` is set.

struct AdamParams {
    // rows * live.
    count: u32,
    width: u32,
    live: u32,
    // Invocations in a row of workgroups.
    stride: u32,
    // Learning rate / (1 - beta1^step).
    step_size: f32,
    // 1 / (1 - beta2^step).
    second_moment_correction: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    padding0: u32,
    padding1: u32,
    padding2: u32,
}

@group(0) @binding(0) var<uniform> params: AdamParams;
@group(0) @binding(1) var<storage, read> halt: array<u32>;
@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> first_moments: array<f32>;
@group(0) @binding(5) var<storage, read_write> second_moments: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * params.stride + id.x;
    if (index >= params.count || halt[0] != 0u) {
        return;
    }
    var at = index;
    if (params.live != params.width) {
        let row = index / params.live;
        at = row * params.width + (index - row * params.live);
    }
    let gradient = gradients[at];
    let updated = adam_update(
        Updated(parameters[at], first_moments[at], second_moments[at]),
        gradient,
        params.beta1,
        params.beta2,
        params.step_size,
        params.second_moment_correction,
        params.epsilon,
    );
    first_moments[at] = updated.first_moment;
    second_moments[at] = updated.second_moment;
    parameters[at] = updated.parameter;
}
