//! Pictures on the GPU. One layout for all kernels: a storage buffer of `[height, width]` `vec4<f32>`, rgb display
//! values and alpha (1 − transmittance), rows top to bottom.

use super::Gpu;
use crate::{Result, scene::FloatImage};
use std::sync::Arc;

/// A picture in a storage buffer. Clones share the buffer.
#[derive(Clone)]
pub struct GpuImage {
    pub width: u32,
    pub height: u32,
    /// `[height, width]` of `vec4<f32>`.
    pub buffer: wgpu::Buffer,
}

impl GpuImage {
    pub fn new(gpu: &Gpu, width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            buffer: gpu.storage("image", u64::from(width) * u64::from(height) * 16),
        }
    }

    pub fn from_float(gpu: &Gpu, image: &FloatImage) -> Self {
        let rgba: Vec<[f32; 4]> = image
            .rgb
            .chunks_exact(3)
            .map(|p| [p[0], p[1], p[2], 1.0])
            .collect();
        Self {
            width: image.width,
            height: image.height,
            buffer: gpu.storage_from("image", &rgba),
        }
    }

    pub fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// `[height, width, 4]`; waits for the GPU.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub fn read_rgba(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        gpu.read(&self.buffer, self.pixels() * 4)
    }

    /// Without alpha; waits for the GPU.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub fn read(&self, gpu: &Arc<Gpu>) -> Result<FloatImage> {
        let rgba = self.read_rgba(gpu)?;
        Ok(FloatImage::new(
            self.width,
            self.height,
            rgba.chunks_exact(4)
                .flat_map(|p| [p[0], p[1], p[2]])
                .collect(),
        ))
    }
}
