//! Gaussian splats on the GPU. The trainer and the viewport draw the same parameters with the same kernels, so what the
//! artist sees is what is optimized; the backward pass is hand-written and sums in a fixed order, so a run can be
//! repeated bit by bit.

#[macro_use]
mod kernels;

mod buffers;
mod capacity;
mod config;
mod drawable;
mod growth;
mod init;
mod optimizer;
mod poses;
mod prune;
mod rasterizer;
mod rows;
mod schedule;
mod scratch;
mod sort;
mod state;
mod sweep;
mod trainer;
mod uniforms;

pub use buffers::{SplatBuffers, SplatGradients};
pub use capacity::{CapReason, SplatCap, training_bytes};
pub use config::TrainConfig;
pub use drawable::Drawable;
pub use growth::{GrowthConfig, GrowthRule, Refinement};
pub use init::{InitConfig, Seed, initialize, initialize_at, scene_extent};
pub use kernels::{SHADERS, TileSize};
pub use optimizer::LearningRates;
pub use poses::PoseRates;
pub use prune::{PruneConfig, PruneRule};
pub use rasterizer::{Rasterizer, RenderOptions, status};
pub use schedule::{Phase, ViewOrder};
pub use state::{Progress, TrainState};
pub use trainer::{Refined, SplatTrainer, StepReport, StepResult};

use crate::gpu::ShaderSource;
use optimizer::AdamKernels;

/// Every kernel of the trainer, by what it is for.
pub const TRAINER_SHADERS: &[&[ShaderSource]] = &[optimizer::SHADERS, growth::SHADERS];
