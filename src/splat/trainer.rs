//! The optimizer loop of a splat scene. A step is one submission: unpack the photo, draw, compare, differentiate, update.
//! The host never waits for the step it submits, only for the one before, so that at most two are queued and the window
//! stays live. Counts stay on the GPU; a step whose render ran out of scratch memory changes nothing, and is repeated
//! with more, together with those queued behind it.

mod flight;
mod refining;

use super::{
    AdamKernels, Progress, Rasterizer, RenderOptions, SplatBuffers, SplatGradients, TrainConfig,
    TrainState,
    growth::{Refiner, no_statistics},
    optimizer::{HALT, Moments, Optimizer},
    poses::Poses,
};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Kernel},
    loss::{GradientAdder, ImageGradient, ImageLoss, Target, TargetUnpacker},
    scene::{Camera, Splats},
};
use flight::{MAX_IN_FLIGHT, Pending, Workspace};
pub use refining::Refined;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

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
    /// Splats of this step.
    pub splats: u32,
    /// What a refinement before this step did.
    pub refined: Refined,
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
    refiner: Refiner,
    /// Where the set grows by them: what the steps since the last refinement have seen.
    statistics: Option<wgpu::Buffer>,
    poses: Poses,
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
            refined_at: 0,
            sh_degree: splats.sh_degree,
            antialiased: splats.antialiased,
        };
        Self::build(gpu, &splats, None, None, Poses::default(), config, progress)
    }

    /// Go on exactly where [`Self::state`] was taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a tensor is missing or of another shape, [`Error::Gpu`] as for [`Self::new`].
    pub fn from_state(gpu: Arc<Gpu>, state: &TrainState) -> Result<Self> {
        let splats = state.splats()?;
        let moments = state.upload_moments(&gpu)?;
        let statistics = state.upload_statistics(&gpu)?;
        Self::build(
            gpu,
            &splats,
            Some(moments),
            statistics,
            Poses::from_tensors(&state.tensors)?,
            state.config,
            state.progress,
        )
    }

    fn build(
        gpu: Arc<Gpu>,
        splats: &Splats,
        moments: Option<Vec<Moments>>,
        statistics: Option<wgpu::Buffer>,
        poses: Poses,
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
        let mut trainer = Self {
            rasterizer: Rasterizer::new(gpu.clone())?,
            loss: ImageLoss::new(gpu.clone()),
            unpacker: TargetUnpacker::new(&gpu),
            adder: GradientAdder::new(&gpu),
            halt_kernel: Kernel::new(&gpu, &HALT),
            refiner: Refiner::new(&gpu),
            statistics,
            kernels,
            halt,
            splats,
            gradients,
            optimizer,
            config,
            progress,
            generation: 0,
            repeated_steps: 0,
            poses,
            workspaces: HashMap::new(),
            in_flight: VecDeque::new(),
            results: Vec::new(),
            spare_readbacks: Vec::new(),
            gpu,
        };
        trainer.fit_statistics();
        Ok(trainer)
    }

    /// Submit one optimizer step towards `target`. Does not wait for it; the report has the step before. A refinement
    /// of the set that is due comes first.
    ///
    /// # Errors
    /// [`Error::Invalid`] when camera and photo differ in size or no splat is left, [`Error::Gpu`] when the view needs
    /// more memory than the adapter has, or the device is lost. A step that failed did not happen.
    pub fn step(&mut self, camera: &Camera, target: &Target) -> Result<StepReport> {
        self.step_with(None, camera, target, None)
    }

    /// [`Self::step`] on a training view whose pose may be learnt, `view` being its position among them, and with what a
    /// network said of the present [`Self::render_view`].
    ///
    /// # Errors
    /// As [`Self::step`], and [`Error::Invalid`] when the gradient has another size than the step's render.
    pub fn step_with(
        &mut self,
        view: Option<u32>,
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
        let refined = self.refine_if_due()?;
        let Progress {
            step, phase_step, ..
        } = self.progress;
        // The pose comes from all steps before this one, whether it was interrupted in between or not.
        if view.is_some() && self.in_flight.iter().any(|pending| pending.moves(view)) {
            self.finish()?;
        }
        let pending = self.submit(view, camera, target, gradient, step + 1, phase_step)?;
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
            divisor: self.config.divisor_at(phase_step),
            active_sh_degree: self.config.sh_degree_at(phase_step, self.splats.sh_degree),
            splats: self.splats.count,
            refined,
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
        self.render_with_depth(camera, target, None)
    }

    /// [`Self::render`] from where the camera of a training view has got to.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn render_view(
        &mut self,
        view: Option<u32>,
        camera: &Camera,
        target: &GpuImage,
    ) -> Result<()> {
        self.finish()?;
        let camera = self.poses.camera(view, camera);
        self.render(&camera, target)
    }

    /// [`Self::render`] with the depth of [`Rasterizer::render`].
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn render_with_depth(
        &mut self,
        camera: &Camera,
        target: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        self.finish()?;
        let options = RenderOptions {
            background: self.config.background,
            active_sh_degree: self.splats.sh_degree,
        };
        self.rasterizer
            .render(&self.splats, camera, &options, target, depth)
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
            self.statistics.as_ref(),
            &self.poses,
        )
    }

    /// Where the camera of a training view has got to after the steps that finished.
    pub fn view_camera(&self, view: u32, camera: &Camera) -> Camera {
        self.poses.camera(Some(view), camera)
    }

    /// Replace the settings for the steps to come. A new [`Phase`] starts counting at 0; moments are carried on.
    ///
    /// # Errors
    /// As [`Self::step`]: waits for what was submitted under the old settings.
    pub fn set_config(&mut self, config: TrainConfig) -> Result<()> {
        self.finish()?;
        if config.phase != self.config.phase {
            self.restart_phase();
        }
        if config.loss() != self.config.loss() {
            self.workspaces.clear();
        }
        self.config = config;
        self.fit_statistics();
        Ok(())
    }

    /// Begin a new phase at its step 0, even of the kind of the last one; moments are carried on.
    ///
    /// # Errors
    /// As [`Self::set_config`].
    pub fn begin_phase(&mut self, config: TrainConfig) -> Result<()> {
        self.set_config(config)?;
        self.restart_phase();
        Ok(())
    }

    fn restart_phase(&mut self) {
        self.progress.phase_step = 0;
        self.progress.refined_at = 0;
        self.statistics = None;
        self.fit_statistics();
    }

    /// What the backward pass gives beside gradients: statistics at rest where they are needed and missing, none where they
    /// are not; and the cameras' gradients.
    fn fit_statistics(&mut self) {
        self.rasterizer
            .set_gradient_sum(self.config.growth.gradient_sum);
        let moves = self.config.pose_rate_at(0).is_some();
        self.rasterizer.set_pose_gradient(moves);
        if !self.config.growth.has_statistics(self.config.phase) {
            self.statistics = None;
        } else if self.statistics.is_none() {
            self.statistics = Some(no_statistics(&self.gpu, self.splats.count));
        }
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

    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
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
        self.config
            .sh_degree_at(self.progress.phase_step, self.splats.sh_degree)
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
}
