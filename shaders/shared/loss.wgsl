// What the kernels of the image loss share: parameters, the 11-tap Gaussian window, and a fixed-order sum over a
// workgroup. Planes are [height, width] f32, one colour channel at a time.

struct LossParams {
    width: u32,
    height: u32,
    // Colour channel, 0 to 2.
    channel: u32,
    // Pixels at each border whose SSIM does not count: 0 with zero padding, 5 for "valid".
    margin: u32,
    // dL / d(sum of |a - b|) and dL / d(sum of SSIM).
    l1_scale: f32,
    ssim_scale: f32,
    // Where this channel's partial sums start.
    first_partial: u32,
    padding: u32,
}

// Gaussian of sigma 1.5 over -5..5, sum 1.
const G0: f32 = 0.26601172486179436;
const G1: f32 = 0.21300553771125369;
const G2: f32 = 0.10936068950970002;
const G3: f32 = 0.036000772128430829;
const G4: f32 = 0.007598758135239185;
const G5: f32 = 0.0010283800844791101;

// The window over fourteen neighbours v0 to v13 (four a vector, the last two unused): four adjacent outputs. Kernels make
// eight outputs an invocation, so that each input is read 2.25 times instead of 11.
fn window(v0: vec4<f32>, v4: vec4<f32>, v8: vec4<f32>, v12: vec4<f32>) -> vec4<f32> {
    return G5 * (v0 + vec4<f32>(v8.zw, v12.xy))
        + G4 * (vec4<f32>(v0.yzw, v4.x) + vec4<f32>(v8.yzw, v12.x))
        + G3 * (vec4<f32>(v0.zw, v4.xy) + v8)
        + G2 * (vec4<f32>(v0.w, v4.xyz) + vec4<f32>(v4.w, v8.xyz))
        + G1 * (v4 + vec4<f32>(v4.zw, v8.xy))
        + G0 * vec4<f32>(v4.yzw, v8.x);
}

// Eight adjacent outputs.
struct Eight {
    near: vec4<f32>,
    far: vec4<f32>,
}

fn eight(v0: vec4<f32>, v4: vec4<f32>, v8: vec4<f32>, v12: vec4<f32>, v16: vec4<f32>) -> Eight {
    return Eight(window(v0, v4, v8, v12), window(v4, v8, v12, v16));
}
