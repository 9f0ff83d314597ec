// One Adam step on the corrections of all views, with nerfstudio's regularizer: the mean length of shifts and of turns.

@group(0) @binding(0) var<uniform> settings: Poses;
@group(0) @binding(1) var<storage, read> d_poses: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> poses: array<vec4<f32>>;

fn toward_zero(value: vec3<f32>) -> vec3<f32> {
    let square = dot(value, value);
    return select(vec3(0.0), value * inverseSqrt(max(square, 1e-30)), square > 0.0);
}

fn update(first: u32, k: u32, gradient: vec3<f32>) {
    var value = poses[first + k];
    var mean = poses[first + 2u + k];
    var square = poses[first + 4u + k];
    for (var axis = 0u; axis < 3u; axis++) {
        let updated = adam_update(
            Updated(value[axis], mean[axis], square[axis]),
            gradient[axis],
            settings.beta1,
            settings.beta2,
            settings.step_size,
            settings.second_correction,
            settings.epsilon,
        );
        value[axis] = updated.parameter;
        mean[axis] = updated.first_moment;
        square[axis] = updated.second_moment;
    }
    poses[first + k] = value;
    poses[first + 2u + k] = mean;
    poses[first + 4u + k] = square;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= settings.count {
        return;
    }
    let first = POSE * id.x;
    let shift = poses[first].xyz;
    let turn = poses[first + 1u].xyz;
    let d_shift = d_poses[2u * id.x].xyz + settings.shift_weight * toward_zero(shift);
    let d_turned = d_turn(turn, d_poses[2u * id.x + 1u].xyz) + settings.turn_weight * toward_zero(turn);
    update(first, 0u, d_shift);
    update(first, 1u, d_turned);
}
