//! Trying an instruction in 2D before the scene learns from it: one picture, one prompt, several settings one after the
//! other. A view of the scene is edited as a sweep would edit it, from the most noise that the settings allow; a picture of
//! no scene by the plain pipeline. Neither changes anything. The prompt's embedding and the original's latents are
//! computed for the first setting and kept by the editor.

use super::{
    Event, Job, Progress,
    control::Control,
    loaded_editor::{LoadedEditor, load_editor},
    session::Session,
    view_edit::{instruction, over_background},
};
use crate::{
    Error, Result,
    edit::{EditDraw, EditUpdate, ImageEditor, Watch},
    gpu::GpuImage,
    scene::Photo,
    settings::{Setting, Settings, Value},
};
use std::{sync::Arc, time::Instant};

/// One setting that is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    pub guidance_scale: f64,
    pub image_guidance_scale: f64,
    pub seed: u64,
}

impl Trial {
    pub fn of(settings: &Settings) -> Self {
        Self {
            guidance_scale: settings.guidance_scale,
            image_guidance_scale: settings.image_guidance_scale,
            seed: settings.seed,
        }
    }

    /// The rows of the table of settings that a trial varies, with its values.
    pub fn values(&self) -> [(&'static str, Value); 3] {
        [
            ("guidance_scale", Value::Float(self.guidance_scale)),
            (
                "image_guidance_scale",
                Value::Float(self.image_guidance_scale),
            ),
            ("seed", Value::Int(self.seed)),
        ]
    }

    /// `settings` with this trial's values.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a value is out of its range.
    pub fn over(&self, settings: &Settings) -> Result<Settings> {
        let mut settings = settings.clone();
        for (key, value) in self.values() {
            if let Some(setting) = Settings::info(key) {
                setting.set(&mut settings, value)?;
            }
        }
        Ok(settings)
    }
}

/// The values of a small grid: instruction strength from left to right; faithfulness, then seed, from top to bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub guidance_scales: Vec<f64>,
    pub image_guidance_scales: Vec<f64>,
    pub seeds: Vec<u64>,
}

impl Grid {
    /// Three by three around `settings`, with their seed.
    pub fn around(settings: &Settings) -> Self {
        Self {
            guidance_scales: spread("guidance_scale", settings.guidance_scale, 0.4, 0.5),
            image_guidance_scales: spread(
                "image_guidance_scale",
                settings.image_guidance_scale,
                0.2,
                0.1,
            ),
            seeds: vec![settings.seed],
        }
    }

    /// Faithfulness and seed of each row.
    pub fn rows(&self) -> Vec<(f64, u64)> {
        let seeds = &self.seeds;
        self.image_guidance_scales
            .iter()
            .flat_map(|&scale| seeds.iter().map(move |&seed| (scale, seed)))
            .collect()
    }

    /// Row by row.
    pub fn trials(&self) -> Vec<Trial> {
        self.rows()
            .into_iter()
            .flat_map(|(image_guidance_scale, seed)| {
                self.guidance_scales
                    .iter()
                    .map(move |&guidance_scale| Trial {
                        guidance_scale,
                        image_guidance_scale,
                        seed,
                    })
            })
            .collect()
    }
}

/// `value` between a share less and a share more, rounded to `unit`, within the range of the setting.
fn spread(key: &str, value: f64, share: f64, unit: f64) -> Vec<f64> {
    let (min, max) = Settings::info(key).map_or((f64::MIN, f64::MAX), Setting::range);
    let beside = |factor: f64| {
        let per_unit = (1.0 / unit).round();
        ((value * factor * per_unit).round() / per_unit).clamp(min, max)
    };
    let mut values = vec![beside(1.0 - share), value, beside(1.0 + share)];
    values.dedup();
    values
}

/// A trial's picture.
#[derive(Clone, Debug)]
pub struct Tried {
    pub trial: Trial,
    pub picture: Photo,
    pub duration_secs: f64,
}

/// A trial under way.
#[derive(Clone, Debug)]
pub struct TrialPreview {
    pub trial: Trial,
    /// Denoising steps.
    pub done: usize,
    pub steps: usize,
    /// Where it is heading.
    pub picture: Option<Photo>,
}

/// What is edited.
pub(super) enum Subject {
    /// A picture of no scene.
    Picture(Photo),
    View {
        view: usize,
        original: Photo,
        render: GpuImage,
        /// Where the photo shows nothing, and what is there instead.
        void: Option<(Arc<[u8]>, [f32; 3])>,
        /// Of the view's noise, as the first sweep over all views numbers it.
        noise_stream: u64,
    },
}

impl Subject {
    fn edit(
        &self,
        settings: &Settings,
        editor: &mut dyn ImageEditor,
        watch: &mut Watch<'_>,
    ) -> Result<Photo> {
        let draw = |noise_stream| EditDraw {
            timestep: (settings.upper_bound * 1000.0) as u32,
            noise_stream,
        };
        match self {
            Self::Picture(photo) => {
                editor.edit_photo(photo, &instruction(settings, draw(0)), watch)
            }
            Self::View {
                view,
                original,
                render,
                void,
                noise_stream,
            } => {
                let instruction = instruction(settings, draw(*noise_stream));
                let edited = editor.edit(*view, render, original, &instruction, watch)?;
                Ok(match void {
                    Some((alpha, background)) => over_background(edited, alpha, *background),
                    None => edited,
                }
                .to_photo())
            }
        }
    }
}

/// Edit `subject` with every trial over `settings`, in order, and hand each picture to `on_picture`. Previews go to their
/// slot where `wants_previews`.
///
/// # Errors
/// [`Error::Cancelled`] within one denoising step of a stop; what is tried so far has been handed over.
pub(super) fn try_out(
    subject: &Subject,
    settings: &Settings,
    trials: &[Trial],
    (job, wants_previews): (Job, bool),
    editor: &mut LoadedEditor,
    control: &mut Control,
    on_picture: &mut dyn FnMut(Tried, &Control),
) -> Result<()> {
    let began_all = Instant::now();
    for (index, trial) in trials.iter().enumerate() {
        let settings = trial.over(settings)?;
        let began = Instant::now();
        let cancel = control.cancel.clone();
        let mut watch = Watch {
            cancel: &cancel,
            wants_previews,
            on_update: &mut |update| {
                let step = match update {
                    EditUpdate::Denoised(step) => step,
                    EditUpdate::Resumed => return,
                    EditUpdate::Preparing(what) => {
                        control.progress(Progress {
                            job: Some(job),
                            detail: what,
                            ..Default::default()
                        });
                        return control.poll();
                    }
                    EditUpdate::Waiting(reason) => {
                        control.progress(Progress {
                            job: Some(job),
                            waiting: Some(reason),
                            ..Default::default()
                        });
                        return control.poll();
                    }
                };
                let (done, steps) = (step.done, step.steps);
                let all_done = index * steps + done;
                let all = trials.len() * steps;
                let secs = began_all.elapsed().as_secs_f64() / all_done.max(1) as f64;
                let setting = match trials.len() {
                    1 => String::new(),
                    n => format!("setting {} of {n}, ", index + 1),
                };
                if wants_previews {
                    control.preview(TrialPreview {
                        trial: *trial,
                        done,
                        steps,
                        picture: step.preview,
                    });
                }
                control.progress(Progress {
                    job: Some(job),
                    done: all_done as u32,
                    total: all as u32,
                    eta_secs: Some((all - all_done) as f64 * secs),
                    detail: format!("{setting}denoising {done} of {steps}"),
                    ..Default::default()
                });
                control.poll();
            },
        };
        let picture = subject.edit(&settings, editor.editor.as_mut(), &mut watch)?;
        let tried = Tried {
            trial: *trial,
            picture,
            duration_secs: began.elapsed().as_secs_f64(),
        };
        on_picture(tried, control);
    }
    Ok(())
}

impl Session {
    /// Try `trials` on a view of the open capture. Without a scene, the photo stands in for the render.
    ///
    /// # Errors
    /// When the settings are refused, there is no such view, the model cannot be read, or a device fails.
    pub fn try_on_view(
        &mut self,
        view: usize,
        prompt: &str,
        trials: &[Trial],
        editor: &mut Option<LoadedEditor>,
        control: &mut Control,
    ) -> Result<()> {
        let mut settings = control.settings.clone();
        prompt.clone_into(&mut settings.prompt);
        settings.check_edit()?;
        let dataset = self.dataset()?;
        let original = dataset
            .views
            .get(view)
            .map(|v| v.photo.clone())
            .ok_or_else(|| Error::Invalid(format!("the capture has no view {view}")))?;
        let background = dataset.background;
        let void = dataset.views[view].alpha.clone().map(|a| (a, background));
        let train = &dataset.split.train;
        let noise_stream = train
            .iter()
            .position(|&v| v == view)
            .unwrap_or(train.len() + view) as u64;
        let editor = load_editor(&self.gpu, editor, &settings, control)?;
        let render = if self.trainer.is_some() {
            self.render_view(view)?
        } else {
            GpuImage::from_float(&self.gpu, &original.to_float())
        };
        control.emit(Event::TryOutBegan {
            view,
            render: render.read(&self.gpu)?.to_photo(),
        });
        let subject = Subject::View {
            view,
            original,
            render,
            void,
            noise_stream,
        };
        try_out(
            &subject,
            &settings,
            trials,
            (Job::TryOut, true),
            editor,
            control,
            &mut |tried, control| control.emit(Event::Tried(Box::new(tried))),
        )
    }
}
