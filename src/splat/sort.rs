//! Stable radix sort and prefix sum on the GPU, with the number of items known to the GPU only. Threads walk chunks of
//! their own in order and no group waits for its threads: on a processor that pretends to be a GPU, waiting is what
//! costs, and on a GPU the sort is small beside the drawing.

use super::{
    kernels::{SortKernels, TileSize},
    scratch::SortBuffers,
    uniforms::{NOT_IN_STATUS, SCAN_TO_NOTHING, Scan, SortPass, scan_to_word},
};
use crate::gpu::{Gpu, Packer, Slice};

/// How many threads sort, and how many bits at a time.
#[derive(Clone, Copy)]
pub(super) struct SortShape {
    blocks: u32,
    bits: u32,
}

impl SortShape {
    pub fn new(tile_size: TileSize) -> Self {
        match tile_size {
            TileSize::Small => Self {
                blocks: 64,
                bits: 11,
            },
            TileSize::Large => Self {
                blocks: 4096,
                bits: 8,
            },
        }
    }

    fn counters(self) -> u32 {
        self.blocks << self.bits
    }
}

/// Counters of a sort pass and their chunk sums.
pub(super) struct SortScratch {
    pub counters: wgpu::Buffer,
    pub sums: wgpu::Buffer,
}

impl SortScratch {
    pub fn new(gpu: &Gpu, shape: SortShape) -> Self {
        let bytes = u64::from(shape.counters()) * 4;
        Self {
            counters: gpu.storage("sort counters", bytes),
            sums: gpu.storage("sort sums", bytes / 64),
        }
    }
}

/// Where the number of items comes from.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Host(u32),
    Status(usize),
}

/// Uniforms of one pass.
pub(super) struct Pass {
    sort: Slice,
    scan: Slice,
    counters: u32,
    blocks: u32,
}

/// Plan the passes over the low `bits` of the keys. With `compact`, items with the key `u32::MAX` are dropped in the
/// first pass; how many are left goes to that status word, and later passes count from it.
pub(super) fn plan(
    packer: &mut Packer,
    shape: SortShape,
    bits: u32,
    count: Count,
    compact: Option<usize>,
) -> Vec<Pass> {
    let passes = bits.div_ceil(shape.bits).max(1);
    let each = bits.div_ceil(passes).max(1);
    (0..passes)
        .map(|index| {
            let first = index == 0;
            let count = match compact {
                Some(compacted) if !first => Count::Status(compacted),
                _ => count,
            };
            let (count_index, count) = match count {
                Count::Host(count) => (NOT_IN_STATUS, count),
                Count::Status(index) => (index as u32, 0),
            };
            let sort = packer.add(&SortPass {
                shift: index * each,
                bins: 1 << each,
                blocks: shape.blocks,
                count_index,
                count,
                values_are_indices: u32::from(first),
                skip: u32::from(first && compact.is_some()),
                padding: 0,
            });
            let counters = shape.blocks << each;
            let scan = packer.add(&Scan {
                length: counters,
                destination: match compact {
                    Some(compacted) if first => scan_to_word(compacted),
                    _ => SCAN_TO_NOTHING,
                },
                capacity: 0,
                padding: 0,
            });
            Pass {
                sort,
                scan,
                counters,
                blocks: shape.blocks,
            }
        })
        .collect()
}

/// What recording needs besides the buffers.
pub(super) struct Recorder<'a> {
    pub gpu: &'a Gpu,
    pub kernels: &'a SortKernels,
    pub uniforms: &'a wgpu::Buffer,
    pub status: &'a wgpu::Buffer,
    pub scratch: &'a SortScratch,
}

impl Recorder<'_> {
    /// Sort `buffers`, from index 0; returns the index where the result is.
    pub fn sort(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        plan: &[Pass],
        buffers: &SortBuffers,
    ) -> usize {
        let Self {
            gpu,
            kernels,
            uniforms,
            status,
            scratch,
        } = *self;
        let SortScratch { counters, sums } = scratch;
        for (index, step) in plan.iter().enumerate() {
            let (from, to) = (index % 2, 1 - index % 2);
            let groups = [step.blocks.div_ceil(32), 1, 1];
            let bind = kernels.sort_count.bind(
                gpu,
                &[
                    step.sort.of(uniforms),
                    status.as_entire_binding(),
                    buffers.keys[from].as_entire_binding(),
                    counters.as_entire_binding(),
                ],
            );
            kernels.sort_count.dispatch(pass, &bind, groups);
            self.scan(pass, step.scan, step.counters, counters, sums);
            let bind = kernels.sort_scatter.bind(
                gpu,
                &[
                    step.sort.of(uniforms),
                    status.as_entire_binding(),
                    buffers.keys[from].as_entire_binding(),
                    buffers.values[from].as_entire_binding(),
                    counters.as_entire_binding(),
                    buffers.keys[to].as_entire_binding(),
                    buffers.values[to].as_entire_binding(),
                ],
            );
            kernels.sort_scatter.dispatch(pass, &bind, groups);
        }
        plan.len() % 2
    }

    /// Exclusive prefix sum of `values` in place; `sums` has room for a 64th of them.
    pub fn scan(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        scan: Slice,
        length: u32,
        values: &wgpu::Buffer,
        sums: &wgpu::Buffer,
    ) {
        let Self {
            gpu,
            kernels,
            uniforms,
            status,
            ..
        } = *self;
        let groups = groups_for(length.div_ceil(64));
        let bind = kernels.scan_reduce.bind(
            gpu,
            &[
                scan.of(uniforms),
                values.as_entire_binding(),
                sums.as_entire_binding(),
            ],
        );
        kernels.scan_reduce.dispatch(pass, &bind, groups);
        let bind = kernels.scan_sums.bind(
            gpu,
            &[
                scan.of(uniforms),
                sums.as_entire_binding(),
                status.as_entire_binding(),
            ],
        );
        kernels.scan_sums.dispatch(pass, &bind, [1, 1, 1]);
        let bind = kernels.scan_apply.bind(
            gpu,
            &[
                scan.of(uniforms),
                sums.as_entire_binding(),
                values.as_entire_binding(),
            ],
        );
        kernels.scan_apply.dispatch(pass, &bind, groups);
    }
}

/// Groups of 64 for one-dimensional work, as `shared/dispatch.wgsl` counts them.
pub(super) fn groups_for(items: u32) -> [u32; 3] {
    let groups = items.div_ceil(64);
    let across = groups.clamp(1, 65535);
    [across, groups.div_ceil(across), 1]
}
