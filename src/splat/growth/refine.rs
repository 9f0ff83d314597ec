//! What both ways of growing share: the plan of a next set of splats, what its new rows become, and what every optimizer
//! step does for the growth. All of it runs on the GPU; the host learns how many rows there will be, in one read-back a
//! refinement, because it must allocate them.

use super::{
    SplatBuffers,
    kernels::{GrowthKernels, GrowthParams},
};
use crate::{
    Error,
    gpu::{Gpu, Kernel},
    splat::{
        SplatGradients, TrainConfig,
        kernels::{SortKernels, TileSize},
        optimizer::Moments,
        sort::{Recorder, SortScratch, SortShape, groups_for},
    },
};
use bytemuck::Zeroable;

/// Floats of the statistics of a splat: sum of gradients, views, largest extent.
pub const STATISTICS: usize = 3;
pub(super) const STATUS_WORDS: usize = 4;

/// The next set of splats.
pub struct Plan {
    /// A word a row, see `splat/growth/row.wgsl`.
    pub rows: wgpu::Buffer,
    pub count: u32,
    pub removed: u32,
    pub added: u32,
    pub relocated: u32,
    pub(super) params: GrowthParams,
    /// MCMC: how often each splat was drawn.
    pub(super) counts: Option<wgpu::Buffer>,
}

/// What a refinement found.
pub struct Decision {
    /// `None`: the set stays.
    pub plan: Option<Plan>,
    /// The cap kept it from growing further.
    pub cap_reached: bool,
}

/// Kernels of the growth, for the life of a trainer.
pub struct Refiner {
    pub(super) kernels: GrowthKernels,
    sort: SortKernels,
    pub(super) shape: SortShape,
    step_params: wgpu::Buffer,
}

/// Zeroed [`STATISTICS`] of `count` splats.
pub fn no_statistics(gpu: &Gpu, count: u32) -> wgpu::Buffer {
    gpu.storage(
        "growth statistics",
        u64::from(count) * STATISTICS as u64 * 4,
    )
}

pub(super) fn params_of(config: &TrainConfig, step: u64, splats: u32) -> GrowthParams {
    GrowthParams {
        splats,
        seed_low: config.seed as u32,
        seed_high: (config.seed >> 32) as u32,
        step: step as u32,
        ..GrowthParams::zeroed()
    }
}

pub(super) fn words(gpu: &Gpu, label: &str, count: u32) -> wgpu::Buffer {
    gpu.storage(label, u64::from(count) * 4)
}

/// Bind the uniforms and `buffers` and run a thread an item.
pub(super) fn run(
    gpu: &Gpu,
    pass: &mut wgpu::ComputePass<'_>,
    kernel: &Kernel,
    items: u32,
    uniforms: wgpu::BindingResource<'_>,
    buffers: &[&wgpu::Buffer],
) {
    let resources: Vec<_> = std::iter::once(uniforms)
        .chain(buffers.iter().map(|b| b.as_entire_binding()))
        .collect();
    let bound = kernel.bind(gpu, &resources);
    kernel.dispatch(pass, &bound, groups_for(items));
}

impl Refiner {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            kernels: GrowthKernels::new(gpu),
            sort: SortKernels::new(gpu),
            shape: SortShape::new(TileSize::of(gpu)),
            step_params: gpu.uniform_from("growth", &GrowthParams::zeroed()),
        }
    }

    /// Give the rows that are new what sets them apart from those they came from.
    pub fn record_new_rows(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        plan: &Plan,
        splats: &SplatBuffers,
    ) {
        let uniforms = gpu.uniform_from("growth", &plan.params);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        let (kernel, buffers) = match &plan.counts {
            None => (
                &self.kernels.split,
                [&plan.rows, &splats.quats, &splats.means, &splats.log_scales],
            ),
            Some(counts) => (
                &self.kernels.share,
                [
                    &plan.rows,
                    counts,
                    &splats.log_scales,
                    &splats.logit_opacities,
                ],
            ),
        };
        run(
            gpu,
            &mut pass,
            kernel,
            plan.count,
            uniforms.as_entire_binding(),
            &buffers,
        );
    }

    /// Leave no splat more opaque than `opacity`, with the optimizer at rest.
    pub fn record_reset(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        splats: &SplatBuffers,
        moments: &Moments,
        opacity: f32,
    ) {
        let params = GrowthParams {
            splats: splats.count,
            max_logit: (opacity / (1.0 - opacity)).ln(),
            ..GrowthParams::zeroed()
        };
        let uniforms = gpu.uniform_from("growth", &params);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        run(
            gpu,
            &mut pass,
            &self.kernels.reset_opacity,
            splats.count,
            uniforms.as_entire_binding(),
            &[&splats.logit_opacities, &moments.first, &moments.second],
        );
    }

    /// Write what the kernels of one optimizer step read, on a picture of `size`. `means_rate` is the learning rate of
    /// the means in scene extents. Takes effect with the next submission: one step each.
    pub fn prepare_step(
        &self,
        gpu: &Gpu,
        config: &TrainConfig,
        splats: u32,
        step: u64,
        size: (u32, u32),
        means_rate: f64,
    ) {
        let growth = &config.growth;
        let each = 1.0 / f64::from(splats.max(1));
        let params = GrowthParams {
            half_width: size.0 as f32 / 2.0,
            half_height: size.1 as f32 / 2.0,
            opacity_pull: (growth.opacity_weight * each) as f32,
            scale_pull: (growth.scale_weight * each / 3.0 / config.scene_extent) as f32,
            noise: (means_rate * growth.noise / config.scene_extent) as f32,
            ..params_of(config, step, splats)
        };
        gpu.queue
            .write_buffer(&self.step_params, 0, bytemuck::bytes_of(&params));
    }

    /// After a backward pass: gather what [`Self::select`] decides by.
    pub fn record_statistics(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        gradients: &SplatGradients,
        halt: &wgpu::Buffer,
        statistics: &wgpu::Buffer,
    ) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        run(
            gpu,
            &mut pass,
            &self.kernels.accumulate,
            gradients.count,
            self.step_params.as_entire_binding(),
            &[halt, &gradients.mean2d, &gradients.radii, statistics],
        );
    }

    /// MCMC, after a backward pass: splats are to be few and small.
    pub fn record_penalties(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        splats: &SplatBuffers,
        gradients: &SplatGradients,
    ) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        run(
            gpu,
            &mut pass,
            &self.kernels.penalize,
            splats.count,
            self.step_params.as_entire_binding(),
            &[
                &splats.log_scales,
                &splats.logit_opacities,
                &gradients.log_scales,
                &gradients.logit_opacities,
            ],
        );
    }

    /// MCMC, after the optimizer: faint splats move at random.
    pub fn record_wandering(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        splats: &SplatBuffers,
        halt: &wgpu::Buffer,
    ) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        run(
            gpu,
            &mut pass,
            &self.kernels.wander,
            splats.count,
            self.step_params.as_entire_binding(),
            &[
                halt,
                &splats.quats,
                &splats.log_scales,
                &splats.logit_opacities,
                &splats.means,
            ],
        );
    }

    pub(super) fn recorder<'a>(
        &'a self,
        gpu: &'a Gpu,
        uniforms: &'a wgpu::Buffer,
        status: &'a wgpu::Buffer,
        scratch: &'a SortScratch,
    ) -> Recorder<'a> {
        Recorder {
            gpu,
            kernels: &self.sort,
            uniforms,
            status,
            scratch,
        }
    }
}

pub(super) fn nothing_left(step: u64, count: u32) -> Error {
    Error::invalid(format!(
        "after {step} steps all {count} splats are transparent or oversized: the reconstruction has failed; check the \
         camera poses, or start with more splats"
    ))
}
