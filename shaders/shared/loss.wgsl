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

// Weights of input j (0 to 13, at offset j - 5 from the first output) for four adjacent outputs.
const W0: vec4<f32> = vec4<f32>(G5, 0.0, 0.0, 0.0);
const W1: vec4<f32> = vec4<f32>(G4, G5, 0.0, 0.0);
const W2: vec4<f32> = vec4<f32>(G3, G4, G5, 0.0);
const W3: vec4<f32> = vec4<f32>(G2, G3, G4, G5);
const W4: vec4<f32> = vec4<f32>(G1, G2, G3, G4);
const W5: vec4<f32> = vec4<f32>(G0, G1, G2, G3);
const W6: vec4<f32> = vec4<f32>(G1, G0, G1, G2);
const W7: vec4<f32> = vec4<f32>(G2, G1, G0, G1);
const W8: vec4<f32> = vec4<f32>(G3, G2, G1, G0);
const W9: vec4<f32> = vec4<f32>(G4, G3, G2, G1);
const W10: vec4<f32> = vec4<f32>(G5, G4, G3, G2);
const W11: vec4<f32> = vec4<f32>(0.0, G5, G4, G3);
const W12: vec4<f32> = vec4<f32>(0.0, 0.0, G5, G4);
const W13: vec4<f32> = vec4<f32>(0.0, 0.0, 0.0, G5);
