//! Jobs that make pictures and change no scene: rendering from given cameras, trying an instruction on one picture.

use super::{
    Event, Job, Progress, RenderFormat,
    control::Control,
    jobs::{LoadedEditor, load_editor},
    session::Session,
};
use crate::{
    Error, Result,
    formats::{self, LoadOptions, picture},
    scene::Camera,
};
use std::path::{Path, PathBuf};

impl Session {
    /// Draw the live scene from every camera of `cameras` (`None`: the open capture) into `folder`.
    ///
    /// # Errors
    /// When there is no scene, the cameras cannot be read, or a file cannot be written.
    pub fn render_pictures(
        &mut self,
        cameras: Option<&Path>,
        folder: &Path,
        format: RenderFormat,
        control: &mut Control,
    ) -> Result<()> {
        let cameras = match cameras {
            Some(path) => cameras_of(path, control)?,
            None => self
                .dataset()
                .map_err(|_| {
                    Error::invalid(
                        "a splat file has no cameras of its own: name a capture with --cameras",
                    )
                })?
                .views
                .iter()
                .map(|v| (v.name.clone(), v.camera))
                .collect(),
        };
        let names: Vec<&str> = cameras.iter().map(|(name, _)| name.as_str()).collect();
        let paths = picture_paths(folder, &names, format);
        if let Some(path) = paths.iter().find(|p| p.exists()) {
            return Err(Error::Invalid(format!(
                "{} exists already; choose another folder",
                path.display()
            )));
        }
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let total = cameras.len();
        for (done, ((_, camera), path)) in cameras.into_iter().zip(paths).enumerate() {
            control.cancel.check()?;
            let (image, photo) = self.render(&camera)?;
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
            }
            match format {
                RenderFormat::Png => picture::write_png(&path, &photo)?,
                RenderFormat::Exr => picture::write_exr(&path, &image.read(&self.gpu)?)?,
            }
            control.emit(Event::Exported(path));
            control.progress(Progress {
                job: Some(Job::Render),
                done: done as u32 + 1,
                total: total as u32,
                ..Default::default()
            });
            control.poll();
        }
        Ok(())
    }

    /// Edit one picture with the current settings.
    ///
    /// # Errors
    /// When the settings are refused, the model or the picture cannot be read, or the result cannot be written.
    pub fn edit_picture(
        &mut self,
        image: &Path,
        output: &Path,
        editor: &mut Option<LoadedEditor>,
        control: &mut Control,
    ) -> Result<()> {
        let settings = control.settings.clone();
        settings.check_prompt_and_model()?;
        let photo = picture::read_photo(image, [1.0; 3])?;
        if image.canonicalize().ok() == output.canonicalize().ok() {
            return Err(Error::Invalid(format!(
                "{} is the picture to be edited; write the result elsewhere",
                output.display()
            )));
        }
        let editor = load_editor(&self.gpu, editor, &settings, control)?;
        let cancel = control.cancel.clone();
        let edited = editor
            .editor
            .edit_photo(&photo, &settings, &cancel, &mut |done, total| {
                control.progress(Progress {
                    job: Some(Job::EditImage),
                    done: done as u32,
                    total: total as u32,
                    ..Default::default()
                });
                control.poll();
            })?;
        picture::write_png(output, &edited)?;
        control.emit(Event::Exported(output.to_owned()));
        Ok(())
    }
}

/// One path a view name, all different: `images/0001.jpg` becomes `images/0001.png`, unless another view would too.
fn picture_paths(folder: &Path, names: &[&str], format: RenderFormat) -> Vec<PathBuf> {
    const PICTURES: [&str; 7] = [".jpg", ".jpeg", ".png", ".exr", ".tif", ".tiff", ".webp"];
    let extension = match format {
        RenderFormat::Png => "png",
        RenderFormat::Exr => "exr",
    };
    let stem = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let ending = PICTURES
            .iter()
            .find(|e| lower.ends_with(*e))
            .map_or(0, |e| e.len());
        name[..name.len() - ending].to_owned()
    };
    let mut counts = std::collections::HashMap::<String, u32>::new();
    for name in names {
        *counts.entry(stem(name)).or_default() += 1;
    }
    names
        .iter()
        .map(|name| {
            let short = stem(name);
            let unique = if counts[&short] == 1 {
                short
            } else {
                (*name).to_owned()
            };
            // A capture's names may climb out of its folder; the pictures must not.
            let inside: PathBuf = Path::new(&format!("{unique}.{extension}"))
                .components()
                .filter(|c| matches!(c, std::path::Component::Normal(_)))
                .collect();
            folder.join(inside)
        })
        .collect()
}

/// Cameras in the frame that the capture is opened in.
fn cameras_of(path: &Path, control: &mut Control) -> Result<Vec<(String, Camera)>> {
    let options = LoadOptions {
        downscale: Some(control.settings.downscale).filter(|&d| d > 0),
        ..Default::default()
    };
    let dataset = formats::open_dataset(path, &options, &|_, _| {}, &control.cancel)?;
    Ok(dataset
        .views
        .into_iter()
        .map(|v| (v.name, v.camera))
        .collect())
}
