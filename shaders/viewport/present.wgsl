// Draw a rendered image (and, left of the wipe, the image before the edit) from storage buffers into the window.
// Both images are `[height, width]` vec4<f32> with display-referred sRGB values, rows top to bottom.

struct Present {
    // Pixels of `after` and `before`.
    after_size: vec2<f32>,
    before_size: vec2<f32>,
    // Where `before` lies in the viewport: min x, min y, max x, max y in [0, 1].
    before_rect: vec4<f32>,
    // Everything left of this share of the viewport's width shows `before`; 0 = nothing.
    wipe: f32,
    // 1 when the target stores linear values and encodes sRGB itself.
    srgb_target: f32,
    padding: vec2<f32>,
}

@group(0) @binding(0) var<uniform> present: Present;
@group(0) @binding(1) var<storage, read> after: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> before: array<vec4<f32>>;

struct Varying {
    @builtin(position) position: vec4<f32>,
    // [0, 1]² over the viewport, origin at the top left.
    @location(0) uv: vec2<f32>,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Varying {
    // One triangle that covers the viewport.
    let corner = vec2<f32>(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0);
    return Varying(vec4<f32>(corner, 0.0, 1.0), vec2<f32>(corner.x + 1.0, 1.0 - corner.y) * 0.5);
}

struct Taps {
    // Indices of the four pixels around a point, row by row.
    indices: vec4<u32>,
    weights: vec4<f32>,
}

fn taps(uv: vec2<f32>, size: vec2<f32>) -> Taps {
    let p = clamp(uv * size - 0.5, vec2<f32>(0.0), size - 1.0);
    let low = floor(p);
    let high = min(low + 1.0, size - 1.0);
    let f = p - low;
    let a = vec2<u32>(low);
    let b = vec2<u32>(high);
    let stride = u32(size.x);
    return Taps(
        vec4<u32>(a.y * stride + a.x, a.y * stride + b.x, b.y * stride + a.x, b.y * stride + b.x),
        vec4<f32>((1.0 - f.x) * (1.0 - f.y), f.x * (1.0 - f.y), (1.0 - f.x) * f.y, f.x * f.y),
    );
}

fn linear_from_srgb(c: vec3<f32>) -> vec3<f32> {
    return select(pow((c + 0.055) / 1.055, vec3<f32>(2.4)), c / 12.92, c <= vec3<f32>(0.04045));
}

@fragment
fn fragment(in: Varying) -> @location(0) vec4<f32> {
    let inside = (in.uv - present.before_rect.xy) / (present.before_rect.zw - present.before_rect.xy);
    let shows_before = in.uv.x < present.wipe && all(inside >= vec2<f32>(0.0)) && all(inside <= vec2<f32>(1.0));
    var color: vec4<f32>;
    if shows_before {
        let t = taps(inside, present.before_size);
        color = before[t.indices.x] * t.weights.x + before[t.indices.y] * t.weights.y
            + before[t.indices.z] * t.weights.z + before[t.indices.w] * t.weights.w;
    } else {
        let t = taps(in.uv, present.after_size);
        color = after[t.indices.x] * t.weights.x + after[t.indices.y] * t.weights.y
            + after[t.indices.z] * t.weights.z + after[t.indices.w] * t.weights.w;
    }
    let rgb = clamp(color.rgb, vec3<f32>(0.0), vec3<f32>(1.0));
    return vec4<f32>(mix(rgb, linear_from_srgb(rgb), present.srgb_target), 1.0);
}
