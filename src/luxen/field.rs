//! A field's parameters as storage buffers, and how they begin.

use super::{
    GridSemantics, GridShape, LuxenConfig, TableStorage,
    half::HalfTables,
    layout::{APPEARANCE, FieldLayout, LayerGradient, ProposalLayout},
    occupancy::cell_count,
};
use crate::{Error, Result, gpu::Gpu};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// Names of the parameter groups, in the order of [`FieldBuffers::groups`].
pub const GROUPS: [&str; 7] = [
    "proposal_0.table",
    "proposal_0.network",
    "proposal_1.table",
    "proposal_1.network",
    "field.table",
    "field.network",
    "appearances",
];
pub(super) const APPEARANCES: usize = 6;

/// Everything about a field that is not a parameter.
#[derive(Clone, Debug)]
pub struct FieldShape {
    /// Both proposals' grids, then the field's.
    pub grids: [GridShape; 3],
    pub layout: FieldLayout,
    /// Cells of the box of a bounded scene; a few that are never read, where it is not.
    pub cells: u32,
    /// Training views: rows of the appearance table, before the mean's.
    pub views: u32,
}

impl FieldShape {
    pub fn new(config: &LuxenConfig, views: u32) -> Self {
        let grid = |c| GridShape::new(c, config.semantics);
        Self {
            grids: [
                grid(&config.proposals[0]),
                grid(&config.proposals[1]),
                grid(&config.grid),
            ],
            layout: FieldLayout::new(config.size),
            cells: cell_count(config),
            views,
        }
    }

    /// f32s of each group, without the mean appearance.
    pub fn lengths(&self) -> [usize; 7] {
        let table = |i: usize| 2 * self.grids[i].rows as usize;
        let proposal = 4 * ProposalLayout::VECTORS as usize;
        [
            table(0),
            proposal,
            table(1),
            proposal,
            table(2),
            4 * self.layout.vectors() as usize,
            (self.views * APPEARANCE) as usize,
        ]
    }

    /// What the cells remember at the beginning: the field's density.
    pub fn fresh_cells(&self, config: &LuxenConfig) -> Vec<f32> {
        vec![config.average_density as f32; self.cells as usize]
    }

    /// Fresh parameters, each group as [`GROUPS`] names it.
    pub fn initialize(&self, config: &LuxenConfig) -> [Vec<f32>; 7] {
        let lengths = self.lengths();
        std::array::from_fn(|group| {
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream((1 << 60) | group as u64);
            let mut values = vec![0.0f32; lengths[group]];
            match group {
                0 | 2 | 4 => {
                    let bound = match config.semantics {
                        GridSemantics::Shifted => 1e-4,
                        GridSemantics::Hashed => 1e-3,
                    };
                    for v in &mut values {
                        *v = uniform(&mut rng, bound);
                    }
                }
                5 => fill_layers(
                    &mut values,
                    &self.layout.layers(),
                    config.semantics,
                    &mut rng,
                ),
                APPEARANCES if config.appearance => {
                    for v in &mut values {
                        *v = normal(&mut rng);
                    }
                }
                APPEARANCES => {}
                _ => fill_layers(
                    &mut values,
                    &ProposalLayout::layers(),
                    config.semantics,
                    &mut rng,
                ),
            }
            values
        })
    }
}

/// tiny-cuda-nn: Glorot's bound, no biases; torch: 1/√inputs for both.
fn fill_layers(
    values: &mut [f32],
    layers: &[LayerGradient],
    semantics: GridSemantics,
    rng: &mut ChaCha8Rng,
) {
    for LayerGradient { weights: w, .. } in layers {
        let torch = 1.0 / f64::from(w.fan_in).sqrt();
        let (bound, bias_bound) = match semantics {
            GridSemantics::Shifted => ((6.0 / f64::from(w.fan_in + w.fan_out)).sqrt(), 0.0),
            GridSemantics::Hashed => (torch, torch),
        };
        for row in 0..w.rows {
            for column in 0..w.columns {
                let at = w.first + row * w.row_stride + column * w.column_stride;
                values[at as usize] = uniform(rng, bound);
            }
            if let Some((first, stride)) = w.bias {
                values[(first + row * stride) as usize] = uniform(rng, bias_bound);
            }
        }
    }
}

fn unit(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / f64::from(u32::MAX)
}

fn uniform(rng: &mut ChaCha8Rng, bound: f64) -> f32 {
    ((2.0 * unit(rng) - 1.0) * bound) as f32
}

/// Box–Muller.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * unit(rng).max(1e-12).ln()).sqrt();
    (radius * (std::f64::consts::TAU * unit(rng)).cos()) as f32
}

/// Parameters in `f32` storage buffers. Clones share them.
#[derive(Clone)]
pub struct FieldBuffers {
    /// In the order of [`GROUPS`]. Tables are `[rows, 2]`; networks as [`FieldLayout`] lays them out; appearances
    /// `[views + 1, 32]`, the last row being the mean, filled in before pictures are drawn.
    pub groups: [wgpu::Buffer; 7],
    /// `[64, 64, 64]`: the density that each cell of a bounded scene's box remembers, x fastest.
    pub cells: wgpu::Buffer,
    /// What tables are read as, where that is not the parameters.
    pub halves: Option<HalfTables>,
}

impl FieldBuffers {
    /// # Errors
    /// [`Error::Invalid`] for groups of another shape, [`Error::Gpu`] when one does not fit the adapter.
    pub fn upload(
        gpu: &Gpu,
        shape: &FieldShape,
        groups: &[Vec<f32>; 7],
        cells: &[f32],
        storage: TableStorage,
    ) -> Result<Self> {
        if cells.len() != shape.cells as usize {
            return Err(Error::Invalid(format!(
                "the box of a scene has {} cells instead of {}",
                cells.len(),
                shape.cells
            )));
        }
        let limit = gpu.binding_limit();
        for (group, (values, length)) in groups.iter().zip(shape.lengths()).enumerate() {
            if values.len() != length {
                return Err(Error::Invalid(format!(
                    "{} of the field has {} values instead of {length}",
                    GROUPS[group],
                    values.len()
                )));
            }
            if length as u64 * 4 > limit {
                return Err(Error::Gpu(format!(
                    "{} needs a buffer of {} MiB, and {} allows {} MiB: choose a smaller grid",
                    GROUPS[group],
                    (length as u64 * 4) >> 20,
                    gpu.info.name,
                    limit >> 20
                )));
            }
        }
        let groups = std::array::from_fn(|group| {
            let extra = if group == APPEARANCES { APPEARANCE } else { 0 };
            let bytes = 4 * (groups[group].len() as u64 + u64::from(extra));
            let buffer = match group {
                1 | 3 | 5 => gpu.storage_and_uniform(GROUPS[group], bytes),
                _ => gpu.storage(GROUPS[group], bytes),
            };
            if !groups[group].is_empty() {
                gpu.queue
                    .write_buffer(&buffer, 0, bytemuck::cast_slice(&groups[group]));
            }
            buffer
        });
        let single = Self {
            groups,
            cells: gpu.storage_from("cells", cells),
            halves: None,
        };
        Ok(single.read_as(gpu, shape, storage))
    }

    /// The same parameters, read so from here on if the adapter can (see [`TableStorage::notice`]).
    pub(super) fn read_as(self, gpu: &Gpu, shape: &FieldShape, storage: TableStorage) -> Self {
        let is_half = storage == TableStorage::Half && gpu.packs_half();
        Self {
            halves: is_half.then(|| HalfTables::of(gpu, shape, &self.groups)),
            ..self
        }
    }

    /// Copy back to the host; waits for the GPU.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub fn download(&self, gpu: &Gpu, shape: &FieldShape) -> Result<Vec<Vec<f32>>> {
        self.groups
            .iter()
            .zip(shape.lengths())
            .map(|(buffer, length)| gpu.read(buffer, length))
            .collect()
    }

    pub(super) fn storage(&self) -> TableStorage {
        match self.halves {
            None => TableStorage::Single,
            Some(_) => TableStorage::Half,
        }
    }

    /// Both proposals' and the field's tables, as they are read.
    pub(super) fn table(&self, level: usize) -> &wgpu::Buffer {
        match &self.halves {
            None => &self.groups[2 * level],
            Some(halves) => &halves.tables[level],
        }
    }

    pub(super) fn network(&self, level: usize) -> &wgpu::Buffer {
        &self.groups[2 * level + 1]
    }

    pub(super) fn appearances(&self) -> &wgpu::Buffer {
        &self.groups[APPEARANCES]
    }
}
