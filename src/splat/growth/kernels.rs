//! The kernels that change the set of splats, and what they read as uniforms.

use crate::gpu::{Gpu, Kernel, ShaderSource};

macro_rules! growth_shader {
    ($name:literal, $($part:literal),*) => {
        shader!(
            $name,
            "shared/dispatch",
            $($part,)*
            "splat/growth/growth",
            $name
        )
    };
}

const ACCUMULATE: ShaderSource = growth_shader!("splat/growth/accumulate",);
const SELECT: ShaderSource = growth_shader!("splat/growth/select", "shared/sort_pass");
const CHILDREN: ShaderSource = growth_shader!("splat/growth/children", "splat/growth/row");
const PARENTS: ShaderSource = growth_shader!("splat/growth/parents", "splat/growth/row");
const SPLIT: ShaderSource = growth_shader!(
    "splat/growth/split",
    "shared/random",
    "shared/quaternion",
    "splat/growth/row"
);
const RESET_OPACITY: ShaderSource = growth_shader!("splat/growth/reset_opacity",);
const WEIGH: ShaderSource = growth_shader!("splat/growth/weigh",);
const DRAW: ShaderSource = growth_shader!("splat/growth/draw", "shared/random");
const RELOCATE: ShaderSource = growth_shader!("splat/growth/relocate", "splat/growth/row");
const SHARE: ShaderSource = growth_shader!("splat/growth/share", "splat/growth/row");
const PENALIZE: ShaderSource = growth_shader!("splat/growth/penalize",);
const WANDER: ShaderSource =
    growth_shader!("splat/growth/wander", "shared/random", "shared/quaternion");

/// Every kernel here.
pub const SHADERS: &[ShaderSource] = &[
    ACCUMULATE,
    SELECT,
    CHILDREN,
    PARENTS,
    SPLIT,
    RESET_OPACITY,
    WEIGH,
    DRAW,
    RELOCATE,
    SHARE,
    PENALIZE,
    WANDER,
];

/// `Growth` of `splat/growth/growth.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct GrowthParams {
    pub splats: u32,
    pub kept: u32,
    pub drawn: u32,
    pub rows: u32,
    pub seed_low: u32,
    pub seed_high: u32,
    pub step: u32,
    pub dead: u32,
    pub min_opacity: f32,
    pub max_scale: f32,
    pub split_scale: f32,
    pub max_radius: f32,
    pub split_radius: f32,
    pub gradient: f32,
    pub max_logit: f32,
    pub weight_one: f32,
    pub weight_sum: u32,
    pub half_width: f32,
    pub half_height: f32,
    pub opacity_pull: f32,
    pub scale_pull: f32,
    pub noise: f32,
    pub padding: [u32; 2],
}
const _: () = assert!(size_of::<GrowthParams>() == 96);

pub struct GrowthKernels {
    pub accumulate: Kernel,
    pub select: Kernel,
    pub children: Kernel,
    pub parents: Kernel,
    pub split: Kernel,
    pub reset_opacity: Kernel,
    pub weigh: Kernel,
    pub draw: Kernel,
    pub relocate: Kernel,
    pub share: Kernel,
    pub penalize: Kernel,
    pub wander: Kernel,
}

impl GrowthKernels {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            accumulate: Kernel::new(gpu, &ACCUMULATE),
            select: Kernel::new(gpu, &SELECT),
            children: Kernel::new(gpu, &CHILDREN),
            parents: Kernel::new(gpu, &PARENTS),
            split: Kernel::new(gpu, &SPLIT),
            reset_opacity: Kernel::new(gpu, &RESET_OPACITY),
            weigh: Kernel::new(gpu, &WEIGH),
            draw: Kernel::new(gpu, &DRAW),
            relocate: Kernel::new(gpu, &RELOCATE),
            share: Kernel::new(gpu, &SHARE),
            penalize: Kernel::new(gpu, &PENALIZE),
            wander: Kernel::new(gpu, &WANDER),
        }
    }
}
