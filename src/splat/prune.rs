//! Which splats are of no use: those that nobody sees, and those that have grown over everything. Removing them keeps
//! a scene fast, and makes room for others where the set grows.

use serde::{Deserialize, Serialize};

/// When and what to remove during a reconstruction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PruneConfig {
    /// First removal, as a share of the planned steps. Opacities need time to part from their common start.
    pub warmup: f64,
    /// Steps between removals.
    pub interval: u64,
    /// Splats fainter than this go. Below the initial opacity, or everything goes.
    pub min_opacity: f32,
    /// Splats with a larger standard deviation on any axis go; in scene extents.
    pub max_scale: f32,
    /// First removal of oversized splats, as a share of the planned steps.
    pub oversized_from: f64,
    /// No removal after this share of the planned steps.
    pub until: f64,
}

impl Default for PruneConfig {
    fn default() -> Self {
        Self {
            warmup: 0.1,
            interval: 100,
            min_opacity: 0.005,
            max_scale: 0.5,
            oversized_from: 0.1,
            until: 0.9,
        }
    }
}

impl PruneConfig {
    /// What a splat must satisfy to stay, at a step where removal is due.
    pub fn rule(
        &self,
        phase_step: u64,
        planned_steps: u64,
        scene_extent: f32,
    ) -> Option<PruneRule> {
        let progress = phase_step as f64 / planned_steps.max(1) as f64;
        let due = phase_step > 0
            && phase_step.is_multiple_of(self.interval.max(1))
            && (self.warmup..=self.until).contains(&progress);
        due.then_some(PruneRule {
            min_opacity: self.min_opacity,
            max_scale: if progress >= self.oversized_from {
                self.max_scale * scene_extent
            } else {
                f32::INFINITY
            },
        })
    }
}

/// What a splat must satisfy to stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PruneRule {
    pub min_opacity: f32,
    /// World units, largest standard deviation.
    pub max_scale: f32,
}
