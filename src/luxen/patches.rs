//! What a network says of a Luxen. A field learns from rays, a network looks at pictures: so a step's rays are drawn in square
//! patches, rendered once for the network, and drawn again, the same ones, by the step that takes the network's gradient.
//! Holding the samples of all rays in between would take more memory than the field.

use super::{
    LuxenConfig, LuxenTrainer,
    marcher::{ChunkUniforms, Recorder, groups},
    uniforms::Draw,
};
use crate::{
    Error, Result,
    gpu::{GpuImage, Packer},
    loss::{ImageGradient, NetworkGradient, TrainView},
};
use bytemuck::Zeroable;

/// Square patches in a column, `[rays / side, side]`; masked pixels are black.
pub struct Patches {
    /// Pixels.
    pub side: u32,
    /// What the field shows, in training mode.
    pub render: GpuImage,
    /// What the pictures show that stand for the photos.
    pub target: GpuImage,
}

/// A network's part of a step.
pub(super) struct Given<'a> {
    pub draw: Draw,
    pub planes: Option<&'a wgpu::Buffer>,
    pub loss: f32,
}

fn column(config: &LuxenConfig) -> (u32, u32) {
    let side = config.patch_side.max(1);
    (side, config.rays / side)
}

/// # Errors
/// [`Error::Invalid`] for a gradient that does not belong to the step.
pub(super) fn given<'a>(
    config: &LuxenConfig,
    views: &[TrainView],
    drawn: &[usize],
    gradient: Option<&'a NetworkGradient>,
) -> Result<Given<'a>> {
    let draw = Draw {
        views: drawn.len() as u32,
        photo_weight: 1.0,
        ..Draw::zeroed()
    };
    let (kind, gradient, size) = match (gradient, drawn) {
        (None, _) => {
            return Ok(Given {
                draw,
                planes: None,
                loss: 0.0,
            });
        }
        (Some(NetworkGradient::Patches(gradient)), _) => (1, gradient, column(config)),
        (Some(NetworkGradient::View(gradient)), &[view]) => {
            let target = &views[view].target;
            (2, gradient, (target.width, target.height))
        }
        (Some(NetworkGradient::View(_)), _) => {
            return Err(Error::invalid(
                "a step with a gradient of one view's picture draws its rays from that view alone",
            ));
        }
    };
    let ImageGradient {
        width,
        height,
        planes,
        loss,
        photo_weight,
    } = gradient;
    let plane = width * height;
    if (*width, *height) != size || planes.size() < u64::from(plane) * 12 {
        return Err(Error::Invalid(format!(
            "a gradient of {width}×{height} does not fit a step on {}×{} pixels",
            size.0, size.1
        )));
    }
    Ok(Given {
        draw: Draw {
            given: kind,
            plane,
            given_scale: plane as f32 / config.rays as f32,
            photo_weight: *photo_weight,
            ..draw
        },
        planes: Some(planes),
        loss: *loss,
    })
}

impl LuxenTrainer {
    /// The pixels that the next step will learn from if it is taken on the same views: as the field shows them, and as they
    /// should be. Submitted, not waited for.
    ///
    /// # Errors
    /// As [`Self::step_on`].
    pub fn patches(&mut self, views: &[TrainView], drawn: &[usize]) -> Result<Patches> {
        self.update_pool(views, drawn)?;
        let gpu = &*self.gpu;
        let (side, height) = column(&self.config);
        let patches = Patches {
            side,
            render: GpuImage::new(gpu, side, height),
            target: GpuImage::new(gpu, side, height),
        };
        let no_depth = gpu.storage("no depth", 16);
        let mut packer = Packer::new(gpu);
        let draw = given(&self.config, views, drawn, None)?.draw;
        let draw = self.plan_draw(&mut packer, &draw);
        let chunks: Vec<_> = self
            .ranges()
            .iter()
            .map(|range| {
                ChunkUniforms::new(&mut packer, &self.config, &self.shape, &self.space, range)
            })
            .collect();
        let uniforms = packer.finish(gpu);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("luxen patches"),
                timestamp_writes: None,
            });
            let mut recorder = Recorder {
                gpu,
                pass: &mut pass,
                uniforms: &uniforms,
            };
            for chunk in &chunks {
                let per_ray = [groups(chunk.rays), 1, 1];
                self.record_rays(&mut recorder, chunk, &draw);
                recorder.run(
                    &self.forward.picture,
                    chunk.batches[2],
                    &[
                        &self.space.rays,
                        &self.space.bins[2],
                        &self.space.forward[2],
                        &patches.render.buffer,
                        &no_depth,
                    ],
                    per_ray,
                );
                recorder.run(
                    &self.backward.patches,
                    chunk.batches[2],
                    &[
                        &self.space.rays,
                        &patches.render.buffer,
                        &patches.target.buffer,
                    ],
                    per_ray,
                );
            }
        }
        gpu.queue.submit([encoder.finish()]);
        Ok(patches)
    }
}
