//! Buffers for one chunk of rays. A step or a picture of more rays than fit goes through them several times.

use super::{
    FieldShape, LuxenConfig,
    layout::{APPEARANCE, Arena, LayerGradient, ProposalLayout},
};
use crate::{Error, Result, gpu::Gpu};

/// Invocations that share the samples of a layer's gradient, see `luxen/layer.wgsl`.
pub(super) const SPLITS: u32 = 64;

/// Elements of the partial sums of the largest layer.
fn partials(shape: &FieldShape, tile: u32) -> u64 {
    let of_layer = |layer: &LayerGradient| {
        let w = &layer.weights;
        let rows = w.rows.next_multiple_of(tile);
        u64::from(rows * (w.columns.next_multiple_of(tile) + 1)) * u64::from(SPLITS)
    };
    let field = shape.layout.layers();
    let proposal = ProposalLayout::layers();
    field
        .iter()
        .chain(&proposal)
        .map(of_layer)
        .max()
        .unwrap_or(0)
}

/// What every chunk needs.
pub(super) struct Workspace {
    /// Rays that fit; a multiple of 64.
    pub rays_capacity: u32,
    pub arenas: [Arena; 3],
    pub rays: wgpu::Buffer,
    /// First and last bin edge of each ray.
    pub spans: wgpu::Buffer,
    pub bins: [wgpu::Buffer; 3],
    pub forward: [wgpu::Buffer; 3],
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

fn arenas(shape: &FieldShape) -> [Arena; 3] {
    [
        ProposalLayout::arena(),
        ProposalLayout::arena(),
        shape.layout.arena(),
    ]
}

/// Most rays of a chunk whose buffers can be bound: a multiple of 64, at most `wanted` rounded up to one.
fn capacity(
    gpu: &Gpu,
    shape: &FieldShape,
    samples: [u32; 3],
    wanted: u32,
    with_backward: bool,
) -> Result<u32> {
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
        .max()
        .unwrap_or(1);
    // A dispatch covers 65 535 groups of 64 quads.
    let most_quads = 65_535 * 64;
    let most_samples = u64::from(samples.into_iter().max().unwrap_or(4));
    let fitting = (gpu.binding_limit() / largest)
        .min(most_quads * 4 / most_samples)
        .min(u64::from(wanted.next_multiple_of(64)));
    match fitting / 64 * 64 {
        0 => Err(Error::Gpu(format!(
            "64 rays of {} samples do not fit the buffers of {}: take fewer samples a ray",
            most_samples, gpu.info.name
        ))),
        rays => Ok(rays as u32),
    }
}

impl Workspace {
    /// # Errors
    /// [`Error::Gpu`] when not even a small chunk fits the adapter.
    pub fn new(
        gpu: &Gpu,
        shape: &FieldShape,
        config: &LuxenConfig,
        wanted_rays: u32,
        with_backward: bool,
    ) -> Result<Self> {
        let rays_capacity = capacity(gpu, shape, config.samples, wanted_rays, with_backward)?;
        let rays = u64::from(rays_capacity);
        let arenas = arenas(shape);
        let samples = config.samples.map(u64::from);
        Ok(Self {
            rays_capacity,
            rays: gpu.storage("rays", rays * 48),
            spans: gpu.storage("spans", rays * 8),
            bins: std::array::from_fn(|l| gpu.storage("bins", rays * (samples[l] + 1) * 4)),
            forward: std::array::from_fn(|l| {
                let values = u64::from(arenas[l].forward) * rays * samples[l];
                gpu.storage("forward arena", values * 4)
            }),
            ray_inputs: gpu.storage("ray inputs", rays * u64::from(16 + APPEARANCE) * 4),
            ray_hidden: gpu.storage("ray hidden", rays * u64::from(shape.layout.hidden) * 4),
            arenas,
        })
    }
}

impl Gradients {
    pub fn new(gpu: &Gpu, shape: &FieldShape, config: &LuxenConfig, space: &Workspace) -> Self {
        let rays = u64::from(space.rays_capacity);
        Self {
            backward: std::array::from_fn(|l| {
                let samples = u64::from(config.samples[l]);
                let values = u64::from(space.arenas[l].backward) * rays * samples;
                gpu.storage("backward arena", values * 4)
            }),
            d_ray_hidden: gpu.storage("d ray hidden", rays * u64::from(shape.layout.hidden) * 4),
            d_appearances: gpu.storage("d appearances", rays * u64::from(APPEARANCE) * 4),
            losses: gpu.storage("ray losses", rays * 16),
            total: gpu.storage("losses", 16),
            partials: gpu.storage("layer sums", partials(shape, config.size.tile()) * 4),
            scales: std::array::from_fn(|_| gpu.storage("fixed-point scales", 128)),
        }
    }
}
