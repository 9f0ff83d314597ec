//! The optimizer loop of a splat scene. A step is one submission: unpack the photo, draw, compare, differentiate, update.
//! The host never waits for the step it submits, only for the one before, so that at most two are queued and the window
//! stays live. Counts stay on the GPU; a step whose render ran out of scratch memory changes nothing, and is repeated
//! with more, together with those queued behind it.

use super::{
    AdamKernels, Phase, Progress, Rasterizer, RenderOptions, SplatBuffers, SplatGradients,
    TrainConfig, TrainState,
    optimizer::{GROUPS, HALT, Moments, Optimizer, parameter_buffers, row_width},
    status,
};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Kernel},
    loss::{
        BoundLoss, GradientAdder, ImageGradient, ImageLoss, LossValues, Target, TargetUnpacker,
    },
    scene::{Camera, Splats},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Steps on the queue before the oldest is waited for.
const MAX_IN_FLIGHT: usize = 2;
/// Picture sizes whose buffers are kept; captures of mixed sizes have a few.
const MAX_WORKSPACES: usize = 4;
/// Results kept for a caller that does not ask for them.
const MAX_RESULTS: usize = 1024;
const STATUS_BYTES: u64 = 4 * status::LEN as u64;
const READBACK_BYTES: u64 = STATUS_BYTES + size_of::<LossValues>() as u64;

/// How a finished step went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// Number of the step, from 1, in all phases.
    pub step: u64,
    /// Mean absolute difference.
    pub l1: f32,
    /// Mean SSIM.
    pub ssim: f32,
    /// What was minimized, a network's part included.
    pub loss: f32,
    /// Tile–splat intersections of the view.
    pub intersections: u32,
    /// Splats inside the view.
    pub visible: u32,
}

/// What [`SplatTrainer::step`] knows when it returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Number of the step just submitted, from 1, in all phases.
    pub step: u64,
    /// The step before, now finished; `None` after a start or a wait.
    pub finished: Option<StepResult>,
    /// How many times the photo was shrunk.
    pub divisor: u32,
    pub active_sh_degree: u32,
    /// Splats after removal.
    pub splats: u32,
    /// Splats removed before this step.
    pub removed: u32,
}

/// Buffers for one picture size.
struct Workspace {
    render: GpuImage,
    target: GpuImage,
    d_image: wgpu::Buffer,
    loss: BoundLoss,
}

/// A submitted step, with all that repeating it takes.
struct Pending {
    camera: Camera,
    target: Target,
    gradient: Option<ImageGradient>,
    step: u64,
    phase_step: u64,
    readback: wgpu::Buffer,
    mapped: crossbeam_channel::Receiver<Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
}

/// Trains one scene. Owns the parameters; [`Self::splats`] shares them.
pub struct SplatTrainer {
    gpu: Arc<Gpu>,
    config: TrainConfig,
    progress: Progress,
    generation: u64,
    repeated_steps: u64,
    rasterizer: Rasterizer,
    loss: ImageLoss,
    unpacker: TargetUnpacker,
    adder: GradientAdder,
    kernels: AdamKernels,
    halt_kernel: Kernel,
    halt: wgpu::Buffer,
    splats: SplatBuffers,
    gradients: SplatGradients,
    optimizer: Optimizer,
    workspaces: HashMap<(u32, u32), Workspace>,
    in_flight: VecDeque<Pending>,
    results: Vec<StepResult>,
    spare_readbacks: Vec<wgpu::Buffer>,
}

impl SplatTrainer {
    /// Start from `splats` with the optimizer at rest.
    ///
    /// # Errors
    /// [`Error::Invalid`] without splats or for arrays that disagree, [`Error::Gpu`] when they do not fit the adapter.
    pub fn new(gpu: Arc<Gpu>, splats: Splats, config: TrainConfig) -> Result<Self> {
        let progress = Progress {
            step: 0,
            phase_step: 0,
            sh_degree: splats.sh_degree,
        };
        Self::build(gpu, &splats, None, config, progress)
    }

    /// Go on exactly where [`Self::state`] was taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a tensor is missing or of another shape, [`Error::Gpu`] as for [`Self::new`].
    pub fn from_state(gpu: Arc<Gpu>, state: &TrainState) -> Result<Self> {
        let splats = state.splats()?;
        let moments = state.upload_moments(&gpu)?;
        Self::build(gpu, &splats, Some(moments), state.config, state.progress)
    }

    fn build(
        gpu: Arc<Gpu>,
        splats: &Splats,
        moments: Option<Vec<Moments>>,
        config: TrainConfig,
        progress: Progress,
    ) -> Result<Self> {
        if splats.is_empty() {
            return Err(Error::invalid("there are no splats to train"));
        }
        let splats = SplatBuffers::upload(&gpu, splats)?;
        let gradients = SplatGradients::new(&gpu, splats.count, splats.sh_degree)?;
        let kernels = AdamKernels::new(&gpu);
        let halt = gpu.storage("halt", 4);
        let moments: [Moments; 6] = match moments {
            None => Optimizer::zeroed_moments(&gpu, &splats),
            Some(moments) => moments.try_into().map_err(|moments: Vec<Moments>| {
                Error::invalid(format!(
                    "a saved state has optimizer moments of {} parameter groups instead of 6",
                    moments.len()
                ))
            })?,
        };
        let optimizer = Optimizer::new(&gpu, &kernels, &splats, &gradients, moments, &halt);
        Ok(Self {
            rasterizer: Rasterizer::new(gpu.clone())?,
            loss: ImageLoss::new(gpu.clone()),
            unpacker: TargetUnpacker::new(&gpu),
            adder: GradientAdder::new(&gpu),
            halt_kernel: Kernel::new(&gpu, &HALT),
            kernels,
            halt,
            splats,
            gradients,
            optimizer,
            config,
            progress,
            generation: 0,
            repeated_steps: 0,
            workspaces: HashMap::new(),
            in_flight: VecDeque::new(),
            results: Vec::new(),
            spare_readbacks: Vec::new(),
            gpu,
        })
    }

    /// Submit one optimizer step towards `target`. Does not wait for it; the report has the step before. A removal of
    /// splats that is due comes first.
    ///
    /// # Errors
    /// [`Error::Invalid`] when camera and photo differ in size or no splat is left, [`Error::Gpu`] when the view needs
    /// more memory than the adapter has, or the device is lost. A step that failed did not happen.
    pub fn step(&mut self, camera: &Camera, target: &Target) -> Result<StepReport> {
        self.step_with(camera, target, None)
    }

    /// [`Self::step`] with what a network said of the present [`Self::render`] from `camera`.
    ///
    /// # Errors
    /// As [`Self::step`], and [`Error::Invalid`] when the gradient has another size than the step's render.
    pub fn step_with(
        &mut self,
        camera: &Camera,
        target: &Target,
        gradient: Option<&ImageGradient>,
    ) -> Result<StepReport> {
        let size = (camera.intrinsics.width, camera.intrinsics.height);
        if size != (target.width, target.height) {
            return Err(Error::invalid(format!(
                "a camera of {}×{} cannot be trained on a photo of {}×{}",
                size.0, size.1, target.width, target.height
            )));
        }
        let removed = self.remove_if_due()?;
        let Progress {
            step, phase_step, ..
        } = self.progress;
        let pending = self.submit(camera, target, gradient, step + 1, phase_step)?;
        self.in_flight.push_back(pending);
        self.progress.step += 1;
        self.progress.phase_step += 1;
        let finished = if self.in_flight.len() >= MAX_IN_FLIGHT {
            self.settle_oldest()?
        } else {
            None
        };
        Ok(StepReport {
            step: step + 1,
            finished,
            divisor: self.divisor_at(phase_step),
            active_sh_degree: self.sh_degree_at(phase_step),
            splats: self.splats.count,
            removed,
        })
    }

    /// Wait for everything submitted; the last step's result, if there was one under way.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn finish(&mut self) -> Result<Option<StepResult>> {
        let mut last = None;
        while let Some(result) = self.settle_oldest()? {
            last = Some(result);
        }
        Ok(last)
    }

    /// Draw the scene as it is after all submitted steps: all SH bands, the fixed background. Complete when it returns.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn render(&mut self, camera: &Camera, target: &GpuImage) -> Result<()> {
        self.finish()?;
        let options = RenderOptions {
            background: self.config.background,
            active_sh_degree: self.splats.sh_degree,
        };
        self.rasterizer
            .render(&self.splats, camera, &options, target, None)
    }

    /// Everything for an exact resume. Waits for the GPU.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn state(&mut self) -> Result<TrainState> {
        self.finish()?;
        TrainState::download(
            &self.gpu,
            self.config,
            self.progress,
            &self.splats,
            &self.optimizer.moments,
        )
    }

    /// Replace the settings for the steps to come. A new [`Phase`] starts counting at 0; moments are carried on.
    ///
    /// # Errors
    /// As [`Self::step`]: waits for what was submitted under the old settings.
    pub fn set_config(&mut self, config: TrainConfig) -> Result<()> {
        self.finish()?;
        if config.phase != self.config.phase {
            self.progress.phase_step = 0;
        }
        if config.loss() != self.config.loss() {
            self.workspaces.clear();
        }
        self.config = config;
        Ok(())
    }

    /// Begin a new phase at its step 0, even of the kind of the last one; moments are carried on.
    ///
    /// # Errors
    /// As [`Self::set_config`].
    pub fn begin_phase(&mut self, config: TrainConfig) -> Result<()> {
        self.set_config(config)?;
        self.progress.phase_step = 0;
        Ok(())
    }

    /// Results of the steps that finished since the last call, in order.
    pub fn take_results(&mut self) -> Vec<StepResult> {
        std::mem::take(&mut self.results)
    }

    /// The parameters themselves; they change with every step. Replaced when [`Self::generation`] changes.
    pub fn splats(&self) -> SplatBuffers {
        self.splats.clone()
    }

    /// Changes when the parameter buffers were replaced.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Number of splats.
    pub fn len(&self) -> usize {
        self.splats.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.splats.count == 0
    }

    /// Steps submitted, in all phases.
    pub fn step_count(&self) -> u64 {
        self.progress.step
    }

    /// How often a render ran out of scratch memory and was repeated with more.
    pub fn repeated_steps(&self) -> u64 {
        self.repeated_steps
    }

    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// SH degree of the next step.
    pub fn active_sh_degree(&self) -> u32 {
        self.sh_degree_at(self.progress.phase_step)
    }

    /// What the window draws.
    pub fn drawable(&self) -> super::Drawable {
        super::Drawable {
            splats: self.splats.clone(),
            active_sh_degree: self.active_sh_degree(),
            background: self.config.background,
            generation: self.generation,
        }
    }

    fn sh_degree_at(&self, phase_step: u64) -> u32 {
        self.config
            .phase
            .sh_degree(phase_step, self.config.sh_interval, self.splats.sh_degree)
    }

    fn divisor_at(&self, phase_step: u64) -> u32 {
        self.config
            .phase
            .divisor(phase_step, self.config.coarse_to_fine)
    }

    fn background_at(&self, step: u64) -> [f32; 3] {
        match self.config.phase {
            Phase::Reconstruct { .. } if self.config.random_background => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
                rng.set_stream(step);
                std::array::from_fn(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32)
            }
            Phase::Reconstruct { .. } | Phase::Refine => self.config.background,
        }
    }

    /// Learning rates in the order of [`GROUPS`].
    fn rates_at(&self, phase_step: u64) -> [f64; 6] {
        let rates = &self.config.learning_rates;
        let means = self
            .config
            .phase
            .decayed(rates.means, rates.means_final, phase_step);
        [
            means * self.config.scene_extent,
            rates.quats,
            rates.log_scales,
            rates.logit_opacities,
            rates.sh_dc,
            rates.sh_rest,
        ]
    }

    fn submit(
        &mut self,
        camera: &Camera,
        target: &Target,
        gradient: Option<&ImageGradient>,
        step: u64,
        phase_step: u64,
    ) -> Result<Pending> {
        let divisor = self.divisor_at(phase_step);
        let active_sh_degree = self.sh_degree_at(phase_step);
        let options = RenderOptions {
            background: self.background_at(step),
            active_sh_degree,
        };
        let rates = self.rates_at(phase_step);
        let size = target.downscaled_size(divisor);
        self.prepare_workspace(size)?;
        let Some(workspace) = self.workspaces.get(&size) else {
            return Err(Error::invalid("no buffers for this picture size"));
        };
        let readback = self
            .spare_readbacks
            .pop()
            .unwrap_or_else(|| new_readback(&self.gpu));

        let gpu = &*self.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.unpacker
            .record(gpu, &mut encoder, target, divisor, &workspace.target)?;
        self.rasterizer.record_forward(
            &mut encoder,
            &self.splats,
            &camera.downscaled(divisor),
            &options,
            &workspace.render,
            None,
        )?;
        let status = self.rasterizer.status_buffer();
        let halt = self.halt_kernel.bind(
            gpu,
            &[status.as_entire_binding(), self.halt.as_entire_binding()],
        );
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("halt"),
                timestamp_writes: None,
            });
            self.halt_kernel.dispatch(&mut pass, &halt, [1, 1, 1]);
        }
        encoder.copy_buffer_to_buffer(status, 0, &readback, 0, STATUS_BYTES);
        self.loss.record(&mut encoder, &workspace.loss);
        encoder.copy_buffer_to_buffer(
            workspace.loss.values(),
            0,
            &readback,
            STATUS_BYTES,
            size_of::<LossValues>() as u64,
        );
        if let Some(gradient) = gradient {
            self.adder.record(
                gpu,
                &mut encoder,
                gradient,
                &workspace.target,
                &workspace.d_image,
            )?;
        }
        self.rasterizer.record_backward(
            &mut encoder,
            &self.splats,
            &workspace.d_image,
            None,
            &self.gradients,
        )?;
        self.optimizer.record(
            gpu,
            &self.kernels,
            &mut encoder,
            step,
            &rates,
            active_sh_degree,
        );
        let submission = gpu.queue.submit([encoder.finish()]);
        let (sender, mapped) = crossbeam_channel::bounded(1);
        readback.map_async(wgpu::MapMode::Read, .., move |result| {
            if sender.send(result).is_err() {
                log::debug!("a step was dropped before it finished");
            }
        });
        Ok(Pending {
            camera: *camera,
            target: target.clone(),
            gradient: gradient.cloned(),
            step,
            phase_step,
            readback,
            mapped,
            submission,
        })
    }

    fn prepare_workspace(&mut self, size: (u32, u32)) -> Result<()> {
        if self.workspaces.contains_key(&size) {
            return Ok(());
        }
        if self.workspaces.len() >= MAX_WORKSPACES {
            self.workspaces.clear();
        }
        let render = GpuImage::new(&self.gpu, size.0, size.1);
        let target = GpuImage::new(&self.gpu, size.0, size.1);
        let d_image = self.gpu.storage("d_image", render.pixels() as u64 * 16);
        let loss = self
            .loss
            .bind(&render, &target, &d_image, self.config.loss())?;
        self.workspaces.insert(
            size,
            Workspace {
                render,
                target,
                d_image,
                loss,
            },
        );
        Ok(())
    }

    /// Wait for the oldest step in flight; repeat it and those behind it while its render did not fit.
    fn settle_oldest(&mut self) -> Result<Option<StepResult>> {
        loop {
            let Some(oldest) = self.in_flight.pop_front() else {
                return Ok(None);
            };
            let (words, loss) = self.await_readback(&oldest)?;
            if words[status::OVERFLOW] == 0 {
                self.spare_readbacks.push(oldest.readback);
                let total = match &oldest.gradient {
                    Some(gradient) => gradient.photo_weight * loss.loss + gradient.loss,
                    None => loss.loss,
                };
                let result = StepResult {
                    step: oldest.step,
                    l1: loss.l1,
                    ssim: loss.ssim,
                    loss: total,
                    intersections: words[status::INTERSECTIONS],
                    visible: words[status::VISIBLE],
                };
                if self.results.len() < MAX_RESULTS {
                    self.results.push(result);
                }
                return Ok(Some(result));
            }
            self.repeated_steps += 1;
            let mut repeat = vec![oldest];
            while let Some(later) = self.in_flight.pop_front() {
                self.await_readback(&later)?;
                repeat.push(later);
            }
            if let Err(e) = self.repeat(&repeat, words[status::INTERSECTIONS]) {
                // None of them took effect: the run stands before the first.
                self.gpu.wait()?;
                self.in_flight.clear();
                self.clear_halt();
                self.progress.step = repeat[0].step - 1;
                self.progress.phase_step = repeat[0].phase_step;
                return Err(e);
            }
        }
    }

    fn repeat(&mut self, steps: &[Pending], needed_intersections: u32) -> Result<()> {
        self.rasterizer.grow(needed_intersections)?;
        self.clear_halt();
        for Pending {
            camera,
            target,
            gradient,
            step,
            phase_step,
            ..
        } in steps
        {
            let pending = self.submit(camera, target, gradient.as_ref(), *step, *phase_step)?;
            self.in_flight.push_back(pending);
        }
        Ok(())
    }

    fn clear_halt(&self) {
        self.gpu
            .queue
            .write_buffer(&self.halt, 0, &0u32.to_le_bytes());
    }

    fn await_readback(&self, pending: &Pending) -> Result<([u32; status::LEN], LossValues)> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::Gpu(format!("reading back from the graphics device: {e}"))
        };
        self.gpu
            .device
            .poll(wgpu::PollType::Wait {
                submission_index: Some(pending.submission.clone()),
                timeout: None,
            })
            .map_err(|e| Error::Gpu(format!("the graphics device stopped answering: {e}")))?;
        self.gpu.check()?;
        pending
            .mapped
            .recv()
            .map_err(|e| failed(&e))?
            .map_err(|e| failed(&e))?;
        let read = {
            let view = pending
                .readback
                .get_mapped_range(..)
                .map_err(|e| failed(&e))?;
            let (words, loss) = view.split_at(STATUS_BYTES as usize);
            let mut status = [0u32; status::LEN];
            for (word, bytes) in status.iter_mut().zip(words.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            (
                status,
                bytemuck::pod_read_unaligned(&loss[..size_of::<LossValues>()]),
            )
        };
        pending.readback.unmap();
        Ok(read)
    }

    /// Remove what the schedule says is useless; the number of splats removed.
    fn remove_if_due(&mut self) -> Result<u32> {
        let Phase::Reconstruct { planned_steps } = self.config.phase else {
            return Ok(0);
        };
        let Some(rule) = self.config.prune.rule(
            self.progress.phase_step,
            planned_steps,
            self.config.scene_extent as f32,
        ) else {
            return Ok(0);
        };
        self.finish()?;
        let count = self.splats.count as usize;
        let logit_opacities: Vec<f32> = self.gpu.read(&self.splats.logit_opacities, count)?;
        let log_scales: Vec<f32> = self.gpu.read(&self.splats.log_scales, count * 3)?;
        let kept = rule.kept(&logit_opacities, &log_scales);
        if kept.is_empty() {
            return Err(Error::invalid(format!(
                "after {} steps all {count} splats are transparent or oversized: the reconstruction has failed; \
                 check the camera poses, or start with more splats",
                self.progress.step
            )));
        }
        if kept.len() < count {
            self.keep_rows(&kept)?;
        }
        Ok((count - kept.len()) as u32)
    }

    /// Replace parameters and moments by the chosen rows.
    fn keep_rows(&mut self, kept: &[u32]) -> Result<()> {
        let gpu = &*self.gpu;
        let row_count = kept.len() as u32;
        let sh_degree = self.splats.sh_degree;
        let rows = gpu.storage_from("kept rows", kept);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut gather = |label: &str, source: &wgpu::Buffer, group: usize| {
            self.kernels.gather(
                gpu,
                &mut encoder,
                label,
                source,
                row_width(group, sh_degree),
                &rows,
                row_count,
            )
        };
        let parameters = parameter_buffers(&self.splats);
        let [means, quats, log_scales, logit_opacities, sh_dc, sh_rest] =
            std::array::from_fn(|group| gather(GROUPS[group], parameters[group], group));
        let moments = std::array::from_fn(|group| {
            let Moments { first, second } = &self.optimizer.moments[group];
            Moments {
                first: gather("first moments", first, group),
                second: gather("second moments", second, group),
            }
        });
        gpu.queue.submit([encoder.finish()]);
        self.splats = SplatBuffers {
            count: row_count,
            sh_degree,
            means,
            quats,
            log_scales,
            logit_opacities,
            sh_dc,
            sh_rest,
        };
        self.gradients = SplatGradients::new(gpu, row_count, sh_degree)?;
        self.optimizer = Optimizer::new(
            gpu,
            &self.kernels,
            &self.splats,
            &self.gradients,
            moments,
            &self.halt,
        );
        self.generation += 1;
        Ok(())
    }
}

fn new_readback(gpu: &Gpu) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("step read-back"),
        size: READBACK_BYTES,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}
