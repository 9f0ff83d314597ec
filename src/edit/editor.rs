//! InstructPix2Pix as an [`ImageEditor`]: where it runs, and what is kept between edits. The prompt's embedding is computed
//! once a prompt; an original's latents once a view.

use super::{
    Denoised, Distilled, EditUpdate, ImageEditor, Instruction, Watch, networks::NetworkDevice,
};
use crate::{
    Error, Result,
    diffusion::{
        self, EditNoise, EditSettings, EditSolver, EditStep, Guidance, InstructPix2Pix,
        PromptEmbedding, SeededNoise, Solver, image_to_tensor, tensor_to_image,
    },
    gpu::{Gpu, GpuImage},
    scene::{FloatImage, Photo},
    settings::{EditDevice, Precision, Scheduler},
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
    /// Of the last picture that belongs to no scene.
    photo: Option<(Photo, Tensor<4>)>,
}

impl Ip2pEditor {
    /// # Errors
    /// When `path` is not a complete model, naming what is wrong.
    pub fn load(
        gpu: Arc<Gpu>,
        path: &Path,
        device: &EditDevice,
        precision: Precision,
    ) -> Result<Self> {
        let networks = NetworkDevice::new(device, gpu)?;
        let model = InstructPix2Pix::load(path, &networks.device, weights_of(precision))?;
        Ok(Self {
            networks,
            model,
            embedding: None,
            conditions: HashMap::new(),
            photo: None,
        })
    }

    /// Where it runs, for the person.
    pub fn device_name(&self) -> &str {
        &self.networks.name
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
        let condition = self.encode(original)?;
        self.conditions.insert(view, condition.clone());
        Ok(condition)
    }

    fn photo_condition(&mut self, photo: &Photo) -> Result<Tensor<4>> {
        match &self.photo {
            Some((known, condition)) if known == photo => Ok(condition.clone()),
            _ => {
                let condition = self.encode(photo)?;
                self.photo = Some((photo.clone(), condition.clone()));
                Ok(condition)
            }
        }
    }

    fn encode(&self, photo: &Photo) -> Result<Tensor<4>> {
        let image = image_to_tensor(&photo.to_float(), &self.networks.device);
        self.model.original_latents(image)
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

fn edit_settings(instruction: &Instruction) -> EditSettings {
    EditSettings {
        guidance: guidance(instruction),
        diffusion_steps: instruction.diffusion_steps as usize,
        solver: instruction.solver,
        guidance_range: instruction.guidance_range,
    }
}

/// Run `edit` with a callback that tells `watch` of its steps. Pictures have `size`: height, width.
fn watched<T>(
    model: &InstructPix2Pix,
    [height, width]: [usize; 2],
    watch: &mut Watch<'_>,
    edit: impl FnOnce(&mut dyn FnMut(&EditStep)) -> Result<T>,
) -> Result<T> {
    let mut failure: Option<Error> = None;
    let edited = edit(&mut |step| {
        // The last one's is the result.
        let preview = if watch.wants_previews && step.done < step.steps {
            model
                .decode(step.estimate(), height, width)
                .and_then(tensor_to_image)
                .map(|image| image.to_photo())
                .map_err(|e| failure = Some(e))
                .ok()
        } else {
            None
        };
        (watch.on_update)(EditUpdate::Denoised(Denoised {
            done: step.done,
            steps: step.steps,
            preview,
        }));
    })?;
    match failure {
        Some(e) => Err(e),
        None => Ok(edited),
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
        watch: &mut Watch<'_>,
    ) -> Result<FloatImage> {
        let embedding = self.embed(&instruction.prompt)?;
        let condition = self.condition(view, original)?;
        watch.cancel.check()?;
        let image = self.networks.picture(render)?;
        let noise = self.noise(render, instruction);
        let (model, cancel) = (&self.model, watch.cancel);
        let size = [render.height as usize, render.width as usize];
        let edited = watched(model, size, watch, |on_step| {
            model.edit(
                image,
                &condition,
                &embedding,
                &edit_settings(instruction),
                instruction.timestep,
                &noise,
                cancel,
                on_step,
            )
        })?;
        tensor_to_image(edited)
    }

    fn edit_photo(
        &mut self,
        photo: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<Photo> {
        let embedding = self.embed(&instruction.prompt)?;
        let condition = self.photo_condition(photo)?;
        let mut scheduler = self.model.scheduler.clone();
        if instruction.solver == EditSolver::DpmPlusPlus {
            scheduler.solver = Solver::DpmPlusPlus;
        }
        let (model, cancel) = (&self.model, watch.cancel);
        let size = [photo.height as usize, photo.width as usize];
        let edited = watched(model, size, watch, |on_step| {
            model.edit_encoded(
                condition,
                size,
                &embedding,
                &edit_settings(instruction),
                &scheduler,
                &mut SeededNoise::new(instruction.seed),
                cancel,
                on_step,
            )
        })?;
        Ok(tensor_to_image(edited)?.to_photo())
    }

    fn distill(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        with_estimate: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Distilled> {
        let embedding = self.embed(&instruction.prompt)?;
        let condition = self.condition(view, original)?;
        watch.cancel.check()?;
        let found = self.model.distill(
            self.networks.picture(render)?,
            &condition,
            &embedding,
            guidance(instruction),
            instruction.timestep,
            &self.noise(render, instruction),
            watch.cancel,
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

    fn forget_views(&mut self) {
        self.conditions.clear();
    }
}
