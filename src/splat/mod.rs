//! Gaussian splats on the GPU. The trainer and the viewport draw the same parameters with the same kernels, so what the
//! artist sees is what is optimized; the backward pass is hand-written and sums in a fixed order, so a run can be
//! repeated bit by bit.

mod buffers;
mod config;
mod drawable;
mod init;
mod kernels;
mod optimizer;
mod prune;
mod rasterizer;
mod schedule;
mod scratch;
mod sort;
mod state;
mod sweep;
mod trainer;
mod uniforms;

pub use buffers::{SplatBuffers, SplatGradients};
pub use config::TrainConfig;
pub use drawable::Drawable;
pub use init::{InitConfig, initialize, scene_extent};
pub use kernels::{SHADERS, TileSize};
pub use optimizer::{LearningRates, TRAINER_SHADERS};
pub use prune::{PruneConfig, PruneRule};
pub use rasterizer::{Rasterizer, RenderOptions, status};
pub use schedule::{Phase, ViewOrder};
pub use state::{Progress, TrainState};
pub use trainer::{SplatTrainer, StepReport, StepResult};

use optimizer::AdamKernels;
