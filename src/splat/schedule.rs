//! What changes as training goes on, as pure functions of the step, so that a resumed run is where it was. A
//! reconstruction's schedules stretch with the planned steps; splatfacto's numbers are reproduced at its 30 000.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde::{Deserialize, Serialize};

/// What the steps are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From an initialization: coarse to fine, with removal of useless splats.
    Reconstruct { planned_steps: u64 },
    /// Further steps on a finished scene, for edits: full resolution, all SH bands, positions nearly at rest, nothing
    /// removed.
    Refine,
}

/// splatfacto's horizon, and where in it Instruct-GS2GS starts to edit.
const HORIZON_STEPS: f64 = 30_000.0;
const REFINE_FROM_STEP: f64 = 20_000.0;

impl Phase {
    /// Exponential decay from `start` to `end` over the reconstruction; a refinement goes on at 20 000 of 30 000.
    pub fn decayed(self, start: f64, end: f64, phase_step: u64) -> f64 {
        let progress = match self {
            Self::Reconstruct { planned_steps } => phase_step as f64 / planned_steps.max(1) as f64,
            Self::Refine => (REFINE_FROM_STEP + phase_step as f64) / HORIZON_STEPS,
        };
        let t = progress.clamp(0.0, 1.0);
        (start.ln() * (1.0 - t) + end.ln() * t).exp()
    }

    /// How many times renders and photos are shrunk at this step: 4 for the first tenth, 2 for the second, then 1.
    pub fn divisor(self, phase_step: u64, coarse: bool) -> u32 {
        match self {
            Self::Reconstruct { planned_steps } if coarse => {
                if phase_step * 10 < planned_steps {
                    4
                } else if phase_step * 5 < planned_steps {
                    2
                } else {
                    1
                }
            }
            Self::Reconstruct { .. } | Self::Refine => 1,
        }
    }

    /// One more SH band every tenth of a reconstruction, at the latest every `interval` steps.
    pub fn sh_degree(self, phase_step: u64, interval: u64, max: u32) -> u32 {
        match self {
            Self::Reconstruct { planned_steps } => {
                let interval = interval.min(planned_steps / 10).max(1);
                u32::try_from(phase_step / interval).map_or(max, |degree| degree.min(max))
            }
            Self::Refine => max,
        }
    }
}

/// Order of the training views: shuffled without replacement, a new permutation each epoch. Saved with a run, it goes on
/// where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewOrder {
    pub seed: u64,
    /// Permutations used up.
    pub epoch: u64,
    /// Views drawn from the present permutation.
    pub position: u64,
}

impl ViewOrder {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            epoch: 0,
            position: 0,
        }
    }

    /// The next of `count` views; `None` when there are none. Constant `count` is expected; should it change, the order
    /// goes on in the present epoch's permutation of the new count.
    pub fn next(&mut self, count: usize) -> Option<usize> {
        if count == 0 {
            return None;
        }
        if self.position >= count as u64 {
            self.epoch += 1;
            self.position = 0;
        }
        let index = self.permutation(count)[self.position as usize];
        self.position += 1;
        Some(index)
    }

    /// Fisher–Yates, by hand so that the order never changes with a library.
    fn permutation(&self, count: usize) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.epoch);
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            // The bias of the modulo is below 1e-13 for any number of photos.
            let j = (rng.next_u64() % (i as u64 + 1)) as usize;
            order.swap(i, j);
        }
        order
    }
}
