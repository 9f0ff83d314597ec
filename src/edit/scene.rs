//! What a schedule needs of a scene, whatever the scene is made of. The impls delegate: a representation knows nothing of
//! editing.

use crate::{
    Error, Result,
    gpu::GpuImage,
    loss::{ImageGradient, Target},
    scene::Camera,
    splat::{Drawable, SplatTrainer, StepReport, StepResult, TrainState},
};

/// Something that can be rendered from a camera and optimized towards pictures.
pub trait TrainableScene {
    /// The whole picture in evaluation mode: all detail, the capture's fixed background.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails or memory does not suffice.
    fn render(&mut self, camera: &Camera, target: &GpuImage) -> Result<()>;

    /// One optimization step towards `target`, seen from `camera`.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn step(&mut self, camera: &Camera, target: &Target) -> Result<StepReport>;

    /// One optimization step with a network's gradient beside or in place of `target`'s; it belongs to the present
    /// [`Self::render`] from `camera`.
    ///
    /// # Errors
    /// See [`Self::render`]; [`Error::Invalid`] from scenes that learn from photos only.
    fn step_with(
        &mut self,
        _camera: &Camera,
        _target: &Target,
        _gradient: &ImageGradient,
    ) -> Result<StepReport> {
        Err(Error::invalid(
            "this kind of scene learns from pictures only: choose another method, or a loss without LPIPS",
        ))
    }

    /// How the steps went that finished since the last call, in order.
    fn take_results(&mut self) -> Vec<StepResult>;

    /// Wait for every submitted step.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn finish(&mut self) -> Result<()>;

    /// Parameters, optimizer and schedule: enough to go on exactly.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn state(&mut self) -> Result<TrainState>;

    /// Handles to what the viewport draws.
    fn drawable(&self) -> Drawable;

    fn splat_count(&self) -> u32;

    /// Optimizer steps over the scene's whole life.
    fn step_count(&self) -> u32;
}

impl TrainableScene for SplatTrainer {
    fn render(&mut self, camera: &Camera, target: &GpuImage) -> Result<()> {
        Self::render(self, camera, target)
    }
    fn step(&mut self, camera: &Camera, target: &Target) -> Result<StepReport> {
        Self::step(self, camera, target)
    }
    fn step_with(
        &mut self,
        camera: &Camera,
        target: &Target,
        gradient: &ImageGradient,
    ) -> Result<StepReport> {
        Self::step_with(self, camera, target, Some(gradient))
    }
    fn take_results(&mut self) -> Vec<StepResult> {
        Self::take_results(self)
    }
    fn finish(&mut self) -> Result<()> {
        Self::finish(self).map(|_| ())
    }
    fn state(&mut self) -> Result<TrainState> {
        Self::state(self)
    }
    fn drawable(&self) -> Drawable {
        Self::drawable(self)
    }
    fn splat_count(&self) -> u32 {
        Self::len(self) as u32
    }
    fn step_count(&self) -> u32 {
        u32::try_from(Self::step_count(self)).unwrap_or(u32::MAX)
    }
}
