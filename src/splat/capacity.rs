//! How many splats a scene may have. A set that grows is bounded by what the artist allows, what the photos can show, a
//! share of memory, and the largest buffer of the adapter; whichever is least is named when it is reached.

use super::buffers::most_splats;
use crate::{gpu::Gpu, scene::Splats};
use serde::{Deserialize, Serialize};

/// What bounds the number of splats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapReason {
    /// The artist's number.
    Setting,
    /// More would be smaller than the photos' pixels.
    Photos,
    /// The artist's memory budget.
    Memory,
    /// The largest buffers that the adapter holds and binds.
    Adapter,
}

/// The most splats, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplatCap {
    pub splats: u32,
    pub reason: CapReason,
}

/// Splats a pixel of a photo. Most pixels of a photo show what others show too, and flat parts need few.
const SPLATS_PER_PIXEL: f64 = 0.75;
const FEWEST_BY_PHOTOS: u32 = 10_000;
const MOST_BY_PHOTOS: u32 = 1_000_000;

/// Parameters, gradients and two moments; a refinement holds all but the gradients twice.
const COPIES_IN_TRAINING: u64 = 4 + 3;
/// Means, log-scales, quaternion, opacity, DC colour.
const FLOATS_BESIDE_SH: u64 = 14;
/// Projected splats and their gradients, sort keys and values, statistics.
const SCRATCH_BYTES: u64 = 2 * 48 + 4 * 4 + 8 + 4 + 3 * 4 + 12;

impl SplatCap {
    pub const UNLIMITED: Self = Self {
        splats: u32::MAX,
        reason: CapReason::Setting,
    };

    /// `wanted`: the artist's number, 0 to go by the photos, of which each has `photo_pixels` pixels, and which is at
    /// least `starting`. `memory_mib` bounds [`training_bytes`].
    pub fn choose(
        gpu: &Gpu,
        wanted: u32,
        memory_mib: u32,
        sh_degree: u32,
        photo_pixels: u64,
        starting: u32,
    ) -> Self {
        let by_choice = match wanted {
            0 => Self {
                splats: ((photo_pixels as f64 * SPLATS_PER_PIXEL) as u32)
                    .clamp(FEWEST_BY_PHOTOS, MOST_BY_PHOTOS)
                    .max(starting),
                reason: CapReason::Photos,
            },
            splats => Self {
                splats,
                reason: CapReason::Setting,
            },
        };
        let whole = |splats: u64| u32::try_from(splats).unwrap_or(u32::MAX).max(1);
        let by_memory = Self {
            splats: whole((u64::from(memory_mib) << 20) / training_bytes(1, sh_degree)),
            reason: CapReason::Memory,
        };
        let by_adapter = Self {
            splats: whole(most_splats(gpu, sh_degree)),
            reason: CapReason::Adapter,
        };
        // The first of equals is the one that the artist can do most about.
        [by_choice, by_memory, by_adapter]
            .into_iter()
            .min_by_key(|cap| cap.splats)
            .unwrap_or(by_choice)
    }

    /// A sentence for when it is reached.
    pub fn reached(&self) -> String {
        let Self { splats, reason } = self;
        let why = match reason {
            CapReason::Setting => "the most that --max-splats allows",
            CapReason::Photos => {
                "as many as photos of this size usually need (--max-splats sets another number)"
            }
            CapReason::Memory => "the most that --splat-memory allows",
            CapReason::Adapter => "the most that the graphics adapter can hold",
        };
        format!(
            "the scene has reached {splats} splats, {why}; no more are added, and training goes on"
        )
    }
}

/// Bytes of GPU memory that training `count` splats takes, beside what depends on the pictures.
pub fn training_bytes(count: u64, sh_degree: u32) -> u64 {
    let floats = FLOATS_BESIDE_SH + 3 * Splats::rest_count_of(sh_degree) as u64;
    count * (COPIES_IN_TRAINING * floats * 4 + SCRATCH_BYTES)
}
