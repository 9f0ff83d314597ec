//! One view's part of an edit: what the networks are asked about it, and what the strip and the project keep of their
//! answer.

use super::{
    EditRecord, Event, Job, Progress, ViewEdit, control::Control, loaded_editor::LoadedEditor,
    open::mean_difference, session::Session,
};
use crate::{
    Error, Result,
    diffusion::GuidanceRange,
    edit::{EditDraw, EditUpdate, Instruction, Turn, Watch},
    gpu::GpuImage,
    loss::{ImageGradient, NetworkGradient},
    scene::{FloatImage, Photo},
    settings::Settings,
};
use std::time::Instant;

/// The events and the project keep this many edits, for the strip.
const STRIP_LIMIT: usize = 2000;

/// An edit as the strip shows it.
pub(super) struct ToldEdit {
    pub view: usize,
    pub sweep: u32,
    pub draw: EditDraw,
    pub render: Photo,
    pub edited: Photo,
    pub duration_secs: f64,
}

pub(super) fn instruction(settings: &Settings, draw: EditDraw) -> Instruction {
    Instruction {
        prompt: settings.prompt.clone(),
        guidance_scale: settings.guidance_scale,
        image_guidance_scale: settings.image_guidance_scale,
        diffusion_steps: settings.diffusion_steps,
        solver: settings.scheduler.into(),
        guidance_range: GuidanceRange {
            low: settings.guidance_low,
            high: settings.guidance_high,
        },
        edited_side: settings.edited_side,
        photo_detail: settings.photo_detail,
        timestep: draw.timestep,
        seed: settings.seed,
        noise_stream: draw.noise_stream,
    }
}

/// Where the photo shows nothing, the edit stays nothing: what the model paints there would become splats in empty space.
pub(super) fn over_background(
    mut edited: FloatImage,
    alpha: &[u8],
    background: [f32; 3],
) -> FloatImage {
    for (pixel, alpha) in edited.rgb.chunks_exact_mut(3).zip(alpha) {
        let alpha = f32::from(*alpha) / 255.0;
        for (value, back) in pixel.iter_mut().zip(background) {
            *value = alpha * *value + (1.0 - alpha) * back;
        }
    }
    edited
}

impl Session {
    /// Put an edit into the strip and the project; the edited picture, and its file below `edits/`.
    pub(super) fn keep_edit(
        &mut self,
        told: ToldEdit,
        settings: &Settings,
        control: &Control,
    ) -> Result<(Photo, String)> {
        let ToldEdit {
            view,
            sweep,
            draw,
            render,
            edited,
            duration_secs,
        } = told;
        let step = self.trainer()?.step_count();
        let name = self.dataset()?.views[view].name.clone();
        let change = self.edited[view]
            .as_ref()
            .map(|last| mean_difference(&last.photo, &edited));
        let project = self
            .project
            .as_mut()
            .ok_or_else(|| Error::invalid("there is no project to keep edits in"))?;
        let edited_file = project.write_edit(&name, "edited", &edited)?;
        let render_file = project.write_edit(&name, "render", &render)?;
        project.manifest.edits.push(EditRecord {
            view: name,
            sweep,
            step,
            prompt: settings.prompt.clone(),
            guidance_scale: settings.guidance_scale,
            image_guidance_scale: settings.image_guidance_scale,
            timestep: draw.timestep,
            noise_stream: draw.noise_stream,
            change,
            duration_secs,
            edited: edited_file.clone(),
            render: render_file,
        });
        let over = project.manifest.edits.len().saturating_sub(STRIP_LIMIT);
        project.manifest.edits.drain(..over);
        control.emit(Event::ViewEdited(Box::new(ViewEdit {
            view,
            sweep,
            step,
            prompt: settings.prompt.clone(),
            guidance_scale: settings.guidance_scale,
            image_guidance_scale: settings.image_guidance_scale,
            timestep: draw.timestep,
            render,
            edited: edited.clone(),
            change,
            duration_secs,
        })));
        Ok((edited, edited_file))
    }

    /// The live scene from a view, on the GPU.
    pub(super) fn render_view(&mut self, view: usize) -> Result<GpuImage> {
        let dataset = self.dataset()?;
        let camera = dataset.views[view].camera;
        let position = dataset.split.train.iter().position(|&v| v == view);
        let render = GpuImage::new(&self.gpu, camera.intrinsics.width, camera.intrinsics.height);
        self.trainer()?.render(&camera, position, &render)?;
        Ok(render)
    }

    /// What the edit model says of one training view. Into the strip, when `is_shown`, go the render and where the model
    /// would take it in one step; no photo is replaced.
    pub(super) fn distill_view(
        &mut self,
        view: usize,
        sweep: u32,
        is_shown: bool,
        settings: &Settings,
        control: &Control,
        editor: &mut LoadedEditor,
    ) -> Result<ImageGradient> {
        let began = Instant::now();
        let render = self.render_view(view)?;
        let original = self.dataset()?.views[view].photo.clone();
        let draw = self.job()?.schedule.draw_edit(settings);
        let distilled = editor.editor.distill(
            view,
            &render,
            &original,
            &instruction(settings, draw),
            is_shown,
            &mut Watch {
                cancel: &control.cancel,
                wants_previews: false,
                on_update: &mut |update| {
                    if let EditUpdate::Waiting(reason) = update {
                        control.progress(Progress {
                            job: Some(Job::Edit),
                            waiting: Some(reason),
                            ..Default::default()
                        });
                    }
                },
            },
        )?;
        if let Some(estimate) = distilled.estimate {
            let render = render.read(&self.gpu)?.to_photo();
            let told = ToldEdit {
                view,
                sweep,
                draw,
                render,
                edited: self.masked_by_photo(view, estimate)?.to_photo(),
                duration_secs: began.elapsed().as_secs_f64(),
            };
            self.keep_edit(told, settings, control)?;
        }
        self.without_void(view, distilled.gradient)
    }

    /// An edit of a view with nothing where its photo shows nothing.
    pub(super) fn masked_by_photo(&self, view: usize, edited: FloatImage) -> Result<FloatImage> {
        let dataset = self.dataset()?;
        Ok(match &dataset.views[view].alpha {
            Some(alpha) => over_background(edited, alpha, dataset.background),
            None => edited,
        })
    }

    /// A gradient that asks for nothing where the photo shows nothing.
    fn without_void(&self, view: usize, gradient: ImageGradient) -> Result<ImageGradient> {
        let Some(alpha) = &self.dataset()?.views[view].alpha else {
            return Ok(gradient);
        };
        let mut planes: Vec<f32> = self.gpu.read(&gradient.planes, 3 * alpha.len())?;
        for plane in planes.chunks_exact_mut(alpha.len()) {
            for (value, alpha) in plane.iter_mut().zip(alpha.iter()) {
                *value *= f32::from(*alpha) / 255.0;
            }
        }
        Ok(ImageGradient {
            planes: self.gpu.storage_from("network gradient", &planes),
            ..gradient
        })
    }

    /// LPIPS between the live scene and what its views should become: of the patches that the next step draws, or of the
    /// view whose turn it is.
    pub(super) fn perceptual_gradient(
        &mut self,
        turn: Turn<'_>,
        editor: &LoadedEditor,
    ) -> Result<NetworkGradient> {
        let (_, perceptual) = editor
            .perceptual
            .as_ref()
            .ok_or_else(|| Error::invalid("the LPIPS network is not loaded"))?;
        if let Some(patches) = self.trainer()?.patches(turn)? {
            let gradient = perceptual.patch_gradient(&patches)?;
            return Ok(NetworkGradient::Patches(gradient));
        }
        let view = self.dataset()?.split.train[turn.position];
        let render = self.render_view(view)?;
        let v = &self.dataset()?.views[view];
        let target = self.edited[view].as_ref().map_or(&v.photo, |e| &e.photo);
        let gradient = perceptual.gradient(&render, target, v.mask.as_deref())?;
        Ok(NetworkGradient::View(gradient))
    }
}
