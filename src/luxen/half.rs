//! Hash tables in half precision. A sample reads eight entries a level from all over a table, which is most of the memory
//! traffic of a field; two f16 an entry halve it, as tiny-cuda-nn does. The parameters stay f32, because a step of Adam is
//! often smaller than what f16 can tell apart: its kernel writes both. No adapter has to know f16 for that: packing pairs of
//! them is core WGSL, which only old software adapters lack; those read the parameters.

use super::{FieldShape, LuxenConfig, TableStorage, sources::HALVE_TABLE};
use crate::gpu::{Gpu, Kernel};

impl TableStorage {
    /// What the person should know of an adapter that cannot do it.
    pub fn notice(self, gpu: &Gpu) -> Option<String> {
        let is_refused = self == Self::Half && !gpu.packs_half();
        is_refused.then(|| {
            format!(
                "{} does not pack numbers in half precision: the Luxen's hash tables are read in single precision",
                gpu.info.name
            )
        })
    }
}

/// Both proposals' tables and the field's, `[rows]`: an entry's two features as f16, times 64 (see `luxen/half.wgsl`).
#[derive(Clone)]
pub struct HalfTables {
    pub tables: [wgpu::Buffer; 3],
}

impl HalfTables {
    /// Of the parameter groups' tables as they are now. Made by the device that renews them, so that a resumed run reads
    /// what the uninterrupted one does, however the device rounds.
    pub(super) fn of(gpu: &Gpu, shape: &FieldShape, groups: &[wgpu::Buffer; 7]) -> Self {
        let kernel = Kernel::new(gpu, &HALVE_TABLE);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let tables = std::array::from_fn(|level| {
            let rows = shape.grids[level].rows;
            let table = gpu.storage("table in half precision", 4 * u64::from(rows));
            let bound = kernel.bind(
                gpu,
                &[
                    groups[2 * level].as_entire_binding(),
                    table.as_entire_binding(),
                ],
            );
            let all = (rows / 2).div_ceil(64);
            let across = all.clamp(1, 65_535);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("halve table"),
                timestamp_writes: None,
            });
            kernel.dispatch(&mut pass, &bound, [across, all.div_ceil(across), 1]);
            table
        });
        gpu.queue.submit([encoder.finish()]);
        Self { tables }
    }

    /// Bytes of the buffers that a configuration has beside its parameters.
    pub(super) fn bytes(config: &LuxenConfig, shape: &FieldShape) -> u64 {
        match config.tables {
            TableStorage::Single => 0,
            TableStorage::Half => {
                let of_grid = |rows: u32| Gpu::storage_bytes(4 * u64::from(rows));
                shape.grids.iter().map(|grid| of_grid(grid.rows)).sum()
            }
        }
    }
}
