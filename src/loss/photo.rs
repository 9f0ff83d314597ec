//! What renders are compared with. Photos stay on the GPU as eight-bit pixels, a quarter of what floats would take, so
//! that hundreds of views fit; the resolution a step wants is made from them on the spot.

use super::UNPACK;
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Kernel},
    scene::{Camera, Photo},
};

/// A view's picture on the GPU. Clones share the buffer.
#[derive(Clone)]
pub struct Target {
    pub width: u32,
    pub height: u32,
    /// `[height, width]` u32: red, green, blue, weight from the lowest byte on.
    pub packed: wgpu::Buffer,
}

/// A posed picture to train on.
#[derive(Clone)]
pub struct TrainView {
    pub camera: Camera,
    pub target: Target,
}

impl Target {
    /// `mask`: one byte a pixel, 0 = ignore, 255 = counts; `None` = all count.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the mask has another size than the photo.
    pub fn upload(gpu: &Gpu, photo: &Photo, mask: Option<&[u8]>) -> Result<Self> {
        let pixels = photo.width as usize * photo.height as usize;
        if let Some(mask) = mask
            && mask.len() != pixels
        {
            return Err(Error::invalid(format!(
                "a mask of {} pixels does not fit a photo of {}×{}",
                mask.len(),
                photo.width,
                photo.height
            )));
        }
        let packed: Vec<[u8; 4]> = photo
            .rgb
            .as_chunks::<3>()
            .0
            .iter()
            .enumerate()
            .map(|(i, &[r, g, b])| [r, g, b, mask.map_or(255, |mask| mask[i])])
            .collect();
        Ok(Self {
            width: photo.width,
            height: photo.height,
            packed: gpu.storage_from("photo", &packed),
        })
    }

    /// Size after shrinking `divisor` times: [`crate::scene::Intrinsics::downscaled`]'s rule.
    pub fn downscaled_size(&self, divisor: u32) -> (u32, u32) {
        let divisor = divisor.max(1);
        (
            (self.width / divisor).max(1),
            (self.height / divisor).max(1),
        )
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct UnpackParams {
    source_width: u32,
    width: u32,
    height: u32,
    divisor_x: u32,
    divisor_y: u32,
    padding: [u32; 3],
}

const _: () = assert!(size_of::<UnpackParams>() == 32);

/// The kernel that unpacks and shrinks a [`Target`].
pub struct TargetUnpacker {
    kernel: Kernel,
}

impl TargetUnpacker {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            kernel: Kernel::new(gpu, &UNPACK),
        }
    }

    /// Record: `image` becomes the box average of `target`; its alpha is the pixels' weight.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `image` is not of [`Target::downscaled_size`].
    pub fn record(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        target: &Target,
        divisor: u32,
        image: &GpuImage,
    ) -> Result<()> {
        let (width, height) = target.downscaled_size(divisor);
        if (image.width, image.height) != (width, height) {
            return Err(Error::invalid(format!(
                "a {}×{} photo shrunk {divisor} times is {width}×{height}, not {}×{}",
                target.width, target.height, image.width, image.height
            )));
        }
        let params = gpu.uniform_from(
            "photo unpacking",
            &UnpackParams {
                source_width: target.width,
                width,
                height,
                divisor_x: divisor.clamp(1, target.width.max(1)),
                divisor_y: divisor.clamp(1, target.height.max(1)),
                padding: [0; 3],
            },
        );
        let group = self.kernel.bind(
            gpu,
            &[
                params.as_entire_binding(),
                target.packed.as_entire_binding(),
                image.buffer.as_entire_binding(),
            ],
        );
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("photo"),
            timestamp_writes: None,
        });
        self.kernel.dispatch(
            &mut pass,
            &group,
            [width.div_ceil(16), height.div_ceil(4), 1],
        );
        Ok(())
    }
}
