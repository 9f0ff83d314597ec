//! The optimizer loop of a Luxen. A step is one submission: draw rays from all views, march them, compare, differentiate,
//! update. The host never waits for the step it submits, only for the one before, so that at most two are queued and the
//! window stays live.

use super::{
    CameraPoses, Drawable, FieldBuffers, FieldShape, LuxenConfig, LuxenProgress, LuxenRenderer,
    LuxenState,
    backward::{Backward, BackwardUniforms},
    field::APPEARANCES,
    kernels::{BackwardKernels, ForwardKernels, ProposalKernels},
    marcher::{ChunkUniforms, RayRange, Recorder, groups, record_forward},
    occupancy::Occupancy,
    optimizer::Optimizer,
    patches::{Given, given},
    pool::PhotoPool,
    poses::Poses,
    uniforms::Draw,
    workspace::{Gradients, Workspace},
};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Packer, Slice},
    loss::{NetworkGradient, TrainView},
    scene::{Camera, CropBox, NamedTensor},
};
use std::{collections::VecDeque, sync::Arc};

/// Steps on the queue before the oldest is waited for.
const MAX_IN_FLIGHT: usize = 2;
/// Results kept for a caller that does not ask for them.
const MAX_RESULTS: usize = 1024;
const READBACK_BYTES: u64 = 16;

/// How a finished step went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LuxenStep {
    /// Number of the step, from 1, in all phases.
    pub step: u64,
    /// All terms, and that of the network whose gradient the step took.
    pub loss: f32,
    /// Mean squared difference of the pixels that were drawn; those that show nothing are not, where scenes are bounded.
    pub squared: f32,
    pub distortion: f32,
    /// 0 at steps at which the proposals do not learn.
    pub interlevel: f32,
}

/// Moments of each group, and the state's other tensors.
type Saved<'a> = (&'a [[Vec<f32>; 2]; 7], &'a [NamedTensor]);

/// Uniforms of what rays are drawn from.
pub(super) struct DrawUniforms {
    pub views: u32,
    pub draw: Slice,
    pub poses: Slice,
}

struct Pending {
    step: u64,
    readback: wgpu::Buffer,
    mapped: crossbeam_channel::Receiver<Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
    network_loss: f32,
}

/// Trains one scene. Owns the parameters; [`Self::drawable`] shares them.
pub struct LuxenTrainer {
    pub(super) gpu: Arc<Gpu>,
    pub(super) config: LuxenConfig,
    progress: LuxenProgress,
    pub(super) shape: Arc<FieldShape>,
    pub(super) field: FieldBuffers,
    optimizer: Optimizer,
    pub(super) forward: ForwardKernels,
    pub(super) backward: BackwardKernels,
    pub(super) space: Workspace,
    gradients: Gradients,
    occupancy: Option<Occupancy>,
    pub(super) pool: PhotoPool,
    poses: Option<Poses>,
    renderer: LuxenRenderer,
    in_flight: VecDeque<Pending>,
    results: Vec<LuxenStep>,
    crop: Option<CropBox>,
}

impl LuxenTrainer {
    /// A fresh field for `views` training views, the optimizer at rest.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a configuration that cannot be, [`Error::Gpu`] when it does not fit the adapter.
    pub fn new(gpu: Arc<Gpu>, config: LuxenConfig, views: u32) -> Result<Self> {
        config.check()?;
        let shape = FieldShape::new(&config, views);
        let parameters = shape.initialize(&config);
        let progress = LuxenProgress {
            views,
            ..Default::default()
        };
        let cells = shape.fresh_cells(&config);
        Self::build(gpu, config, progress, shape, (&parameters, &cells), None)
    }

    /// Go on exactly where [`Self::state`] was taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a tensor is missing or of another shape, [`Error::Gpu`] as for [`Self::new`].
    pub fn from_state(gpu: Arc<Gpu>, state: &LuxenState) -> Result<Self> {
        let parameters = state.parameters()?;
        let moments = state.moments()?;
        Self::build(
            gpu,
            state.config,
            state.progress,
            state.shape(),
            (&parameters, &state.cells()?),
            Some((&moments, &state.tensors)),
        )
    }

    fn build(
        gpu: Arc<Gpu>,
        config: LuxenConfig,
        progress: LuxenProgress,
        shape: FieldShape,
        (parameters, cells): (&[Vec<f32>; 7], &[f32]),
        saved: Option<Saved<'_>>,
    ) -> Result<Self> {
        let moments = saved.map(|(moments, _)| moments);
        let tensors = saved.map(|(_, tensors)| tensors);
        let field = FieldBuffers::upload(&gpu, &shape, parameters, cells, config.tables)?;
        let space = Workspace::of_step(&gpu, &shape, &config)?;
        let gradients = Gradients::new(&gpu, &shape, &config, &space);
        let carries = config.rays > space.rays_capacity;
        Ok(Self {
            optimizer: Optimizer::new(&gpu, &shape, moments, carries)?,
            forward: ForwardKernels::new(&gpu, config.size),
            backward: BackwardKernels::new(&gpu, config.size, config.weight_sums),
            occupancy: Occupancy::new(&gpu, &config, &space.arenas[2]),
            pool: PhotoPool::new(&gpu),
            poses: Poses::new(&gpu, &config, &shape, space.rays_capacity, tensors)?,
            renderer: LuxenRenderer::new(gpu.clone()),
            in_flight: VecDeque::new(),
            results: Vec::new(),
            crop: None,
            shape: Arc::new(shape),
            config,
            progress,
            field,
            space,
            gradients,
            gpu,
        })
    }

    /// Submit one optimizer step on random rays of `views`, whose order is that of the appearances. Does not wait for
    /// it. Returns the step's number, from 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the views are not those that the field was made for or camera and photo differ in size,
    /// [`Error::Gpu`] when the photos do not fit or the device is lost.
    pub fn step(&mut self, views: &[TrainView]) -> Result<u64> {
        let all: Vec<usize> = (0..views.len()).collect();
        self.step_on(views, &all, None)
    }

    /// [`Self::step`] on rays of the views that `drawn` counts, with what a network says of them: of the patches that
    /// [`Self::patches`] drew for this step, or of the whole picture of the only view drawn. Of the latter, the step
    /// follows as many pixels as it has rays, each for its share of the picture.
    ///
    /// # Errors
    /// As [`Self::step`]; [`Error::Invalid`] for a gradient of another size.
    pub fn step_on(
        &mut self,
        views: &[TrainView],
        drawn: &[usize],
        gradient: Option<&NetworkGradient>,
    ) -> Result<u64> {
        self.update_pool(views, drawn)?;
        let given = given(&self.config, views, drawn, gradient)?;
        let phase_step = self.progress.phase_step;
        let with_proposals = self
            .config
            .trains_proposals(phase_step, self.progress.proposal_idle);
        let pending = self.submit(with_proposals, &given)?;
        self.in_flight.push_back(pending);
        self.progress.step += 1;
        self.progress.phase_step += 1;
        self.progress.proposal_idle += 1;
        if with_proposals {
            self.progress.proposal_steps += 1;
            self.progress.proposal_idle = 1;
        }
        if matches!(self.config.poses, CameraPoses::Learning(_)) {
            self.progress.pose_steps += 1;
        }
        while self.in_flight.len() >= MAX_IN_FLIGHT {
            self.settle_oldest()?;
        }
        Ok(self.progress.step)
    }

    pub(super) fn update_pool(&mut self, views: &[TrainView], drawn: &[usize]) -> Result<()> {
        if views.len() != self.shape.views as usize {
            return Err(Error::Invalid(format!(
                "the scene was made from {} training views and there are {}: their appearances are part of it",
                self.shape.views,
                views.len()
            )));
        }
        self.pool.update(&self.gpu, views, drawn)
    }

    /// The next step's rays, in chunks that fit the buffers.
    pub(super) fn ranges(&self) -> Vec<RayRange> {
        let (rays, most) = (self.config.rays, self.space.rays_capacity);
        (0..rays)
            .step_by(most as usize)
            .map(|first| RayRange {
                rays: (rays - first).min(most),
                first,
                total: rays,
                step: self.progress.step,
                anneal: self.config.anneal(self.progress.phase_step),
                is_training: true,
                appearance_row: 0,
            })
            .collect()
    }

    /// Uniforms of what rays are drawn from.
    pub(super) fn plan_draw(&self, packer: &mut Packer, draw: &Draw) -> DrawUniforms {
        DrawUniforms {
            views: draw.views,
            draw: packer.add(draw),
            poses: Poses::plan_views(packer, draw.views),
        }
    }

    /// Records of the views that rays are drawn from, their poses corrected.
    fn views(&self) -> &wgpu::Buffer {
        match &self.poses {
            Some(poses) => &poses.moved,
            None => &self.pool.views,
        }
    }

    /// Record: draw a chunk's rays, and what the field has on them.
    pub(super) fn record_rays(
        &self,
        recorder: &mut Recorder<'_, '_>,
        chunk: &ChunkUniforms,
        draw: &DrawUniforms,
    ) {
        if let Some(poses) = &self.poses {
            poses.record_views(recorder, draw.poses, &self.pool.views, draw.views);
        }
        let [pool0, pool1, pool2, pool3] = &self.pool.pools;
        recorder.run_with(
            &self.backward.rays_of_views,
            chunk.batches[0],
            &[
                self.views(),
                pool0,
                pool1,
                pool2,
                pool3,
                &self.space.rays,
                &self.field.cells,
                &self.space.spans,
            ],
            Some(draw.draw),
            [groups(chunk.rays), 1, 1],
        );
        record_forward(
            recorder,
            &self.forward,
            chunk,
            &self.shape,
            &self.space,
            &self.field,
        );
    }

    fn submit(&mut self, with_proposals: bool, given: &Given<'_>) -> Result<Pending> {
        let gpu = &*self.gpu;
        let config = &self.config;
        let LuxenProgress {
            step,
            phase_step,
            proposal_steps,
            pose_steps,
            ..
        } = self.progress;
        let rate = config.learning_rate.at(phase_step);
        let mut packer = Packer::new(gpu);
        let mut chunks = Vec::new();
        let carries = config.rays > self.space.rays_capacity;
        let draw = self.plan_draw(&mut packer, &given.draw);
        for range in self.ranges() {
            let chunk = ChunkUniforms::new(&mut packer, config, &self.shape, &self.space, &range);
            let back = BackwardUniforms::new(
                &mut packer,
                &chunk,
                draw.draw,
                &self.shape,
                &self.space,
                config,
                range.first > 0,
            );
            let is_last = range.first + range.rays >= config.rays;
            let updates: Vec<_> = (0..7)
                .filter(|&group| group > 3 || with_proposals)
                .filter(|&group| group != APPEARANCES || config.appearance)
                .filter_map(|group| {
                    let steps = if group > 3 { step } else { proposal_steps } + 1;
                    self.optimizer
                        .plan(&mut packer, group, steps, rate, is_last, carries)
                })
                .collect();
            let of_poses = match is_last {
                true => Poses::plan_update(
                    &mut packer,
                    config,
                    self.shape.views,
                    phase_step,
                    pose_steps + 1,
                ),
                false => None,
            };
            chunks.push((chunk, back, updates, of_poses));
        }
        let occupancy = self.occupancy.as_ref().map(|occupancy| {
            let arena = &self.space.arenas[2];
            let uniforms = Occupancy::plan(&mut packer, config, &self.shape, arena, step);
            (occupancy, uniforms)
        });
        let uniforms = packer.finish(gpu);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("luxen step"),
                timestamp_writes: None,
            });
            let mut recorder = Recorder {
                gpu,
                pass: &mut pass,
                uniforms: &uniforms,
            };
            for (chunk, back, updates, of_poses) in &chunks {
                self.record_rays(&mut recorder, chunk, &draw);
                let backward = Backward {
                    kernels: &self.backward,
                    chunk,
                    uniforms: back,
                    shape: &self.shape,
                    space: &self.space,
                    gradients: &self.gradients,
                    field: &self.field,
                    optimizer: &self.optimizer,
                    given: given.planes.unwrap_or(&self.pool.views),
                    views: self.views(),
                };
                backward.record(&mut recorder, with_proposals);
                if let Some(poses) = &self.poses {
                    poses.record(&mut recorder, &backward, *of_poses);
                }
                for update in updates {
                    self.optimizer.record(
                        &mut recorder,
                        &self.backward,
                        update,
                        &self.field,
                        &self.gradients,
                    );
                }
            }
            if let Some((occupancy, uniforms)) = &occupancy {
                occupancy.record(
                    &mut recorder,
                    &self.forward,
                    &self.backward,
                    uniforms,
                    &self.shape,
                    &self.field,
                );
            }
        }
        let readback = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("losses read-back"),
            size: READBACK_BYTES,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        encoder.copy_buffer_to_buffer(&self.gradients.total, 0, &readback, 0, READBACK_BYTES);
        let submission = gpu.queue.submit([encoder.finish()]);
        let (sender, mapped) = crossbeam_channel::bounded(1);
        readback.map_async(wgpu::MapMode::Read, .., move |result| {
            if sender.send(result).is_err() {
                log::debug!("a step was dropped before it finished");
            }
        });
        Ok(Pending {
            step: step + 1,
            readback,
            mapped,
            submission,
            network_loss: given.loss,
        })
    }

    fn settle_oldest(&mut self) -> Result<()> {
        let Some(oldest) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let failed = |e: &dyn std::fmt::Display| {
            Error::Gpu(format!("reading back from the graphics device: {e}"))
        };
        self.gpu.wait_for(oldest.submission)?;
        oldest
            .mapped
            .recv()
            .map_err(|e| failed(&e))?
            .map_err(|e| failed(&e))?;
        let [loss, squared, distortion, interlevel]: [f32; 4] = {
            let view = oldest
                .readback
                .get_mapped_range(..)
                .map_err(|e| failed(&e))?;
            bytemuck::pod_read_unaligned(&view[..READBACK_BYTES as usize])
        };
        if self.results.len() < MAX_RESULTS {
            self.results.push(LuxenStep {
                step: oldest.step,
                loss: loss + distortion + interlevel + oldest.network_loss,
                squared,
                distortion,
                interlevel,
            });
        }
        Ok(())
    }

    /// Wait for everything submitted.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn finish(&mut self) -> Result<()> {
        while !self.in_flight.is_empty() {
            self.settle_oldest()?;
        }
        Ok(())
    }

    /// Results of the steps that finished since the last call, in order.
    pub fn take_results(&mut self) -> Vec<LuxenStep> {
        std::mem::take(&mut self.results)
    }

    /// Where a training view's camera has got to.
    ///
    /// # Errors
    /// As [`Self::step`]; [`Error::Invalid`] for a view that there is not.
    pub fn view_camera(&mut self, view: u32, camera: &Camera) -> Result<Camera> {
        self.finish()?;
        match &self.poses {
            Some(poses) => poses.camera(&self.gpu, self.shape.views, view, camera),
            None => Ok(*camera),
        }
    }

    /// Draw the scene as it is after all submitted steps, with the appearance of a training view and from where its camera
    /// has got to; or with the mean appearance. Complete when it returns.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn render(
        &mut self,
        camera: &Camera,
        appearance: Option<u32>,
        target: &GpuImage,
    ) -> Result<()> {
        self.render_with_depth(camera, appearance, target, None)
    }

    /// [`Self::render`] with the depths of [`LuxenRenderer::record`].
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn render_with_depth(
        &mut self,
        camera: &Camera,
        appearance: Option<u32>,
        target: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        self.finish()?;
        let camera = match appearance {
            Some(view) => &self.view_camera(view, camera)?,
            None => camera,
        };
        let scene = self.drawable();
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.renderer.record(
            &mut encoder,
            &scene,
            camera,
            appearance,
            0..u32::MAX,
            target,
            depth,
        )?;
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.wait()
    }

    /// Everything for an exact resume. Waits for the GPU.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn state(&mut self) -> Result<LuxenState> {
        self.finish()?;
        LuxenState::download(
            &self.gpu,
            self.config,
            self.progress,
            &self.shape,
            &self.field,
            &self.optimizer,
            self.poses.as_ref(),
        )
    }

    /// Go on under other settings, their schedules at their beginning; moments are carried on. The field's sizes stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the configuration changes the field's shape; [`Error::Gpu`] when a step does not fit; else as
    /// [`Self::step`].
    pub fn begin_phase(&mut self, config: LuxenConfig) -> Result<()> {
        config.check()?;
        let old = self.config;
        let sizes = |c: &LuxenConfig| {
            (
                c.size,
                c.semantics,
                c.grid,
                c.proposals,
                c.appearance,
                c.half_side,
                c.poses == CameraPoses::Given,
            )
        };
        if sizes(&config) != sizes(&old) {
            return Err(Error::invalid(
                "a field's sizes cannot change between phases: begin a new one",
            ));
        }
        self.finish()?;
        let step = |c: &LuxenConfig| (c.rays, c.chunk_rays, c.samples);
        if step(&config) != step(&old) {
            let space = Workspace::of_step(&self.gpu, &self.shape, &config)?;
            self.gradients = Gradients::new(&self.gpu, &self.shape, &config, &space);
            self.optimizer
                .carry(&self.gpu, config.rays > space.rays_capacity);
            self.space = space;
        }
        if let Some(poses) = &mut self.poses {
            let rays = self.space.rays_capacity;
            poses.prepare(&self.gpu, &config, &self.shape, rays);
        }
        if config.weight_sums != old.weight_sums {
            self.backward.proposals = ProposalKernels::new(&self.gpu, config.weight_sums);
        }
        if config.tables != old.tables {
            self.field = self
                .field
                .clone()
                .read_as(&self.gpu, &self.shape, config.tables);
        }
        self.config = config;
        self.progress.phase_step = 0;
        Ok(())
    }

    /// What the window draws.
    pub fn drawable(&self) -> Drawable {
        Drawable {
            field: self.field.clone(),
            shape: self.shape.clone(),
            config: self.config,
            crop: self.crop,
            generation: 0,
        }
    }

    /// Draw what is in a box only, until told otherwise. Training sees everything.
    pub fn set_crop(&mut self, crop: Option<CropBox>) {
        self.crop = crop;
    }

    /// Bytes of the buffers that training holds at present: field, optimizer, a step, photos.
    pub fn allocated(&self) -> u64 {
        let FieldBuffers {
            groups,
            cells,
            halves,
        } = &self.field;
        let halves = halves.iter().flat_map(|halves| &halves.tables);
        let occupancy = self.occupancy.as_ref().map(Occupancy::buffer);
        groups
            .iter()
            .chain([cells, &self.pool.views])
            .chain(halves)
            .chain(self.poses.iter().flat_map(Poses::buffers))
            .chain(&self.pool.pools)
            .chain(self.optimizer.buffers())
            .chain(self.space.buffers())
            .chain(self.gradients.buffers())
            .chain(occupancy)
            .map(wgpu::Buffer::size)
            .sum()
    }

    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    pub fn config(&self) -> &LuxenConfig {
        &self.config
    }

    pub fn progress(&self) -> LuxenProgress {
        self.progress
    }

    /// Steps submitted, in all phases.
    pub fn step_count(&self) -> u64 {
        self.progress.step
    }
}
