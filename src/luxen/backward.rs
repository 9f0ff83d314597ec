//! The way back: from the losses of a chunk of rays to the gradients of every parameter.

use super::{
    FieldBuffers, FieldShape, LuxenConfig,
    kernels::{BackwardKernels, ProposalKernels},
    layout::{APPEARANCE, LayerSums, NetworkSums, ProposalLayout, Source},
    marcher::{ChunkUniforms, Recorder, groups},
    optimizer::Optimizer,
    sources::SCATTER_RUN,
    uniforms::{Channels, FinalLevel, Held},
    workspace::{Gradients, HELD_LANES, HOLDERS, Workspace},
};
use crate::gpu::{Packer, Slice};
use bytemuck::Zeroable;

/// Uniforms of the way back of one chunk.
pub(super) struct BackwardUniforms {
    last_level: Slice,
    draw: Slice,
    /// Proposals, field, appearances.
    channels: [Slice; 4],
    /// A level's network.
    networks: [NetworkPlan; 3],
    /// A proposal's network, where its sums are held.
    held: Slice,
}

impl BackwardUniforms {
    /// `accumulates`: add to what earlier chunks of the step gave.
    pub fn new(
        packer: &mut Packer,
        chunk: &ChunkUniforms,
        draw: Slice,
        shape: &FieldShape,
        space: &Workspace,
        config: &LuxenConfig,
        accumulates: bool,
    ) -> Self {
        let channels = std::array::from_fn(|l| {
            packer.add(&Channels {
                quads: chunk.quads.get(l).copied().unwrap_or(chunk.rays / 4),
                at: 0,
                each: if l < 3 { 2 } else { APPEARANCE },
                ..Channels::zeroed()
            })
        });
        let networks = std::array::from_fn(|level| {
            let layers = match level {
                2 => shape.layout.layers().to_vec(),
                _ => ProposalLayout::layers().to_vec(),
            };
            let quads = [chunk.quads[level], chunk.rays / 4];
            let network = NetworkSums::new(&layers, config.size, quads, accumulates);
            NetworkPlan::new(packer, &network)
        });
        let held = packer.add(&Held {
            count: ProposalLayout::VECTORS,
            invocations: HOLDERS,
            accumulates: u32::from(accumulates),
            ..Held::zeroed()
        });
        Self {
            last_level: packer.add(&FinalLevel {
                samples: config.samples[2],
                weight_at: space.arenas[2].density_at + 1,
                ..FinalLevel::zeroed()
            }),
            draw,
            channels,
            networks,
            held,
        }
    }
}

/// How the gradient of a network is summed over samples and rays.
struct NetworkPlan {
    sums: Vec<SumsPlan>,
    layers: Slice,
    parameters: u32,
}

struct SumsPlan {
    back: Source,
    went_in: Source,
    tiles: u32,
    layers: Slice,
}

impl NetworkPlan {
    fn new(packer: &mut Packer, network: &NetworkSums) -> Self {
        let plan = |sums: &LayerSums| SumsPlan {
            back: sums.back,
            went_in: sums.went_in,
            tiles: sums.tiles,
            layers: packer.add(&sums.layers),
        };
        Self {
            sums: network.sums.iter().map(plan).collect(),
            layers: packer.add(&network.layers),
            parameters: network.parameters,
        }
    }
}

/// Everything that the way back of a chunk touches.
pub(super) struct Backward<'a> {
    pub kernels: &'a BackwardKernels,
    pub chunk: &'a ChunkUniforms,
    pub uniforms: &'a BackwardUniforms,
    pub shape: &'a FieldShape,
    pub space: &'a Workspace,
    pub gradients: &'a Gradients,
    pub field: &'a FieldBuffers,
    pub optimizer: &'a Optimizer,
    /// A network's gradient, where there is one.
    pub given: &'a wgpu::Buffer,
    pub views: &'a wgpu::Buffer,
}

impl Backward<'_> {
    /// Record the losses and all gradients; those of the proposals only `with_proposals`.
    pub fn record(&self, recorder: &mut Recorder<'_, '_>, with_proposals: bool) {
        let Self {
            kernels,
            chunk,
            space,
            gradients,
            ..
        } = self;
        let per_ray = [groups(chunk.rays), 1, 1];
        recorder.run_with(
            &kernels.photo_loss,
            chunk.batches[2],
            &[
                &space.rays,
                &space.bins[2],
                &space.forward[2],
                &gradients.backward[2],
                &gradients.losses,
                self.given,
                self.views,
            ],
            Some(self.uniforms.draw),
            per_ray,
        );
        if with_proposals {
            for level in 0..2 {
                recorder.run_with(
                    &kernels.interlevel_loss,
                    chunk.batches[level],
                    &[
                        &space.bins[2],
                        &space.forward[2],
                        &space.bins[level],
                        &space.forward[level],
                        &gradients.backward[level],
                        &gradients.losses,
                    ],
                    Some(self.uniforms.last_level),
                    per_ray,
                );
            }
        }
        recorder.run(
            &kernels.losses,
            chunk.batches[2],
            &[&gradients.losses, &gradients.total],
            [1, 1, 1],
        );
        recorder.run(
            &kernels.radiance_backward,
            chunk.batches[2],
            &[
                self.field.network(2),
                &space.ray_hidden,
                &space.forward[2],
                &gradients.backward[2],
                &space.kept,
            ],
            [groups(chunk.quads[2] / self.shape.layout.group), 1, 1],
        );
        recorder.run(
            &kernels.ray_head_sums,
            chunk.batches[2],
            &[&space.kept, &gradients.d_ray_hidden],
            [groups(chunk.rays), self.shape.layout.hidden / 4, 1],
        );
        self.record_level(recorder, 2);
        if self.shape.views > 0 {
            self.record_appearances(recorder);
        }
        if with_proposals {
            for level in 0..2 {
                let buffers = [
                    self.field.network(level),
                    &space.forward[level],
                    &gradients.backward[level],
                    &gradients.partials,
                ];
                let batch = chunk.batches[level];
                match &kernels.proposals {
                    ProposalKernels::Tiled(backward) => {
                        let quads = groups(chunk.quads[level]);
                        recorder.run(backward, batch, &buffers[..3], [quads, 1, 1]);
                    }
                    ProposalKernels::Held { backward, reduce } => {
                        recorder.run(backward, batch, &buffers, [HOLDERS / HELD_LANES, 1, 1]);
                        let network = &self.optimizer.gradients[2 * level + 1];
                        recorder.run(
                            reduce,
                            self.uniforms.held,
                            &[&gradients.partials, network],
                            [groups(ProposalLayout::VECTORS), 1, 1],
                        );
                    }
                }
                self.record_level(recorder, level);
            }
        }
    }

    /// The gradient of a level's table, and of its network as far as it is not held.
    fn record_level(&self, recorder: &mut Recorder<'_, '_>, level: usize) {
        let Self {
            kernels,
            chunk,
            space,
            gradients,
            ..
        } = self;
        let levels = self.shape.grids[level].levels.len() as u32;
        recorder.run(
            &kernels.fixed_scales,
            self.uniforms.channels[level],
            &[&gradients.backward[level], &gradients.scales[level]],
            [levels, 1, 1],
        );
        recorder.run(
            &kernels.scatter,
            chunk.grids[level],
            &[
                &space.forward[level],
                &gradients.backward[level],
                &gradients.scales[level],
                &self.optimizer.gradients[2 * level],
            ],
            [groups(chunk.quads[level].div_ceil(SCATTER_RUN)), levels, 1],
        );
        let is_held = level < 2 && matches!(kernels.proposals, ProposalKernels::Held { .. });
        if !is_held {
            self.record_network(recorder, level);
        }
    }

    fn record_network(&self, recorder: &mut Recorder<'_, '_>, level: usize) {
        let Self {
            kernels,
            space,
            gradients,
            ..
        } = self;
        let network = &self.uniforms.networks[level];
        let partials = &gradients.partials;
        for sums in &network.sums {
            let source = |source, of_rays| match source {
                Source::Forward(_) => &space.forward[level],
                Source::Backward(_) => &gradients.backward[level],
                Source::Kept(_) => &space.kept,
                Source::Rays => of_rays,
            };
            let back = source(sums.back, &gradients.d_ray_hidden);
            let went_in = source(sums.went_in, &space.ray_inputs);
            let groups = [sums.tiles, 1, 1];
            match sums.back {
                Source::Kept(_) => {
                    let kernel = &kernels.layer_sums_kept;
                    recorder.run(kernel, sums.layers, &[back, partials], groups);
                }
                _ => {
                    let kernel = &kernels.layer_sums;
                    recorder.run(kernel, sums.layers, &[back, went_in, partials], groups);
                }
            }
        }
        recorder.run(
            &kernels.layer_reduce,
            network.layers,
            &[partials, &self.optimizer.gradients[2 * level + 1]],
            [groups(network.parameters), 1, 1],
        );
    }

    fn record_appearances(&self, recorder: &mut Recorder<'_, '_>) {
        let Self {
            kernels,
            chunk,
            space,
            gradients,
            ..
        } = self;
        recorder.run(
            &kernels.appearance_backward,
            chunk.batches[2],
            &[
                self.field.network(2),
                &gradients.d_ray_hidden,
                &gradients.d_appearances,
            ],
            [groups(chunk.rays / 4), 1, 1],
        );
        recorder.run(
            &kernels.fixed_scales,
            self.uniforms.channels[3],
            &[&gradients.d_appearances, &gradients.scales[3]],
            [1, 1, 1],
        );
        recorder.run(
            &kernels.appearance_scatter,
            chunk.batches[2],
            &[
                &space.rays,
                &gradients.d_appearances,
                &gradients.scales[3],
                &self.optimizer.gradients[6],
            ],
            [groups(chunk.rays), APPEARANCE, 1],
        );
    }
}
