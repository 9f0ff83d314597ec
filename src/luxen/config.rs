//! What a Luxen is made of and how it is trained. Saved with every snapshot, so that a resumed run cannot differ in a
//! default, and so that densities keep their meaning (nerfstudio changed its initial density between versions, which made
//! loaded scenes a hundred times denser).

use super::{GridConfig, GridSemantics, Size, WeightSums};
use serde::{Deserialize, Serialize};

/// What lies behind everything.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// The color of the ray's last sample (nerfacto's default).
    LastSample,
    /// Display-referred rgb.
    Fixed([f32; 3]),
}

/// How a rendered pixel is compared with the photo's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelLoss {
    /// Mean squared difference (nerfacto).
    Squared,
    /// Mean absolute difference (Instruct-NeRF2NeRF).
    Absolute,
}

/// What a field's hash tables are read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableStorage {
    /// The parameters themselves.
    #[default]
    Single,
    /// A copy in f16 that every step of Adam renews, as tiny-cuda-nn keeps one: a lookup reads half as much. Features
    /// beyond ±1023 are read as that.
    Half,
}

/// A learning rate that decays exponentially.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decay {
    pub start: f64,
    pub end: f64,
    /// Steps from `start` to `end`; it stays there.
    pub steps: u64,
}

impl Decay {
    pub fn at(&self, step: u64) -> f64 {
        let t = (step as f64 / self.steps.max(1) as f64).clamp(0.0, 1.0);
        (self.start.ln() * (1.0 - t) + self.end.ln() * t).exp()
    }
}

/// Where the training cameras stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraPoses {
    /// Where the capture says.
    #[default]
    Given,
    /// A small correction of each is learnt at this rate, radians and world units a step.
    Learning(Decay),
    /// Corrected by what was learnt.
    Learnt,
}

impl CameraPoses {
    /// nerfacto's numbers.
    pub const NERFACTO: Self = Self::Learning(Decay {
        start: 1e-3,
        end: 1e-4,
        steps: 5000,
    });
}

/// Weights of the losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhotoLoss {
    pub pixel: PixelLoss,
    pub distortion_weight: f64,
    pub interlevel_weight: f64,
}

/// Everything that steers a [`super::LuxenTrainer`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LuxenConfig {
    pub seed: u64,
    pub size: Size,
    pub semantics: GridSemantics,
    pub grid: GridConfig,
    pub proposals: [GridConfig; 2],
    #[serde(default)]
    pub tables: TableStorage,
    #[serde(default)]
    pub weight_sums: WeightSums,
    /// Rays a step.
    pub rays: u32,
    /// Most rays that go through the buffers at a time, a multiple of 64; 0: as many as fit the adapter. A step of more
    /// takes several chunks, whose gradients add up.
    pub chunk_rays: u32,
    /// Samples a ray: both proposals, then the field. Multiples of 4.
    pub samples: [u32; 3],
    /// Side of the square patches that training pixels are drawn in.
    pub patch_side: u32,
    /// World units.
    pub near: f64,
    /// World units.
    pub far: f64,
    pub background: Background,
    /// Half the side of the box around the origin that holds a bounded scene, world units. What is empty in it costs
    /// nothing, and nothing is beyond it.
    #[serde(default)]
    pub half_side: Option<f64>,
    /// Density of a field whose logit is 0, per world unit.
    pub average_density: f64,
    /// Whether each view has an appearance of its own; without, all are zero.
    pub appearance: bool,
    pub loss: PhotoLoss,
    pub learning_rate: Decay,
    #[serde(default)]
    pub poses: CameraPoses,
    /// Steps over which the proposals' weights sharpen to what is sampled from.
    pub anneal_steps: u64,
    /// Steps over which the proposals go from being trained at every second step to every sixth.
    pub proposal_warmup: u64,
}

/// nerfacto's slope of the annealing.
const ANNEAL_SLOPE: f64 = 10.0;

impl LuxenConfig {
    /// nerfacto's published sizes.
    pub fn full(background: Background) -> Self {
        Self {
            seed: 0,
            size: Size::Full,
            semantics: GridSemantics::Shifted,
            grid: GridConfig {
                levels: 16,
                base_resolution: 16,
                max_resolution: 2048,
                log2_entries: 19,
            },
            proposals: [128, 256].map(|max_resolution| GridConfig {
                levels: 5,
                base_resolution: 16,
                max_resolution,
                log2_entries: 17,
            }),
            tables: TableStorage::Single,
            weight_sums: WeightSums::Auto,
            rays: 4096,
            chunk_rays: 0,
            samples: [256, 96, 48],
            patch_side: 1,
            near: 0.05,
            far: 1000.0,
            background,
            half_side: None,
            average_density: 0.01,
            appearance: true,
            loss: PhotoLoss {
                pixel: PixelLoss::Squared,
                distortion_weight: 0.002,
                interlevel_weight: 1.0,
            },
            learning_rate: Decay {
                start: 1e-2,
                end: 1e-4,
                steps: 200_000,
            },
            poses: CameraPoses::Given,
            anneal_steps: 1000,
            proposal_warmup: 5000,
        }
    }

    /// Sizes that a processor can train in minutes.
    pub fn small(background: Background) -> Self {
        Self {
            size: Size::Small,
            grid: GridConfig {
                levels: 8,
                base_resolution: 16,
                max_resolution: 512,
                log2_entries: 16,
            },
            proposals: [64, 128].map(|max_resolution| GridConfig {
                levels: 5,
                base_resolution: 8,
                max_resolution,
                log2_entries: 14,
            }),
            rays: 1024,
            samples: [48, 24, 16],
            ..Self::full(background)
        }
    }

    /// Let the schedules fit a reconstruction of `steps`. Annealing and warm-up keep nerfacto's numbers as long as they
    /// fit: proposals that sharpen before they have learned never look elsewhere again.
    pub fn planned(self, steps: u64) -> Self {
        Self {
            learning_rate: Decay {
                start: 1e-2,
                end: 5e-4,
                steps: steps.max(1),
            },
            poses: match self.poses {
                // A sixth of nerfacto's 30 000 steps.
                CameraPoses::Learning(rate) => CameraPoses::Learning(Decay {
                    steps: (steps / 6).max(1),
                    ..rate
                }),
                other => other,
            },
            anneal_steps: 1000.min(steps / 4).max(1),
            proposal_warmup: 5000.min(steps).max(1),
            ..self
        }
    }

    /// For further steps on a finished scene, as Instruct-NeRF2NeRF edits it: its learning rates, absolute differences
    /// because edited views contradict each other, nothing annealed. Cameras stay where they have got to.
    pub fn refine(self) -> Self {
        Self {
            learning_rate: Decay {
                start: 5.0e-3,
                end: 3.5e-3,
                steps: 15_000,
            },
            anneal_steps: 0,
            proposal_warmup: 0,
            poses: match self.poses {
                CameraPoses::Given => CameraPoses::Given,
                CameraPoses::Learning(_) | CameraPoses::Learnt => CameraPoses::Learnt,
            },
            loss: PhotoLoss {
                pixel: PixelLoss::Absolute,
                ..self.loss
            },
            ..self
        }
    }

    /// Exponent of the weights that bins are drawn from.
    pub fn anneal(&self, step: u64) -> f64 {
        let x = match self.anneal_steps {
            0 => 1.0,
            steps => (step as f64 / steps as f64).min(1.0),
        };
        ANNEAL_SLOPE * x / ((ANNEAL_SLOPE - 1.0) * x + 1.0)
    }

    /// Whether the proposals learn at a step, `idle` steps after they last did (nerfstudio's rule).
    pub fn trains_proposals(&self, step: u64, idle: u64) -> bool {
        let most = match self.proposal_warmup {
            0 => 5.0,
            warmup => (5.0 * step as f64 / warmup as f64).clamp(1.0, 5.0),
        };
        idle as f64 > most || step < 10
    }

    /// # Errors
    /// [`crate::Error::Invalid`] says which value cannot be used.
    pub fn check(&self) -> crate::Result<()> {
        let refuse = |what: String| Err(crate::Error::Invalid(what));
        for samples in self.samples {
            if samples == 0 || !samples.is_multiple_of(4) {
                return refuse(format!(
                    "samples a ray must be a multiple of 4, not {samples}"
                ));
            }
        }
        if self.rays == 0 || !self.rays.is_multiple_of(64) {
            return refuse(format!(
                "rays a step must be a multiple of 64, not {}",
                self.rays
            ));
        }
        if !self.chunk_rays.is_multiple_of(64) {
            return refuse(format!(
                "rays at a time must be a multiple of 64, not {}",
                self.chunk_rays
            ));
        }
        if !(self.near > 0.0 && self.near < self.far) {
            return refuse(format!(
                "rays must end farther ({}) than they begin ({})",
                self.far, self.near
            ));
        }
        if let Some(half_side) = self.half_side {
            if !(half_side > 0.0 && half_side.is_finite()) {
                return refuse(format!(
                    "the box of a bounded scene cannot reach {half_side} units from the origin"
                ));
            }
            if self.background == Background::LastSample {
                return refuse("a bounded scene needs the color of what is behind it".into());
            }
        }
        if self.grid.levels != self.size.levels() || self.proposals.iter().any(|p| p.levels != 5) {
            return refuse(format!(
                "networks of this size take {} levels of the field's grid and 5 of a proposal's",
                self.size.levels()
            ));
        }
        for grid in self.proposals.iter().chain([&self.grid]) {
            grid.check()?;
        }
        Ok(())
    }
}
