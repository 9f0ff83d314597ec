//! Gaussian splats on the GPU. The trainer and the viewport draw the same parameters with the same kernels, so what the
//! artist sees is what is optimized; the backward pass is hand-written and sums in a fixed order, so a run can be
//! repeated bit by bit.

mod buffers;
mod kernels;
mod rasterizer;
mod scratch;
mod sort;
mod uniforms;

pub use buffers::{SplatBuffers, SplatGradients};
pub use kernels::{SHADERS, TileSize};
pub use rasterizer::{Rasterizer, RenderOptions, status};
