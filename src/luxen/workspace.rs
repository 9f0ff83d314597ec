//! Buffers for one chunk of rays. A step or a picture of more rays than fit goes through them several times.

use super::{
    FieldShape, LuxenConfig, Size,
    layout::{APPEARANCE, Arena, LayerGradient, NetworkSums, ProposalLayout},
};
use crate::{Error, Result, gpu::Gpu};

/// Sides of the tiles that a layer's gradient is summed in, see `luxen/layer.wgsl`.
pub(super) const TILE: u32 = 8;

/// Invocations that hold the sums of a proposal's gradient, enough for many processors, and those of a workgroup, see
/// `luxen/proposal_held.wgsl`.
pub(super) const HOLDERS: u32 = 256;
pub(super) const HELD_LANES: u32 = 8;

/// f32s of the partial sums of the largest network, or of what is held of a proposal.
fn partials(shape: &FieldShape, size: Size) -> u64 {
    let of_network = |layers: &[LayerGradient]| {
        u64::from(NetworkSums::new(layers, size, [0; 2], false).partials)
    };
    let held = 4 * u64::from(ProposalLayout::VECTORS * HOLDERS);
    of_network(&shape.layout.layers())
        .max(of_network(&ProposalLayout::layers()))
        .max(held)
}

/// Most bytes that the buffers of a training step take, and those of a picture: what does not fit goes through them in
/// chunks, and they leave a graphics card its memory for the edit model.
const MOST_BYTES_OF_STEP: u64 = 768 << 20;
const MOST_BYTES_OF_PICTURE: u64 = 512 << 20;

/// Bytes of a [`Workspace`]'s buffers.
pub(super) struct ChunkBytes {
    rays: u64,
    spans: u64,
    bins: [u64; 3],
    forward: [u64; 3],
    kept: u64,
    ray_inputs: u64,
    ray_hidden: u64,
}

impl ChunkBytes {
    /// Of a step `with_backward`, else of a picture.
    pub fn new(shape: &FieldShape, samples: [u32; 3], rays: u64, with_backward: bool) -> Self {
        let samples = samples.map(u64::from);
        let arenas = arenas(shape);
        let kept = if with_backward { kept_bytes(shape) } else { 0 };
        Self {
            rays: rays * 48,
            spans: rays * 8,
            bins: samples.map(|n| rays * (n + 1) * 4),
            forward: std::array::from_fn(|l| u64::from(arenas[l].forward) * rays * samples[l] * 4),
            kept: (kept * rays * samples[2]).max(BLOCK_BYTES),
            ray_inputs: rays * u64::from(16 + APPEARANCE) * 4,
            ray_hidden: rays * u64::from(shape.layout.hidden) * 4,
        }
    }

    pub fn total(&self) -> u64 {
        let Self {
            rays,
            spans,
            bins,
            forward,
            kept,
            ray_inputs,
            ray_hidden,
        } = *self;
        [rays, spans, kept, ray_inputs, ray_hidden]
            .into_iter()
            .chain(bins)
            .chain(forward)
            .map(Gpu::storage_bytes)
            .sum()
    }
}

/// Bytes of [`Gradients`].
pub(super) struct GradientBytes {
    backward: [u64; 3],
    d_ray_hidden: u64,
    d_appearances: u64,
    losses: u64,
    total: u64,
    partials: u64,
    scales: [u64; 4],
}

impl GradientBytes {
    pub fn new(shape: &FieldShape, config: &LuxenConfig, rays: u64) -> Self {
        let arenas = arenas(shape);
        Self {
            backward: std::array::from_fn(|l| {
                u64::from(arenas[l].backward) * rays * u64::from(config.samples[l]) * 4
            }),
            d_ray_hidden: rays * u64::from(shape.layout.hidden) * 4,
            d_appearances: rays * u64::from(APPEARANCE) * 4,
            losses: rays * 16,
            total: 16,
            partials: partials(shape, config.size) * 4,
            scales: [128; 4],
        }
    }

    pub fn total(&self) -> u64 {
        let Self {
            backward,
            d_ray_hidden,
            d_appearances,
            losses,
            total,
            partials,
            scales,
        } = *self;
        [d_ray_hidden, d_appearances, losses, total, partials]
            .into_iter()
            .chain(backward)
            .chain(scales)
            .map(Gpu::storage_bytes)
            .sum()
    }
}

/// What a chunk needs on its way there, and what it leaves for its way back.
pub(super) struct Workspace {
    /// Rays that fit; a multiple of 64.
    pub rays_capacity: u32,
    pub arenas: [Arena; 3],
    pub rays: wgpu::Buffer,
    /// First and last bin edge of each ray.
    pub spans: wgpu::Buffer,
    pub bins: [wgpu::Buffer; 3],
    pub forward: [wgpu::Buffer; 3],
    /// Of a step: what both ways leave of the field's samples to be summed, see `luxen/kept.wgsl`.
    pub kept: wgpu::Buffer,
    pub ray_inputs: wgpu::Buffer,
    pub ray_hidden: wgpu::Buffer,
}

/// What training needs besides.
pub(super) struct Gradients {
    pub backward: [wgpu::Buffer; 3],
    pub d_ray_hidden: wgpu::Buffer,
    pub d_appearances: wgpu::Buffer,
    pub losses: wgpu::Buffer,
    pub total: wgpu::Buffer,
    pub partials: wgpu::Buffer,
    /// Fixed-point scales: proposals, field, appearances.
    pub scales: [wgpu::Buffer; 4],
}

/// Four channels of a quad in bfloat16; the least that can be bound.
const BLOCK_BYTES: u64 = 32;

/// Of a sample.
fn kept_bytes(shape: &FieldShape) -> u64 {
    BLOCK_BYTES / 4 * u64::from(shape.layout.kept_blocks())
}

fn arenas(shape: &FieldShape) -> [Arena; 3] {
    [
        ProposalLayout::arena(),
        ProposalLayout::arena(),
        shape.layout.arena(),
    ]
}

/// Most rays of a chunk whose buffers can be bound, each within `binding_limit`, and do not take too much together: a
/// multiple of 64, at most `wanted` rounded up to one.
///
/// # Errors
/// [`Error::Gpu`] when not even a small chunk fits.
pub(super) fn capacity(
    binding_limit: u64,
    shape: &FieldShape,
    config: &LuxenConfig,
    wanted: u32,
    with_backward: bool,
) -> Result<u32> {
    let samples = config.samples;
    let of_a_ray = ChunkBytes::new(shape, samples, 64, with_backward).total() / 64;
    let affordable = if with_backward {
        let gradients = |rays| GradientBytes::new(shape, config, rays).total();
        // Sums and scales are the same for any number of rays.
        let of_more = (gradients(128) - gradients(64)) / 64;
        let constant = gradients(64) - 64 * of_more;
        MOST_BYTES_OF_STEP.saturating_sub(constant) / (of_a_ray + of_more)
    } else {
        MOST_BYTES_OF_PICTURE / of_a_ray
    };
    let largest = arenas(shape)
        .iter()
        .zip(samples)
        .map(|(arena, samples)| {
            let channels = if with_backward {
                arena.forward.max(arena.backward)
            } else {
                arena.forward
            };
            u64::from(channels) * u64::from(samples) * 4
        })
        .chain(with_backward.then(|| kept_bytes(shape) * u64::from(samples[2])))
        .max()
        .unwrap_or(1);
    // A dispatch covers 65 535 groups of 64 quads.
    let most_quads = 65_535 * 64;
    let most_samples = u64::from(samples.into_iter().max().unwrap_or(4));
    let fitting = (binding_limit / largest)
        .min(affordable.max(64))
        .min(most_quads * 4 / most_samples)
        .min(u64::from(wanted.next_multiple_of(64)));
    match fitting / 64 * 64 {
        0 => Err(Error::Gpu(format!(
            "64 rays of {most_samples} samples do not fit buffers of {} MiB: take fewer samples a ray",
            binding_limit >> 20
        ))),
        rays => Ok(rays as u32),
    }
}

impl Workspace {
    /// For the steps of a training run.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_step(gpu: &Gpu, shape: &FieldShape, config: &LuxenConfig) -> Result<Self> {
        Self::new(gpu, shape, config, rays_at_a_time(config), true)
    }

    /// # Errors
    /// [`Error::Gpu`] when not even a small chunk fits the adapter.
    pub fn new(
        gpu: &Gpu,
        shape: &FieldShape,
        config: &LuxenConfig,
        wanted_rays: u32,
        with_backward: bool,
    ) -> Result<Self> {
        let limit = gpu.binding_limit();
        let rays_capacity = capacity(limit, shape, config, wanted_rays, with_backward)?;
        let rays = u64::from(rays_capacity);
        let bytes = ChunkBytes::new(shape, config.samples, rays, with_backward);
        Ok(Self {
            rays_capacity,
            arenas: arenas(shape),
            rays: gpu.storage("rays", bytes.rays),
            spans: gpu.storage("spans", bytes.spans),
            bins: bytes.bins.map(|bytes| gpu.storage("bins", bytes)),
            forward: bytes
                .forward
                .map(|bytes| gpu.storage("forward arena", bytes)),
            kept: gpu.storage("kept for sums", bytes.kept),
            ray_inputs: gpu.storage("ray inputs", bytes.ray_inputs),
            ray_hidden: gpu.storage("ray hidden", bytes.ray_hidden),
        })
    }

    pub fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let Self {
            rays_capacity: _,
            arenas: _,
            rays,
            spans,
            bins,
            forward,
            kept,
            ray_inputs,
            ray_hidden,
        } = self;
        [rays, spans, kept, ray_inputs, ray_hidden]
            .into_iter()
            .chain(bins)
            .chain(forward)
    }
}

/// Rays that a step would put through the buffers at a time, if they fit.
pub(super) fn rays_at_a_time(config: &LuxenConfig) -> u32 {
    match config.chunk_rays {
        0 => config.rays,
        most => config.rays.min(most),
    }
}

impl Gradients {
    pub fn new(gpu: &Gpu, shape: &FieldShape, config: &LuxenConfig, space: &Workspace) -> Self {
        let bytes = GradientBytes::new(shape, config, u64::from(space.rays_capacity));
        Self {
            backward: bytes
                .backward
                .map(|bytes| gpu.storage("backward arena", bytes)),
            d_ray_hidden: gpu.storage("d ray hidden", bytes.d_ray_hidden),
            d_appearances: gpu.storage("d appearances", bytes.d_appearances),
            losses: gpu.storage("ray losses", bytes.losses),
            total: gpu.storage("losses", bytes.total),
            partials: gpu.storage("layer sums", bytes.partials),
            scales: bytes
                .scales
                .map(|bytes| gpu.storage("fixed-point scales", bytes)),
        }
    }

    pub fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let Self {
            backward,
            d_ray_hidden,
            d_appearances,
            losses,
            total,
            partials,
            scales,
        } = self;
        [d_ray_hidden, d_appearances, losses, total, partials]
            .into_iter()
            .chain(backward)
            .chain(scales)
    }
}
