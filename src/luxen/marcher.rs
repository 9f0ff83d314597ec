//! A chunk of rays through both proposals and the field: what training and pictures have in common.

use super::{
    Background, FieldBuffers, FieldShape, LuxenConfig, PixelLoss, kernels::ForwardKernels,
    occupancy::bounds, sources::PROPOSAL_GROUP, uniforms::Batch, workspace::Workspace,
};
use crate::gpu::{Gpu, Kernel, Packer, Slice};

/// Which rays, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct RayRange {
    /// A multiple of 4.
    pub rays: u32,
    pub first: u32,
    /// Of the whole step; a picture has no use for it.
    pub total: u32,
    pub step: u64,
    pub anneal: f64,
    pub is_training: bool,
    /// Row of the appearance table that a picture's rays read.
    pub appearance_row: u32,
}

/// Uniforms of a chunk, in a packed buffer.
pub(super) struct ChunkUniforms {
    pub rays: u32,
    pub quads: [u32; 3],
    pub batches: [Slice; 3],
    pub grids: [Slice; 3],
}

fn spacing(distance: f64) -> f32 {
    if distance < 1.0 {
        (distance / 2.0) as f32
    } else {
        (1.0 - 0.5 / distance) as f32
    }
}

impl ChunkUniforms {
    pub fn new(
        packer: &mut Packer,
        config: &LuxenConfig,
        shape: &FieldShape,
        space: &Workspace,
        range: &RayRange,
    ) -> Self {
        let quads = config.samples.map(|samples| range.rays * samples / 4);
        let (background_kind, background) = match config.background {
            Background::LastSample => (1, [0.0; 3]),
            Background::Fixed(color) => (0, color),
        };
        let (half_side, least_density) = bounds(config);
        let total = f64::from(range.total.max(1));
        let batches = std::array::from_fn(|l| {
            let arena = &space.arenas[l];
            packer.add(&Batch {
                rays: range.rays,
                samples: config.samples[l],
                next_samples: config.samples.get(l + 1).copied().unwrap_or(0),
                first_ray: range.first,
                seed: config.seed as u32 ^ (config.seed >> 32) as u32,
                step: range.step as u32,
                is_training: u32::from(range.is_training),
                background_kind,
                background,
                average_density: config.average_density as f32,
                near: spacing(config.near),
                far: spacing(config.far),
                anneal: range.anneal as f32,
                photo_scale: (1.0 / (3.0 * total)) as f32,
                distortion_scale: (config.loss.distortion_weight / total) as f32,
                interlevel_scale: (config.loss.interlevel_weight
                    / (total * f64::from(config.samples[2])))
                    as f32,
                density_at: arena.density_at,
                d_density_at: arena.d_density_at,
                color_at: arena.color_at,
                d_color_at: arena.d_color_at,
                patch_side: config.patch_side.max(1),
                views: shape.views,
                appearance_row: range.appearance_row,
                loss_kind: match config.loss.pixel {
                    PixelLoss::Squared => 0,
                    PixelLoss::Absolute => 1,
                },
                half_side,
                least_density,
            })
        });
        let grids = std::array::from_fn(|l| {
            packer.add(&shape.grids[l].uniform(quads[l], space.arenas[l].features_at, 0))
        });
        Self {
            rays: range.rays,
            quads,
            batches,
            grids,
        }
    }
}

/// Groups of 64.
pub(super) fn groups(count: u32) -> u32 {
    count.div_ceil(64).max(1)
}

/// Records dispatches into one pass; bindings 1, 2, … are whole buffers.
pub(super) struct Recorder<'a, 'b> {
    pub gpu: &'a Gpu,
    pub pass: &'a mut wgpu::ComputePass<'b>,
    pub uniforms: &'a wgpu::Buffer,
}

impl Recorder<'_, '_> {
    pub fn run(
        &mut self,
        kernel: &Kernel,
        uniform: Slice,
        buffers: &[&wgpu::Buffer],
        groups: [u32; 3],
    ) {
        self.run_with(kernel, uniform, buffers, None, groups);
    }

    /// `last`: another uniform, bound after the buffers.
    pub fn run_with(
        &mut self,
        kernel: &Kernel,
        uniform: Slice,
        buffers: &[&wgpu::Buffer],
        last: Option<Slice>,
        groups: [u32; 3],
    ) {
        let resources: Vec<_> = std::iter::once(uniform.of(self.uniforms))
            .chain(buffers.iter().map(|b| b.as_entire_binding()))
            .chain(last.map(|slice| slice.of(self.uniforms)))
            .collect();
        let bound = kernel.bind(self.gpu, &resources);
        kernel.dispatch(self.pass, &bound, groups);
    }
}

/// Record: from the chunk's rays to the density and color of its samples.
pub(super) fn record_forward(
    recorder: &mut Recorder<'_, '_>,
    kernels: &ForwardKernels,
    chunk: &ChunkUniforms,
    shape: &FieldShape,
    space: &Workspace,
    field: &FieldBuffers,
) {
    let per_ray = [groups(chunk.rays), 1, 1];
    recorder.run(
        &kernels.first_bins,
        chunk.batches[0],
        &[&space.spans, &space.bins[0]],
        per_ray,
    );
    recorder.run(
        &kernels.ray_head,
        chunk.batches[2],
        &[
            field.network(2),
            &space.rays,
            field.appearances(),
            &space.ray_inputs,
            &space.ray_hidden,
        ],
        [groups(chunk.rays / 4), 1, 1],
    );
    for level in 0..3 {
        let batch = chunk.batches[level];
        let arena = &space.forward[level];
        let per_quad = groups(chunk.quads[level]);
        recorder.run(
            &kernels.points,
            batch,
            &[&space.rays, &space.bins[level], arena],
            [per_quad, 1, 1],
        );
        recorder.run(
            kernels.encode.of(field.storage()),
            chunk.grids[level],
            &[field.table(level), arena],
            [per_quad, shape.grids[level].levels.len() as u32, 1],
        );
        if level < 2 {
            recorder.run(
                &kernels.proposal,
                batch,
                &[field.network(level), arena],
                [groups(chunk.quads[level] / PROPOSAL_GROUP), 1, 1],
            );
            recorder.run(
                &kernels.resample,
                batch,
                &[&space.bins[level], arena, &space.bins[level + 1]],
                per_ray,
            );
        } else {
            recorder.run(
                &kernels.radiance,
                batch,
                &[field.network(2), &space.ray_hidden, arena, &space.kept],
                [groups(chunk.quads[level] / shape.layout.group), 1, 1],
            );
        }
    }
}
