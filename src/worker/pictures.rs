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
                .map_err(|_| Error::invalid("a splat file has no cameras of its own: name a capture with --cameras"))?
                .views
                .iter()
                .map(|v| (v.name.clone(), v.camera))
                .collect(),
        };
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let total = cameras.len();
        for (done, (name, camera)) in cameras.into_iter().enumerate() {
            control.cancel.check()?;
            let (image, photo) = self.render(&camera)?;
            let path = picture_path(folder, &name, format);
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

fn picture_path(folder: &Path, name: &str, format: RenderFormat) -> PathBuf {
    let extension = match format {
        RenderFormat::Png => "png",
        RenderFormat::Exr => "exr",
    };
    // A capture's names may climb out of its folder; the pictures must not.
    let safe: PathBuf = Path::new(name)
        .components()
        .filter_map(|c| match c {
            std::path::Component::Normal(part) => Some(part),
            _ => None,
        })
        .collect();
    folder.join(safe.with_extension(extension))
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
