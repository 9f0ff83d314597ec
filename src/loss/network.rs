//! What a network says of a render: a gradient with respect to its pixels, found outside the kernels, which a step adds to
//! the photo loss's or takes in its place.

use super::ADD_GRADIENT;
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Kernel},
};

/// dL/dimage of a network's loss.
#[derive(Clone)]
pub struct ImageGradient {
    pub width: u32,
    pub height: u32,
    /// `[3, height, width]` of `f32`, of display values in [0, 1].
    pub planes: wgpu::Buffer,
    /// Value of the network's loss.
    pub loss: f32,
    /// What the photo loss beside it is multiplied with; 0: the network's loss alone.
    pub photo_weight: f32,
}

/// A network's gradient, by what the network was shown.
#[derive(Clone)]
pub enum NetworkGradient {
    /// The whole picture of the view whose turn it is.
    View(ImageGradient),
    /// The column of patches that a scene drew for its next step.
    Patches(ImageGradient),
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct AddParams {
    pixels: u32,
    photo_weight: f32,
    padding: [u32; 2],
}

const _: () = assert!(size_of::<AddParams>() == 16);

/// The kernel that joins the two gradients.
pub struct GradientAdder {
    kernel: Kernel,
}

impl GradientAdder {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            kernel: Kernel::new(gpu, &ADD_GRADIENT),
        }
    }

    /// Record: `d_image` (`[height, width, 4]`) becomes `photo_weight · d_image + gradient`, the gradient weighted by
    /// `target`'s alpha.
    ///
    /// # Errors
    /// [`Error::Invalid`] when sizes differ.
    pub fn record(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        gradient: &ImageGradient,
        target: &GpuImage,
        d_image: &wgpu::Buffer,
    ) -> Result<()> {
        let ImageGradient {
            width,
            height,
            planes,
            loss: _,
            photo_weight,
        } = gradient;
        let pixels = target.pixels();
        if (*width, *height) != (target.width, target.height) || planes.size() < pixels as u64 * 12
        {
            return Err(Error::invalid(format!(
                "a gradient of {width}×{height} does not fit a step at {}×{}",
                target.width, target.height
            )));
        }
        let params = gpu.uniform_from(
            "gradient parameters",
            &AddParams {
                pixels: pixels as u32,
                photo_weight: *photo_weight,
                padding: [0; 2],
            },
        );
        let group = self.kernel.bind(
            gpu,
            &[
                params.as_entire_binding(),
                planes.as_entire_binding(),
                target.buffer.as_entire_binding(),
                d_image.as_entire_binding(),
            ],
        );
        let groups = (pixels as u32).div_ceil(256).max(1);
        let across = groups.min(65535);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("network gradient"),
            timestamp_writes: None,
        });
        self.kernel
            .dispatch(&mut pass, &group, [across, groups.div_ceil(across), 1]);
        Ok(())
    }
}
