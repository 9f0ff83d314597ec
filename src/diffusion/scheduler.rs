//! Noise schedules and the two solvers of InstructPix2Pix: DDIM (Song et al. 2021), which the scene edits use, and
//! Euler-ancestral (Karras et al. 2022, appendix), which the published model asks for in plain picture edits. Both are
//! those of diffusers, rounding of timesteps included; tables and coefficients are f64.

use super::config::Config;
use crate::{Error, Result};
use burn::tensor::Tensor;
use serde_json::{Value, json};
use std::path::Path;

/// Which solver a `scheduler_config.json` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    Ddim,
    EulerAncestral,
    /// Named by no file here: chosen by the person.
    DpmPlusPlus,
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// √ᾱ·noise − √(1−ᾱ)·x0 (Salimans and Ho 2022).
    Velocity,
}

/// How a few timesteps are chosen from the training's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    Leading,
    Linspace,
    Trailing,
}

/// A model folder's `scheduler/scheduler_config.json`.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    pub solver: Solver,
    pub prediction: Prediction,
    pub spacing: Spacing,
    pub steps_offset: usize,
    pub set_alpha_to_one: bool,
    /// DDIM clamps its estimate of the clean sample to ± this.
    pub clip_sample: Option<f64>,
    /// ᾱ of every training timestep.
    pub alphas_cumprod: Vec<f64>,
}

impl SchedulerConfig {
    /// Solvers other than the two, whose files differ from DDIM's in no value that matters here, are run as DDIM,
    /// with a warning in the log.
    ///
    /// # Errors
    /// An unreadable file, or a value that is not supported.
    pub fn load(folder: &Path) -> Result<Self> {
        Self::build(&Config::read(&folder.join("scheduler_config.json"))?)
    }

    /// # Errors
    /// Values that no scheduler here implements.
    pub(crate) fn build(config: &Config) -> Result<Self> {
        let class = config.str_or("_class_name", "DDIMScheduler")?;
        let solver = match class {
            "DDIMScheduler" => Solver::Ddim,
            "EulerAncestralDiscreteScheduler" => Solver::EulerAncestral,
            "PNDMScheduler"
            | "DDPMScheduler"
            | "LMSDiscreteScheduler"
            | "EulerDiscreteScheduler"
            | "DPMSolverMultistepScheduler" => {
                log::warn!(
                    "{}: {class} is run as DDIMScheduler",
                    config.path().display()
                );
                Solver::Ddim
            }
            _ => {
                return Err(config.unsupported(
                    "_class_name",
                    "DDIMScheduler, EulerAncestralDiscreteScheduler",
                ));
            }
        };
        let is_ddim = class == "DDIMScheduler";
        let prediction = match config.str_or("prediction_type", "epsilon")? {
            "epsilon" => Prediction::Epsilon,
            "v_prediction" => Prediction::Velocity,
            _ => return Err(config.unsupported("prediction_type", "epsilon, v_prediction")),
        };
        let default = if solver == Solver::Ddim {
            "leading"
        } else {
            "linspace"
        };
        let spacing = match config.str_or("timestep_spacing", default)? {
            "leading" => Spacing::Leading,
            "linspace" => Spacing::Linspace,
            "trailing" => Spacing::Trailing,
            _ => {
                return Err(config.unsupported("timestep_spacing", "leading, linspace, trailing"));
            }
        };
        for key in [
            "rescale_betas_zero_snr",
            "thresholding",
            "use_karras_sigmas",
        ] {
            config.require(key, &json!(false))?;
        }
        let clip = config.bool_or("clip_sample", is_ddim)? && solver == Solver::Ddim;
        let clip_range = config.f64_or("clip_sample_range", 1.0)?;
        Ok(Self {
            solver,
            prediction,
            spacing,
            steps_offset: config
                .get("steps_offset")
                .map_or(Some(0), Value::as_u64)
                .ok_or_else(|| config.unsupported("steps_offset", "integers from 0"))?
                as usize,
            set_alpha_to_one: config.bool_or("set_alpha_to_one", is_ddim)?,
            clip_sample: clip.then_some(clip_range),
            alphas_cumprod: alphas_cumprod(config)?,
        })
    }

    pub fn train_timesteps(&self) -> usize {
        self.alphas_cumprod.len()
    }
}

fn alphas_cumprod(config: &Config) -> Result<Vec<f64>> {
    let n = config.usize_or("num_train_timesteps", 1000)?;
    let start = config.f64_or("beta_start", 0.0001)?;
    let end = config.f64_or("beta_end", 0.02)?;
    let betas: Vec<f64> = match config.get("trained_betas") {
        Some(list) => list
            .as_array()
            .and_then(|list| list.iter().map(Value::as_f64).collect())
            .ok_or_else(|| config.unsupported("trained_betas", "a list of numbers"))?,
        None => match config.str_or("beta_schedule", "linear")? {
            "linear" => linspace(start, end, n),
            "scaled_linear" => linspace(start.sqrt(), end.sqrt(), n)
                .into_iter()
                .map(|root| root * root)
                .collect(),
            "squaredcos_cap_v2" => {
                let bar = |i: usize| {
                    let t = i as f64 / n as f64;
                    ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2)
                        .cos()
                        .powi(2)
                };
                (0..n)
                    .map(|i| (1.0 - bar(i + 1) / bar(i)).min(0.999))
                    .collect()
            }
            _ => {
                return Err(
                    config.unsupported("beta_schedule", "linear, scaled_linear, squaredcos_cap_v2")
                );
            }
        },
    };
    if betas.is_empty() || betas.iter().any(|beta| !(0.0..1.0).contains(beta)) {
        return Err(Error::file(
            config.path(),
            "the noise schedule (`beta_start`, `beta_end`, `trained_betas`) leaves [0, 1)",
        ));
    }
    let mut product = 1.0;
    Ok(betas
        .into_iter()
        .map(|beta| {
            product *= 1.0 - beta;
            product
        })
        .collect())
}

pub(super) fn linspace(start: f64, end: f64, n: usize) -> Vec<f64> {
    let step = (end - start) / (n.max(2) - 1) as f64;
    (0..n).map(|i| start + step * i as f64).collect()
}

/// `steps` timesteps of `train`, from noisy to clean, as numpy rounds them.
fn spaced(spacing: Spacing, steps: usize, train: usize, offset: usize, whole: bool) -> Vec<f64> {
    let n = train as f64;
    match spacing {
        Spacing::Leading => {
            let ratio = train / steps;
            (0..steps)
                .rev()
                .map(|i| (i * ratio + offset) as f64)
                .collect()
        }
        Spacing::Linspace => {
            let list = if steps == 1 {
                vec![0.0]
            } else {
                linspace(0.0, n - 1.0, steps)
            };
            let round = |t: f64| {
                if whole {
                    t.round_ties_even()
                } else {
                    f64::from(t as f32)
                }
            };
            list.into_iter().rev().map(round).collect()
        }
        Spacing::Trailing => {
            let ratio = n / steps as f64;
            let count = (n / ratio).ceil() as usize;
            (0..count)
                .map(|i| (n - i as f64 * ratio).round_ties_even() - 1.0)
                .collect()
        }
    }
}

pub(super) fn check_steps(steps: usize, train: usize) -> Result<()> {
    if steps == 0 {
        return Err(Error::invalid("at least one diffusion step is needed"));
    }
    if train < steps {
        return Err(Error::invalid(format!(
            "{steps} diffusion steps do not fit below start timestep {train}: every step needs a timestep of its own; \
             lower the number of steps to at most {train}, or raise the lower bound"
        )));
    }
    Ok(())
}

/// A DDIM run.
#[derive(Clone, Debug)]
pub struct Ddim {
    /// From noisy to clean.
    pub timesteps: Vec<usize>,
    /// Distance between a timestep and the one its step leads to.
    stride: usize,
    alphas_cumprod: Vec<f64>,
    final_alpha_cumprod: f64,
    prediction: Prediction,
    clip_sample: Option<f64>,
}

impl Ddim {
    /// The whole schedule in `steps` steps, as the config spaces them.
    ///
    /// # Errors
    /// No steps, or more steps than training timesteps.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        Self::spaced(config, steps, config.train_timesteps(), config.spacing)
    }

    /// From timestep `start` (T) down: Instruct-NeRF2NeRF's schedule, which takes T for the number of training
    /// timesteps when it spaces and steps, and keeps the table. The first timestep is (steps − 1)·⌊T/steps⌋ + offset.
    ///
    /// # Errors
    /// No steps, more steps than `start`, or `start` beyond the training timesteps.
    pub fn starting_at(config: &SchedulerConfig, steps: usize, start: usize) -> Result<Self> {
        if start > config.train_timesteps() {
            return Err(Error::invalid(format!(
                "start timestep {start} lies beyond the model's {} training timesteps",
                config.train_timesteps()
            )));
        }
        Ok(Self {
            clip_sample: None,
            ..Self::spaced(config, steps, start, Spacing::Leading)?
        })
    }

    fn spaced(
        config: &SchedulerConfig,
        steps: usize,
        train: usize,
        spacing: Spacing,
    ) -> Result<Self> {
        check_steps(steps, train)?;
        let timesteps: Vec<usize> = spaced(spacing, steps, train, config.steps_offset, true)
            .into_iter()
            .map(|t| t as usize)
            .collect();
        let table = &config.alphas_cumprod;
        if let Some(t) = timesteps.iter().find(|&&t| t >= table.len()) {
            return Err(Error::invalid(format!(
                "timestep {t} lies beyond the model's {} training timesteps; use more steps, or fewer offset \
                 timesteps (`steps_offset`)",
                table.len()
            )));
        }
        Ok(Self {
            timesteps,
            stride: train / steps,
            final_alpha_cumprod: if config.set_alpha_to_one {
                1.0
            } else {
                table[0]
            },
            alphas_cumprod: table.clone(),
            prediction: config.prediction,
            clip_sample: config.clip_sample,
        })
    }

    /// ᾱ at `timestep` and at the one that its step leads to.
    fn alphas(&self, timestep: usize) -> (f64, f64) {
        let before = timestep
            .checked_sub(self.stride)
            .map_or(self.final_alpha_cumprod, |t| self.alphas_cumprod[t]);
        (self.alphas_cumprod[timestep], before)
    }

    /// √ᾱ·clean + √(1−ᾱ)·noise at `timestep`, which must be one of the training timesteps.
    pub fn add_noise(&self, clean: Tensor<4>, noise: Tensor<4>, timestep: usize) -> Tensor<4> {
        let alpha = self.alphas_cumprod[timestep];
        clean * alpha.sqrt() + noise * (1.0 - alpha).sqrt()
    }

    /// The clean sample that a prediction implies, and its noise.
    pub fn clean_and_noise(
        &self,
        prediction: Tensor<4>,
        timestep: usize,
        sample: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        let (a, b) = (
            self.alphas_cumprod[timestep].sqrt(),
            (1.0 - self.alphas_cumprod[timestep]).sqrt(),
        );
        let (clean, noise) = match self.prediction {
            Prediction::Epsilon => ((sample - prediction.clone() * b) / a, prediction),
            Prediction::Velocity => (
                sample.clone() * a - prediction.clone() * b,
                prediction * a + sample * b,
            ),
        };
        match self.clip_sample {
            Some(range) => (clean.clamp(-range, range), noise),
            None => (clean, noise),
        }
    }

    /// One deterministic step (η = 0).
    pub fn step(&self, prediction: Tensor<4>, timestep: usize, sample: Tensor<4>) -> Tensor<4> {
        let (_, before) = self.alphas(timestep);
        let (clean, noise) = self.clean_and_noise(prediction, timestep, sample);
        clean * before.sqrt() + noise * (1.0 - before).sqrt()
    }

    /// One step with `eta` times the variance of the stochastic sampler, from standard normal `fresh`.
    pub fn step_stochastic(
        &self,
        prediction: Tensor<4>,
        timestep: usize,
        sample: Tensor<4>,
        eta: f64,
        fresh: Tensor<4>,
    ) -> Tensor<4> {
        let (alpha, before) = self.alphas(timestep);
        let variance = (1.0 - before) / (1.0 - alpha) * (1.0 - alpha / before);
        let std = eta * variance.max(0.0).sqrt();
        let (clean, noise) = self.clean_and_noise(prediction, timestep, sample);
        clean * before.sqrt() + noise * (1.0 - before - std * std).max(0.0).sqrt() + fresh * std
    }
}

/// A run of the Euler-ancestral sampler.
#[derive(Clone, Debug)]
pub struct EulerAncestral {
    /// From noisy to clean; fractional with linear spacing.
    pub timesteps: Vec<f64>,
    /// One more than the timesteps; the last is 0.
    pub sigmas: Vec<f64>,
    /// What standard normal noise is multiplied with to start.
    pub init_noise_sigma: f64,
    prediction: Prediction,
}

impl EulerAncestral {
    /// # Errors
    /// No steps, or more steps than training timesteps.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let train = config.train_timesteps();
        check_steps(steps, train)?;
        let timesteps = spaced(config.spacing, steps, train, config.steps_offset, false);
        let table: Vec<f64> = config
            .alphas_cumprod
            .iter()
            .map(|alpha| ((1.0 - alpha) / alpha).sqrt())
            .collect();
        let last = table.len() - 1;
        let sigma_at = |t: f64| {
            let t = t.clamp(0.0, last as f64);
            let below = (t.floor() as usize).min(last);
            let above = (below + 1).min(last);
            table[below] + (table[above] - table[below]) * (t - below as f64)
        };
        let sigmas: Vec<f64> = timesteps
            .iter()
            .map(|&t| sigma_at(t))
            .chain([0.0])
            .collect();
        let max = sigmas.iter().copied().fold(0.0, f64::max);
        Ok(Self {
            timesteps,
            sigmas,
            init_noise_sigma: match config.spacing {
                Spacing::Linspace | Spacing::Trailing => max,
                Spacing::Leading => (max * max + 1.0).sqrt(),
            },
            prediction: config.prediction,
        })
    }

    /// What the network sees at step `index`: sample / √(σ² + 1).
    pub fn scale_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        let sigma = self.sigmas[index];
        sample / (sigma * sigma + 1.0).sqrt()
    }

    /// Step `index` with standard normal `fresh`.
    pub fn step(
        &self,
        prediction: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        fresh: Tensor<4>,
    ) -> Tensor<4> {
        let (from, to) = (self.sigmas[index], self.sigmas[index + 1]);
        let up = (to * to * (from * from - to * to) / (from * from))
            .max(0.0)
            .sqrt();
        let down = (to * to - up * up).max(0.0).sqrt();
        let slope = self.slope(prediction, from, sample.clone());
        sample + slope * (down - from) + fresh * up
    }

    /// The clean sample that a prediction implies.
    pub fn clean(&self, prediction: Tensor<4>, index: usize, sample: Tensor<4>) -> Tensor<4> {
        let sigma = self.sigmas[index];
        sample.clone() - self.slope(prediction, sigma, sample) * sigma
    }

    /// (sample − clean) / σ.
    fn slope(&self, prediction: Tensor<4>, sigma: f64, sample: Tensor<4>) -> Tensor<4> {
        match self.prediction {
            Prediction::Epsilon => prediction,
            Prediction::Velocity => {
                let scale = sigma * sigma + 1.0;
                sample * (sigma / scale) + prediction * (1.0 / scale.sqrt())
            }
        }
    }
}
