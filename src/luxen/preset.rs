//! From the person's settings and the capture to a configuration.

use super::{Background, CameraPoses, LuxenConfig, Size, TableStorage};
use crate::{
    scene::{Dataset, DatasetKind},
    settings::{Appearance, Loss, LuxenSize, PoseRefinement, Precision, Settings},
};

/// Side of the patches that LPIPS compares, pixels (Instruct-NeRF2NeRF).
const PATCH_SIDE: u32 = 32;

/// Half the side of the box that synthetic Blender scenes fill, world units (nerfstudio's scene box).
const SYNTHETIC_HALF_SIDE: f64 = 1.5;
/// Density that a synthetic scene begins with. Rays cross it for a few units only: with the density made for rays of a
/// thousand units it would begin so clear that the background shows through everything, every color would be pushed away
/// from the background's without end, and saturate before there is anything to color.
const SYNTHETIC_DENSITY: f64 = 1.0;

impl From<Precision> for TableStorage {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Full => Self::Single,
            Precision::Half => Self::Half,
        }
    }
}

impl LuxenConfig {
    /// For a reconstruction of `steps`. Synthetic captures have a known background and a known extent; rays are sampled
    /// within it only.
    pub fn of(settings: &Settings, dataset: &Dataset, is_software: bool, steps: u32) -> Self {
        let is_synthetic = dataset.kind == DatasetKind::Blender;
        let background = if is_synthetic {
            Background::Fixed(dataset.background)
        } else {
            Background::LastSample
        };
        let mut config = if settings.has_full_luxen(is_software) {
            Self::full(background)
        } else {
            Self::small(background)
        };
        config.seed = settings.seed;
        if settings.luxen_rays > 0 {
            config.rays = settings.luxen_rays.next_multiple_of(64);
        }
        if settings.luxen_samples > 0 {
            config.samples[2] = settings.luxen_samples.next_multiple_of(4);
        }
        if settings.luxen_grid > 0 {
            config.grid.log2_entries = settings.luxen_grid.max(3);
        }
        config.appearance = match settings.luxen_appearance {
            Appearance::Auto => !is_synthetic,
            Appearance::On => true,
            Appearance::Off => false,
        };
        config.poses = match settings.refine_poses {
            PoseRefinement::Off => CameraPoses::Given,
            PoseRefinement::On => CameraPoses::NERFACTO,
        };
        if is_synthetic {
            // nerfstudio's benchmark of synthetic scenes goes without.
            config.loss.distortion_weight = 0.0;
            config.average_density = SYNTHETIC_DENSITY;
            config.half_side = Some(SYNTHETIC_HALF_SIDE);
            let reach = SYNTHETIC_HALF_SIDE * 3f64.sqrt();
            let distances = dataset.views.iter().map(|v| v.camera.position().length());
            let (nearest, farthest) = distances.fold((f64::INFINITY, 0.0f64), |(low, high), d| {
                (low.min(d), high.max(d))
            });
            config.near = (nearest - reach).max(config.near);
            config.far = (farthest + reach).max(2.0 * config.near);
        }
        config.planned(u64::from(steps))
    }

    /// For an edit of a finished scene with the settings' loss: LPIPS compares patches, and takes four times the rays of a
    /// reconstruction (Instruct-NeRF2NeRF).
    pub fn edit(self, settings: &Settings) -> Self {
        let (patch_side, least, times) = match settings.loss {
            Loss::L1Lpips => (PATCH_SIDE, PATCH_SIDE * PATCH_SIDE, 4),
            Loss::Auto | Loss::L1Ssim | Loss::L1 => (1, 64, 1),
        };
        let rays = match (settings.luxen_rays, self.size) {
            (0, Size::Full) => times * Self::full(self.background).rays,
            (0, Size::Small) => times * Self::small(self.background).rays,
            (rays, _) => rays,
        };
        Self {
            rays: rays.next_multiple_of(least),
            patch_side,
            tables: settings.precision.into(),
            ..self.refine()
        }
    }

    /// What the machine costs, for the person; `None` where the sizes are the published ones, or chosen.
    pub fn explanation(settings: &Settings, is_software: bool) -> Option<String> {
        let is_chosen = settings.luxen_size != LuxenSize::Auto;
        if is_chosen || settings.has_full_luxen(is_software) {
            return None;
        }
        let (small, full) = (
            Self::small(Background::LastSample),
            Self::full(Background::LastSample),
        );
        Some(format!(
            "No graphics card found: a small Luxen, with {} rays a step instead of {}, {} samples a ray instead of {}, \
             and {} levels of the grid instead of {}; --luxen-size full takes the published sizes",
            small.rays,
            full.rays,
            small.samples[2],
            full.samples[2],
            small.grid.levels,
            full.grid.levels,
        ))
    }
}
