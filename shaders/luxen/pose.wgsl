// A correction of a view's pose, in the world: its camera is shifted, and turned about its own center. Six vec4s a view:
// shift, turn (a rotation vector), first moments of both, second moments of both.

const POSE: u32 = 6u;

struct Poses {
    // Records of views, in `pose_views`; else rows of the table.
    count: u32,
    // Learning rate / (1 - beta1^step).
    step_size: f32,
    // 1 / (1 - beta2^step).
    second_correction: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    // Weights of the mean length of shifts and of turns, a view.
    shift_weight: f32,
    turn_weight: f32,
}
