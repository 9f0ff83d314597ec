//! Where a bounded scene is empty, so that training draws no rays that have nothing to teach and samples no empty ends of
//! the others. The box of the scene is cut into cells, and every step looks at the next few of them: a cell remembers the
//! density that the field had in it and forgets slowly, so that thin things which a random point misses stay (the
//! occupancy grid of Müller et al. 2022). Pictures use it too: what training never looks at again must not be seen.

use super::{
    FieldBuffers, FieldShape, LuxenConfig,
    kernels::{BackwardKernels, ForwardKernels},
    layout::Arena,
    marcher::{Recorder, groups},
    uniforms::Batch,
};
use crate::gpu::{Gpu, Packer, Slice};
use bytemuck::Zeroable;

/// Cells a side, as in `luxen/cells.wgsl`.
pub const CELLS: u32 = 64;
/// Cells that a step looks at; all of them in 64 steps.
const CELLS_A_STEP: u32 = CELLS * CELLS;
const QUADS_A_STEP: u32 = CELLS_A_STEP / 4;
/// Opacity of one cell's side from which the cell counts as occupied.
const LEAST_OPACITY: f64 = 0.005;

/// Cells that a scene needs: one quad of them, never read, where it is not bounded.
pub(super) fn cell_count(config: &LuxenConfig) -> u32 {
    match config.half_side {
        Some(_) => CELLS * CELLS * CELLS,
        None => 4,
    }
}

/// Fields of a [`Batch`]: half the box's side, and the density of an occupied cell.
pub(super) fn bounds(config: &LuxenConfig) -> (f32, f32) {
    let Some(half_side) = config.half_side else {
        return (0.0, 0.0);
    };
    let side = 2.0 * half_side / f64::from(CELLS);
    let least = -(1.0 - LEAST_OPACITY).ln() / side;
    (half_side as f32, least as f32)
}

/// The part of a step that looks at cells.
pub(super) struct Occupancy {
    arena: wgpu::Buffer,
}

/// Uniforms of one step.
pub(super) struct CellUniforms {
    batch: Slice,
    grid: Slice,
}

impl Occupancy {
    /// `None` for a scene without bounds.
    pub fn new(gpu: &Gpu, config: &LuxenConfig, arena: &Arena) -> Option<Self> {
        Self::bytes(config, arena).map(|bytes| Self {
            arena: gpu.storage("cells' features", bytes),
        })
    }

    /// What it takes; `None` for a scene without bounds.
    pub fn bytes(config: &LuxenConfig, arena: &Arena) -> Option<u64> {
        let channels = arena.features_at + arena.features;
        config
            .half_side
            .map(|_| u64::from(channels * CELLS_A_STEP) * 4)
    }

    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.arena
    }

    pub fn plan(
        packer: &mut Packer,
        config: &LuxenConfig,
        shape: &FieldShape,
        arena: &Arena,
        step: u64,
    ) -> CellUniforms {
        let (half_side, least_density) = bounds(config);
        let batch = packer.add(&Batch {
            rays: QUADS_A_STEP,
            samples: 4,
            first_ray: (step % u64::from(CELLS)) as u32 * CELLS_A_STEP,
            seed: config.seed as u32 ^ (config.seed >> 32) as u32,
            step: step as u32,
            average_density: config.average_density as f32,
            half_side,
            least_density,
            ..Batch::zeroed()
        });
        let grid = packer.add(&shape.grids[2].uniform(QUADS_A_STEP, arena.features_at, 0));
        CellUniforms { batch, grid }
    }

    pub fn record(
        &self,
        recorder: &mut Recorder<'_, '_>,
        forward: &ForwardKernels,
        kernels: &BackwardKernels,
        uniforms: &CellUniforms,
        shape: &FieldShape,
        field: &FieldBuffers,
    ) {
        let per_quad = groups(QUADS_A_STEP);
        recorder.run(
            &kernels.cell_points,
            uniforms.batch,
            &[&self.arena],
            [per_quad, 1, 1],
        );
        recorder.run(
            forward.encode.of(field.storage()),
            uniforms.grid,
            &[field.table(2), &self.arena],
            [per_quad, shape.grids[2].levels.len() as u32, 1],
        );
        recorder.run(
            &kernels.cell_densities,
            uniforms.batch,
            &[field.network(2), &self.arena, &field.cells],
            [per_quad, 1, 1],
        );
    }
}
