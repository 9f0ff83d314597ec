//! Adaptive density control: which splats go, which are doubled or split, and which of those where there is no room for
//! all.

use super::{
    Refinement,
    kernels::GrowthParams,
    refine::{Decision, Plan, Refiner, STATUS_WORDS, nothing_left, params_of, run, words},
};
use crate::{
    Result,
    gpu::{Gpu, Packer},
    splat::{
        SplatBuffers, TrainConfig,
        scratch::SortBuffers,
        sort::{self, Count, SortScratch},
        uniforms::{Scan, scan_to_word},
    },
};

/// Words of the status.
const KEPT: usize = 0;
const CANDIDATES: usize = 1;

impl Refiner {
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
}
