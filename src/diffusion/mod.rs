//! InstructPix2Pix, the editor behind every edit: a picture, the photo it came from and a sentence in, an edited
//! picture out. Written on burn with runtime devices, so that the same weights run on the shared graphics device or on
//! the CPU; loaded from a diffusers folder whose configs decide every size, so that any model of the family works, or
//! from the original checkpoint. Nothing here knows scenes.
//!
//! All randomness comes in through arguments. Arithmetic is f32 whatever the files store; a graphics card may keep weights
//! and what flows between layers in half precision. On the CPU backend, what takes
//! the time (convolutions, linear layers, attention, normalization) is code of our own, the `host_` modules; burn's serves
//! every other device.

mod budget;
mod check;
pub(crate) mod clip_layer;
pub(crate) mod config;
pub(crate) mod conv;
mod denoise;
mod dpm_solver;
mod element;
mod files;
mod guidance;
mod hash;
mod host_attention;
mod host_conv;
mod host_gemm;
mod host_norm;
mod host_simd;
mod host_tensor;
pub(crate) mod layers;
mod ldm;
mod noise;
mod picture;
mod pipeline;
mod resnet;
mod scheduler;
mod sds;
mod self_test;
mod text_encoder;
mod tokenizer;
mod transformer;
mod unet;
mod vae;
mod vae_stages;
pub(crate) mod weights;

pub use budget::{MemoryLimit, MemoryNeed, Place, available_memory};
pub use check::{ModelReport, PartReport, check_model, memory_need};
pub use denoise::EditStep;
pub use dpm_solver::DpmSolver;
pub use element::precision_notice;
pub use guidance::{Guidance, GuidanceRange};
pub use noise::{EditNoise, NoiseSource, SeededNoise};
pub use picture::{image_to_tensor, read, tensor_to_image};
pub use pipeline::{EditSettings, EditSolver, InstructPix2Pix, PromptEmbedding, ViewToEdit};
pub use scheduler::{Ddim, EulerAncestral, Prediction, SchedulerConfig, Solver, Spacing};
pub use sds::Distillation;
pub use self_test::{SelfTest, self_test};
pub use text_encoder::TextEncoder;
pub use tokenizer::Tokenizer;
pub use transformer::PromptKeys;
pub use unet::UNet;
pub use vae::{KeptEncoding, Posterior, Trace, Vae};
pub use weights::Precision;
