// What the kernels know of a camera and the render's options. Frames: OpenCV camera axes, pixels with centres at +0.5.
struct View {
    world_to_camera: mat4x4<f32>,
    // World space, w unused.
    position: vec4<f32>,
    // rgb, w unused.
    background: vec4<f32>,
    // Pixels.
    focal: vec2<f32>,
    center: vec2<f32>,
    // Limits of x/z and y/z inside the Jacobian of the projection.
    slope_low: vec2<f32>,
    slope_high: vec2<f32>,
    // Pixels, tiles.
    size: vec2<u32>,
    tiles: vec2<u32>,
    splats: u32,
    active_degree: u32,
    // Coefficients beyond the DC term that are stored.
    rest_count: u32,
    // Intersections that fit.
    capacity: u32,
    // 1 when depth is wanted.
    depth: u32,
    // What is bound of a list that is bound in parts: splats of SH coefficients, slots of gradients.
    first: u32,
    end: u32,
    // 1: splats are fainter by as much as the blur widens them.
    antialiased: u32,
}

const NEAR: f32 = 0.01;
const FAR: f32 = 1e10;
// Depths sort as the bits of their floats do; from the near to the far plane these are 29 bits.
const NEAR_BITS: u32 = 0x3c23d70au;
// Added to the diagonal of the projected covariance, pixels².
const EPS_2D: f32 = 0.3;
const ALPHA_MIN: f32 = 0.00392156862745098;
const ALPHA_MAX: f32 = 0.999;
const TRANSMITTANCE_MIN: f32 = 1e-4;

@group(0) @binding(0) var<uniform> view: View;

// A projected splat is three vec4: (mean2d.xy, conic.xx, conic.xy) (conic.yy, opacity, depth, extent.x)
// (r, g, b, extent.y). The extents are half sides in pixels of the box where alpha reaches ALPHA_MIN; 0 when culled.
const PROJECTED: u32 = 3u;
