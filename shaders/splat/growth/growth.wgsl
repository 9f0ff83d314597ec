// What the kernels that change the set of splats know.
struct Growth {
    // Splats before, those of them that stay, rows that are added or drawn, splats after.
    splats: u32,
    kept: u32,
    drawn: u32,
    rows: u32,
    seed_low: u32,
    seed_high: u32,
    step: u32,
    // Splats that are to be relocated.
    dead: u32,
    min_opacity: f32,
    // Standard deviations, world units.
    max_scale: f32,
    split_scale: f32,
    // Extents, as shares of the picture's longer side.
    max_radius: f32,
    split_radius: f32,
    // Mean gradient of the projected mean, in half pictures.
    gradient: f32,
    max_logit: f32,
    // Integer weight of an opacity of 1, and the sum of all weights.
    weight_one: f32,
    weight_sum: u32,
    half_width: f32,
    half_height: f32,
    // Gradients of the penalties on opacity and scale.
    opacity_pull: f32,
    scale_pull: f32,
    // Length of a random move per variance.
    noise: f32,
    padding0: u32,
    padding1: u32,
}

@group(0) @binding(0) var<uniform> growth: Growth;

const ACTION_REMOVE: u32 = 0u;
const ACTION_KEEP: u32 = 1u;
const ACTION_DUPLICATE: u32 = 2u;
const ACTION_SPLIT: u32 = 3u;
// A split for which there is room.
const ACTION_SPLIT_NOW: u32 = 4u;

// What random numbers are for.
const RANDOM_SPLIT: u32 = 0x51a17u;
const RANDOM_DRAW: u32 = 0xd4a3eu;
const RANDOM_NOISE: u32 = 0x401e5u;

fn random_key(index: u32, purpose: u32) -> vec4<u32> {
    return vec4(index, growth.step, growth.seed_low ^ purpose, growth.seed_high);
}

fn opacity_of(logit: f32) -> f32 {
    return 1.0 / (1.0 + exp(-logit));
}
