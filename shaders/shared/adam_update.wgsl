// One element of an Adam step (Kingma & Ba 2015).

struct Updated {
    parameter: f32,
    first_moment: f32,
    second_moment: f32,
}

// `step_size`: learning rate / (1 - beta1^step); `second_correction`: 1 / (1 - beta2^step).
fn adam_update(
    old: Updated,
    gradient: f32,
    beta1: f32,
    beta2: f32,
    step_size: f32,
    second_correction: f32,
    epsilon: f32,
) -> Updated {
    let m = mix(gradient, old.first_moment, beta1);
    let v = mix(gradient * gradient, old.second_moment, beta2);
    return Updated(old.parameter - step_size * m / (sqrt(v * second_correction) + epsilon), m, v);
}
