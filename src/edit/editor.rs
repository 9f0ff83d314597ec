//! InstructPix2Pix as an [`ImageEditor`]: where it runs, and what is kept between edits. The prompt's embedding is computed
//! once a prompt; an original's latents once a view.

use super::{Distilled, ImageEditor, Instruction, detail, networks::NetworkDevice};
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
use burn::tensor::{Tensor, module::adaptive_avg_pool2d};
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
    /// By view, with the limit of the side that they were made for.
    conditions: HashMap<usize, (u32, Tensor<4>)>,
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
        let side = settings.edited_side;
        let edited = self.model.edit_image(
            self.original(photo, side),
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
        let edited = tensor_to_image(edited)?;
        let edited = self.restored(edited, photo, side, settings.photo_detail)?;
        Ok(edited.to_photo())
    }

    /// A photo as the model sees it.
    fn original(&self, photo: &Photo, side: u32) -> Tensor<4> {
        let picture = image_to_tensor(&photo.to_float(), &self.networks.device);
        shrunk(picture, side)
    }

    /// An edit of the size that it was made at, brought to the photo's.
    fn restored(
        &self,
        edited: FloatImage,
        photo: &Photo,
        side: u32,
        photo_detail: f64,
    ) -> Result<FloatImage> {
        let is_large = (edited.width, edited.height) == (photo.width, photo.height);
        if is_large && photo_detail <= 0.0 {
            return Ok(edited);
        }
        let guide = tensor_to_image(self.original(photo, side))?;
        detail::restore(edited, &guide, photo, photo_detail)
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

    fn condition(&mut self, view: usize, original: &Photo, side: u32) -> Result<Tensor<4>> {
        if let Some((made_for, known)) = self.conditions.get(&view)
            && *made_for == side
        {
            return Ok(known.clone());
        }
        let condition = self.model.original_latents(self.original(original, side))?;
        self.conditions.insert(view, (side, condition.clone()));
        Ok(condition)
    }

    /// For pictures of the size of `picture`, `[1, 3, height, width]`.
    fn noise(&self, picture: &Tensor<4>, instruction: &Instruction) -> EditNoise {
        let [_, _, height, width] = picture.dims();
        EditNoise::seeded(
            instruction.seed,
            instruction.noise_stream,
            self.model.latent_shape(height, width),
            &self.networks.device,
        )
    }
}

/// `[1, 3, height, width]`, averaged to the size at which it is edited.
fn shrunk(picture: Tensor<4>, side: u32) -> Tensor<4> {
    let [_, _, height, width] = picture.dims();
    let (w, h) = detail::edited_size(width as u32, height as u32, side);
    let size = [h as usize, w as usize];
    if size == [height, width] {
        picture
    } else {
        adaptive_avg_pool2d(picture, size)
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
        let side = instruction.edited_side;
        let condition = self.condition(view, original, side)?;
        cancel.check()?;
        let image = shrunk(self.networks.picture(render)?, side);
        let noise = self.noise(&image, instruction);
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
        self.restored(
            tensor_to_image(edited)?,
            original,
            side,
            instruction.photo_detail,
        )
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
        let condition = self.condition(view, original, 0)?;
        cancel.check()?;
        let picture = self.networks.picture(render)?;
        let noise = self.noise(&picture, instruction);
        let found = self.model.distill(
            picture,
            &condition,
            &embedding,
            guidance(instruction),
            instruction.timestep,
            &noise,
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
