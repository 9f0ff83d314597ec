//! Adam on the splat parameters, one fused kernel a parameter group. The moments live on the GPU beside the parameters
//! and are removed, saved and restored together with them.

use super::{SplatBuffers, SplatGradients, rows::Rows};
use crate::{
    gpu::{Gpu, Kernel, ShaderSource},
    scene::Splats,
};
use serde::{Deserialize, Serialize};

const ADAM: ShaderSource = ShaderSource {
    name: "splat/adam",
    parts: &[
        include_str!("../../shaders/shared/adam_update.wgsl"),
        include_str!("../../shaders/splat/adam.wgsl"),
    ],
};
const GATHER_ROWS: ShaderSource = ShaderSource {
    name: "splat/gather_rows",
    parts: &[
        include_str!("../../shaders/splat/growth/row.wgsl"),
        include_str!("../../shaders/splat/gather_rows.wgsl"),
    ],
};
pub(super) const HALT: ShaderSource = ShaderSource {
    name: "splat/halt",
    parts: &[include_str!("../../shaders/splat/halt.wgsl")],
};

/// The kernels of the optimizer.
pub(super) const SHADERS: &[ShaderSource] = &[ADAM, GATHER_ROWS, HALT];

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-15;
const WORKGROUP: u32 = 256;
const MAX_GROUPS: u32 = 65_535;

/// The parameter groups, in the order of [`LearningRates::at`].
pub(super) const GROUPS: [&str; 6] = [
    "means",
    "quats",
    "log_scales",
    "logit_opacities",
    "sh_dc",
    "sh_rest",
];
pub(super) const LOGIT_OPACITIES: usize = 3;
pub(super) const SH_REST: usize = 5;

/// Elements a splat in each group, as a shape without the leading `n`.
pub(super) fn row_shapes(sh_degree: u32) -> [Vec<usize>; 6] {
    [
        vec![3],
        vec![4],
        vec![3],
        vec![],
        vec![3],
        vec![Splats::rest_count_of(sh_degree), 3],
    ]
}

pub(super) fn row_width(group: usize, sh_degree: u32) -> u32 {
    row_shapes(sh_degree)[group].iter().product::<usize>() as u32
}

pub(super) fn parameter_buffers(splats: &SplatBuffers) -> [&wgpu::Buffer; 6] {
    let SplatBuffers {
        count: _,
        sh_degree: _,
        antialiased: _,
        means,
        quats,
        log_scales,
        logit_opacities,
        sh_dc,
        sh_rest,
    } = splats;
    [means, quats, log_scales, logit_opacities, sh_dc, sh_rest]
}

fn gradient_buffers(gradients: &SplatGradients) -> [&wgpu::Buffer; 6] {
    let SplatGradients {
        count: _,
        sh_degree: _,
        means,
        quats,
        log_scales,
        logit_opacities,
        sh_dc,
        sh_rest,
        mean2d: _,
        radii: _,
    } = gradients;
    [means, quats, log_scales, logit_opacities, sh_dc, sh_rest]
}

/// Adam's learning rates at full effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningRates {
    /// In scene extents, at the first step.
    pub means: f64,
    /// In scene extents, at the last step; exponential in between.
    pub means_final: f64,
    pub quats: f64,
    pub log_scales: f64,
    pub logit_opacities: f64,
    pub sh_dc: f64,
    pub sh_rest: f64,
}

impl Default for LearningRates {
    /// splatfacto's.
    fn default() -> Self {
        Self {
            means: 1.6e-4,
            means_final: 1.6e-6,
            quats: 0.001,
            log_scales: 0.005,
            logit_opacities: 0.05,
            sh_dc: 0.0025,
            sh_rest: 0.0025 / 20.0,
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct AdamParams {
    count: u32,
    width: u32,
    live: u32,
    stride: u32,
    step_size: f32,
    second_moment_correction: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    padding: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct GatherParams {
    count: u32,
    width: u32,
    stride: u32,
    fresh_is_zero: u32,
    first_place: u32,
    first_row: u32,
    end_row: u32,
    padding: u32,
}

const _: () = assert!(size_of::<AdamParams>() == 48 && size_of::<GatherParams>() == 32);

/// Workgroups for `count` invocations, and the invocations in a row of them.
fn dispatch_size(count: u32) -> ([u32; 3], u32) {
    let groups = count.div_ceil(WORKGROUP);
    let x = groups.clamp(1, MAX_GROUPS);
    ([x, groups.div_ceil(x), 1], x * WORKGROUP)
}

/// First and second moments of one group, shaped as the parameters.
#[derive(Clone)]
pub(super) struct Moments {
    pub first: wgpu::Buffer,
    pub second: wgpu::Buffer,
}

/// The kernels, for the life of a trainer.
pub(super) struct AdamKernels {
    adam: Kernel,
    gather: Kernel,
}

impl AdamKernels {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            adam: Kernel::new(gpu, &ADAM),
            gather: Kernel::new(gpu, &GATHER_ROWS),
        }
    }

    /// Copy the chosen `rows` of one group's buffer to a new one, where fresh rows may be zero.
    #[expect(clippy::too_many_arguments, reason = "what a copy is made of")]
    pub fn gather(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        label: &str,
        source: &wgpu::Buffer,
        source_count: u32,
        width: u32,
        rows: &wgpu::Buffer,
        row_count: u32,
        fresh_is_zero: bool,
    ) -> wgpu::Buffer {
        let bytes = u64::from(row_count) * u64::from(width) * 4;
        let destination = gpu.storage(label, bytes);
        if bytes == 0 {
            return destination;
        }
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("gather"),
            timestamp_writes: None,
        });
        for to in Rows::parts(gpu, row_count, width) {
            for from in Rows::parts(gpu, source_count, width) {
                let count = to.count() * width;
                let (groups, stride) = dispatch_size(count);
                let params = gpu.uniform_from(
                    "gather",
                    &GatherParams {
                        count,
                        width,
                        stride,
                        fresh_is_zero: u32::from(fresh_is_zero),
                        first_place: to.first,
                        first_row: from.first,
                        end_row: from.end,
                        padding: 0,
                    },
                );
                let bound = self.gather.bind(
                    gpu,
                    &[
                        params.as_entire_binding(),
                        rows.as_entire_binding(),
                        from.of(source, width),
                        to.of(&destination, width),
                    ],
                );
                self.gather.dispatch(&mut pass, &bound, groups);
            }
        }
        drop(pass);
        destination
    }
}

/// Rows of one group that are bound together.
struct BoundPart {
    rows: Rows,
    params: wgpu::Buffer,
    bound: wgpu::BindGroup,
}

/// The moments of one set of splats, bound to its parameters and gradients.
pub(super) struct Optimizer {
    pub moments: [Moments; 6],
    bound: [Vec<BoundPart>; 6],
    sh_degree: u32,
}

impl Optimizer {
    /// Moments at rest.
    pub fn zeroed_moments(gpu: &Gpu, splats: &SplatBuffers) -> [Moments; 6] {
        std::array::from_fn(|group| {
            let bytes = u64::from(splats.count) * u64::from(row_width(group, splats.sh_degree)) * 4;
            Moments {
                first: gpu.storage("first moments", bytes),
                second: gpu.storage("second moments", bytes),
            }
        })
    }

    pub fn new(
        gpu: &Gpu,
        kernels: &AdamKernels,
        splats: &SplatBuffers,
        gradients: &SplatGradients,
        moments: [Moments; 6],
        halt: &wgpu::Buffer,
    ) -> Self {
        let parameters = parameter_buffers(splats);
        let gradients = gradient_buffers(gradients);
        let bound = std::array::from_fn(|group| {
            let width = row_width(group, splats.sh_degree);
            let bind = |rows: Rows| {
                let params =
                    gpu.uniform_from("Adam", &<AdamParams as bytemuck::Zeroable>::zeroed());
                let bound = kernels.adam.bind(
                    gpu,
                    &[
                        params.as_entire_binding(),
                        halt.as_entire_binding(),
                        rows.of(gradients[group], width),
                        rows.of(parameters[group], width),
                        rows.of(&moments[group].first, width),
                        rows.of(&moments[group].second, width),
                    ],
                );
                BoundPart {
                    rows,
                    params,
                    bound,
                }
            };
            Rows::parts(gpu, splats.count, width)
                .into_iter()
                .map(bind)
                .collect()
        });
        Self {
            moments,
            bound,
            sh_degree: splats.sh_degree,
        }
    }

    /// Record one update of every group. `step` counts from 1 and never restarts; `rates` are in the order of
    /// [`GROUPS`]. The uniforms are written when the encoder is submitted: one update a submission.
    pub fn record(
        &self,
        gpu: &Gpu,
        kernels: &AdamKernels,
        encoder: &mut wgpu::CommandEncoder,
        step: u64,
        rates: &[f64; 6],
        active_sh_degree: u32,
    ) {
        let exponent = step.min(1 << 30) as i32;
        let first_correction = 1.0 - f64::from(BETA1).powi(exponent);
        let second_correction = 1.0 - f64::from(BETA2).powi(exponent);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("Adam"),
            timestamp_writes: None,
        });
        for (group, parts) in self.bound.iter().enumerate() {
            let width = row_width(group, self.sh_degree);
            let live = match group {
                SH_REST => row_width(SH_REST, active_sh_degree.min(self.sh_degree)),
                _ => width,
            };
            if live == 0 {
                continue;
            }
            for part in parts {
                let count = part.rows.count() * live;
                let (groups, stride) = dispatch_size(count);
                gpu.queue.write_buffer(
                    &part.params,
                    0,
                    bytemuck::bytes_of(&AdamParams {
                        count,
                        width,
                        live,
                        stride,
                        step_size: (rates[group] / first_correction) as f32,
                        second_moment_correction: (1.0 / second_correction) as f32,
                        beta1: BETA1,
                        beta2: BETA2,
                        epsilon: EPSILON,
                        padding: [0; 3],
                    }),
                );
                kernels.adam.dispatch(&mut pass, &part.bound, groups);
            }
        }
    }
}
