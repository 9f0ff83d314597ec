//! Refinements on the GPU: which rows the next set of splats has, and what becomes of those that are new. The host learns
//! how many there will be, in one read-back a refinement, because it must allocate them.

use super::{
    Refinement, SplatBuffers,
    kernels::{GrowthKernels, GrowthParams},
};
use crate::{
    Error, Result,
    gpu::{Gpu, Kernel},
    splat::{
        SplatGradients, TrainConfig,
        kernels::{SortKernels, TileSize},
        optimizer::Moments,
        scratch::SortBuffers,
        sort::{self, Count, Recorder, SortScratch, SortShape, groups_for},
        uniforms::{Packer, Scan, scan_to_word},
    },
};
use bytemuck::Zeroable;

/// Floats of the statistics of a splat: sum of gradients, views, largest extent.
pub const STATISTICS: usize = 3;
const STATUS_WORDS: usize = 4;
/// Status words of a selection.
const KEPT: usize = 0;
const CANDIDATES: usize = 1;
/// Status words of a relocation.
const DEAD: usize = 0;
const WEIGHT_SUM: usize = 1;

/// The next set of splats.
pub struct Plan {
    /// A word a row, see `splat/growth/row.wgsl`.
    pub rows: wgpu::Buffer,
    pub count: u32,
    pub removed: u32,
    pub added: u32,
    pub relocated: u32,
    params: GrowthParams,
    /// MCMC: how often each splat was drawn.
    counts: Option<wgpu::Buffer>,
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
    kernels: GrowthKernels,
    sort: SortKernels,
    shape: SortShape,
    step_params: wgpu::Buffer,
}

/// Zeroed [`STATISTICS`] of `count` splats.
pub fn no_statistics(gpu: &Gpu, count: u32) -> wgpu::Buffer {
    gpu.storage(
        "growth statistics",
        u64::from(count) * STATISTICS as u64 * 4,
    )
}

fn params_of(config: &TrainConfig, step: u64, splats: u32) -> GrowthParams {
    GrowthParams {
        splats,
        seed_low: config.seed as u32,
        seed_high: (config.seed >> 32) as u32,
        step: step as u32,
        ..GrowthParams::zeroed()
    }
}

fn words(gpu: &Gpu, label: &str, count: u32) -> wgpu::Buffer {
    gpu.storage(label, u64::from(count) * 4)
}

/// Bind the uniforms and `buffers` and run a thread an item.
fn run(
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

    /// Removal, doubling and splitting. Beyond the cap, those that are pulled hardest have precedence.
    ///
    /// # Errors
    /// [`Error::Invalid`] when nothing is left, [`Error::Gpu`] when the device fails.
    pub fn select(
        &self,
        gpu: &Gpu,
        splats: &SplatBuffers,
        statistics: &wgpu::Buffer,
        config: &TrainConfig,
        due: &Refinement,
        step: u64,
    ) -> Result<Decision> {
        let count = splats.count;
        let mut params = GrowthParams {
            max_scale: f32::INFINITY,
            gradient: f32::INFINITY,
            split_scale: f32::INFINITY,
            split_radius: f32::INFINITY,
            max_radius: f32::INFINITY,
            ..params_of(config, step, count)
        };
        if let Some(rule) = due.removal {
            params.min_opacity = rule.min_opacity;
            params.max_scale = rule.max_scale;
        }
        if let Some(rule) = due.growth {
            params.gradient = rule.gradient;
            params.split_scale = rule.split_scale;
            params.split_radius = rule.split_radius;
            params.max_radius = rule.max_radius;
        }
        let actions = words(gpu, "actions", count);
        let places = words(gpu, "places", count);
        let sums = words(gpu, "place sums", count.div_ceil(64));
        let order = SortBuffers::new(gpu, count);
        let scratch = SortScratch::new(gpu, self.shape);
        let status = words(gpu, "growth status", STATUS_WORDS as u32);
        let mut packer = Packer::new(gpu);
        let params_at = packer.add(&params);
        let plan = sort::plan(
            &mut packer,
            self.shape,
            32,
            Count::Host(count),
            Some(CANDIDATES),
        );
        let scan_at = packer.add(&Scan {
            length: count,
            destination: scan_to_word(KEPT),
            capacity: 0,
            padding: 0,
        });
        let uniforms = packer.finish(gpu);
        let recorder = self.recorder(gpu, &uniforms, &status, &scratch);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        run(
            gpu,
            &mut pass,
            &self.kernels.select,
            count,
            params_at.of(&uniforms),
            &[
                &splats.log_scales,
                &splats.logit_opacities,
                statistics,
                &actions,
                &places,
                &order.keys[0],
            ],
        );
        recorder.scan(&mut pass, scan_at, count, &places, &sums);
        let side = recorder.sort(&mut pass, &plan, &order);
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
        let found: Vec<u32> = gpu.read(&status, STATUS_WORDS)?;
        let (kept, candidates) = (found[KEPT], found[CANDIDATES]);
        if kept == 0 {
            return Err(nothing_left(step, count));
        }
        let added = candidates.min(config.growth.cap.splats.saturating_sub(kept));
        let cap_reached = added < candidates;
        if kept == count && added == 0 {
            return Ok(Decision {
                plan: None,
                cap_reached,
            });
        }

        params.kept = kept;
        params.drawn = added;
        params.rows = kept + added;
        let rows = words(gpu, "rows", params.rows);
        let uniforms = gpu.uniform_from("growth", &params);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        let buffers = [&order.values[side], &actions, &rows];
        if added > 0 {
            let kernel = &self.kernels.children;
            run(
                gpu,
                &mut pass,
                kernel,
                added,
                uniforms.as_entire_binding(),
                &buffers,
            );
        }
        let buffers = [&actions, &places, &rows];
        let kernel = &self.kernels.parents;
        run(
            gpu,
            &mut pass,
            kernel,
            count,
            uniforms.as_entire_binding(),
            &buffers,
        );
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
        Ok(Decision {
            plan: Some(Plan {
                rows,
                count: params.rows,
                removed: count - kept,
                added,
                relocated: 0,
                params,
                counts: None,
            }),
            cap_reached,
        })
    }

    /// MCMC: dead splats go where living ones are, and some are added there.
    ///
    /// # Errors
    /// [`Error::Invalid`] when all are dead, [`Error::Gpu`] when the device fails.
    pub fn relocate(
        &self,
        gpu: &Gpu,
        splats: &SplatBuffers,
        config: &TrainConfig,
        step: u64,
    ) -> Result<Decision> {
        let count = splats.count;
        let growth = &config.growth;
        let mut params = GrowthParams {
            min_opacity: growth.dead_opacity,
            // A little less than fits, so that no rounding makes the sum wrap.
            weight_one: (u32::MAX / count.max(1)) as f32 * 0.999,
            ..params_of(config, step, count)
        };
        let weights = words(gpu, "weights", count);
        let dead = words(gpu, "dead", count);
        let dead_before = words(gpu, "dead before", count);
        let sums = words(gpu, "weight sums", count.div_ceil(64));
        let scratch = SortScratch::new(gpu, self.shape);
        let status = words(gpu, "growth status", STATUS_WORDS as u32);
        let mut packer = Packer::new(gpu);
        let params_at = packer.add(&params);
        let mut scan_to = |position| {
            packer.add(&Scan {
                length: count,
                destination: scan_to_word(position),
                capacity: 0,
                padding: 0,
            })
        };
        let (weights_at, dead_at) = (scan_to(WEIGHT_SUM), scan_to(DEAD));
        let uniforms = packer.finish(gpu);
        let recorder = self.recorder(gpu, &uniforms, &status, &scratch);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        run(
            gpu,
            &mut pass,
            &self.kernels.weigh,
            count,
            params_at.of(&uniforms),
            &[&splats.log_scales, &splats.logit_opacities, &weights, &dead],
        );
        drop(pass);
        encoder.copy_buffer_to_buffer(&dead, 0, &dead_before, 0, dead.size());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        recorder.scan(&mut pass, weights_at, count, &weights, &sums);
        recorder.scan(&mut pass, dead_at, count, &dead_before, &sums);
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
        let found: Vec<u32> = gpu.read(&status, STATUS_WORDS)?;
        if found[WEIGHT_SUM] == 0 {
            return Err(nothing_left(step, count));
        }
        let wanted = (f64::from(count) * (1.0 + growth.growth_rate)) as u32;
        let added = wanted.min(growth.cap.splats).saturating_sub(count);
        let cap_reached = wanted > growth.cap.splats;
        params.weight_sum = found[WEIGHT_SUM];
        params.dead = found[DEAD];
        params.drawn = params.dead + added;
        params.rows = count + added;
        if params.drawn == 0 {
            return Ok(Decision {
                plan: None,
                cap_reached,
            });
        }

        let targets = words(gpu, "targets", params.drawn);
        let counts = words(gpu, "draws", count);
        let rows = words(gpu, "rows", params.rows);
        let uniforms = gpu.uniform_from("growth", &params);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        run(
            gpu,
            &mut pass,
            &self.kernels.draw,
            params.drawn,
            uniforms.as_entire_binding(),
            &[&weights, &targets, &counts],
        );
        run(
            gpu,
            &mut pass,
            &self.kernels.relocate,
            params.rows,
            uniforms.as_entire_binding(),
            &[&dead, &dead_before, &targets, &counts, &rows],
        );
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
        Ok(Decision {
            plan: Some(Plan {
                rows,
                count: params.rows,
                removed: 0,
                added,
                relocated: params.dead,
                params,
                counts: Some(counts),
            }),
            cap_reached,
        })
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

    fn recorder<'a>(
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

fn nothing_left(step: u64, count: u32) -> Error {
    Error::invalid(format!(
        "after {step} steps all {count} splats are transparent or oversized: the reconstruction has failed; check the \
         camera poses, or start with more splats"
    ))
}
