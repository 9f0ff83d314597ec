//! What a training run is told once. Saved with every snapshot, so that a resumed run cannot differ in a default.

use super::{LearningRates, Phase, PruneConfig};
use crate::loss::{LossOptions, Padding};
use serde::{Deserialize, Serialize};

/// Everything that steers [`super::SplatTrainer`]. Lengths are in scene extents (see [`super::scene_extent`]), so that
/// one set of numbers fits captures of any size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    pub seed: u64,
    pub phase: Phase,
    /// World units.
    pub scene_extent: f64,
    pub learning_rates: LearningRates,
    /// λ in (1 − λ)·L1 + λ·(1 − SSIM).
    pub ssim_weight: f32,
    pub ssim_padding: Padding,
    /// Most steps between SH bands.
    pub sh_interval: u64,
    /// Start a reconstruction on shrunk photos.
    pub coarse_to_fine: bool,
    pub prune: PruneConfig,
    /// Display-referred rgb behind the splats.
    pub background: [f32; 3],
    /// Train a reconstruction on a new background each step, so that splats learn to cover it; renders keep
    /// [`Self::background`]. Only for photos without transparency.
    pub random_background: bool,
}

impl TrainConfig {
    /// λ of 3D Gaussian Splatting (Kerbl et al. 2023).
    pub const SSIM_WEIGHT: f32 = 0.2;

    /// Defaults for a reconstruction of `planned_steps`.
    pub fn reconstruct(planned_steps: u64, scene_extent: f64, background: [f32; 3]) -> Self {
        Self {
            seed: 0,
            phase: Phase::Reconstruct { planned_steps },
            scene_extent,
            learning_rates: LearningRates::default(),
            ssim_weight: Self::SSIM_WEIGHT,
            ssim_padding: Padding::Zero,
            sh_interval: 1000,
            coarse_to_fine: true,
            prune: PruneConfig::default(),
            background,
            random_background: false,
        }
    }

    /// Defaults for further steps on a finished scene.
    pub fn refine(scene_extent: f64, background: [f32; 3]) -> Self {
        Self {
            phase: Phase::Refine,
            ..Self::reconstruct(1, scene_extent, background)
        }
    }

    pub(super) fn loss(&self) -> LossOptions {
        LossOptions {
            ssim_weight: self.ssim_weight,
            padding: self.ssim_padding,
        }
    }
}
