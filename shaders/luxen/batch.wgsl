// One chunk of rays at one sampling level. Per-sample values live in arenas of channels, [channel][ray][sample] f32; four
// neighbouring samples of a ray are a quad, so that a kernel reads each weight once for four samples.

struct Batch {
    rays: u32,
    // A ray, at this level; a multiple of 4 where quads are used.
    samples: u32,
    // A ray, at the level that is sampled from this one.
    next_samples: u32,
    // Number of the chunk's first ray within the step, or pixel within the picture.
    first_ray: u32,
    seed: u32,
    step: u32,
    is_training: u32,
    // 0: `background`; 1: the color of the ray's last sample.
    background_kind: u32,
    background: vec3<f32>,
    // Density of a field whose logit is 0.
    average_density: f32,
    // The near and far planes after `spacing`.
    near: f32,
    far: f32,
    // Exponent of the weights that are sampled from.
    anneal: f32,
    // 1 / color values of the step.
    photo_scale: f32,
    // Weight of the distortion loss / rays of the step.
    distortion_scale: f32,
    // Weight of the interlevel loss / final samples of the step.
    interlevel_scale: f32,
    // Channel of the density; the compositing weight and the transmittance after the sample follow it.
    density_at: u32,
    d_density_at: u32,
    // First of three channels.
    color_at: u32,
    d_color_at: u32,
    // Side of the square patches that pixels are drawn in.
    patch_side: u32,
    // Training views.
    views: u32,
    // Row of the appearance table that a picture's rays read; training rays read their view's.
    appearance_row: u32,
    // 0: squared difference; 1: absolute difference.
    loss_kind: u32,
    // Half the side of the box around the origin that holds the scene, world units; 0: rays see all of space.
    half_side: f32,
    // Density from which a cell of the box counts as occupied.
    least_density: f32,
}

@group(0) @binding(0) var<uniform> batch: Batch;

fn quad_count() -> u32 {
    return batch.rays * batch.samples / 4u;
}

// First element of a ray's row of a channel, as f32s.
fn row_of(channel: u32, ray: u32) -> u32 {
    return (channel * batch.rays + ray) * batch.samples;
}
