//! Denoising: the loop that all edits share, for one view or for several at once. Views that are edited together have
//! schedules of their own, for each starts at a noise level of its own; what they share is the instruction and the
//! number of steps, so that a step is one pass of the network with the rows of all.

use super::dpm_solver::DpmSolver;
use super::guidance::{Guidance, GuidanceRange};
use super::pipeline::{InstructPix2Pix, PromptEmbedding};
use super::scheduler::{Ddim, EulerAncestral};
use super::transformer::PromptKeys;
use super::unet::UNet;
use crate::Result;
use crate::error::Cancel;
use burn::tensor::Tensor;
use std::cell::RefCell;

/// Told after every denoising step; where several views are denoised together, of the first.
pub struct EditStep<'a> {
    /// Steps done, from 1.
    pub done: usize,
    pub steps: usize,
    /// The timestep that was denoised.
    pub timestep: f64,
    /// Guided prediction, `[1, latent channels, h, w]`.
    pub prediction: &'a Tensor<4>,
    /// Latents after the step, same shape.
    pub latents: &'a Tensor<4>,
    before: &'a Tensor<4>,
    schedule: &'a Schedule,
    index: usize,
}

impl EditStep<'_> {
    /// The clean latents that the prediction implies, scaled: where the run is heading.
    pub fn estimate(&self) -> Tensor<4> {
        self.schedule
            .clean(self.prediction.clone(), self.index, self.before.clone())
    }
}

/// A view on its way from noise to picture.
pub(super) struct Run {
    pub schedule: Schedule,
    /// `[1, latent channels, h, w]`.
    pub latents: Tensor<4>,
    /// The original's latents, same shape.
    pub condition: Tensor<4>,
}

impl InstructPix2Pix {
    /// All steps of all `runs`, which have equally many and are of one size; `fresh` gives the noise of stochastic ones.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] within one step of the request; [`crate::Error::Gpu`] when the device fails; those of
    /// `fresh`.
    pub(super) fn denoise(
        &self,
        runs: &mut [Run],
        denoiser: &Denoiser,
        fresh: &mut dyn FnMut() -> Result<Tensor<4>>,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(&EditStep),
    ) -> Result<()> {
        let steps = runs.first().map_or(0, |run| run.schedule.len());
        for index in 0..steps {
            cancel.check()?;
            let timesteps: Vec<f64> = runs
                .iter()
                .map(|run| run.schedule.timestep(index))
                .collect();
            let looks: Vec<Look> = runs
                .iter()
                .zip(&timesteps)
                .map(|(run, &timestep)| Look {
                    latents: run.schedule.scale_input(run.latents.clone(), index),
                    condition: run.condition.clone(),
                    timestep,
                })
                .collect();
            let predictions = denoiser.predict(looks);
            let before = runs.first().map(|run| run.latents.clone());
            for (run, prediction) in runs.iter_mut().zip(&predictions) {
                let latents = run.latents.clone();
                run.latents = run
                    .schedule
                    .step(prediction.clone(), index, latents, fresh)?;
            }
            self.settle()?;
            if let (Some(run), Some(prediction), Some(before)) =
                (runs.first(), predictions.first(), &before)
            {
                on_step(&EditStep {
                    done: index + 1,
                    steps,
                    timestep: timesteps[0],
                    prediction,
                    latents: &run.latents,
                    before,
                    schedule: &run.schedule,
                    index,
                });
            }
        }
        Ok(())
    }
}

pub(super) enum Schedule {
    Ddim(Ddim),
    EulerAncestral(EulerAncestral),
    /// With the clean sample of the step before.
    DpmPlusPlus(DpmSolver, Option<Tensor<4>>),
}

impl Schedule {
    pub fn len(&self) -> usize {
        match self {
            Self::Ddim(ddim) => ddim.timesteps.len(),
            Self::EulerAncestral(euler) => euler.timesteps.len(),
            Self::DpmPlusPlus(solver, _) => solver.timesteps.len(),
        }
    }

    fn timestep(&self, index: usize) -> f64 {
        match self {
            Self::Ddim(ddim) => ddim.timesteps[index] as f64,
            Self::EulerAncestral(euler) => euler.timesteps[index],
            Self::DpmPlusPlus(solver, _) => solver.timesteps[index] as f64,
        }
    }

    pub fn init_noise_sigma(&self) -> f64 {
        match self {
            Self::Ddim(_) | Self::DpmPlusPlus(..) => 1.0,
            Self::EulerAncestral(euler) => euler.init_noise_sigma,
        }
    }

    /// `clean` at the noise that the run starts with.
    pub fn add_noise(&self, clean: Tensor<4>, noise: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Ddim(ddim) => ddim.add_noise(clean, noise, ddim.timesteps[0]),
            Self::EulerAncestral(euler) => clean + noise * euler.sigmas[0],
            Self::DpmPlusPlus(solver, _) => solver.add_noise(clean, noise, 0),
        }
    }

    /// The clean latents that a prediction implies, after step `index` from `before`.
    fn clean(&self, prediction: Tensor<4>, index: usize, before: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Ddim(ddim) => {
                ddim.clean_and_noise(prediction, ddim.timesteps[index], before)
                    .0
            }
            Self::EulerAncestral(euler) => euler.clean(prediction, index, before),
            Self::DpmPlusPlus(solver, _) => solver.clean(prediction, index, before),
        }
    }

    fn scale_input(&self, latents: Tensor<4>, index: usize) -> Tensor<4> {
        match self {
            Self::Ddim(_) | Self::DpmPlusPlus(..) => latents,
            Self::EulerAncestral(euler) => euler.scale_input(latents, index),
        }
    }
    /// From `before` through step `index`; `fresh` gives the noise of a stochastic one.
    fn step(
        &mut self,
        prediction: Tensor<4>,
        index: usize,
        before: Tensor<4>,
        fresh: &mut dyn FnMut() -> Result<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        Ok(match self {
            Self::Ddim(ddim) => ddim.step(prediction, ddim.timesteps[index], before),
            Self::EulerAncestral(euler) => euler.step(prediction, index, before, fresh()?),
            Self::DpmPlusPlus(solver, last_clean) => {
                solver.step(prediction, index, before, last_clean)
            }
        })
    }
}

/// What the network is shown of one view.
pub(super) struct Look {
    /// `[1, latent channels, h, w]`.
    pub latents: Tensor<4>,
    /// The original's latents, same shape.
    pub condition: Tensor<4>,
    pub timestep: f64,
}

/// One row of each kind, and their keys for as many views as were last asked for.
struct Prompts {
    /// `[rows, tokens, features]`.
    rows: Tensor<3>,
    keys: RefCell<Option<(usize, PromptKeys)>>,
}

impl Prompts {
    fn new(rows: Vec<Tensor<3>>) -> Self {
        Self {
            rows: Tensor::cat(rows, 0),
            keys: RefCell::default(),
        }
    }

    fn with_keys<T>(&self, unet: &UNet, views: usize, run: impl FnOnce(&PromptKeys) -> T) -> T {
        let mut kept = self.keys.borrow_mut();
        let known = kept.take().filter(|(known, _)| *known == views);
        let (_, keys) = kept.insert(known.unwrap_or_else(|| {
            let row = |i| self.rows.clone().narrow(0, i, 1).repeat_dim(0, views);
            let rows = (0..self.rows.dims()[0]).map(row).collect();
            let rows = match views {
                1 => self.rows.clone(),
                _ => Tensor::cat(rows, 0),
            };
            (views, unet.prompt_keys(&rows))
        }));
        run(keys)
    }
}

/// What stays the same between the steps of an edit.
pub(super) struct Denoiser<'a> {
    unet: &'a UNet,
    /// The three rows of guidance.
    guided: Option<(Guidance, Prompts)>,
    /// The text's row, where guidance does not act.
    text: Prompts,
    /// Where it acts, and of how many training timesteps.
    range: (GuidanceRange, usize),
}

impl<'a> Denoiser<'a> {
    pub fn guided(
        model: &'a InstructPix2Pix,
        embedding: &PromptEmbedding,
        guidance: Guidance,
        range: GuidanceRange,
    ) -> Self {
        let PromptEmbedding { prompt, negative } = embedding.clone();
        let rows = Prompts::new(vec![prompt, negative.clone(), negative]);
        Self {
            guided: Some((guidance, rows)),
            range: (range, model.scheduler.train_timesteps()),
            ..Self::unguided(model, embedding)
        }
    }

    pub fn unguided(model: &'a InstructPix2Pix, embedding: &PromptEmbedding) -> Self {
        Self {
            unet: &model.unet,
            guided: None,
            text: Prompts::new(vec![embedding.prompt.clone()]),
            range: (GuidanceRange::ALL, model.scheduler.train_timesteps()),
        }
    }

    /// One prediction a view, `[1, latent channels, h, w]` each.
    pub fn predict(&self, looks: Vec<Look>) -> Vec<Tensor<4>> {
        let (range, train) = self.range;
        let acts = |look: &Look| self.guided.is_some() && range.contains(look.timestep, train);
        let guided: Vec<bool> = looks.iter().map(acts).collect();
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (look, is_guided) in looks.into_iter().zip(&guided) {
            match is_guided {
                true => with.push(look),
                false => without.push(look),
            }
        }
        let mut with = self.predict_guided(with).into_iter();
        let mut without = self.predict_text(without).into_iter();
        let next = |is_guided: &bool| match is_guided {
            true => with.next(),
            false => without.next(),
        };
        guided.iter().filter_map(next).collect()
    }

    fn predict_guided(&self, looks: Vec<Look>) -> Vec<Tensor<4>> {
        let Some((guidance, prompts)) = self.guided.as_ref().filter(|_| !looks.is_empty()) else {
            return Vec::new();
        };
        let (latents, condition, timesteps) = joined(looks);
        let none = condition.zeros_like();
        let condition = Tensor::cat(vec![condition.clone(), condition, none], 0);
        let sample = Tensor::cat(vec![latents.repeat_dim(0, 3), condition], 1);
        let predictions = self.forward(prompts, sample, &timesteps, 3);
        split(guidance.combine(predictions))
    }

    fn predict_text(&self, looks: Vec<Look>) -> Vec<Tensor<4>> {
        if looks.is_empty() {
            return Vec::new();
        }
        let (latents, condition, timesteps) = joined(looks);
        let sample = Tensor::cat(vec![latents, condition], 1);
        split(self.forward(&self.text, sample, &timesteps, 1))
    }

    /// `timesteps`: one a view; `sample`: `kinds` rows a view, kind after kind.
    fn forward(
        &self,
        prompts: &Prompts,
        sample: Tensor<4>,
        timesteps: &[f32],
        kinds: usize,
    ) -> Tensor<4> {
        let views = timesteps.len();
        let timesteps = match views {
            1 => timesteps.to_vec(),
            _ => timesteps.repeat(kinds),
        };
        prompts.with_keys(self.unet, views, |keys| {
            self.unet.forward(sample, &timesteps, keys)
        })
    }
}

fn joined(looks: Vec<Look>) -> (Tensor<4>, Tensor<4>, Vec<f32>) {
    let timesteps = looks.iter().map(|look| look.timestep as f32).collect();
    let (latents, conditions) = looks
        .into_iter()
        .map(|look| (look.latents, look.condition))
        .unzip();
    (one(latents), one(conditions), timesteps)
}

fn one(mut rows: Vec<Tensor<4>>) -> Tensor<4> {
    match rows.len() {
        1 => rows.swap_remove(0),
        _ => Tensor::cat(rows, 0),
    }
}

fn split(rows: Tensor<4>) -> Vec<Tensor<4>> {
    match rows.dims()[0] {
        1 => vec![rows],
        n => (0..n).map(|i| rows.clone().narrow(0, i, 1)).collect(),
    }
}
