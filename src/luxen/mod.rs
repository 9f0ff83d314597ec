//! Luxens: neural radiance fields of the nerfacto kind (Tancik et al. 2023) on the GPU. Two small proposal fields say where
//! along a ray there is something, a field of hash grid and two little networks says what; all of it is WGSL on buffers
//! of our own, forward and backward. Kernels work on four samples an invocation, because on every adapter, and on a
//! processor that pretends to be one most of all, reading a weight costs more than multiplying with it. Gradients that
//! many samples share are summed as integers, so that a run can be repeated bit by bit.

mod backward;
mod budget;
mod config;
mod field;
mod grid;
mod half;
mod kernels;
mod layout;
mod marcher;
mod occupancy;
mod optimizer;
mod patches;
mod pool;
mod poses;
mod preset;
mod renderer;
mod sources;
mod state;
mod trainer;
mod uniforms;
mod workspace;

pub use budget::LuxenMemory;
pub use config::{Background, CameraPoses, Decay, LuxenConfig, PhotoLoss, PixelLoss, TableStorage};
pub use field::{FieldBuffers, FieldShape, GROUPS};
pub use grid::{GridConfig, GridSemantics, GridShape};
pub use half::HalfTables;
pub use kernels::{Size, WeightSums};
pub use layout::{
    FieldLayout, LayerGradient, LayerWeights, ProposalLayout, constants, dispatch_constants,
};
pub use occupancy::CELLS;
pub use patches::Patches;
pub use renderer::{Drawable, LuxenRenderer};
pub use sources::SHADERS;
pub use state::{LuxenProgress, LuxenState};
pub use trainer::{LuxenStep, LuxenTrainer};
pub use uniforms::{
    AdamParams, Batch, Channels, Crop, Draw, FinalLevel, GridLevel, GridUniform, PoseStep, View,
};
