//! Steps between their submission and their end. What a step read is looked at one step later; when its render did not
//! fit the scratch memory, the step and those behind it have changed nothing, and are submitted again.

use super::{SplatTrainer, StepResult};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage},
    loss::{BoundLoss, ImageGradient, LossValues, Target},
    scene::Camera,
    settings::Strategy,
    splat::{Phase, RenderOptions, poses::PoseGradient, status},
};

/// Steps on the queue before the oldest is waited for.
pub(super) const MAX_IN_FLIGHT: usize = 2;
/// Picture sizes whose buffers are kept; captures of mixed sizes have a few.
const MAX_WORKSPACES: usize = 4;
/// Results kept for a caller that does not ask for them.
const MAX_RESULTS: usize = 1024;
const STATUS_BYTES: u64 = 4 * status::LEN as u64;
const LOSS_BYTES: u64 = size_of::<LossValues>() as u64;
const READBACK_BYTES: u64 = STATUS_BYTES + LOSS_BYTES + size_of::<PoseGradient>() as u64;

/// Buffers for one picture size.
pub(super) struct Workspace {
    render: GpuImage,
    target: GpuImage,
    d_image: wgpu::Buffer,
    loss: BoundLoss,
}

/// A submitted step, with all that repeating it takes.
pub(super) struct Pending {
    view: Option<u32>,
    camera: Camera,
    target: Target,
    gradient: Option<ImageGradient>,
    /// Where its camera moves.
    pose_rate: Option<f64>,
    step: u64,
    phase_step: u64,
    readback: wgpu::Buffer,
    mapped: crossbeam_channel::Receiver<Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
}

impl Pending {
    /// Whether the camera of `view` moves when this step is settled.
    pub fn moves(&self, view: Option<u32>) -> bool {
        self.pose_rate.is_some() && self.view == view
    }
}

/// What a step reads back.
struct Readback {
    status: [u32; status::LEN],
    loss: LossValues,
    /// Of steps whose camera moves.
    d_pose: PoseGradient,
}

impl SplatTrainer {
    pub(super) fn submit(
        &mut self,
        view: Option<u32>,
        camera: &Camera,
        target: &Target,
        gradient: Option<&ImageGradient>,
        step: u64,
        phase_step: u64,
    ) -> Result<Pending> {
        let divisor = self.config.divisor_at(phase_step);
        let active_sh_degree = self.config.sh_degree_at(phase_step, self.splats.sh_degree);
        let options = RenderOptions {
            background: self.config.background_at(step),
            active_sh_degree,
        };
        let rates = self.config.rates_at(phase_step);
        let pose_rate = view.and(self.config.pose_rate_at(phase_step));
        let size = target.downscaled_size(divisor);
        self.prepare_workspace(size)?;
        let Some(workspace) = self.workspaces.get(&size) else {
            return Err(Error::invalid("no buffers for this picture size"));
        };
        let readback = self
            .spare_readbacks
            .pop()
            .unwrap_or_else(|| new_readback(&self.gpu));

        let gpu = &*self.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.unpacker
            .record(gpu, &mut encoder, target, divisor, &workspace.target)?;
        self.rasterizer.record_forward(
            &mut encoder,
            &self.splats,
            &self.poses.camera(view, camera).downscaled(divisor),
            &options,
            &workspace.render,
            None,
        )?;
        let status = self.rasterizer.status_buffer();
        let halt = self.halt_kernel.bind(
            gpu,
            &[status.as_entire_binding(), self.halt.as_entire_binding()],
        );
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("halt"),
                timestamp_writes: None,
            });
            self.halt_kernel.dispatch(&mut pass, &halt, [1, 1, 1]);
        }
        encoder.copy_buffer_to_buffer(status, 0, &readback, 0, STATUS_BYTES);
        self.loss.record(&mut encoder, &workspace.loss);
        encoder.copy_buffer_to_buffer(
            workspace.loss.values(),
            0,
            &readback,
            STATUS_BYTES,
            LOSS_BYTES,
        );
        if let Some(gradient) = gradient {
            self.adder.record(
                gpu,
                &mut encoder,
                gradient,
                &workspace.target,
                &workspace.d_image,
            )?;
        }
        self.rasterizer.record_backward(
            &mut encoder,
            &self.splats,
            &workspace.d_image,
            None,
            &self.gradients,
        )?;
        if let (Some(_), Some(d_pose)) = (pose_rate, self.rasterizer.pose_gradient()) {
            encoder.copy_buffer_to_buffer(
                d_pose,
                0,
                &readback,
                STATUS_BYTES + LOSS_BYTES,
                size_of::<PoseGradient>() as u64,
            );
        }
        let wanders = self.config.growth.strategy == Strategy::Mcmc
            && matches!(self.config.phase, Phase::Reconstruct { .. });
        if wanders || self.statistics.is_some() {
            let means_rate = rates[0] / self.config.scene_extent;
            self.refiner
                .prepare_step(gpu, &self.config, self.splats.count, step, size, means_rate);
        }
        if let Some(statistics) = &self.statistics {
            self.refiner.record_statistics(
                gpu,
                &mut encoder,
                &self.gradients,
                &self.halt,
                statistics,
            );
        }
        if wanders {
            self.refiner
                .record_penalties(gpu, &mut encoder, &self.splats, &self.gradients);
        }
        self.optimizer.record(
            gpu,
            &self.kernels,
            &mut encoder,
            step,
            &rates,
            active_sh_degree,
        );
        if wanders {
            self.refiner
                .record_wandering(gpu, &mut encoder, &self.splats, &self.halt);
        }
        let submission = gpu.queue.submit([encoder.finish()]);
        let (sender, mapped) = crossbeam_channel::bounded(1);
        readback.map_async(wgpu::MapMode::Read, .., move |result| {
            if sender.send(result).is_err() {
                log::debug!("a step was dropped before it finished");
            }
        });
        Ok(Pending {
            view,
            pose_rate,
            camera: *camera,
            target: target.clone(),
            gradient: gradient.cloned(),
            step,
            phase_step,
            readback,
            mapped,
            submission,
        })
    }

    fn prepare_workspace(&mut self, size: (u32, u32)) -> Result<()> {
        if self.workspaces.contains_key(&size) {
            return Ok(());
        }
        if self.workspaces.len() >= MAX_WORKSPACES {
            self.workspaces.clear();
        }
        let render = GpuImage::new(&self.gpu, size.0, size.1);
        let target = GpuImage::new(&self.gpu, size.0, size.1);
        let d_image = self.gpu.storage("d_image", render.pixels() as u64 * 16);
        let loss = self
            .loss
            .bind(&render, &target, &d_image, self.config.loss())?;
        self.workspaces.insert(
            size,
            Workspace {
                render,
                target,
                d_image,
                loss,
            },
        );
        Ok(())
    }

    /// Wait for the oldest step in flight; repeat it and those behind it while its render did not fit.
    pub(super) fn settle_oldest(&mut self) -> Result<Option<StepResult>> {
        loop {
            let Some(oldest) = self.in_flight.pop_front() else {
                return Ok(None);
            };
            let Readback {
                status: words,
                loss,
                d_pose,
            } = self.await_readback(&oldest)?;
            if words[status::OVERFLOW] == 0 {
                if let (Some(view), Some(rate)) = (oldest.view, oldest.pose_rate) {
                    let extent = self.config.scene_extent;
                    self.poses.update(view, d_pose, rate, extent);
                }
                self.spare_readbacks.push(oldest.readback);
                let total = match &oldest.gradient {
                    Some(gradient) => gradient.photo_weight * loss.loss + gradient.loss,
                    None => loss.loss,
                };
                let result = StepResult {
                    step: oldest.step,
                    l1: loss.l1,
                    ssim: loss.ssim,
                    loss: total,
                    intersections: words[status::INTERSECTIONS],
                    visible: words[status::VISIBLE],
                };
                if self.results.len() < MAX_RESULTS {
                    self.results.push(result);
                }
                return Ok(Some(result));
            }
            self.repeated_steps += 1;
            let mut repeat = vec![oldest];
            while let Some(later) = self.in_flight.pop_front() {
                self.await_readback(&later)?;
                repeat.push(later);
            }
            if let Err(e) = self.repeat(&repeat, words[status::INTERSECTIONS]) {
                // None of them took effect: the run stands before the first.
                self.gpu.wait()?;
                self.in_flight.clear();
                self.clear_halt();
                self.progress.step = repeat[0].step - 1;
                self.progress.phase_step = repeat[0].phase_step;
                return Err(e);
            }
        }
    }

    fn repeat(&mut self, steps: &[Pending], needed_intersections: u32) -> Result<()> {
        self.rasterizer.grow(needed_intersections)?;
        self.clear_halt();
        for Pending {
            view,
            camera,
            target,
            gradient,
            step,
            phase_step,
            ..
        } in steps
        {
            let gradient = gradient.as_ref();
            let pending = self.submit(*view, camera, target, gradient, *step, *phase_step)?;
            self.in_flight.push_back(pending);
        }
        Ok(())
    }

    fn clear_halt(&self) {
        self.gpu
            .queue
            .write_buffer(&self.halt, 0, &0u32.to_le_bytes());
    }

    fn await_readback(&self, pending: &Pending) -> Result<Readback> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::Gpu(format!("reading back from the graphics device: {e}"))
        };
        self.gpu.wait_for(pending.submission.clone())?;
        pending
            .mapped
            .recv()
            .map_err(|e| failed(&e))?
            .map_err(|e| failed(&e))?;
        let read = {
            let view = pending
                .readback
                .get_mapped_range(..)
                .map_err(|e| failed(&e))?;
            let (words, rest) = view.split_at(STATUS_BYTES as usize);
            let (loss, d_pose) = rest.split_at(LOSS_BYTES as usize);
            let mut status = [0u32; status::LEN];
            for (word, bytes) in status.iter_mut().zip(words.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            Readback {
                status,
                loss: bytemuck::pod_read_unaligned(loss),
                d_pose: bytemuck::pod_read_unaligned(&d_pose[..size_of::<PoseGradient>()]),
            }
        };
        pending.readback.unmap();
        Ok(read)
    }
}

fn new_readback(gpu: &Gpu) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("step read-back"),
        size: READBACK_BYTES,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}
