//! InstructPix2Pix (Brooks et al. 2023) from disk: the five parts, checked to belong together, and the
//! two ways to run them. [`InstructPix2Pix::edit`] is the scene edit of Instruct-NeRF2NeRF (Haque et al. 2023);
//! [`InstructPix2Pix::edit_image`] the plain pipeline, for trying an instruction on one picture.

use super::budget::{Cut, MemoryLimit, MemoryNeed, Place, available_memory, gib};
use super::denoise::{Denoiser, EditStep, Run, Schedule};
use super::dpm_solver::DpmSolver;
use super::element::stored;
use super::files::{ModelFiles, Part};
use super::guidance::{Guidance, GuidanceRange};
use super::hash::Fnv;
use super::noise::{EditNoise, NoiseSource};
use super::picture::resize;
use super::scheduler::{Ddim, EulerAncestral, SchedulerConfig, Solver};
use super::text_encoder::TextEncoder;
use super::tokenizer::Tokenizer;
use super::unet::UNet;
use super::vae::Vae;
use super::weights::{Precision, Weights};
use crate::error::Cancel;
use crate::{Error, Result};
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::path::Path;

/// An InstructPix2Pix model on one device.
pub struct InstructPix2Pix {
    pub tokenizer: Tokenizer,
    pub text_encoder: TextEncoder,
    pub unet: UNet,
    pub vae: Vae,
    pub scheduler: SchedulerConfig,
    device: Device,
    place: Place,
    /// At each [`Place`].
    weight_bytes: [u64; Place::ALL.len()],
    /// Of these, the text encoder's.
    text_bytes: [u64; Place::ALL.len()],
    cut: Cut,
    limit: Option<u64>,
    /// Height and width of the pictures that there was room for, and how many at once.
    fitting: Cell<Option<(usize, usize, usize)>>,
    hash: String,
}

/// A prompt and its negative, embedded.
#[derive(Clone)]
pub struct PromptEmbedding {
    /// `[1, tokens, features]`.
    pub prompt: Tensor<3>,
    /// `[1, tokens, features]`.
    pub negative: Tensor<3>,
}

/// Bytes that a device still has, where they can be known: of the processor's memory.
fn available_on(device: &Device) -> Option<u64> {
    (*device == Device::flex()).then(available_memory).flatten()
}

/// The settings of one scene edit, and of one picture edit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditSettings {
    pub guidance: Guidance,
    pub diffusion_steps: usize,
    /// Of scene edits; picture edits take the solver that their scheduler names.
    pub solver: EditSolver,
    pub guidance_range: GuidanceRange,
}

/// A view that is to be edited.
pub struct ViewToEdit {
    /// `[1, 3, H, W]` in [0, 1].
    pub render: Tensor<4>,
    /// [`InstructPix2Pix::original_latents`] of the unedited photo of the same size.
    pub original: Tensor<4>,
    /// T of the diffusion range.
    pub start_timestep: u32,
    pub noise: EditNoise,
}

/// How a scene edit denoises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditSolver {
    /// The published one.
    #[default]
    Ddim,
    /// About half the steps for the same picture.
    DpmPlusPlus,
}

impl Default for EditSettings {
    fn default() -> Self {
        Self {
            guidance: Guidance {
                guidance_scale: 7.5,
                image_guidance_scale: 1.5,
            },
            diffusion_steps: 20,
            solver: EditSolver::Ddim,
            guidance_range: GuidanceRange::ALL,
        }
    }
}

impl InstructPix2Pix {
    /// Read a diffusers folder with `unet/`, `vae/`, `text_encoder/`, `tokenizer/` and `scheduler/` (other parts are
    /// not needed), or an original single-file checkpoint.
    ///
    /// # Errors
    /// A missing part; an unreadable or unsupported config; missing, unknown or misshapen tensors; parts that do not
    /// belong together.
    pub fn load(path: &Path, device: &Device, precision: Precision) -> Result<Self> {
        let files = ModelFiles::open(path)?;
        if let Some(available) = available_on(device) {
            let parts = Part::ALL.iter().map(|&part| {
                let weights = files.weights(part, precision, device)?;
                Ok(weights.resident_bytes(Place::Processor))
            });
            MemoryNeed {
                weights: parts.sum::<Result<u64>>()?,
                denoising: 0,
                autoencoder: 0,
            }
            .check(available)?;
        }
        Self::build(&files, &mut |part| files.weights(part, precision, device))
    }

    /// [`Self::load`] within a `limit` of a graphics card's memory: where the whole does not fit, attention and the
    /// autoencoder work in smaller parts, then the text encoder stays on the processor.
    ///
    /// # Errors
    /// As [`Self::load`]; [`Error::Invalid`] with the numbers when the smallest parts do not fit.
    pub fn load_within(
        path: &Path,
        device: &Device,
        precision: Precision,
        limit: Option<MemoryLimit>,
    ) -> Result<Self> {
        let Some(limit) = limit.filter(|_| *device != Device::flex()) else {
            return Self::load(path, device, precision);
        };
        let files = ModelFiles::open(path)?;
        let counted = Self::build(&files, &mut |part| {
            Ok(files.weights(part, precision, &Device::flex())?.counting())
        })?;
        let kept = match stored(precision, device) {
            DType::F16 => Precision::Half,
            _ => Precision::Full,
        };
        let need = |cut| counted.need(limit.size, 1, Place::Card(kept), cut);
        let fits = |cut: &Cut| need(*cut).total() <= limit.bytes;
        let smallest = Cut::ALL[Cut::ALL.len() - 1];
        let cut = Cut::ALL.into_iter().find(fits).unwrap_or(smallest);
        need(cut).check_limit(limit.bytes)?;
        let model = Self::build(&files, &mut |part| {
            let host = Device::flex();
            let device = match part {
                Part::TextEncoder if cut.text_on_processor => &host,
                Part::TextEncoder | Part::UNet | Part::Vae => device,
            };
            Ok(files.weights(part, precision, device)?.cut_into(cut))
        })?;
        Ok(Self {
            limit: Some(limit.bytes),
            ..model
        })
    }

    /// How it was cut to fit a limit, in words; `None` where it runs as a whole.
    pub fn cut_notice(&self) -> Option<String> {
        let limit = self.limit.filter(|_| self.cut != Cut::WHOLE)?;
        let text = match self.cut.text_on_processor {
            true => " and reads the instruction on the processor",
            false => "",
        };
        Some(format!(
            "To take no more than {} of the graphics card, the edit model works in smaller parts{text}; that takes longer",
            gib(limit)
        ))
    }

    /// Put the parts together; `weights` opens those of each network.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn build(
        files: &ModelFiles,
        weights: &mut dyn FnMut(Part) -> Result<Weights>,
    ) -> Result<Self> {
        let scheduler = files.scheduler()?;
        let mut weight_bytes = [0; Place::ALL.len()];
        let mut text_bytes = weight_bytes;
        let mut open = |part| {
            let weights = weights(part)?;
            for (bytes, place) in weight_bytes.iter_mut().zip(Place::ALL) {
                *bytes += weights.resident_bytes(place);
            }
            if part == Part::TextEncoder {
                text_bytes = weight_bytes;
            }
            Ok::<_, Error>((files.config(part)?, weights))
        };
        let (config, text_weights) = open(Part::TextEncoder)?;
        let text_encoder = TextEncoder::build(&config, text_weights)?;
        let tokenizer = files.tokenizer(text_encoder.max_length())?;
        let (unet_config, unet_weights) = open(Part::UNet)?;
        let (device, place) = (unet_weights.device().clone(), unet_weights.place());
        let cut = unet_weights.cut;
        let unet = UNet::build(&unet_config, unet_weights)?;
        let (config, vae_weights) = open(Part::Vae)?;
        let vae = Vae::build(&config, vae_weights)?;

        let latent = vae.latent_channels();
        if unet.in_channels() != 2 * latent || unet.out_channels() != latent {
            return Err(Error::file(
                unet_config.path(),
                format!(
                    "`in_channels` {} and `out_channels` {}: InstructPix2Pix on this autoencoder needs {} and {latent}; \
                     this looks like another kind of diffusion model",
                    unet.in_channels(),
                    unet.out_channels(),
                    2 * latent
                ),
            ));
        }
        if unet.prompt_features() != text_encoder.width() {
            return Err(Error::file(
                unet_config.path(),
                format!(
                    "`cross_attention_dim` {} does not fit the text encoder's `hidden_size` {}",
                    unet.prompt_features(),
                    text_encoder.width()
                ),
            ));
        }
        let mut hash = Fnv::new();
        for part in [unet.hash(), vae.hash(), text_encoder.hash()] {
            hash.write(part.as_bytes());
        }
        Ok(Self {
            tokenizer,
            text_encoder,
            unet,
            vae,
            scheduler,
            device,
            place,
            weight_bytes,
            text_bytes,
            cut,
            limit: None,
            fitting: Cell::default(),
            hash: hash.finish(),
        })
    }

    /// Sixteen hexadecimal digits that identify the weights, the same on every machine.
    pub fn model_hash(&self) -> &str {
        &self.hash
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Where this model runs, and what it is kept in there.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What editing a picture of that size takes at `place`.
    pub fn memory_need(&self, height: usize, width: usize, place: Place) -> MemoryNeed {
        self.need([height, width], 1, place, self.cut)
    }

    /// Whether it was loaded within a limit of memory.
    pub fn has_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// As many views of that size as there is memory for [`Self::edit_views`], as far as that is known; at least one, no
    /// more than `most`.
    pub fn views_at_once(&self, height: usize, width: usize, most: usize) -> usize {
        let need = |views| self.need([height, width], views, self.place, self.cut);
        if let Some((h, w, known)) = self.fitting.get()
            && (h, w) == (height, width)
            && most <= known
        {
            return most;
        }
        // The weights are there already.
        let free = available_on(&self.device).map(|free| free + need(1).weights);
        let room = self.limit.unwrap_or(u64::MAX).min(free.unwrap_or(u64::MAX));
        let fits = |&views: &usize| need(views).total() <= room;
        let views = (1..=most).rev().find(fits);
        if let Some(views) = views {
            self.fitting.set(Some((height, width, views)));
        }
        views.unwrap_or(1)
    }

    fn need(
        &self,
        [height, width]: [usize; 2],
        views: usize,
        place: Place,
        cut: Cut,
    ) -> MemoryNeed {
        let (h, w) = self.latent_size(height, width);
        let of = |bytes: [u64; Place::ALL.len()]| {
            let at_place = Place::ALL.iter().zip(bytes).filter(|(at, _)| **at == place);
            at_place.map(|(_, bytes)| bytes).sum::<u64>()
        };
        let elsewhere = match place {
            Place::Card(_) if cut.text_on_processor => of(self.text_bytes),
            Place::Card(_) | Place::Processor => 0,
        };
        MemoryNeed {
            weights: of(self.weight_bytes) - elsewhere,
            denoising: self.unet.working_bytes(
                3 * views,
                [h, w],
                self.text_encoder.max_length(),
                place,
                cut,
            ),
            autoencoder: self.vae.working_bytes([height, width], place, cut),
        }
    }

    /// Whether there is room for an edit of that size beside the weights, where the system tells. Asked once a size: what
    /// an edit frees, the allocator may keep for the next.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the numbers.
    pub(super) fn check_memory(&self, height: usize, width: usize, views: usize) -> Result<()> {
        let fits = |(h, w, most)| (h, w) == (height, width) && views <= most;
        if self.fitting.get().is_some_and(fits) {
            return Ok(());
        }
        let need = self.need([height, width], views, self.place, self.cut);
        if let Some(limit) = self.limit {
            need.check_limit(limit)?;
        }
        if let Some(available) = available_on(&self.device) {
            // The weights are there already.
            need.check(available + need.weights)?;
        }
        self.fitting.set(Some((height, width, views)));
        Ok(())
    }

    /// # Errors
    /// When tokenizer and text encoder do not belong together.
    pub fn encode_prompt(&self, prompt: &str, negative: &str) -> Result<PromptEmbedding> {
        let ids = [
            self.tokenizer.encode(prompt),
            self.tokenizer.encode(negative),
        ];
        let mut both = self.text_encoder.forward(&ids)?;
        if both.device() != self.device {
            let data = both.try_into_data();
            let data = data.map_err(|e| Error::Gpu(format!("the text encoder failed: {e:?}")))?;
            both = Tensor::from_data(data, &self.device);
        }
        Ok(PromptEmbedding {
            prompt: both.clone().narrow(0, 0, 1),
            negative: both.narrow(0, 1, 1),
        })
    }

    /// Height and width of the latents of an `height` × `width` picture.
    pub fn latent_size(&self, height: usize, width: usize) -> (usize, usize) {
        (height / self.vae.factor(), width / self.vae.factor())
    }

    /// The shape of the latents, and so of the noise, of an `height` × `width` picture.
    pub fn latent_shape(&self, height: usize, width: usize) -> [usize; 4] {
        let (h, w) = self.latent_size(height, width);
        [1, self.vae.latent_channels(), h, w]
    }

    /// The condition of an edit: mode of the posterior of `original` (`[1, 3, H, W]` in [0, 1]), unscaled. It does not
    /// change while a view is edited again and again.
    ///
    /// # Errors
    /// A picture that is no `[1, 3, H, W]`, or smaller than one latent pixel.
    pub fn original_latents(&self, original: Tensor<4>) -> Result<Tensor<4>> {
        self.check_picture(&original)?;
        Ok(self.vae.encode(original * 2.0 - 1.0).mode())
    }

    /// What an edit starts from: a sample of the posterior of `render` (`[1, 3, H, W]` in [0, 1]), scaled.
    ///
    /// # Errors
    /// As [`Self::original_latents`], and noise of another shape than the latents.
    pub fn render_latents(
        &self,
        render: Tensor<4>,
        posterior_noise: &Tensor<4>,
    ) -> Result<Tensor<4>> {
        self.check_picture(&render)?;
        let [_, _, height, width] = render.dims();
        self.check_latents("the noise", posterior_noise, height, width)?;
        let posterior = self.vae.encode(render * 2.0 - 1.0);
        Ok(posterior.sample(posterior_noise.clone()) * self.vae.scaling_factor())
    }

    /// One edit of Instruct-NeRF2NeRF: `render` is noised at the first of `diffusion_steps` timesteps below
    /// `start_timestep` (T) and denoised under the prompt and the original picture. With DDIM the first timestep is
    /// (steps − 1)·⌊T/steps⌋ + 1; DPM-Solver++ starts where twenty such steps do.
    ///
    /// - `render`: `[1, 3, H, W]` in [0, 1];
    /// - `original`: [`Self::original_latents`] of the unedited photo of the same size.
    ///
    /// The result is `[1, 3, H, W]` in [0, 1]; sides that the autoencoder floors are resized back bilinearly.
    ///
    /// # Errors
    /// [`Error::Cancelled`] within one denoising step of the request; [`Error::Invalid`] when there are more steps than
    /// T, T is beyond the training timesteps, or sizes disagree; [`Error::Gpu`] when the device fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different kind of thing, and all are needed"
    )]
    pub fn edit(
        &self,
        render: Tensor<4>,
        original: &Tensor<4>,
        embedding: &PromptEmbedding,
        settings: &EditSettings,
        start_timestep: u32,
        noise: &EditNoise,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(&EditStep),
    ) -> Result<Tensor<4>> {
        let view = ViewToEdit {
            render,
            original: original.clone(),
            start_timestep,
            noise: noise.clone(),
        };
        let mut edited = self.edit_views(vec![view], embedding, settings, cancel, on_step)?;
        edited
            .pop()
            .ok_or_else(|| Error::invalid("an edit of one view gives one picture"))
    }

    /// [`Self::edit`] of several views of one size at once, each from a timestep of its own: the same pictures, in the same
    /// order, but for rounding.
    ///
    /// # Errors
    /// As [`Self::edit`]; [`Error::Invalid`] when the views differ in size.
    pub fn edit_views(
        &self,
        views: Vec<ViewToEdit>,
        embedding: &PromptEmbedding,
        settings: &EditSettings,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(&EditStep),
    ) -> Result<Vec<Tensor<4>>> {
        let Some([_, _, height, width]) = views.first().map(|view| view.render.dims()) else {
            return Ok(Vec::new());
        };
        self.check_memory(height, width, views.len())?;
        let mut runs = Vec::with_capacity(views.len());
        for view in views {
            cancel.check()?;
            let (steps, start) = (settings.diffusion_steps, view.start_timestep as usize);
            let schedule = match settings.solver {
                EditSolver::Ddim => {
                    Schedule::Ddim(Ddim::starting_at(&self.scheduler, steps, start)?)
                }
                EditSolver::DpmPlusPlus => Schedule::DpmPlusPlus(
                    DpmSolver::starting_at(&self.scheduler, steps, start)?,
                    None,
                ),
            };
            let [_, _, rows, columns] = view.render.dims();
            if [rows, columns] != [height, width] {
                return Err(Error::invalid(format!(
                    "views edited together must be of one size, not {width}×{height} and {columns}×{rows}"
                )));
            }
            self.check_latents("the original's latents", &view.original, height, width)?;
            self.check_latents("the noise", &view.noise.diffusion, height, width)?;
            let start = self.render_latents(view.render, &view.noise.posterior)?;
            runs.push(Run {
                latents: schedule.add_noise(start, view.noise.diffusion),
                schedule,
                condition: view.original,
            });
        }
        let range = settings.guidance_range;
        let denoiser = Denoiser::guided(self, embedding, settings.guidance, range);
        self.denoise(
            &mut runs,
            &denoiser,
            &mut || Err(Error::invalid("scene edits are deterministic")),
            cancel,
            on_step,
        )?;
        runs.into_iter()
            .map(|run| {
                cancel.check()?;
                self.decode(run.latents, height, width)
            })
            .collect()
    }

    /// The plain pipeline on one picture (`[1, 3, H, W]` in [0, 1]), from pure noise. `noise` gives the starting
    /// latents, then one tensor a step where the solver of `scheduler` is stochastic. Guidance as
    /// [`Guidance::is_on`] says.
    ///
    /// # Errors
    /// As [`Self::edit`].
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different kind of thing, and all are needed"
    )]
    pub fn edit_image(
        &self,
        picture: Tensor<4>,
        embedding: &PromptEmbedding,
        settings: &EditSettings,
        scheduler: &SchedulerConfig,
        noise: &mut dyn NoiseSource,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(&EditStep),
    ) -> Result<Tensor<4>> {
        cancel.check()?;
        let [_, _, height, width] = picture.dims();
        self.check_memory(height, width, 1)?;
        let condition = self.original_latents(picture)?;
        self.edit_encoded(
            condition,
            [height, width],
            embedding,
            settings,
            scheduler,
            noise,
            cancel,
            on_step,
        )
    }

    /// [`Self::edit_image`] of a picture of `size` (height, width) whose [`Self::original_latents`] are known.
    ///
    /// # Errors
    /// As [`Self::edit_image`].
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different kind of thing, and all are needed"
    )]
    pub fn edit_encoded(
        &self,
        condition: Tensor<4>,
        [height, width]: [usize; 2],
        embedding: &PromptEmbedding,
        settings: &EditSettings,
        scheduler: &SchedulerConfig,
        noise: &mut dyn NoiseSource,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(&EditStep),
    ) -> Result<Tensor<4>> {
        let steps = settings.diffusion_steps;
        let schedule = match scheduler.solver {
            Solver::Ddim => Schedule::Ddim(Ddim::new(scheduler, steps)?),
            Solver::EulerAncestral => {
                Schedule::EulerAncestral(EulerAncestral::new(scheduler, steps)?)
            }
            Solver::DpmPlusPlus => Schedule::DpmPlusPlus(DpmSolver::new(scheduler, steps)?, None),
        };
        cancel.check()?;
        self.check_latents("the original's latents", &condition, height, width)?;
        self.check_memory(height, width, 1)?;
        let shape = self.latent_shape(height, width);
        let latents = noise.next(shape, &self.device) * schedule.init_noise_sigma();
        self.check_latents("the noise", &latents, height, width)?;

        let denoiser = match settings.guidance.is_on() {
            true => Denoiser::guided(self, embedding, settings.guidance, settings.guidance_range),
            false => Denoiser::unguided(self, embedding),
        };
        let mut run = [Run {
            schedule,
            latents,
            condition,
        }];
        let mut fresh = || {
            let fresh = noise.next(shape, &self.device);
            self.check_latents("the noise", &fresh, height, width)?;
            Ok(fresh)
        };
        self.denoise(&mut run, &denoiser, &mut fresh, cancel, on_step)?;
        cancel.check()?;
        let [run] = run;
        self.decode(run.latents, height, width)
    }

    /// Scaled latents to a picture `[1, 3, height, width]` in [0, 1].
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub fn decode(&self, latents: Tensor<4>, height: usize, width: usize) -> Result<Tensor<4>> {
        let picture = self.vae.decode(latents / self.vae.scaling_factor());
        let picture = (picture * 0.5 + 0.5).clamp(0.0, 1.0);
        // Interpolation may round a hair beyond the range.
        let picture = resize(picture, height, width).clamp(0.0, 1.0);
        self.settle()?;
        Ok(picture)
    }

    /// Wait for the device, so that no more than one step is ever queued and its errors surface here.
    ///
    /// # Errors
    /// [`Error::Gpu`] when it fails.
    pub fn settle(&self) -> Result<()> {
        self.device
            .sync()
            .map_err(|e| Error::Gpu(format!("the device that runs the edit model failed: {e:?}")))
    }

    pub(super) fn check_picture(&self, picture: &Tensor<4>) -> Result<()> {
        let [batch, channels, height, width] = picture.dims();
        let factor = self.vae.factor();
        if batch != 1 || channels != 3 {
            return Err(Error::invalid(format!(
                "the edit model takes one RGB picture, not {batch} of {channels} channels"
            )));
        }
        if height < factor || width < factor {
            return Err(Error::invalid(format!(
                "a picture of {width}×{height} pixels is too small for the edit model: both sides need {factor} at least"
            )));
        }
        Ok(())
    }

    pub(super) fn check_latents(
        &self,
        what: &str,
        latents: &Tensor<4>,
        height: usize,
        width: usize,
    ) -> Result<()> {
        let expected = self.latent_shape(height, width);
        if latents.dims() == expected {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{what} must be {expected:?} for a picture of {width}×{height}, not {:?}",
            latents.dims()
        )))
    }
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<InstructPix2Pix>();
};
