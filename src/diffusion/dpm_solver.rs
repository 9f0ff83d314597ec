//! DPM-Solver++ (2M) (Lu et al. 2022), as diffusers' `DPMSolverMultistepScheduler` steps it: the clean sample is predicted,
//! and from the second step on extrapolated with the prediction before. It reaches in about ten steps what DDIM needs
//! twenty for. The last step is of first order and lands on the clean sample.

use super::scheduler::{Ddim, Prediction, SchedulerConfig, check_steps, linspace};
use crate::{Error, Result};
use burn::tensor::Tensor;

/// Denoising steps of the published scene edits, whose first timestep is taken over.
const PUBLISHED_STEPS: usize = 20;

/// A DPM-Solver++ run.
#[derive(Clone, Debug)]
pub struct DpmSolver {
    /// From noisy to clean.
    pub timesteps: Vec<usize>,
    /// σ = √((1 − ᾱ)/ᾱ) of each, then 0.
    pub sigmas: Vec<f64>,
    prediction: Prediction,
}

impl DpmSolver {
    /// The whole schedule in `steps` steps of equal length.
    ///
    /// # Errors
    /// No steps, or more steps than training timesteps.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        check_steps(steps, config.train_timesteps())?;
        Self::from(config, steps, config.train_timesteps() - 1)
    }

    /// For a scene edit with start timestep `start` (T): begins at the timestep at which the published twenty DDIM steps
    /// begin, so that fewer steps start from the same noise.
    ///
    /// # Errors
    /// No steps, more steps than timesteps, or `start` beyond the training timesteps.
    pub fn starting_at(config: &SchedulerConfig, steps: usize, start: usize) -> Result<Self> {
        check_steps(steps, start)?;
        let published = Ddim::starting_at(config, PUBLISHED_STEPS.min(start), start)?;
        Self::from(config, steps, published.timesteps[0])
    }

    fn from(config: &SchedulerConfig, steps: usize, first: usize) -> Result<Self> {
        if first < steps {
            return Err(Error::invalid(format!(
                "{steps} DPM-Solver++ steps do not fit below timestep {first}: take fewer steps, or raise the lower bound"
            )));
        }
        let mut timesteps: Vec<usize> = linspace(0.0, first as f64, steps + 1)
            .into_iter()
            .rev()
            .map(|t| t.round_ties_even() as usize)
            .collect();
        timesteps.pop();
        Ok(Self::at(config, timesteps))
    }

    /// At given timesteps, falling, each one of the training's.
    pub fn at(config: &SchedulerConfig, timesteps: Vec<usize>) -> Self {
        let sigma = |t: &usize| {
            let alpha = config.alphas_cumprod[*t];
            ((1.0 - alpha) / alpha).sqrt()
        };
        Self {
            sigmas: timesteps.iter().map(sigma).chain([0.0]).collect(),
            timesteps,
            prediction: config.prediction,
        }
    }

    /// `clean` with `noise` at step `index`.
    pub fn add_noise(&self, clean: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        let (alpha, sigma) = scales(self.sigmas[index]);
        clean * alpha + noise * sigma
    }

    /// The clean sample that a prediction implies.
    pub fn clean(&self, prediction: Tensor<4>, index: usize, sample: Tensor<4>) -> Tensor<4> {
        let (alpha, sigma) = scales(self.sigmas[index]);
        match self.prediction {
            Prediction::Epsilon => (sample - prediction * sigma) / alpha,
            Prediction::Velocity => sample * alpha - prediction * sigma,
        }
    }

    /// Step `index`. `last_clean` carries the clean sample from step to step; it starts as `None`.
    pub fn step(
        &self,
        prediction: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        last_clean: &mut Option<Tensor<4>>,
    ) -> Tensor<4> {
        let (from, to) = (self.sigmas[index], self.sigmas[index + 1]);
        let (_, sigma) = scales(from);
        let clean = self.clean(prediction, index, sample.clone());
        let (alpha_to, sigma_to) = scales(to);
        // λ = ln(α/σ) = −ln σ of the table; e^(−h) is the ratio of two of them.
        let shrink = to / from;
        let toward = match last_clean {
            Some(last) if index + 1 < self.timesteps.len() => {
                let ratio = (self.sigmas[index - 1] / from).ln() / (from / to).ln();
                let slope = (clean.clone() - last.clone()) / ratio;
                clean.clone() + slope * 0.5
            }
            _ => clean.clone(),
        };
        *last_clean = Some(clean);
        sample * (sigma_to / sigma) + toward * (alpha_to * (1.0 - shrink))
    }
}

/// √ᾱ and √(1 − ᾱ) at σ.
fn scales(sigma: f64) -> (f64, f64) {
    let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
    (alpha, sigma * alpha)
}
