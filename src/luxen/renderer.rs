//! Pictures of a Luxen: for evaluation, for the edit model, for the window. Rays go through the buffers in chunks. A
//! picture may be recorded in parts, so that a window on a slow adapter never waits long for one that it has given up.

use super::{
    Background, FieldBuffers, FieldShape, LuxenConfig, Size,
    kernels::ForwardKernels,
    marcher::{ChunkUniforms, RayRange, Recorder, groups, record_forward},
    uniforms::{Crop, View},
    workspace::Workspace,
};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Packer},
    scene::{Camera, CropBox},
};
use std::{ops::Range, sync::Arc};

/// Rays of a chunk, unless the adapter allows fewer.
pub(super) const CHUNK_RAYS: u32 = 16_384;

/// A scene as it is now, ready for a [`LuxenRenderer`]. Clones share the buffers.
#[derive(Clone)]
pub struct Drawable {
    pub field: FieldBuffers,
    pub shape: Arc<FieldShape>,
    pub config: LuxenConfig,
    /// What is beyond it is not drawn, and black lies behind it where the scene has no background of its own.
    pub crop: Option<CropBox>,
    /// Changes when the buffers were replaced by others, not when their content was optimized.
    pub generation: u64,
}

/// Full pictures, and coarse ones while the camera moves.
const MAX_SPACES: usize = 2;

/// What a workspace was made for.
type Key = (Size, [u32; 3], u32);

impl Drawable {
    /// The same scene with half the samples a ray: what a moving camera is shown.
    pub fn coarse(&self) -> Self {
        let mut coarse = self.clone();
        for samples in &mut coarse.config.samples {
            *samples = (*samples / 2).next_multiple_of(4);
        }
        coarse
    }
}

/// Draws Luxens of any size; keeps the buffers of the last two kinds of picture.
pub struct LuxenRenderer {
    gpu: Arc<Gpu>,
    kernels: Option<(Size, ForwardKernels)>,
    /// The last used is the last.
    spaces: Vec<(Key, Workspace)>,
    no_depth: wgpu::Buffer,
}

impl LuxenRenderer {
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self {
            no_depth: gpu.storage("no depth", 16),
            gpu,
            kernels: None,
            spaces: Vec::new(),
        }
    }

    /// Record `pixels` of a picture, counted row by row, into `image`. `appearance`: the training view whose appearance it
    /// has, else the mean. `depth`: `[h, w]` or `[2, h, w]` f32: sum of weight × camera z, then camera z where half of
    /// the ray is stopped, 0 where that does not happen.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the buffers of a chunk do not fit the adapter.
    #[expect(clippy::too_many_arguments, reason = "what a picture is made of")]
    pub fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        scene: &Drawable,
        camera: &Camera,
        appearance: Option<u32>,
        pixels: Range<u32>,
        image: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        let k = camera.intrinsics;
        if (k.width, k.height) != (image.width, image.height) {
            return Err(Error::invalid(format!(
                "a camera of {}×{} does not draw a picture of {}×{}",
                k.width, k.height, image.width, image.height
            )));
        }
        let end = pixels.end.min(k.width * k.height);
        if pixels.start >= end {
            return Ok(());
        }
        self.prepare(scene, end - pixels.start)?;
        let (Some((_, kernels)), Some((_, space))) = (&self.kernels, self.spaces.last()) else {
            return Err(Error::invalid("no buffers to draw with"));
        };
        let gpu = &*self.gpu;
        let mut packer = Packer::new(gpu);
        let view = packer.add(&View::new(camera, 0, 0));
        let crop = packer.add(&Crop::new(scene.crop.as_ref()));
        let mut config = scene.config;
        if scene.crop.is_some() && config.background == Background::LastSample {
            config.background = Background::Fixed([0.0; 3]);
        }
        let mut chunks = Vec::new();
        let mut first = pixels.start;
        while first < end {
            let range = RayRange {
                rays: (end - first).min(space.rays_capacity).next_multiple_of(4),
                first,
                total: 1,
                step: 0,
                anneal: 1.0,
                is_training: false,
                appearance_row: appearance.unwrap_or(scene.shape.views),
            };
            chunks.push(ChunkUniforms::new(
                &mut packer,
                &config,
                &scene.shape,
                space,
                &range,
            ));
            first += range.rays;
        }
        let uniforms = packer.finish(gpu);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("luxen picture"),
            timestamp_writes: None,
        });
        let mut recorder = Recorder {
            gpu,
            pass: &mut pass,
            uniforms: &uniforms,
        };
        if appearance.is_none() && scene.shape.views > 0 {
            recorder.run(
                &kernels.appearance_mean,
                chunks[0].batches[0],
                &[scene.field.appearances()],
                [1, 1, 1],
            );
        }
        for chunk in &chunks {
            let per_ray = [groups(chunk.rays), 1, 1];
            recorder.run_rays_of_camera(kernels, chunk, [view, crop], space, &scene.field);
            record_forward(
                &mut recorder,
                kernels,
                chunk,
                &scene.shape,
                space,
                &scene.field,
            );
            recorder.run(
                &kernels.picture,
                chunk.batches[2],
                &[
                    &space.rays,
                    &space.bins[2],
                    &space.forward[2],
                    &image.buffer,
                    depth.unwrap_or(&self.no_depth),
                ],
                per_ray,
            );
        }
        Ok(())
    }

    fn prepare(&mut self, scene: &Drawable, pixels: u32) -> Result<()> {
        let size = scene.config.size;
        if self.kernels.as_ref().is_none_or(|(s, _)| *s != size) {
            self.kernels = Some((size, ForwardKernels::new(&self.gpu, size)));
        }
        // In powers of two: slices of a picture grow a little at a time, buffers for each would be made in vain.
        let wanted = pixels.clamp(64, CHUNK_RAYS).next_power_of_two();
        let key = (size, scene.config.samples, wanted);
        let fits = |(k, _): &(Key, Workspace)| (k.0, k.1) == (key.0, key.1) && k.2 >= key.2;
        let kept = match self.spaces.iter().position(fits) {
            Some(known) => self.spaces.remove(known),
            None => {
                self.spaces.retain(|(k, _)| (k.0, k.1) != (key.0, key.1));
                let space = Workspace::new(&self.gpu, &scene.shape, &scene.config, wanted, false)?;
                (key, space)
            }
        };
        self.spaces.push(kept);
        if self.spaces.len() > MAX_SPACES {
            self.spaces.remove(0);
        }
        Ok(())
    }
}

impl Recorder<'_, '_> {
    fn run_rays_of_camera(
        &mut self,
        kernels: &ForwardKernels,
        chunk: &ChunkUniforms,
        [view, crop]: [crate::gpu::Slice; 2],
        space: &Workspace,
        field: &FieldBuffers,
    ) {
        let bound = kernels.rays_of_camera.bind(
            self.gpu,
            &[
                chunk.batches[0].of(self.uniforms),
                view.of(self.uniforms),
                space.rays.as_entire_binding(),
                field.cells.as_entire_binding(),
                space.spans.as_entire_binding(),
                crop.of(self.uniforms),
            ],
        );
        let per_ray = [groups(chunk.rays), 1, 1];
        kernels.rays_of_camera.dispatch(self.pass, &bound, per_ray);
    }
}
