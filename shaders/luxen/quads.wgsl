// Values of four samples as vec4s, four channels of them as matrices: `channels * weights` is four weighted channels summed.

fn outer(values: vec4<f32>, weights: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(values * weights.x, values * weights.y, values * weights.z, values * weights.w);
}

fn relu(value: vec4<f32>) -> vec4<f32> {
    return max(value, vec4(0.0));
}

fn where_positive(value: vec4<f32>, condition: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), value, condition > vec4(0.0));
}

// Beyond, f32 would overflow.
const MAX_LOGIT: f32 = 60.0;

fn density_of(logit: vec4<f32>) -> vec4<f32> {
    return batch.average_density * exp(min(logit, vec4(MAX_LOGIT)));
}

// d density / d logit, limited so that one sample cannot blow up a step (nerfstudio's trunc_exp).
fn d_density_of(logit: vec4<f32>) -> vec4<f32> {
    return batch.average_density * exp(clamp(logit, vec4(-15.0), vec4(15.0)));
}
