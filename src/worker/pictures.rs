//! Jobs that make pictures and change no scene: rendering from given cameras, trying an instruction on one picture.

use super::{
    Event, Grid, Job, Progress, RenderFormat, Trial,
    contact_sheet::contact_sheet,
    control::Control,
    films::Film,
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
        Camera, Dataset, WorldFromFile,
        orbit::{self, Gaze},
    },
};
use std::path::{Path, PathBuf};

impl Session {
    /// World units a unit of the open capture; 1 where there is none.
    pub(super) fn scale_of_capture(&self) -> f64 {
        let dataset = self.dataset.as_ref();
        dataset.map_or(1.0, Dataset::dataparser_scale)
    }

    /// Cameras with names: those of the capture `cameras` (`None`: of the open one), or `orbit` many of a loop within
    /// what they saw. `film` takes the scale of their capture.
    ///
    /// # Errors
    /// When the cameras cannot be read, or there are none.
    pub(super) fn render_cameras(
        &self,
        cameras: Option<&Path>,
        orbit: Option<u32>,
        film: &mut Film,
        control: &Control,
    ) -> Result<Vec<(String, Camera)>> {
        let read;
        let dataset = match cameras {
            Some(path) => {
                read = cameras_of(path, self.frame, control)?;
                &read
            }
            None => self.dataset().map_err(|_| {
                Error::invalid(
                    "a splat file has no cameras of its own: name a capture with --cameras",
                )
            })?,
        };
        film.scale = dataset.dataparser_scale();
        let views = dataset.views.iter();
        let captured: Vec<_> = views.map(|v| (v.name.clone(), v.camera)).collect();
        Ok(match orbit {
            None => captured,
            Some(count) => {
                let cameras: Vec<Camera> = captured.into_iter().map(|(_, c)| c).collect();
                let path = orbit::around(&cameras, dataset.up, count as usize);
                let named = path.into_iter().enumerate();
                named.map(|(i, c)| (format!("orbit_{i:04}"), c)).collect()
            }
        })
    }

    /// Draw the live scene from every camera into the folder `output`, or as a film into the file `output`.
    ///
    /// # Errors
    /// When there is no scene, or a file cannot be written.
    pub(super) fn render_pictures(
        &mut self,
        cameras: Vec<(String, Camera)>,
        film: Film,
        output: &Path,
        format: RenderFormat,
        control: &mut Control,
    ) -> Result<()> {
        let extension = match format {
            RenderFormat::Png => "png",
            RenderFormat::DepthPng if film.look == Look::Depth => "png",
            RenderFormat::DepthPng => {
                return Err(Error::invalid(
                    "sixteen bits hold depths alone: --format png16 goes with --show depth",
                ));
            }
            RenderFormat::Exr => "exr",
            film_format => {
                let cameras: Vec<Camera> = cameras.into_iter().map(|(_, camera)| camera).collect();
                return self.render_film(&cameras, film, output, film_format, control);
            }
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
        let mut too_far = 0;
        for (done, ((_, camera), path)) in cameras.into_iter().zip(paths).enumerate() {
            control.cancel.check()?;
            let scale = match format {
                RenderFormat::Exr | RenderFormat::DepthPng => Scale::Values,
                _ => self.scale(&camera),
            };
            let image = self
                .render_look(&camera, film.look, scale)?
                .read(&self.gpu)?;
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
            }
            match format {
                RenderFormat::Exr => picture::write_exr(&path, &image)?,
                RenderFormat::DepthPng => {
                    too_far += picture::write_depth_png(&path, &image, film.scale)?;
                }
                _ => picture::write_png(&path, &image.to_photo())?,
            }
            control.emit(Event::Exported(path));
            tell_rendered(done + 1, total, control);
        }
        if too_far > 0 {
            control.emit(Event::Warning(format!(
                "{too_far} pixels are farther than {} units of the capture, the most that sixteen bits hold: they have that \
                 depth; --format exr holds all",
                picture::MOST_DEPTH
            )));
        }
        Ok(())
    }

    /// How depths seen from `camera` become gray.
    pub(super) fn scale(&self, camera: &Camera) -> Scale {
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
    pub(super) fn render_look(
        &mut self,
        camera: &Camera,
        look: Look,
        scale: Scale,
    ) -> Result<GpuImage> {
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

/// The cameras of a camera path, whose rate `film` takes where it has none.
///
/// # Errors
/// When it cannot be read.
pub(super) fn path_cameras(
    path: &Path,
    film: &mut Film,
    control: &Control,
) -> Result<Vec<(String, Camera)>> {
    let path = formats::read_camera_path(path)?;
    for warning in path.warnings {
        control.emit(Event::Warning(warning));
    }
    film.frames_per_sec = film.frames_per_sec.or(Some(path.frames_per_sec));
    let named = path.cameras.into_iter().enumerate();
    Ok(named.map(|(i, c)| (format!("frame_{i:05}"), c)).collect())
}

/// Give every picture a longer side of `side` pixels.
pub(super) fn resize(cameras: &mut [(String, Camera)], side: u32) {
    for (_, camera) in cameras {
        let k = camera.intrinsics;
        let scale = f64::from(side) / f64::from(k.width.max(k.height).max(1));
        let scaled = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
        camera.intrinsics = k.resized(scaled(k.width), scaled(k.height));
    }
}

/// A capture in the frame that it is opened in, or that the scene's run had it in.
fn cameras_of(path: &Path, frame: Option<WorldFromFile>, control: &Control) -> Result<Dataset> {
    let options = LoadOptions {
        downscale: Some(control.settings.downscale).filter(|&d| d > 0),
        frame,
        ..Default::default()
    };
    formats::open_dataset(path, &options, &|_, _| {}, &control.cancel)
}
