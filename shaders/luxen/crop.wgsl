// The part of a ray within a box.

struct Crop {
    // World space; w of `low` is 1 where there is a box.
    low: vec4<f32>,
    high: vec4<f32>,
}

// What is left of a ray's first and last bin edge; (0, 0) for nothing.
fn cropped(crop: Crop, span: vec2<f32>, origin: vec3<f32>, direction: vec3<f32>) -> vec2<f32> {
    if crop.low.w == 0.0 {
        return span;
    }
    let a = (crop.low.xyz - origin) / direction;
    let b = (crop.high.xyz - origin) / direction;
    let enter = min(a, b);
    let leave = max(a, b);
    let near = max(max(max(enter.x, enter.y), enter.z), distance_of(0.0));
    let far = min(min(min(leave.x, leave.y), leave.z), distance_of(1.0));
    if near >= far {
        return vec2(0.0);
    }
    let begin = max(span.x, bin_of(near));
    let end = min(span.y, bin_of(far));
    return select(vec2(0.0), vec2(begin, end), begin < end);
}
