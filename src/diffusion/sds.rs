//! Score distillation (Poole et al. 2023) with InstructPix2Pix: instead of denoising a render all the way, noise it once,
//! ask the model once, and move the render against what the model calls noise and was not added. The weight is
//! 1 − ᾱ(t), nothing is normalized, and the model itself passes no gradient: it goes from the latents through the
//! encoder, posterior sample included, to the pixels.

use super::denoise::{Denoiser, Look};
use super::guidance::{Guidance, GuidanceRange};
use super::noise::EditNoise;
use super::pipeline::{InstructPix2Pix, PromptEmbedding};
use super::scheduler::Ddim;
use crate::error::Cancel;
use crate::{Error, Result};
use burn::tensor::Tensor;

/// What one look at a render says.
pub struct Distillation {
    /// Guided noise prediction, `[1, latent channels, h, w]`.
    pub prediction: Tensor<4>,
    /// (1 − ᾱ(t)) · (prediction − noise): gradient with respect to the scaled latents.
    pub d_latents: Tensor<4>,
    /// Gradient with respect to the render's pixels, `[1, 3, H, W]`, of values in [0, 1].
    pub d_render: Tensor<4>,
    /// ½ Σ `d_latents`², `[1]`: threestudio's loss, whose gradient this is.
    pub loss: Tensor<1>,
    /// The clean latents that the prediction implies, scaled: where the model would take the render in one step.
    pub estimate: Tensor<4>,
}

impl InstructPix2Pix {
    /// One step of score distillation.
    ///
    /// - `render`: `[1, 3, H, W]` in [0, 1];
    /// - `original`: [`Self::original_latents`] of the unedited photo of the same size;
    /// - `timestep`: a training timestep, from 0.
    ///
    /// Values that are not finite become 0 in the gradient.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the timestep is none of the training's or sizes disagree; [`Error::Cancelled`] before the
    /// prediction and after it; [`Error::Gpu`] when the device fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different kind of thing, and all are needed"
    )]
    pub fn distill(
        &self,
        render: Tensor<4>,
        original: &Tensor<4>,
        embedding: &PromptEmbedding,
        guidance: Guidance,
        timestep: u32,
        noise: &EditNoise,
        cancel: &Cancel,
    ) -> Result<Distillation> {
        let timestep = timestep as usize;
        let train = self.scheduler.train_timesteps();
        if timestep >= train {
            return Err(Error::invalid(format!(
                "timestep {timestep} is beyond the model's last, {}",
                train - 1
            )));
        }
        self.check_picture(&render)?;
        let [_, _, height, width] = render.dims();
        self.check_memory(height, width, 1)?;
        self.check_latents("the original's latents", original, height, width)?;
        self.check_latents("the noise", &noise.posterior, height, width)?;
        self.check_latents("the noise", &noise.diffusion, height, width)?;
        cancel.check()?;
        let scale = self.vae.scaling_factor();
        let (posterior, encoding) = self.vae.encode_kept(render * 2.0 - 1.0);
        let latents = posterior.sample(noise.posterior.clone()) * scale;
        let schedule = Ddim::starting_at(&self.scheduler, 1, train)?;
        let noisy = schedule.add_noise(latents, noise.diffusion.clone(), timestep);

        let denoiser = Denoiser::guided(self, embedding, guidance, GuidanceRange::ALL);
        let look = Look {
            latents: noisy.clone(),
            condition: original.clone(),
            timestep: timestep as f64,
        };
        let output = denoiser.predict(vec![look]).swap_remove(0);
        self.settle()?;
        cancel.check()?;
        let (estimate, prediction) = schedule.clean_and_noise(output, timestep, noisy);
        let weight = 1.0 - self.scheduler.alphas_cumprod[timestep];
        let d_latents = (prediction.clone() - noise.diffusion.clone()) * weight;
        let bad = d_latents.clone().is_finite().bool_not();
        let d_latents = d_latents.mask_fill(bad, 0.0);
        let d_render = encoding.backward(d_latents.clone() * scale, noise.posterior.clone()) * 2.0;
        self.settle()?;
        Ok(Distillation {
            prediction,
            loss: (d_latents.clone() * d_latents.clone()).sum_dim(3).sum() * 0.5,
            d_latents,
            d_render,
            estimate,
        })
    }
}
