//! Between two steps: the set of splats is replaced by one with others, and parameters, moments and statistics with it.

use super::SplatTrainer;
use crate::{
    Result,
    splat::{
        SplatBuffers, SplatGradients,
        growth::{Plan, Refinement, no_statistics},
        optimizer::{GROUPS, LOGIT_OPACITIES, Moments, Optimizer, parameter_buffers, row_width},
    },
};

/// What a refinement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refined {
    pub removed: u32,
    pub added: u32,
    /// MCMC: dead splats that went elsewhere.
    pub relocated: u32,
    /// The cap kept the set from growing further.
    pub cap_reached: bool,
}

impl SplatTrainer {
    /// Do what the schedule says is due.
    pub(super) fn refine_if_due(&mut self) -> Result<Refined> {
        let phase_step = self.progress.phase_step;
        let due = Refinement::at(&self.config, phase_step);
        // A step that failed after its refinement comes again without it.
        if !due.is_due() || self.progress.refined_at == phase_step {
            return Ok(Refined::default());
        }
        self.finish()?;
        let step = self.progress.step;
        let mut refined = Refined::default();
        let decision = if due.relocation {
            let refiner = &self.refiner;
            Some(refiner.relocate(&self.gpu, &self.splats, &self.config, step)?)
        } else if due.removal.is_some() || due.growth.is_some() {
            let none;
            let statistics = match &self.statistics {
                Some(statistics) => statistics,
                None => {
                    none = no_statistics(&self.gpu, self.splats.count);
                    &none
                }
            };
            Some(self.refiner.select(
                &self.gpu,
                &self.splats,
                statistics,
                &self.config,
                &due,
                step,
            )?)
        } else {
            None
        };
        if let Some(decision) = decision {
            refined.cap_reached = decision.cap_reached;
            if let Some(plan) = decision.plan {
                refined.removed = plan.removed;
                refined.added = plan.added;
                refined.relocated = plan.relocated;
                self.replace_rows(&plan)?;
            }
            if self.statistics.is_some() {
                self.statistics = Some(no_statistics(&self.gpu, self.splats.count));
            }
        }
        if let Some(opacity) = due.reset {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            let moments = &self.optimizer.moments[LOGIT_OPACITIES];
            self.refiner
                .record_reset(&self.gpu, &mut encoder, &self.splats, moments, opacity);
            self.gpu.queue.submit([encoder.finish()]);
        }
        self.gpu.check()?;
        self.progress.refined_at = phase_step;
        Ok(refined)
    }

    /// Replace parameters and moments by the planned rows.
    fn replace_rows(&mut self, plan: &Plan) -> Result<()> {
        let gpu = &*self.gpu;
        let sh_degree = self.splats.sh_degree;
        let gradients = SplatGradients::new(gpu, plan.count, sh_degree)?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut gather = |label: &str, source: &wgpu::Buffer, group: usize, fresh_is_zero: bool| {
            self.kernels.gather(
                gpu,
                &mut encoder,
                label,
                source,
                self.splats.count,
                row_width(group, sh_degree),
                &plan.rows,
                plan.count,
                fresh_is_zero,
            )
        };
        let parameters = parameter_buffers(&self.splats);
        let [means, quats, log_scales, logit_opacities, sh_dc, sh_rest] =
            std::array::from_fn(|group| gather(GROUPS[group], parameters[group], group, false));
        let moments = std::array::from_fn(|group| {
            let Moments { first, second } = &self.optimizer.moments[group];
            Moments {
                first: gather("first moments", first, group, true),
                second: gather("second moments", second, group, true),
            }
        });
        let splats = SplatBuffers {
            count: plan.count,
            sh_degree,
            antialiased: self.splats.antialiased,
            means,
            quats,
            log_scales,
            logit_opacities,
            sh_dc,
            sh_rest,
        };
        self.refiner
            .record_new_rows(gpu, &mut encoder, plan, &splats);
        gpu.queue.submit([encoder.finish()]);
        self.optimizer =
            Optimizer::new(gpu, &self.kernels, &splats, &gradients, moments, &self.halt);
        self.splats = splats;
        self.gradients = gradients;
        self.generation += 1;
        Ok(())
    }
}
