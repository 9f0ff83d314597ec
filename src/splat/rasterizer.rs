//! Splats to pictures and back.

use super::{SplatBuffers, SplatGradients};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage},
    scene::Camera,
};
use std::sync::Arc;

/// Positions of the `u32`s in [`Rasterizer::status_buffer`].
pub mod status {
    /// Tile-splat intersections that the view has; saturates.
    pub const INTERSECTIONS: usize = 0;
    /// 1 when there were more intersections than room: the picture is incomplete and its gradients are not to be used.
    pub const OVERFLOW: usize = 1;
    /// Splats inside the view.
    pub const VISIBLE: usize = 2;
    /// Number of `u32`s.
    pub const LEN: usize = 8;
}

/// What a render depends on besides splats and camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderOptions {
    /// Display-referred rgb behind the splats.
    pub background: [f32; 3],
    /// SH degree to evaluate; more than the splats hold means all they hold.
    pub active_sh_degree: u32,
}

/// Kernels and scratch memory of one user of the rasterizer (the trainer has one, the viewport another).
pub struct Rasterizer {
    gpu: Arc<Gpu>,
    status: wgpu::Buffer,
}

impl Rasterizer {
    /// # Errors
    /// [`Error::Gpu`] when the adapter cannot run the kernels.
    pub fn new(gpu: Arc<Gpu>) -> Result<Self> {
        let status = gpu.storage("status", 4 * status::LEN as u64);
        Ok(Self { gpu, status })
    }

    /// Draw a whole frame: records, submits, and waits once to learn whether the scratch memory sufficed; grows it and
    /// draws again if not. `target` gets rgb over the background and alpha = 1 − transmittance; `depth`, `[h, w]` of
    /// `f32`, the sum of weight × camera z (divide by alpha for the expected depth).
    ///
    /// # Errors
    /// [`Error::Gpu`] when the view needs more than the adapter can hold, or the device is lost.
    pub fn render(
        &mut self,
        splats: &SplatBuffers,
        camera: &Camera,
        options: &RenderOptions,
        target: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        Err(Error::Gpu("unfinished".into()))
    }

    /// Record a draw without any wait. With more intersections than capacity the picture is incomplete and
    /// [`status::OVERFLOW`] is set on the GPU; [`Self::grow`] and draw again.
    ///
    /// # Errors
    /// [`Error::Gpu`] when scratch memory for this size of picture or number of splats passes the adapter's limits,
    /// [`Error::Invalid`] when `target` differs in size from the camera.
    pub fn record_forward(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        splats: &SplatBuffers,
        camera: &Camera,
        options: &RenderOptions,
        target: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        Err(Error::Gpu("unfinished".into()))
    }

    /// Record the backward pass of the last [`Self::record_forward`] (same encoder, or one submitted later, with the
    /// splats unchanged). `d_image` is `[h, w]` of `vec4<f32>`: dL/drgb and dL/dalpha; `d_depth` `[h, w]` of `f32`.
    /// Sums run in a fixed order: the same input gives the same bits.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a forward pass of the same splats, or for gradients of another shape.
    pub fn record_backward(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        splats: &SplatBuffers,
        d_image: &wgpu::Buffer,
        d_depth: Option<&wgpu::Buffer>,
        gradients: &SplatGradients,
    ) -> Result<()> {
        Err(Error::Gpu("unfinished".into()))
    }

    /// `u32`s of the last forward pass, see [`status`]. Kernels may bind it, for instance to skip a step on overflow.
    pub fn status_buffer(&self) -> &wgpu::Buffer {
        &self.status
    }

    /// Make room for `needed_intersections` (and some more).
    ///
    /// # Errors
    /// [`Error::Gpu`], with the numbers, when that passes the adapter's limits.
    pub fn grow(&mut self, needed_intersections: u32) -> Result<()> {
        Err(Error::Gpu("unfinished".into()))
    }
}
