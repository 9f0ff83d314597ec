// A ray is three vec4s: origin and row of the appearance table (a whole number); direction of unit length and the pixel's weight; the
// pixel's color, and camera z a unit of distance.

struct View {
    // w: row of the appearance table, a whole number.
    position: vec4<f32>,
    // Camera axes in the world.
    right: vec4<f32>,
    down: vec4<f32>,
    forward: vec4<f32>,
    // Focal lengths and principal point, pixels.
    intrinsics: vec4<f32>,
    // Width, height, first pixel in the pool, pool.
    size: vec4<u32>,
}

fn direction_of(view: View, pixel: vec2<u32>) -> vec3<f32> {
    let at = (vec2<f32>(pixel) + 0.5 - view.intrinsics.zw) / view.intrinsics.xy;
    return normalize(view.right.xyz * at.x + view.down.xyz * at.y + view.forward.xyz);
}

// The pixel that `direction_of` made a direction for.
fn pixel_of(view: View, direction: vec3<f32>) -> vec2<u32> {
    let across = vec2(dot(direction, view.right.xyz), dot(direction, view.down.xyz));
    let at = across / dot(direction, view.forward.xyz) * view.intrinsics.xy + view.intrinsics.zw;
    return vec2<u32>(clamp(at, vec2(0.0), vec2<f32>(view.size.xy - 1u)));
}
