//! The shape of a multi-resolution hash grid: which levels there are and where each lies in the table. Files of both
//! semantics exist, and neither can stand for the other.

use super::uniforms::{GridLevel, GridUniform};
use crate::{Error, Result};
use bytemuck::Zeroable;
use serde::{Deserialize, Serialize};

/// How positions become vertices and vertices rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GridSemantics {
    /// tiny-cuda-nn: positions shifted by half a cell; levels that fit are stored densely.
    Shifted,
    /// nerfstudio's torch fallback: no shift, whole scales, every level hashed.
    Hashed,
}

/// A grid's published numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GridConfig {
    pub levels: u32,
    pub base_resolution: u32,
    pub max_resolution: u32,
    /// Binary logarithm of the most entries a level.
    pub log2_entries: u32,
}

impl GridConfig {
    /// # Errors
    /// [`Error::Invalid`] says what cannot be used.
    pub fn check(&self) -> Result<()> {
        let fits = (1..=16).contains(&self.levels)
            && (1..=self.max_resolution).contains(&self.base_resolution)
            && self.max_resolution <= 1 << 20
            && (3..=24).contains(&self.log2_entries);
        if fits {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "a hash grid of {} levels from {} to {} with 2^{} entries cannot be made: 1 to 16 levels, resolutions \
             rising to at most 2^20, 2^3 to 2^24 entries",
            self.levels, self.base_resolution, self.max_resolution, self.log2_entries
        )))
    }
}

/// The levels of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct GridShape {
    pub levels: Vec<GridLevel>,
    /// Cells that positions are shifted by.
    pub shift: f32,
    /// Entries of all levels, two features each.
    pub rows: u32,
}

impl GridShape {
    pub fn new(config: &GridConfig, semantics: GridSemantics) -> Self {
        let growth = match config.levels {
            1 => 1.0,
            n => {
                let [base, most] = [config.base_resolution, config.max_resolution].map(f64::from);
                ((most.ln() - base.ln()) / f64::from(n - 1)).exp()
            }
        };
        Self::with_growth(
            config.levels,
            config.base_resolution,
            growth,
            config.log2_entries,
            semantics,
        )
    }

    /// `growth`: scale of a level over that of the one before.
    pub fn with_growth(
        levels: u32,
        base_resolution: u32,
        growth: f64,
        log2_entries: u32,
        semantics: GridSemantics,
    ) -> Self {
        let most = 1u64 << log2_entries;
        let mut first = 0u32;
        let levels = (0..levels)
            .map(|l| {
                let grown = f64::from(base_resolution) * growth.powi(l as i32);
                let level = match semantics {
                    GridSemantics::Shifted => {
                        let scale = (grown - 1.0) as f32;
                        let resolution = scale.ceil() as u32 + 1;
                        let vertices = u64::from(resolution).pow(3);
                        GridLevel {
                            scale,
                            resolution,
                            entries: vertices.next_multiple_of(8).min(most) as u32,
                            first,
                            is_dense: u32::from(vertices <= most),
                            padding: [0; 3],
                        }
                    }
                    GridSemantics::Hashed => GridLevel {
                        // nerfstudio computes in f32, and the floor makes the last ulp count: of the published grid, the
                        // finest level has a scale of 2047.
                        scale: {
                            let power = f64::from(growth as f32).powi(l as i32) as f32;
                            (power * base_resolution as f32).floor()
                        },
                        resolution: 0,
                        entries: most as u32,
                        first,
                        is_dense: 0,
                        padding: [0; 3],
                    },
                };
                first += level.entries;
                level
            })
            .collect();
        Self {
            levels,
            shift: match semantics {
                GridSemantics::Shifted => 0.5,
                GridSemantics::Hashed => 0.0,
            },
            rows: first,
        }
    }

    /// For the kernels. `features_at` and `d_features_at`: channels in the arenas of the samples' quads.
    pub fn uniform(&self, quads: u32, features_at: u32, d_features_at: u32) -> GridUniform {
        let mut levels = [GridLevel::zeroed(); 16];
        levels[..self.levels.len()].copy_from_slice(&self.levels);
        GridUniform {
            levels,
            shift: self.shift,
            quads,
            features_at,
            d_features_at,
        }
    }

    /// Where each level ends, in f32s of the table.
    pub fn ends(&self) -> Vec<u32> {
        self.levels
            .iter()
            .map(|l| 2 * (l.first + l.entries))
            .collect()
    }
}
