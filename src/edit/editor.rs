//! InstructPix2Pix as an [`ImageEditor`]: where it runs, and what is kept between edits. The prompt's embedding is computed
//! once a prompt; an original's latents once a view.

use super::{Distilled, ImageEditor, Instruction, networks::NetworkDevice};
use crate::{
    Result,
    diffusion::{
        self, EditNoise, EditSettings, EditSolver, Guidance, GuidanceRange, InstructPix2Pix,
        PromptEmbedding, SeededNoise, Solver, image_to_tensor, tensor_to_image,
    },
    error::Cancel,
    gpu::{Gpu, GpuImage},
    scene::{FloatImage, Photo},
    settings::{EditDevice, Precision, Scheduler, Settings},
};
use burn::tensor::Tensor;
use std::{collections::HashMap, path::Path, sync::Arc};

/// The weight files that a setting prefers.
pub fn weights_of(precision: Precision) -> diffusion::Precision {
    match precision {
        Precision::Full => diffusion::Precision::Full,
        Precision::Half => diffusion::Precision::Half,
    }
}

/// InstructPix2Pix, loaded.
pub struct Ip2pEditor {
    networks: NetworkDevice,
    model: InstructPix2Pix,
    embedding: Option<(String, PromptEmbedding)>,
    conditions: HashMap<usize, Tensor<4>>,
}

impl Ip2pEditor {
    /// # Errors
    /// When `path` is not a complete model, naming what is wrong.
    pub fn load(
        gpu: Arc<Gpu>,
        path: &Path,
        device: EditDevice,
        precision: Precision,
    ) -> Result<Self> {
        let networks = NetworkDevice::new(device, gpu)?;
        let model = InstructPix2Pix::load(path, &networks.device, weights_of(precision))?;
        Ok(Self {
            networks,
            model,
            embedding: None,
            conditions: HashMap::new(),
        })
    }

    /// Where it runs, for the person.
    pub fn device_name(&self) -> &str {
        &self.networks.name
    }

    /// Forget what was kept of the views: another capture was opened.
    pub fn forget_views(&mut self) {
        self.conditions.clear();
    }

    /// Edit a picture that belongs to no scene, from pure noise, with the model's own scheduler.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] within one denoising step of `cancel`.
    pub fn edit_photo(
        &mut self,
        photo: &Photo,
        settings: &Settings,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(usize, usize),
    ) -> Result<Photo> {
        let embedding = self.embed(&settings.prompt)?;
        let mut scheduler = self.model.scheduler.clone();
        if settings.scheduler == Scheduler::DpmPlusPlus {
            scheduler.solver = Solver::DpmPlusPlus;
        }
        let edited = self.model.edit_image(
            image_to_tensor(&photo.to_float(), &self.networks.device),
            &embedding,
            &EditSettings {
                guidance: Guidance {
                    guidance_scale: settings.guidance_scale,
                    image_guidance_scale: settings.image_guidance_scale,
                },
                diffusion_steps: settings.diffusion_steps as usize,
                solver: settings.scheduler.into(),
                guidance_range: GuidanceRange {
                    low: settings.guidance_low,
                    high: settings.guidance_high,
                },
            },
            &scheduler,
            &mut SeededNoise::new(settings.seed),
            cancel,
            &mut |step| on_step(step.done, step.steps),
        )?;
        Ok(tensor_to_image(edited)?.to_photo())
    }

    fn embed(&mut self, prompt: &str) -> Result<PromptEmbedding> {
        match &self.embedding {
            Some((known, embedding)) if known == prompt => Ok(embedding.clone()),
            _ => {
                let embedding = self.model.encode_prompt(prompt, "")?;
                self.embedding = Some((prompt.to_owned(), embedding.clone()));
                Ok(embedding)
            }
        }
    }

    fn condition(&mut self, view: usize, original: &Photo) -> Result<Tensor<4>> {
        if let Some(known) = self.conditions.get(&view) {
            return Ok(known.clone());
        }
        let image = image_to_tensor(&original.to_float(), &self.networks.device);
        let condition = self.model.original_latents(image)?;
        self.conditions.insert(view, condition.clone());
        Ok(condition)
    }

    fn noise(&self, render: &GpuImage, instruction: &Instruction) -> EditNoise {
        EditNoise::seeded(
            instruction.seed,
            instruction.noise_stream,
            self.model
                .latent_shape(render.height as usize, render.width as usize),
            &self.networks.device,
        )
    }
}

impl From<Scheduler> for EditSolver {
    fn from(scheduler: Scheduler) -> Self {
        match scheduler {
            Scheduler::Ddim => Self::Ddim,
            Scheduler::DpmPlusPlus => Self::DpmPlusPlus,
        }
    }
}

fn guidance(instruction: &Instruction) -> Guidance {
    Guidance {
        guidance_scale: instruction.guidance_scale,
        image_guidance_scale: instruction.image_guidance_scale,
    }
}

impl ImageEditor for Ip2pEditor {
    fn edit(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(usize, usize),
    ) -> Result<FloatImage> {
        let embedding = self.embed(&instruction.prompt)?;
        let condition = self.condition(view, original)?;
        cancel.check()?;
        let image = self.networks.picture(render)?;
        let noise = self.noise(render, instruction);
        let settings = EditSettings {
            guidance: guidance(instruction),
            diffusion_steps: instruction.diffusion_steps as usize,
            solver: instruction.solver,
            guidance_range: instruction.guidance_range,
        };
        let edited = self.model.edit(
            image,
            &condition,
            &embedding,
            &settings,
            instruction.timestep,
            &noise,
            cancel,
            &mut |step| on_step(step.done, step.steps),
        )?;
        tensor_to_image(edited)
    }

    fn distill(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        with_estimate: bool,
        cancel: &Cancel,
    ) -> Result<Distilled> {
        let embedding = self.embed(&instruction.prompt)?;
        let condition = self.condition(view, original)?;
        cancel.check()?;
        let found = self.model.distill(
            self.networks.picture(render)?,
            &condition,
            &embedding,
            guidance(instruction),
            instruction.timestep,
            &self.noise(render, instruction),
            cancel,
        )?;
        let estimate = if with_estimate {
            let (height, width) = (render.height as usize, render.width as usize);
            Some(tensor_to_image(self.model.decode(
                found.estimate,
                height,
                width,
            )?)?)
        } else {
            None
        };
        Ok(Distilled {
            gradient: self.networks.gradient(found.d_render, found.loss, 0.0)?,
            estimate,
        })
    }

    fn model_hash(&self) -> &str {
        self.model.model_hash()
    }
}
