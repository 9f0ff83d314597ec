//! What a training run is told once. Saved with every snapshot, so that a resumed run cannot differ in a default.

use super::{GrowthConfig, LearningRates, Phase, PoseRates, PruneConfig};
use crate::loss::{LossOptions, Padding};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
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
    /// Of the training views' cameras. States that were saved without it are of runs whose cameras stayed.
    #[serde(default)]
    pub pose_rates: PoseRates,
    /// λ in (1 − λ)·L1 + λ·(1 − SSIM).
    pub ssim_weight: f32,
    pub ssim_padding: Padding,
    /// Most steps between SH bands.
    pub sh_interval: u64,
    /// Start a reconstruction on shrunk photos.
    pub coarse_to_fine: bool,
    pub prune: PruneConfig,
    /// States that were saved without it are of sets that did not grow.
    #[serde(default = "GrowthConfig::fixed")]
    pub growth: GrowthConfig,
    /// Display-referred rgb behind the splats.
    pub background: [f32; 3],
    /// Train a reconstruction on a new background each step, so that splats learn to cover it; renders keep
    /// [`Self::background`]. Only for photos without transparency.
    pub random_background: bool,
}

impl TrainConfig {
    /// λ of 3D Gaussian Splatting (Kerbl et al. 2023).
    pub const SSIM_WEIGHT: f32 = 0.2;

    /// Defaults for a reconstruction of `planned_steps` with a set that does not grow.
    pub fn reconstruct(planned_steps: u64, scene_extent: f64, background: [f32; 3]) -> Self {
        Self {
            seed: 0,
            phase: Phase::Reconstruct { planned_steps },
            scene_extent,
            learning_rates: LearningRates::default(),
            pose_rates: PoseRates::OFF,
            ssim_weight: Self::SSIM_WEIGHT,
            ssim_padding: Padding::Zero,
            sh_interval: 1000,
            coarse_to_fine: true,
            prune: PruneConfig::default(),
            growth: GrowthConfig::fixed(),
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

    /// Let the set grow, with removals in step with it.
    pub fn growing(self, growth: GrowthConfig) -> Self {
        let Phase::Reconstruct { planned_steps } = self.phase else {
            return self;
        };
        let prune = PruneConfig {
            warmup: growth.from_step as f64 / planned_steps.max(1) as f64,
            interval: growth.interval,
            ..self.prune
        };
        Self {
            prune,
            growth,
            ..self
        }
    }

    pub(super) fn sh_degree_at(&self, phase_step: u64, max: u32) -> u32 {
        self.phase.sh_degree(phase_step, self.sh_interval, max)
    }

    pub(super) fn divisor_at(&self, phase_step: u64) -> u32 {
        self.phase.divisor(phase_step, self.coarse_to_fine)
    }

    pub(super) fn background_at(&self, step: u64) -> [f32; 3] {
        match self.phase {
            Phase::Reconstruct { .. } if self.random_background => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(step);
                std::array::from_fn(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32)
            }
            Phase::Reconstruct { .. } | Phase::Refine => self.background,
        }
    }

    /// Learning rates in the order of the parameter groups.
    pub(super) fn rates_at(&self, phase_step: u64) -> [f64; 6] {
        let rates = &self.learning_rates;
        let means = self
            .phase
            .decayed(rates.means, rates.means_final, phase_step);
        [
            means * self.scene_extent,
            rates.quats,
            rates.log_scales,
            rates.logit_opacities,
            rates.sh_dc,
            rates.sh_rest,
        ]
    }

    /// The rate at which cameras move; `None` where they stay: edited views are no measure of where a camera was.
    pub(super) fn pose_rate_at(&self, phase_step: u64) -> Option<f64> {
        let PoseRates { start, end } = self.pose_rates;
        let moves = self.pose_rates.is_on() && matches!(self.phase, Phase::Reconstruct { .. });
        moves.then(|| self.phase.decayed(start, end, phase_step))
    }

    pub(super) fn loss(&self) -> LossOptions {
        LossOptions {
            ssim_weight: self.ssim_weight,
            padding: self.ssim_padding,
        }
    }
}
