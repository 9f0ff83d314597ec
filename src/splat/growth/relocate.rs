//! 3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024): the set only grows by a share at a time, and
//! what is transparent moves. Relocation and growth draw together, from the opacities before either.

use super::{
    kernels::GrowthParams,
    refine::{Decision, Plan, Refiner, STATUS_WORDS, nothing_left, params_of, run, words},
};
use crate::{
    Result,
    gpu::{Gpu, Packer},
    splat::{
        SplatBuffers, TrainConfig,
        sort::SortScratch,
        uniforms::{Scan, scan_to_word},
    },
};

/// Words of the status.
const DEAD: usize = 0;
const WEIGHT_SUM: usize = 1;

impl Refiner {
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
}
