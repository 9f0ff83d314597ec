//! Jobs that make pictures and change no scene: rendering from given cameras, trying an instruction on one picture.

use super::{
    Event, Grid, Job, Progress, RenderFormat, Trial,
    contact_sheet::contact_sheet,
    control::Control,
    loaded_editor::{LoadedEditor, load_editor},
    session::Session,
    try_out::{Subject, try_out},
};
use crate::{
    Error, Result,
    edit::{Look, LookKernel, Scale},
    formats::{self, LoadOptions, picture},
    gpu::GpuImage,
    scene::{
        Camera, Dataset, Photo,
        orbit::{self, Gaze},
    },
};
use std::path::{Path, PathBuf};

/// How long an animation shows each picture, hundredths of a second.
const FRAME_CENTISECS: u16 = 8;

impl Session {
    /// Cameras with names: those of the capture `cameras` (`None`: of the open one), or `orbit` many of a loop within
    /// what they saw. `side`: longer side of the pictures, pixels.
    ///
    /// # Errors
    /// When the cameras cannot be read, or there are none.
    pub fn render_cameras(
        &self,
        cameras: Option<&Path>,
        orbit: Option<u32>,
        side: Option<u32>,
        control: &Control,
    ) -> Result<Vec<(String, Camera)>> {
        let read;
        let dataset = match cameras {
            Some(path) => {
                read = cameras_of(path, control)?;
                &read
            }
            None => self.dataset().map_err(|_| {
                Error::invalid(
                    "a splat file has no cameras of its own: name a capture with --cameras",
                )
            })?,
        };
        let views = dataset.views.iter();
        let captured: Vec<_> = views.map(|v| (v.name.clone(), v.camera)).collect();
        let mut chosen = match orbit {
            None => captured,
            Some(count) => {
                let cameras: Vec<Camera> = captured.into_iter().map(|(_, c)| c).collect();
                let path = orbit::around(&cameras, dataset.up, count as usize);
                let named = path.into_iter().enumerate();
                named.map(|(i, c)| (format!("orbit_{i:04}"), c)).collect()
            }
        };
        if let Some(side) = side {
            for (_, camera) in &mut chosen {
                let k = camera.intrinsics;
                let scale = f64::from(side) / f64::from(k.width.max(k.height).max(1));
                let scaled = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
                camera.intrinsics = k.resized(scaled(k.width), scaled(k.height));
            }
        }
        Ok(chosen)
    }

    /// Draw the live scene from every camera into the folder `output`, or as an animation into the file `output`.
    ///
    /// # Errors
    /// When there is no scene, or a file cannot be written.
    pub fn render_pictures(
        &mut self,
        cameras: Vec<(String, Camera)>,
        output: &Path,
        (format, look): (RenderFormat, Look),
        control: &mut Control,
    ) -> Result<()> {
        let extension = match format {
            RenderFormat::Png => "png",
            RenderFormat::Exr => "exr",
            RenderFormat::Gif => return self.render_animation(&cameras, output, look, control),
        };
        let folder = output;
        let names: Vec<&str> = cameras.iter().map(|(name, _)| name.as_str()).collect();
        let paths = picture_paths(folder, &names, extension);
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
            let scale = match format {
                RenderFormat::Exr => Scale::Values,
                RenderFormat::Png | RenderFormat::Gif => self.scale(&camera),
            };
            let image = self.render_look(&camera, look, scale)?.read(&self.gpu)?;
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
            }
            if format == RenderFormat::Exr {
                picture::write_exr(&path, &image)?;
            } else {
                picture::write_png(&path, &image.to_photo())?;
            }
            control.emit(Event::Exported(path));
            tell_rendered(done + 1, total, control);
        }
        Ok(())
    }

    fn render_animation(
        &mut self,
        cameras: &[(String, Camera)],
        output: &Path,
        look: Look,
        control: &mut Control,
    ) -> Result<()> {
        if output.exists() {
            return Err(Error::Invalid(format!(
                "{} exists already; choose another file",
                output.display()
            )));
        }
        let mut photos: Vec<Photo> = Vec::with_capacity(cameras.len());
        for (_, camera) in cameras {
            control.cancel.check()?;
            let image = self.render_look(camera, look, self.scale(camera))?;
            photos.push(image.read(&self.gpu)?.to_photo());
            tell_rendered(photos.len(), cameras.len(), control);
        }
        formats::write_gif(output, &photos, FRAME_CENTISECS)?;
        control.emit(Event::Exported(output.to_owned()));
        Ok(())
    }

    /// How depths seen from `camera` become gray.
    fn scale(&self, camera: &Camera) -> Scale {
        let cameras: Vec<Camera> = match &self.dataset {
            Some(dataset) => dataset.views.iter().map(|v| v.camera).collect(),
            None => Vec::new(),
        };
        let center = if cameras.is_empty() {
            self.center
        } else {
            Gaze::of(&cameras).center
        };
        Scale::around(camera, center)
    }

    /// What the live scene shows from `camera`.
    fn render_look(&mut self, camera: &Camera, look: Look, scale: Scale) -> Result<GpuImage> {
        let gpu = self.gpu.clone();
        let image = GpuImage::new(&gpu, camera.intrinsics.width, camera.intrinsics.height);
        if look == Look::Color {
            self.trainer()?.render(camera, None, &image)?;
            return Ok(image);
        }
        let depth = gpu.storage("depth", image.pixels() as u64 * 4);
        self.trainer()?.render_with_depth(camera, &image, &depth)?;
        let shown = GpuImage::new(&gpu, image.width, image.height);
        let kernel = LookKernel::new(&gpu);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let what = (look, scale);
        kernel.record(&gpu, &mut encoder, what, camera, (&image, &depth), &shown)?;
        gpu.queue.submit([encoder.finish()]);
        Ok(shown)
    }

    /// Edit one picture with the current settings, or with those of `grid` onto one sheet.
    ///
    /// # Errors
    /// When the settings are refused, the model or the picture cannot be read, or the result cannot be written.
    pub fn edit_picture(
        &mut self,
        image: &Path,
        output: &Path,
        grid: Option<&Grid>,
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
        let trials = grid.map_or_else(|| vec![Trial::of(&settings)], Grid::trials);
        let mut pictures = Vec::with_capacity(trials.len());
        try_out(
            &Subject::Picture(photo.clone()),
            &settings,
            &trials,
            (Job::EditImage, false),
            editor,
            control,
            &mut |tried, _| pictures.push(tried.picture),
        )?;
        let result = match grid {
            Some(grid) => contact_sheet(&settings.prompt, &photo, grid, &pictures),
            None => pictures.remove(0),
        };
        picture::write_png(output, &result)?;
        control.emit(Event::Exported(output.to_owned()));
        Ok(())
    }
}

pub(super) fn tell_rendered(done: usize, total: usize, control: &mut Control) {
    control.progress(Progress {
        job: Some(Job::Render),
        done: done as u32,
        total: total as u32,
        ..Default::default()
    });
    control.poll();
}

/// One path a view name, all different: `images/0001.jpg` becomes `images/0001.png`, unless another view would too.
fn picture_paths(folder: &Path, names: &[&str], extension: &str) -> Vec<PathBuf> {
    const PICTURES: [&str; 7] = [".jpg", ".jpeg", ".png", ".exr", ".tif", ".tiff", ".webp"];
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

/// A capture in the frame that it is opened in.
fn cameras_of(path: &Path, control: &Control) -> Result<Dataset> {
    let options = LoadOptions {
        downscale: Some(control.settings.downscale).filter(|&d| d > 0),
        ..Default::default()
    };
    formats::open_dataset(path, &options, &|_, _| {}, &control.cancel)
}
