// A packed photo (rgba8, red in the low byte, alpha = how much the pixel counts) as vec4<f32>, averaged over
// divisor x divisor boxes. A box's colour is weighted by its pixels' alphas, so that ignored pixels leave no trace.

struct UnpackParams {
    // Of the packed photo.
    source_width: u32,
    // Of the result: floor(source / divisor), at least 1.
    width: u32,
    height: u32,
    divisor_x: u32,
    divisor_y: u32,
    padding0: u32,
    padding1: u32,
    padding2: u32,
}

@group(0) @binding(0) var<uniform> params: UnpackParams;
@group(0) @binding(1) var<storage, read> photo: array<u32>;
// [height, width].
@group(0) @binding(2) var<storage, read_write> image: array<vec4<f32>>;

@compute @workgroup_size(16, 4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.width || id.y >= params.height) {
        return;
    }
    var colour = vec3<f32>(0.0);
    var alpha = 0.0;
    for (var y = 0u; y < params.divisor_y; y++) {
        for (var x = 0u; x < params.divisor_x; x++) {
            let at = (id.y * params.divisor_y + y) * params.source_width + id.x * params.divisor_x + x;
            let texel = unpack4x8unorm(photo[at]);
            colour += texel.rgb * texel.a;
            alpha += texel.a;
        }
    }
    let count = f32(params.divisor_x * params.divisor_y);
    image[id.y * params.width + id.x] = vec4<f32>(colour / max(alpha, 1e-6), alpha / count);
}
