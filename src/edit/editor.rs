//! InstructPix2Pix as an [`ImageEditor`]: where it runs, and what is kept between edits. The prompt's embedding is computed
//! once a prompt; an original's latents once a view.

use super::{ImageEditor, Instruction};
use crate::{
    Result,
    diffusion::{
        self, EditNoise, EditSettings, Guidance, InstructPix2Pix, PromptEmbedding, SeededNoise,
        image_to_tensor, tensor_to_image,
    },
    error::Cancel,
    gpu::{Gpu, GpuImage, ImageToTensor},
    scene::{FloatImage, Photo},
    settings::{EditDevice, Precision, Settings},
};
use burn::tensor::{Device, Tensor};
use std::{collections::HashMap, path::Path, sync::Arc};

/// The device that a setting asks for, and its name for the person. On software adapters `auto` is the CPU: networks run
/// many times slower through a software driver.
///
/// # Errors
/// [`crate::Error::Gpu`] when the networks cannot use the graphics device.
pub fn choose_device(setting: EditDevice, gpu: &Gpu) -> Result<(Device, String)> {
    if is_on_gpu(setting, gpu) {
        Ok((gpu.burn_device()?, gpu.info.name.clone()))
    } else {
        Ok(cpu_device())
    }
}

/// The processor, and its name for the person.
pub fn cpu_device() -> (Device, String) {
    (Device::flex(), "CPU".into())
}

/// The weight files that a setting prefers.
pub fn weights_of(precision: Precision) -> diffusion::Precision {
    match precision {
        Precision::Full => diffusion::Precision::Full,
        Precision::Half => diffusion::Precision::Half,
    }
}

fn is_on_gpu(setting: EditDevice, gpu: &Gpu) -> bool {
    match setting {
        EditDevice::Gpu => true,
        EditDevice::Cpu => false,
        EditDevice::Auto => !gpu.is_software(),
    }
}

/// InstructPix2Pix, loaded.
pub struct Ip2pEditor {
    gpu: Arc<Gpu>,
    model: InstructPix2Pix,
    device: Device,
    /// Present when the model runs on the shared device: renders then never leave it.
    to_tensor: Option<ImageToTensor>,
    /// Where it runs, for the person.
    pub device_name: String,
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
        let to_tensor = is_on_gpu(device, &gpu).then(|| ImageToTensor::new(&gpu));
        let (device, device_name) = choose_device(device, &gpu)?;
        let model = InstructPix2Pix::load(path, &device, weights_of(precision))?;
        Ok(Self {
            gpu,
            model,
            device,
            to_tensor,
            device_name,
            embedding: None,
            conditions: HashMap::new(),
        })
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
        let edited = self.model.edit_image(
            image_to_tensor(&photo.to_float(), &self.device),
            &embedding,
            &EditSettings {
                guidance: Guidance {
                    guidance_scale: settings.guidance_scale,
                    image_guidance_scale: settings.image_guidance_scale,
                },
                diffusion_steps: settings.diffusion_steps as usize,
            },
            &self.model.scheduler,
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
        let image = image_to_tensor(&original.to_float(), &self.device);
        let condition = self.model.original_latents(image)?;
        self.conditions.insert(view, condition.clone());
        Ok(condition)
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
        let image = match &self.to_tensor {
            Some(convert) => convert.convert(&self.gpu, render, &self.device)?,
            None => image_to_tensor(&render.read(&self.gpu)?, &self.device).clamp(0.0, 1.0),
        };
        let noise = EditNoise::seeded(
            instruction.seed,
            instruction.noise_stream,
            self.model
                .latent_shape(render.height as usize, render.width as usize),
            &self.device,
        );
        let settings = EditSettings {
            guidance: Guidance {
                guidance_scale: instruction.guidance_scale,
                image_guidance_scale: instruction.image_guidance_scale,
            },
            diffusion_steps: instruction.diffusion_steps as usize,
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

    fn model_hash(&self) -> &str {
        self.model.model_hash()
    }
}
