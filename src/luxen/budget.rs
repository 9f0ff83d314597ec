//! The graphics memory that a Luxen takes beside the edit model, told before it is trained: counted from the configuration
//! by the very sizes that its buffers are made with.

use super::{
    FieldShape, LuxenConfig,
    field::APPEARANCES,
    half::HalfTables,
    layout::APPEARANCE,
    occupancy::Occupancy,
    optimizer,
    poses::PoseBytes,
    renderer::CHUNK_RAYS,
    uniforms::View,
    workspace::{ChunkBytes, GradientBytes, capacity, rays_at_a_time},
};
use crate::{Result, gpu::Gpu};

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LuxenMemory {
    pub field: u64,
    /// Gradients, both moments, and what a step of several chunks carries.
    pub optimizer: u64,
    /// Samples of the rays that go through at a time, and their gradients; corrections of poses and theirs.
    pub step: u64,
    /// A picture of the largest view being drawn, and the patches that LPIPS compares.
    pub pictures: u64,
    /// Photos of the training views, as they are and as edited, and where rays are drawn from.
    pub photos: u64,
}

impl LuxenMemory {
    /// For training views of these sizes, `[width, height]`, on an adapter that binds buffers of `binding_limit` bytes.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when not even a few rays fit.
    pub fn of(config: &LuxenConfig, views: &[[u32; 2]], binding_limit: u64) -> Result<Self> {
        let shape = FieldShape::new(config, views.len() as u32);
        let lengths = shape.lengths();
        let field: u64 = lengths
            .iter()
            .enumerate()
            .map(|(group, &length)| {
                let mean = if group == APPEARANCES { APPEARANCE } else { 0 };
                Gpu::storage_bytes(4 * (length as u64 + u64::from(mean)))
            })
            .sum();
        let rays = capacity(binding_limit, &shape, config, rays_at_a_time(config), true)?;
        let chunk = ChunkBytes::new(&shape, config.samples, u64::from(rays), true).total();
        let gradients = GradientBytes::new(&shape, config, u64::from(rays)).total();
        let cells = Occupancy::bytes(config, &shape.layout.arena()).map_or(0, Gpu::storage_bytes);
        let poses = PoseBytes::new(config, &shape, rays).map_or(0, |bytes| bytes.total());
        let pixels = views.iter().map(|[w, h]| u64::from(*w) * u64::from(*h));
        let largest = pixels.clone().max().unwrap_or(0);
        let wanted = u32::try_from(largest).unwrap_or(u32::MAX);
        let wanted = wanted.clamp(64, CHUNK_RAYS).next_power_of_two();
        let drawn = capacity(binding_limit, &shape, config, wanted, false)?;
        let patches = match config.patch_side {
            0 | 1 => 0,
            _ => 2 * 16 * u64::from(config.rays),
        };
        Ok(Self {
            field: field
                + HalfTables::bytes(config, &shape)
                + Gpu::storage_bytes(4 * u64::from(shape.cells)),
            optimizer: optimizer::bytes(&lengths, config.rays > rays),
            step: chunk + gradients + cells + poses,
            pictures: ChunkBytes::new(&shape, config.samples, u64::from(drawn), false).total()
                + 16 * largest
                + patches,
            photos: 2 * 4 * pixels.sum::<u64>() + (size_of::<View>() * views.len()) as u64,
        })
    }

    pub fn total(&self) -> u64 {
        let Self {
            field,
            optimizer,
            step,
            pictures,
            photos,
        } = self;
        field + optimizer + step + pictures + photos
    }
}

impl std::fmt::Display for LuxenMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gib = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
        write!(
            f,
            "{} of graphics memory (field {}, optimizer {}, a step {}, pictures {}, photos {})",
            gib(self.total()),
            gib(self.field),
            gib(self.optimizer),
            gib(self.step),
            gib(self.pictures),
            gib(self.photos)
        )
    }
}
