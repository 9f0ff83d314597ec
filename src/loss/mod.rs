//! Losses on images. Each takes a render and what it should look like and leaves dL/dimage on the GPU, from where the
//! rasterizer's own backward pass carries on; the scalar is a by-product that nobody waits for. Sums run in a fixed
//! order, so that the same pictures always give the same gradient.

pub mod lpips;
mod network;
mod photo;
mod ssim;

pub use network::{GradientAdder, ImageGradient, NetworkGradient};
pub use photo::{Target, TargetUnpacker, TrainView};
pub use ssim::{BoundLoss, ImageLoss, LossOptions, LossValues};

use crate::gpu::ShaderSource;
use serde::{Deserialize, Serialize};

/// Side of the SSIM window, pixels.
pub const SSIM_WINDOW: u32 = 11;

/// What SSIM's window sees beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Zeros; every pixel counts (the loss of 3D Gaussian Splatting, Kerbl et al. 2023).
    #[default]
    Zero,
    /// Only pixels whose window lies inside the picture count (Wang et al. 2004; splatfacto).
    Valid,
}

const SHARED: &str = include_str!("../../shaders/shared/loss.wgsl");
const WORKGROUP_SUM: &str = include_str!("../../shaders/shared/workgroup_sum.wgsl");

const BLUR_COLUMNS: &str = include_str!("../../shaders/shared/blur_columns.wgsl");
const MOMENTS_ROWS: ShaderSource = ShaderSource {
    name: "loss/moments_rows",
    parts: &[SHARED, include_str!("../../shaders/loss/moments_rows.wgsl")],
};
const SSIM_COLUMNS: ShaderSource = ShaderSource {
    name: "loss/ssim_columns",
    parts: &[
        SHARED,
        WORKGROUP_SUM,
        BLUR_COLUMNS,
        include_str!("../../shaders/loss/ssim_columns.wgsl"),
    ],
};
const PARTIALS_ROWS: ShaderSource = ShaderSource {
    name: "loss/partials_rows",
    parts: &[
        SHARED,
        include_str!("../../shaders/loss/partials_rows.wgsl"),
    ],
};
const GRADIENT_COLUMNS: ShaderSource = ShaderSource {
    name: "loss/gradient_columns",
    parts: &[
        SHARED,
        WORKGROUP_SUM,
        BLUR_COLUMNS,
        include_str!("../../shaders/loss/gradient_columns.wgsl"),
    ],
};
const REDUCE: ShaderSource = ShaderSource {
    name: "loss/reduce",
    parts: &[
        WORKGROUP_SUM,
        include_str!("../../shaders/loss/reduce.wgsl"),
    ],
};
const UNPACK: ShaderSource = ShaderSource {
    name: "loss/unpack",
    parts: &[include_str!("../../shaders/loss/unpack.wgsl")],
};
const ADD_GRADIENT: ShaderSource = ShaderSource {
    name: "loss/add_gradient",
    parts: &[include_str!("../../shaders/loss/add_gradient.wgsl")],
};

/// Every kernel of this room.
pub const SHADERS: &[ShaderSource] = &[
    MOMENTS_ROWS,
    SSIM_COLUMNS,
    PARTIALS_ROWS,
    GRADIENT_COLUMNS,
    REDUCE,
    UNPACK,
    ADD_GRADIENT,
];
