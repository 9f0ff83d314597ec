//! 0.8·L1 + 0.2·(1 − SSIM) and its gradient, in four separable passes a colour channel. Plain passes over planes rather
//! than tiles in shared memory: the same kernels are quick on a graphics card and on a software adapter, and channel by
//! channel the planes stay small.

use super::{
    GRADIENT_COLUMNS, MOMENTS_ROWS, PARTIALS_ROWS, Padding, REDUCE, SSIM_COLUMNS, SSIM_WINDOW,
};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Kernel},
};
use std::sync::Arc;

/// What is summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossOptions {
    /// λ in (1 − λ)·L1 + λ·(1 − SSIM).
    pub ssim_weight: f32,
    pub padding: Padding,
}

impl Default for LossOptions {
    fn default() -> Self {
        Self {
            ssim_weight: 0.2,
            padding: Padding::Zero,
        }
    }
}

/// What [`BoundLoss::values`] holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct LossValues {
    /// Mean absolute difference over pixels and channels.
    pub l1: f32,
    /// Mean SSIM over pixels and channels.
    pub ssim: f32,
    pub loss: f32,
    pub padding: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LossParams {
    width: u32,
    height: u32,
    channel: u32,
    margin: u32,
    l1_scale: f32,
    ssim_scale: f32,
    first_partial: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ReduceParams {
    count: u32,
    ssim_weight: f32,
    l1_factor: f32,
    ssim_factor: f32,
}

const _: () = assert!(size_of::<LossParams>() == 32 && size_of::<ReduceParams>() == 16);
const _: () = assert!(size_of::<LossValues>() == 16);

/// The loss kernels, compiled.
pub struct ImageLoss {
    gpu: Arc<Gpu>,
    moments_rows: Kernel,
    ssim_columns: Kernel,
    partials_rows: Kernel,
    gradient_columns: Kernel,
    reduce: Kernel,
}

/// The loss between two fixed buffers, ready to be recorded any number of times.
pub struct BoundLoss {
    /// `moments_rows`, `ssim_columns`, `partials_rows`, `gradient_columns` of each channel.
    channels: Vec<[wgpu::BindGroup; 4]>,
    reduce: wgpu::BindGroup,
    values: wgpu::Buffer,
    d_image: wgpu::Buffer,
    row_groups: [u32; 3],
    partial_row_groups: [u32; 3],
    column_groups: [u32; 3],
}

impl ImageLoss {
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self {
            moments_rows: Kernel::new(&gpu, &MOMENTS_ROWS),
            ssim_columns: Kernel::new(&gpu, &SSIM_COLUMNS),
            partials_rows: Kernel::new(&gpu, &PARTIALS_ROWS),
            gradient_columns: Kernel::new(&gpu, &GRADIENT_COLUMNS),
            reduce: Kernel::new(&gpu, &REDUCE),
            gpu,
        }
    }

    /// Prepare the loss of `render` against `target`, whose alpha is a weight on both pictures (1 = counts, 0 = masked).
    /// `d_image` takes dL/d(render): `[height, width, 4]`, alpha 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] when sizes differ, or a picture is smaller than the window while [`Padding::Valid`] is asked.
    pub fn bind(
        &self,
        render: &GpuImage,
        target: &GpuImage,
        d_image: &wgpu::Buffer,
        options: LossOptions,
    ) -> Result<BoundLoss> {
        let (width, height) = (render.width, render.height);
        let pixels = render.pixels() as u64;
        if (target.width, target.height) != (width, height) || d_image.size() < pixels * 16 {
            return Err(Error::invalid(format!(
                "cannot compare a {width}×{height} render with a {}×{} picture",
                target.width, target.height
            )));
        }
        let margin = match options.padding {
            Padding::Zero => 0,
            Padding::Valid => SSIM_WINDOW / 2,
        };
        if width == 0 || height == 0 || width.min(height) <= 2 * margin {
            return Err(Error::invalid(format!(
                "SSIM without padding needs pictures of at least {SSIM_WINDOW}×{SSIM_WINDOW} pixels, not {width}×{height}"
            )));
        }
        let gpu = &*self.gpu;
        let row_groups = [width.div_ceil(8).div_ceil(8), height.div_ceil(8), 1];
        let partial_row_groups = [row_groups[0], (3 * height).div_ceil(8), 1];
        let column_groups = [width.div_ceil(32), height.div_ceil(8).div_ceil(2), 1];
        let partial_count = column_groups[0] * column_groups[1];
        let moments = gpu.storage("SSIM moments", pixels * 16);
        let partials = gpu.storage("SSIM partials", pixels * 12);
        let l1_sums = gpu.storage("L1 sums", u64::from(partial_count) * 12);
        let ssim_sums = gpu.storage("SSIM sums", u64::from(partial_count) * 12);
        let values = gpu.storage("loss", size_of::<LossValues>() as u64);

        let l1_count = 3.0 * pixels as f64;
        let ssim_count = 3.0 * f64::from(width - 2 * margin) * f64::from(height - 2 * margin);
        let weight = f64::from(options.ssim_weight);
        let channels = (0..3)
            .map(|channel| {
                let params = gpu.uniform_from(
                    "loss parameters",
                    &LossParams {
                        width,
                        height,
                        channel,
                        margin,
                        l1_scale: ((1.0 - weight) / l1_count) as f32,
                        ssim_scale: (-weight / ssim_count) as f32,
                        first_partial: channel * partial_count,
                        padding: 0,
                    },
                );
                [
                    self.moments_rows.bind(
                        gpu,
                        &[
                            params.as_entire_binding(),
                            render.buffer.as_entire_binding(),
                            target.buffer.as_entire_binding(),
                            moments.as_entire_binding(),
                        ],
                    ),
                    self.ssim_columns.bind(
                        gpu,
                        &[
                            params.as_entire_binding(),
                            moments.as_entire_binding(),
                            partials.as_entire_binding(),
                            ssim_sums.as_entire_binding(),
                        ],
                    ),
                    // The moments are spent by now; their planes take the blurred partials.
                    self.partials_rows.bind(
                        gpu,
                        &[
                            params.as_entire_binding(),
                            partials.as_entire_binding(),
                            moments.as_entire_binding(),
                        ],
                    ),
                    self.gradient_columns.bind(
                        gpu,
                        &[
                            params.as_entire_binding(),
                            render.buffer.as_entire_binding(),
                            target.buffer.as_entire_binding(),
                            moments.as_entire_binding(),
                            d_image.as_entire_binding(),
                            l1_sums.as_entire_binding(),
                        ],
                    ),
                ]
            })
            .collect();
        let reduce_params = gpu.uniform_from(
            "loss reduction",
            &ReduceParams {
                count: 3 * partial_count,
                ssim_weight: options.ssim_weight,
                l1_factor: (1.0 / l1_count) as f32,
                ssim_factor: (1.0 / ssim_count) as f32,
            },
        );
        let reduce = self.reduce.bind(
            gpu,
            &[
                reduce_params.as_entire_binding(),
                l1_sums.as_entire_binding(),
                ssim_sums.as_entire_binding(),
                values.as_entire_binding(),
            ],
        );
        Ok(BoundLoss {
            channels,
            reduce,
            values,
            d_image: d_image.clone(),
            row_groups,
            partial_row_groups,
            column_groups,
        })
    }

    /// Record the loss and its gradient; waits for nothing.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, bound: &BoundLoss) {
        let BoundLoss {
            channels,
            reduce,
            values: _,
            d_image,
            row_groups,
            partial_row_groups,
            column_groups,
        } = bound;
        encoder.clear_buffer(d_image, 0, None);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("image loss"),
            timestamp_writes: None,
        });
        for [moments, ssim, partials, gradient] in channels {
            self.moments_rows.dispatch(&mut pass, moments, *row_groups);
            self.ssim_columns.dispatch(&mut pass, ssim, *column_groups);
            self.partials_rows
                .dispatch(&mut pass, partials, *partial_row_groups);
            self.gradient_columns
                .dispatch(&mut pass, gradient, *column_groups);
        }
        self.reduce.dispatch(&mut pass, reduce, [1, 1, 1]);
    }
}

impl BoundLoss {
    /// One [`LossValues`], written by each recorded run.
    pub fn values(&self) -> &wgpu::Buffer {
        &self.values
    }
}
