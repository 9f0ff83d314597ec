//! What a schedule needs of a scene, whatever the scene is made of. The impls delegate: a representation knows nothing of
//! editing.

use super::{Drawable, SceneState};
use crate::{
    Error, Result,
    gpu::GpuImage,
    loss::{NetworkGradient, TrainView},
    luxen::{LuxenTrainer, Patches},
    scene::Camera,
    settings::{Loss, SceneKind, Settings},
    splat::{LearningRates, Phase, SplatBuffers, SplatCap, SplatTrainer, TrainConfig},
};

/// The loss of a finished step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// Number of the step, from 1, in all phases.
    pub step: u64,
    pub loss: f32,
}

/// Camera z of what a picture shows, `[h, w]`, world units.
pub struct Depths {
    /// The mean, weighted by what each part adds to the pixel; 0 where there is nothing.
    pub expected: Vec<f32>,
    /// Of the surface, 0 where less than half of the light is stopped: where half of it is, in a Luxen, whose mean lies
    /// before a surface with haze in front of it; the mean in splats.
    pub surface: Vec<f32>,
}

/// The weighted sums of z over the opacities of `rgba`.
fn expected_depths(mut sums: Vec<f32>, rgba: &[f32]) -> Vec<f32> {
    for (z, pixel) in sums.iter_mut().zip(rgba.as_chunks::<4>().0) {
        *z = if pixel[3] > 1e-3 { *z / pixel[3] } else { 0.0 };
    }
    sums
}

/// Whose turn it is in a step.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// All training views with their present pictures, in the order of the split.
    pub views: &'a [TrainView],
    /// The view of the turn, for scenes that learn from one at a time.
    pub position: usize,
    /// The views that scenes which learn from many at once draw from.
    pub drawn: &'a [usize],
}

/// Something that can be rendered from a camera and optimized towards pictures.
pub trait TrainableScene {
    /// The whole picture in evaluation mode: all detail, the capture's fixed background. `view`: position among the
    /// training views of the one whose exposure and learnt pose the picture is to have, where the scene knows such; else
    /// the mean exposure, from `camera` as it is.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails or memory does not suffice.
    fn render(&mut self, camera: &Camera, view: Option<usize>, target: &GpuImage) -> Result<()>;

    /// [`Self::render`] in the mean exposure, with depths: `[h, w]` f32, sum of weight × camera z.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn render_with_depth(
        &mut self,
        camera: &Camera,
        target: &GpuImage,
        depth: &wgpu::Buffer,
    ) -> Result<()>;

    /// [`Self::render`] in the mean exposure, and how far away things are.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn render_depths(&mut self, camera: &Camera, target: &GpuImage) -> Result<Depths>;

    /// One optimization step. `gradient`: what a network said of the present [`Self::render`] of the only view drawn, or
    /// of [`Self::patches`], beside or in place of the pictures. Returns the bound on the number of splats where it kept
    /// the set from growing.
    ///
    /// # Errors
    /// See [`Self::render`]; [`Error::Invalid`] for a gradient of something else.
    fn step(
        &mut self,
        turn: Turn<'_>,
        gradient: Option<&NetworkGradient>,
    ) -> Result<Option<SplatCap>>;

    /// What the next step compares, where it compares patches and not a whole view.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn patches(&mut self, turn: Turn<'_>) -> Result<Option<Patches>>;

    fn kind(&self) -> SceneKind;

    /// How the steps went that finished since the last call, in order.
    fn take_losses(&mut self) -> Vec<StepLoss>;

    /// Wait for every submitted step.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn finish(&mut self) -> Result<()>;

    /// From here on, steps refine a finished scene: what an edit takes. Of the settings, those count that say what a step
    /// minimizes and how large it is.
    ///
    /// # Errors
    /// See [`Self::render`].
    fn begin_refinement(&mut self, settings: &Settings) -> Result<()>;

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
    fn render(&mut self, camera: &Camera, view: Option<usize>, target: &GpuImage) -> Result<()> {
        Self::render_view(self, view.map(|v| v as u32), camera, target)
    }
    fn render_with_depth(
        &mut self,
        camera: &Camera,
        target: &GpuImage,
        depth: &wgpu::Buffer,
    ) -> Result<()> {
        Self::render_with_depth(self, camera, target, Some(depth))
    }
    fn render_depths(&mut self, camera: &Camera, target: &GpuImage) -> Result<Depths> {
        let gpu = self.gpu().clone();
        let sums = gpu.storage("depth", target.pixels() as u64 * 4);
        Self::render_with_depth(self, camera, target, Some(&sums))?;
        let rgba = target.read_rgba(&gpu)?;
        let expected = expected_depths(gpu.read(&sums, target.pixels())?, &rgba);
        let alphas = rgba.as_chunks::<4>().0.iter().map(|p| p[3]);
        let surface = expected.iter().zip(alphas);
        Ok(Depths {
            surface: surface
                .map(|(&z, alpha)| if alpha < 0.5 { 0.0 } else { z })
                .collect(),
            expected,
        })
    }
    fn step(
        &mut self,
        turn: Turn<'_>,
        gradient: Option<&NetworkGradient>,
    ) -> Result<Option<SplatCap>> {
        let Turn {
            views, position, ..
        } = turn;
        let view = views
            .get(position)
            .ok_or_else(|| Error::Invalid(format!("there is no training view {position}")))?;
        let gradient = match gradient {
            None => None,
            Some(NetworkGradient::View(gradient)) => Some(gradient),
            Some(NetworkGradient::Patches(_)) => {
                return Err(Error::invalid("splats learn from whole views, not patches"));
            }
        };
        let at = Some(position as u32);
        let report = Self::step_with(self, at, &view.camera, &view.target, gradient)?;
        Ok(report.refined.cap_reached.then(|| self.config().growth.cap))
    }
    fn patches(&mut self, _turn: Turn<'_>) -> Result<Option<Patches>> {
        Ok(None)
    }
    fn kind(&self) -> SceneKind {
        SceneKind::Splat
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
    fn begin_refinement(&mut self, settings: &Settings) -> Result<()> {
        let rates = LearningRates::default();
        let color_rate = settings.color_rate;
        let config = TrainConfig {
            phase: Phase::Refine,
            learning_rates: LearningRates {
                sh_dc: rates.sh_dc * color_rate,
                sh_rest: rates.sh_rest * color_rate,
                ..self.config().learning_rates
            },
            ssim_weight: match settings.loss {
                Loss::Auto | Loss::L1Ssim => TrainConfig::SSIM_WEIGHT,
                Loss::L1Lpips | Loss::L1 => 0.0,
            },
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
    fn render_with_depth(
        &mut self,
        camera: &Camera,
        target: &GpuImage,
        depth: &wgpu::Buffer,
    ) -> Result<()> {
        Self::render_with_depth(self, camera, None, target, Some(depth))
    }
    fn render_depths(&mut self, camera: &Camera, target: &GpuImage) -> Result<Depths> {
        let gpu = self.gpu().clone();
        let pixels = target.pixels();
        let planes = gpu.storage("depths", 2 * pixels as u64 * 4);
        Self::render_with_depth(self, camera, None, target, Some(&planes))?;
        let mut sums: Vec<f32> = gpu.read(&planes, 2 * pixels)?;
        let surface = sums.split_off(pixels);
        let expected = expected_depths(sums, &target.read_rgba(&gpu)?);
        Ok(Depths { expected, surface })
    }
    fn step(
        &mut self,
        turn: Turn<'_>,
        gradient: Option<&NetworkGradient>,
    ) -> Result<Option<SplatCap>> {
        self.step_on(turn.views, turn.drawn, gradient).map(|_| None)
    }
    fn patches(&mut self, turn: Turn<'_>) -> Result<Option<Patches>> {
        Self::patches(self, turn.views, turn.drawn).map(Some)
    }
    fn kind(&self) -> SceneKind {
        SceneKind::Luxen
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
    fn begin_refinement(&mut self, settings: &Settings) -> Result<()> {
        let config = self.config().edit(settings);
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
