//! What a schedule needs of a scene, whatever the scene is made of. The impls delegate: a representation knows nothing of
//! editing.

use super::{Drawable, SceneState};
use crate::{
    Result,
    gpu::GpuImage,
    loss::TrainView,
    luxen::LuxenTrainer,
    scene::Camera,
    splat::{Phase, SplatBuffers, SplatCap, SplatTrainer, TrainConfig},
};

/// The loss of a finished step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// Number of the step, from 1, in all phases.
    pub step: u64,
    pub loss: f32,
}

/// Something that can be rendered from a camera and optimized towards pictures.
pub trait TrainableScene {
    /// The whole picture in evaluation mode: all detail, the capture's fixed background. `view`: position among the
    /// training views of the one whose exposure the picture is to have, where the scene knows such; else the mean.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails or memory does not suffice.
    fn render(&mut self, camera: &Camera, view: Option<usize>, target: &GpuImage) -> Result<()>;

    /// One optimization step. `views`: all training views, in the order of the split; `position`: whose turn it is.
    /// Scenes that learn from all views at once draw from all of them. Returns the bound on the number of splats where
    /// it kept the set from growing.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn step(&mut self, views: &[TrainView], position: usize) -> Result<Option<SplatCap>>;

    /// How the steps went that finished since the last call, in order.
    fn take_losses(&mut self) -> Vec<StepLoss>;

    /// Wait for every submitted step.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn finish(&mut self) -> Result<()>;

    /// From here on, steps refine a finished scene: what an edit takes.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn begin_refinement(&mut self) -> Result<()>;

    /// Parameters, optimizer and schedule: enough to go on exactly.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn state(&mut self) -> Result<SceneState>;

    /// Handles to what the viewport draws.
    fn drawable(&self) -> Drawable;

    /// What splat files are written from; `None` for scenes that are not made of splats.
    fn splats(&self) -> Option<SplatBuffers>;

    /// Optimizer steps over the scene's whole life.
    fn step_count(&self) -> u32;

    /// Splats of the scene; 0 where it is made of something else.
    fn splat_count(&self) -> u32 {
        self.splats().map_or(0, |s| s.count)
    }
}

impl TrainableScene for SplatTrainer {
    fn render(&mut self, camera: &Camera, _view: Option<usize>, target: &GpuImage) -> Result<()> {
        Self::render(self, camera, target)
    }
    fn step(&mut self, views: &[TrainView], position: usize) -> Result<Option<SplatCap>> {
        let view = views.get(position).ok_or_else(|| {
            crate::Error::Invalid(format!("there is no training view {position}"))
        })?;
        let report = Self::step(self, &view.camera, &view.target)?;
        Ok(report.refined.cap_reached.then(|| self.config().growth.cap))
    }
    fn take_losses(&mut self) -> Vec<StepLoss> {
        Self::take_results(self)
            .into_iter()
            .map(|r| StepLoss {
                step: r.step,
                loss: r.loss,
            })
            .collect()
    }
    fn finish(&mut self) -> Result<()> {
        Self::finish(self).map(|_| ())
    }
    fn begin_refinement(&mut self) -> Result<()> {
        let config = TrainConfig {
            phase: Phase::Refine,
            ..*self.config()
        };
        self.begin_phase(config)
    }
    fn state(&mut self) -> Result<SceneState> {
        Self::state(self).map(SceneState::Splats)
    }
    fn drawable(&self) -> Drawable {
        Drawable::Splats(Self::drawable(self))
    }
    fn splats(&self) -> Option<SplatBuffers> {
        Some(Self::splats(self))
    }
    fn step_count(&self) -> u32 {
        u32::try_from(Self::step_count(self)).unwrap_or(u32::MAX)
    }
}

impl TrainableScene for LuxenTrainer {
    fn render(&mut self, camera: &Camera, view: Option<usize>, target: &GpuImage) -> Result<()> {
        Self::render(self, camera, view.map(|v| v as u32), target)
    }
    fn step(&mut self, views: &[TrainView], _position: usize) -> Result<Option<SplatCap>> {
        Self::step(self, views).map(|_| None)
    }
    fn take_losses(&mut self) -> Vec<StepLoss> {
        Self::take_results(self)
            .into_iter()
            .map(|r| StepLoss {
                step: r.step,
                loss: r.loss,
            })
            .collect()
    }
    fn finish(&mut self) -> Result<()> {
        Self::finish(self)
    }
    fn begin_refinement(&mut self) -> Result<()> {
        let config = self.config().refine();
        self.begin_phase(config)
    }
    fn state(&mut self) -> Result<SceneState> {
        Self::state(self).map(SceneState::Luxen)
    }
    fn drawable(&self) -> Drawable {
        Drawable::Luxen(Self::drawable(self))
    }
    fn splats(&self) -> Option<SplatBuffers> {
        None
    }
    fn step_count(&self) -> u32 {
        u32::try_from(Self::step_count(self)).unwrap_or(u32::MAX)
    }
}
