//! InstructPix2Pix as an [`ImageEditor`]: where it runs, and what is kept between edits. The prompt's embedding is computed
//! once a prompt; an original's latents once a view. Edits that follow each other without a step between may run together.

use super::{
    Denoised, Distilled, EditUpdate, ImageEditor, Instruction, Watch, detail,
    networks::NetworkDevice,
    preparation::{Preparation, Size, Stage, tell},
};
use crate::{
    Error, Result,
    diffusion::{
        self, EditNoise, EditSettings, EditSolver, EditStep, Guidance, InstructPix2Pix,
        MemoryLimit, Place, PromptEmbedding, SeededNoise, Solver, ViewToEdit, image_to_tensor,
        read, tensor_to_image,
    },
    gpu::{Gpu, GpuImage},
    scene::{FloatImage, Photo},
    settings::{EditDevice, Precision, Scheduler, Settings},
};
use burn::tensor::{Device, Tensor, module::adaptive_avg_pool2d};
use std::{collections::HashMap, path::Path, sync::Arc};

/// The weight files that a setting prefers.
pub fn weights_of(precision: Precision) -> diffusion::Precision {
    match precision {
        Precision::Full => diffusion::Precision::Full,
        Precision::Half => diffusion::Precision::Half,
    }
}

/// What the settings let an edit model take of a graphics card; `None`: no limit.
pub fn memory_limit(settings: &Settings) -> Option<MemoryLimit> {
    let side = match settings.edited_side {
        0 => USUAL_SIDE,
        side => side as usize,
    };
    (settings.edit_memory_mib > 0).then(|| MemoryLimit {
        bytes: u64::from(settings.edit_memory_mib) << 20,
        size: [side, side],
    })
}

/// Side of the pictures that InstructPix2Pix was made for, pixels.
pub const USUAL_SIDE: usize = 512;

/// Views that are edited together on a graphics card where nobody says how many and there is room.
const USUAL_VIEWS: usize = 4;

/// A view edit that was announced, or that ran together with another.
struct Ahead {
    view: usize,
    instruction: Instruction,
    /// As the model sees it.
    render: Tensor<4>,
    original: Photo,
    /// As the model left it, once it ran.
    edited: Option<Tensor<4>>,
}

impl Ahead {
    /// Whether it is the edit of `view` by `instruction`, but for the photo's detail, which the model does not see.
    fn is(&self, view: usize, instruction: &Instruction) -> bool {
        let alike = Instruction {
            photo_detail: self.instruction.photo_detail,
            ..instruction.clone()
        };
        self.view == view && self.instruction == alike
    }
}

/// InstructPix2Pix, loaded.
pub struct Ip2pEditor {
    networks: NetworkDevice,
    model: InstructPix2Pix,
    embedding: Option<(String, PromptEmbedding)>,
    /// By view, with the limit of the side that they were made for.
    conditions: HashMap<usize, (u32, Tensor<4>)>,
    /// Of the last picture that belongs to no scene, with that limit.
    photo: Option<(Photo, u32, Tensor<4>)>,
    notices: Vec<String>,
    preparation: Preparation,
    /// See [`ImageEditor::set_views_at_once`].
    views_at_once: usize,
    ahead: Vec<Ahead>,
}

impl Ip2pEditor {
    /// # Errors
    /// When `path` is not a complete model, naming what is wrong.
    pub fn load(
        gpu: Arc<Gpu>,
        path: &Path,
        device: &EditDevice,
        precision: Precision,
        limit: Option<MemoryLimit>,
    ) -> Result<Self> {
        let networks = NetworkDevice::new(device, gpu)?;
        let precision = weights_of(precision);
        let model = InstructPix2Pix::load_within(path, &networks.device, precision, limit)?;
        let of_precision = diffusion::precision_notice(precision, &networks.device, &networks.name);
        let notices = of_precision.into_iter().chain(model.cut_notice()).collect();
        Ok(Self {
            notices,
            preparation: Preparation::new(model.place() != Place::Processor),
            networks,
            model,
            embedding: None,
            conditions: HashMap::new(),
            photo: None,
            views_at_once: 0,
            ahead: Vec::new(),
        })
    }

    /// Where it runs, for the person.
    pub fn device_name(&self) -> &str {
        &self.networks.name
    }

    /// What runs otherwise than was asked for, and why: sentences for the person.
    pub fn notices(&self) -> &[String] {
        &self.notices
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
        match self.conditions.get(&view) {
            Some((made_for, known)) if *made_for == side => Ok(known.clone()),
            _ => {
                let condition = self.model.original_latents(self.original(original, side))?;
                self.conditions.insert(view, (side, condition.clone()));
                Ok(condition)
            }
        }
    }

    fn photo_condition(&mut self, photo: &Photo, side: u32) -> Result<Tensor<4>> {
        match &self.photo {
            Some((known, made_for, condition)) if known == photo && *made_for == side => {
                Ok(condition.clone())
            }
            _ => {
                let condition = self.model.original_latents(self.original(photo, side))?;
                self.photo = Some((photo.clone(), side, condition.clone()));
                Ok(condition)
            }
        }
    }

    /// `part` of an edit, told of and waited for where it `is_first`.
    fn prepared<T>(
        &mut self,
        is_first: bool,
        watch: &mut Watch<'_>,
        stage: Stage,
        part: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        watch.cancel.check()?;
        tell(watch, is_first, stage);
        let done = part(self)?;
        if is_first {
            self.model.settle()?;
        }
        watch.cancel.check()?;
        Ok(done)
    }

    fn take_ahead(&mut self, view: usize, instruction: &Instruction) -> Option<Ahead> {
        let known = self.ahead.iter().position(|a| a.is(view, instruction))?;
        Some(self.ahead.remove(known))
    }

    /// Announced edits that can run with one by `instruction` of pictures of `size`, as many as there is room for.
    fn take_together(&mut self, instruction: &Instruction, size: [usize; 2]) -> Vec<Ahead> {
        let [height, width] = size;
        let room = self
            .model
            .views_at_once(height, width, 1 + self.foresight())
            .saturating_sub(1);
        let can = |ahead: &Ahead| {
            let [_, _, rows, columns] = ahead.render.dims();
            let alike = Instruction {
                timestep: instruction.timestep,
                noise_stream: instruction.noise_stream,
                photo_detail: instruction.photo_detail,
                ..ahead.instruction.clone()
            };
            ahead.edited.is_none() && [rows, columns] == size && alike == *instruction
        };
        let (mut together, mut rest) = (Vec::new(), Vec::new());
        for ahead in self.ahead.drain(..) {
            match together.len() < room && can(&ahead) {
                true => together.push(ahead),
                false => rest.push(ahead),
            }
        }
        self.ahead = rest;
        together
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
        instruction: &Instruction,
    ) -> Result<FloatImage> {
        let is_large = (edited.width, edited.height) == (photo.width, photo.height);
        if is_large && instruction.photo_detail <= 0.0 {
            return Ok(edited);
        }
        let guide = tensor_to_image(self.original(photo, instruction.edited_side))?;
        detail::restore(edited, &guide, photo, instruction.photo_detail)
    }

    /// For pictures of `[height, width]`.
    fn noise(&self, [height, width]: [usize; 2], instruction: &Instruction) -> EditNoise {
        EditNoise::seeded(
            instruction.seed,
            instruction.noise_stream,
            self.model.latent_shape(height, width),
            &self.networks.device,
        )
    }
}

/// Height and width at which a picture is edited.
fn size_of(width: u32, height: u32, side: u32) -> [usize; 2] {
    let (width, height) = detail::edited_size(width, height, side);
    [height as usize, width as usize]
}

/// `[1, 3, height, width]`, averaged to the size at which it is edited.
fn shrunk(picture: Tensor<4>, side: u32) -> Tensor<4> {
    let [_, _, height, width] = picture.dims();
    let size = size_of(width as u32, height as u32, side);
    if size == [height, width] {
        picture
    } else {
        adaptive_avg_pool2d(picture, size)
    }
}

/// Whether two pictures are the same, value by value.
fn is_same(a: &Tensor<4>, b: &Tensor<4>) -> Result<bool> {
    if a.dims() != b.dims() {
        return Ok(false);
    }
    let most = read((a.clone() - b.clone()).abs().max_dim(3))?;
    Ok(most.iter().all(|difference| *difference == 0.0))
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

/// Run `edit` with a callback that tells `watch` of its steps, and where it `is_first`, of the decoding after them.
/// So many pictures of one size (height, width) are edited at once.
fn watched<T>(
    model: &InstructPix2Pix,
    ([height, width], views): Size,
    is_first: bool,
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
            views,
            preview,
        }));
        tell(watch, is_first && step.done == step.steps, Stage::Picture);
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
        let side = instruction.edited_side;
        let size = size_of(render.width, render.height, side);
        let picture = shrunk(self.networks.picture(render)?, side);
        let mut together = Vec::new();
        match self.take_ahead(view, instruction) {
            Some(known) if is_same(&known.render, &picture)? => match known.edited {
                Some(edited) if !watch.wants_previews => {
                    return self.restored(tensor_to_image(edited)?, original, instruction);
                }
                Some(_) => {}
                None => together = self.take_together(instruction, size),
            },
            // Announced for another state of the scene, or by a run that was stopped.
            _ => self.ahead.clear(),
        }
        let prepared = (size, 1 + together.len());
        let is_first = self.preparation.lacks(prepared);
        let embedding = self.prepared(is_first, watch, Stage::Instruction, |editor| {
            editor.embed(&instruction.prompt)
        })?;
        let condition = self.prepared(is_first, watch, Stage::Photo, |editor| {
            editor.condition(view, original, side)
        })?;
        let mut views = vec![ViewToEdit {
            render: picture,
            original: condition,
            start_timestep: instruction.timestep,
            noise: self.noise(size, instruction),
        }];
        for other in &together {
            watch.cancel.check()?;
            views.push(ViewToEdit {
                render: other.render.clone(),
                original: self.condition(other.view, &other.original, side)?,
                start_timestep: other.instruction.timestep,
                noise: self.noise(size, &other.instruction),
            });
        }
        tell(watch, is_first, Stage::FirstStep);
        let (model, cancel) = (&self.model, watch.cancel);
        let edited = watched(model, prepared, is_first, watch, |on_step| {
            let settings = edit_settings(instruction);
            model.edit_views(views, &embedding, &settings, cancel, on_step)
        })?;
        let mut edited = edited.into_iter();
        let first = edited
            .next()
            .ok_or_else(|| Error::invalid("the edit model gave no picture"))?;
        for (other, edited) in together.iter_mut().zip(edited) {
            other.edited = Some(edited);
        }
        self.ahead.append(&mut together);
        let edited = tensor_to_image(first)?;
        self.preparation.finish(prepared);
        self.restored(edited, original, instruction)
    }

    fn edit_photo(
        &mut self,
        photo: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<Photo> {
        let side = instruction.edited_side;
        let size = size_of(photo.width, photo.height, side);
        let is_first = self.preparation.lacks((size, 1));
        let embedding = self.prepared(is_first, watch, Stage::Instruction, |editor| {
            editor.embed(&instruction.prompt)
        })?;
        let condition = self.prepared(is_first, watch, Stage::Photo, |editor| {
            editor.photo_condition(photo, side)
        })?;
        let mut scheduler = self.model.scheduler.clone();
        if instruction.solver == EditSolver::DpmPlusPlus {
            scheduler.solver = Solver::DpmPlusPlus;
        }
        tell(watch, is_first, Stage::FirstStep);
        let (model, cancel) = (&self.model, watch.cancel);
        let edited = watched(model, (size, 1), is_first, watch, |on_step| {
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
        let edited = tensor_to_image(edited)?;
        self.preparation.finish((size, 1));
        let edited = self.restored(edited, photo, instruction)?;
        Ok(edited.to_photo())
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
        let size = size_of(render.width, render.height, 0);
        let is_first = self.preparation.lacks((size, 1));
        let embedding = self.prepared(is_first, watch, Stage::Instruction, |editor| {
            editor.embed(&instruction.prompt)
        })?;
        let condition = self.prepared(is_first, watch, Stage::Photo, |editor| {
            editor.condition(view, original, 0)
        })?;
        let noise = self.noise(size, instruction);
        tell(watch, is_first, Stage::FirstStep);
        let found = self.model.distill(
            self.networks.picture(render)?,
            &condition,
            &embedding,
            guidance(instruction),
            instruction.timestep,
            &noise,
            watch.cancel,
        )?;
        self.preparation.finish((size, 1));
        let estimate = if with_estimate {
            let [height, width] = size;
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

    fn set_views_at_once(&mut self, views: usize) {
        self.views_at_once = views;
    }

    fn foresight(&self) -> usize {
        let most = match self.views_at_once {
            0 if self.model.has_limit() => USUAL_VIEWS,
            0 => 1,
            views => views,
        };
        most - 1
    }

    fn is_prepared(&self, view: usize, instruction: &Instruction) -> bool {
        self.ahead.iter().any(|ahead| ahead.is(view, instruction))
    }

    fn prepare(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
    ) -> Result<()> {
        let is_older = |ahead: &Ahead| {
            ahead.view == view && ahead.instruction.noise_stream == instruction.noise_stream
        };
        self.ahead.retain(|ahead| !is_older(ahead));
        // The present edit is announced, too; older ones are left from a run that was stopped.
        let left = self.ahead.len().saturating_sub(self.foresight());
        self.ahead.drain(..left);
        let render = shrunk(self.networks.picture(render)?, instruction.edited_side);
        self.ahead.push(Ahead {
            view,
            instruction: instruction.clone(),
            render,
            original: original.clone(),
            edited: None,
        });
        Ok(())
    }

    fn device(&self) -> Option<Device> {
        Some(self.networks.device.clone())
    }

    fn model_hash(&self) -> &str {
        self.model.model_hash()
    }

    fn forget_views(&mut self) {
        self.conditions.clear();
        self.ahead.clear();
    }
}
