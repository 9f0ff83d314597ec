//! How the set of splats changes during a reconstruction. Points of structure-from-motion lie where photos have corners;
//! the rest must be found, and splats must become many where there is detail and few where there is none. Two ways are
//! offered: adaptive density control (3D Gaussian Splatting, Kerbl et al. 2023, as splatfacto runs it) doubles and splits
//! what the photos pull at; MCMC (Kheradmand et al. 2024) moves what is transparent to where there is opacity, and lets it
//! wander. What happens when is a pure function of the step, so that a resumed run does the same.

mod kernels;
mod refine;
mod relocate;
mod select;

pub(super) use kernels::SHADERS;
pub(super) use refine::{Plan, Refiner, STATISTICS, no_statistics};

use super::{Phase, PruneRule, SplatBuffers, SplatCap, TrainConfig};
use crate::settings::{GradientSum, Strategy};
use serde::{Deserialize, Serialize};

/// The run length at which the originals' numbers hold as they are; shorter runs shrink them.
const UNSHRUNK_STEPS: f64 = 7_000.0;
/// splatfacto's horizon.
const HORIZON_STEPS: f64 = 30_000.0;
/// A refinement that comes sooner has seen too few photos to tell.
const SHORTEST_INTERVAL: u64 = 20;
const LONGEST_INTERVAL: u64 = 100;

/// When and how the set grows. Steps are those of the reconstruction; lengths are in scene extents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrowthConfig {
    pub strategy: Strategy,
    pub cap: SplatCap,
    /// First step at which the set may grow.
    pub from_step: u64,
    /// From this step on it does not.
    pub until_step: u64,
    /// Steps between refinements.
    pub interval: u64,
    /// Mean gradient of the projected mean, in half pictures, over which a splat is doubled or split.
    pub gradient: f32,
    pub gradient_sum: GradientSum,
    /// Larger splats are split, smaller ones doubled.
    pub split_scale: f32,
    /// Splats that extend over more than this share of the picture are split, until [`Self::screen_until_step`].
    pub split_radius: f32,
    /// Splats that extend over more than this share go, after the first reset and until [`Self::screen_until_step`].
    pub max_radius: f32,
    pub screen_until_step: u64,
    /// Steps between opacity resets; 0: none.
    pub reset_interval: u64,
    /// Largest opacity after a reset.
    pub reset_opacity: f32,
    /// No refinement so soon after a reset: opacities must come back first.
    pub pause_after_reset: u64,
    /// MCMC: splats that are no more opaque than this are relocated.
    pub dead_opacity: f32,
    /// MCMC: share of the set that a refinement adds.
    pub growth_rate: f64,
    /// MCMC: random moves, in learning rates of the means.
    pub noise: f64,
    /// MCMC: weights of the penalties on mean opacity and mean scale.
    pub opacity_weight: f64,
    pub scale_weight: f64,
}

impl GrowthConfig {
    /// A set that does not grow.
    pub fn fixed() -> Self {
        Self::new(Strategy::None, SplatCap::UNLIMITED, 1, 1)
    }

    /// splatfacto's numbers for a reconstruction of `planned_steps` from `training_views` photos. The pause after a reset
    /// lasts until each photo has been seen, but never so long that nothing grows before the next.
    pub fn new(strategy: Strategy, cap: SplatCap, planned_steps: u64, training_views: u64) -> Self {
        let shrink = (planned_steps as f64 / UNSHRUNK_STEPS).min(1.0);
        let shrunk = |steps: f64| (steps * shrink).round() as u64;
        let share = |of_horizon: f64| (planned_steps as f64 * of_horizon / HORIZON_STEPS) as u64;
        let interval = shrunk(LONGEST_INTERVAL as f64).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let reset_interval = shrunk(3_000.0).max(1).next_multiple_of(interval);
        let is_mcmc = strategy == Strategy::Mcmc;
        Self {
            strategy,
            cap,
            from_step: shrunk(500.0).max(interval),
            until_step: share(if is_mcmc { 25_000.0 } else { 15_000.0 }),
            interval,
            gradient: 0.0002,
            gradient_sum: GradientSum::Signed,
            split_scale: 0.01,
            split_radius: 0.05,
            max_radius: 0.15,
            screen_until_step: share(4_000.0),
            reset_interval,
            reset_opacity: 0.01,
            pause_after_reset: (training_views + interval).min(reset_interval / 3),
            dead_opacity: 0.005,
            growth_rate: 0.05,
            noise: 5e5,
            opacity_weight: 0.01,
            scale_weight: 0.01,
        }
    }

    /// Whether gradients are gathered in this phase.
    pub(super) fn has_statistics(&self, phase: Phase) -> bool {
        self.strategy == Strategy::Default && matches!(phase, Phase::Reconstruct { .. })
    }

    fn grows_at(&self, phase_step: u64) -> bool {
        phase_step >= self.from_step
            && phase_step < self.until_step
            && phase_step.is_multiple_of(self.interval.max(1))
            && !self.pauses_at(phase_step)
    }

    /// A reset only serves what grows after it.
    fn resets_at(&self, phase_step: u64) -> bool {
        self.strategy == Strategy::Default
            && self.reset_interval > 0
            && phase_step > 0
            && phase_step.is_multiple_of(self.reset_interval)
            && phase_step + self.pause_after_reset + 2 * self.interval < self.until_step
    }

    fn pauses_at(&self, phase_step: u64) -> bool {
        self.strategy == Strategy::Default
            && self.reset_interval > 0
            && phase_step >= self.reset_interval
            && phase_step % self.reset_interval < self.pause_after_reset
    }
}

/// Where gradients and sizes send a splat. Lengths in world units, extents as shares of the picture's longer side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrowthRule {
    pub gradient: f32,
    pub split_scale: f32,
    pub split_radius: f32,
    pub max_radius: f32,
}

/// What is due before a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Refinement {
    pub removal: Option<PruneRule>,
    pub growth: Option<GrowthRule>,
    /// MCMC's removal and growth in one.
    pub relocation: bool,
    /// The largest opacity that is left.
    pub reset: Option<f32>,
}

impl Refinement {
    /// What is due when `phase_step` steps of the phase are done. Nothing during an edit, as Instruct-GS2GS has it.
    pub fn at(config: &TrainConfig, phase_step: u64) -> Self {
        let Phase::Reconstruct { planned_steps } = config.phase else {
            return Self::default();
        };
        let growth = &config.growth;
        let extent = config.scene_extent as f32;
        let grows = growth.grows_at(phase_step);
        if growth.strategy == Strategy::Mcmc {
            return Self {
                relocation: grows,
                ..Self::default()
            };
        }
        let grows = grows && growth.strategy == Strategy::Default;
        let has_reset = phase_step > growth.reset_interval && growth.reset_interval > 0;
        let on_screen = |share: f32, applies: bool| {
            if applies && phase_step < growth.screen_until_step {
                share
            } else {
                f32::INFINITY
            }
        };
        Self {
            removal: config
                .prune
                .rule(phase_step, planned_steps, extent)
                .filter(|_| !growth.pauses_at(phase_step)),
            growth: grows.then(|| GrowthRule {
                gradient: growth.gradient,
                split_scale: growth.split_scale * extent,
                split_radius: on_screen(growth.split_radius, true),
                max_radius: on_screen(growth.max_radius, has_reset),
            }),
            relocation: false,
            reset: growth.resets_at(phase_step).then_some(growth.reset_opacity),
        }
    }

    pub fn is_due(&self) -> bool {
        *self != Self::default()
    }
}
