//! The shown frame's depth, accumulation or normals, made once a frame out of what its render left behind.

use super::canvas::Frame;
use crate::{
    Result,
    edit::{Look, LookKernel, Scale},
    gpu::{Gpu, GpuImage},
    worker::SceneInfo,
};

/// The newest look.
#[derive(Default)]
pub struct Looked {
    kernel: Option<LookKernel>,
    /// Number of the frame, and what is shown of it.
    made: Option<(u64, Look)>,
    image: Option<GpuImage>,
}

impl Looked {
    /// `look` of `frame`, whose number is `serial`.
    ///
    /// # Errors
    /// See [`LookKernel::record`].
    pub fn image<'a>(
        &'a mut self,
        gpu: &Gpu,
        frame: &'a Frame,
        serial: u64,
        look: Look,
        scene: &SceneInfo,
    ) -> Result<&'a GpuImage> {
        let (width, height) = (frame.image.width, frame.image.height);
        let fits = |image: &GpuImage| (image.width, image.height) == (width, height);
        let kept = self.image.take().filter(fits);
        let is_known = kept.is_some() && self.made == Some((serial, look));
        let image = kept.unwrap_or_else(|| GpuImage::new(gpu, width, height));
        if !is_known {
            let kernel = self.kernel.get_or_insert_with(|| LookKernel::new(gpu));
            let camera = frame.camera();
            let what = (look, Scale::around(camera, scene.center));
            let render = (&frame.image, &frame.depth);
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            kernel.record(gpu, &mut encoder, what, camera, render, &image)?;
            gpu.queue.submit([encoder.finish()]);
            self.made = Some((serial, look));
        }
        Ok(self.image.insert(image))
    }
}
