//! Photos that a photogrammetry program aligned, as it exports them: Metashape's cameras (XML), and RealityCapture's or
//! RealityScan's "internal/external camera parameters" (CSV). Both call photos by name without saying where they lie, and
//! neither says which file has the points: photos are looked for beside the file, and so is one point cloud, which is used
//! only where the cameras see it, because these programs write points in a frame that the person chooses.

mod metashape;
mod photos;
mod reality_capture;

use super::capture::{Capture, Frame, auto_downscale, existing, locate, locate_any};
use super::distortion::Lens;
use super::normalize::Normalize;
use super::split::EvalSplit;
use super::{files, picture, ply};
use crate::scene::{DatasetKind, Intrinsics, PointCloud};
use crate::{Error, Result};
use glam::{DMat4, DVec3};
use photos::Photos;
use reality_capture::FilmLens;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Whose export a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Metashape,
    RealityCapture,
}

impl Program {
    /// Whose file of cameras begins like this.
    pub fn of_head(head: &[u8]) -> Option<Self> {
        if metashape::is_cameras(head) {
            Some(Self::Metashape)
        } else if reality_capture::is_cameras(head) {
            Some(Self::RealityCapture)
        } else {
            None
        }
    }

    const fn kind(self) -> DatasetKind {
        match self {
            Self::Metashape => DatasetKind::Metashape,
            Self::RealityCapture => DatasetKind::RealityCapture,
        }
    }

    /// What nerfstudio does with the poses: RealityCapture's world has z up.
    const fn frame(self) -> (Normalize, Option<DVec3>) {
        match self {
            Self::Metashape => (Normalize::ALL, None),
            Self::RealityCapture => {
                let upright = Normalize {
                    orient: false,
                    ..Normalize::ALL
                };
                (upright, Some(DVec3::Z))
            }
        }
    }
}

/// The one file of cameras in a folder, and whose it is. What cannot be read at its beginning is none.
///
/// # Errors
/// There are several, or one is damaged; the folder cannot be listed.
pub fn find(folder: &Path) -> Result<Option<(PathBuf, Program)>> {
    /// Bytes by which a file is told what it is.
    const HEAD: u64 = 4096;
    let mut found = Vec::new();
    for path in files::list(folder)? {
        if (has_ending(&path, "xml") || has_ending(&path, "csv"))
            && files::is_file(&path)
            && let Ok(head) = files::read_head(&path, HEAD)
            && let Some(program) = Program::of_head(&head)
            && (program != Program::Metashape || metashape::has_poses(&files::read(&path)?))
        {
            found.push((path, program));
        }
    }
    if found.len() > 1 {
        let names: Vec<_> = found
            .iter()
            .filter_map(|(path, _)| Some(path.file_name()?.to_string_lossy()))
            .collect();
        return Err(Error::file(
            folder,
            format!(
                "has cameras of photogrammetry in {} files: {}; open one of them",
                names.len(),
                names.join(", ")
            ),
        ));
    }
    Ok(found.pop())
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(ending))
}

/// The capture whose cameras are in the file `path`. `downscale` as in [`super::LoadOptions::downscale`].
///
/// # Errors
/// The file is damaged or has no camera to use; not one of the photos is there, or which one a camera's is cannot be told.
pub fn read(path: &Path, program: Program, downscale: Option<u32>) -> Result<Capture> {
    let mut warnings = Vec::new();
    let mut aligned = match program {
        Program::Metashape => metashape::read(path, &mut warnings)?,
        Program::RealityCapture => reality_capture::read(path)?,
    };
    aligned.sort_by(|a, b| a.label.cmp(&b.label));
    if let Some([twin, _]) = aligned.array_windows().find(|[a, b]| a.label == b.label) {
        return Err(Error::file(
            path,
            format!(
                "has several cameras called {}: which photo is whose cannot be told; give the photos names of their own",
                shown(&twin.label)
            ),
        ));
    }
    let base = files::parent(path);
    let labels = aligned.iter().map(|camera| camera.label.as_str());
    let photos = Photos::beside(&base, &labels.collect::<Vec<_>>())?;
    warnings.extend(photos.warning());
    let listed = aligned.len();
    let mut owners: HashMap<PathBuf, String> = HashMap::new();
    let mut frames = Vec::with_capacity(listed);
    let mut missing = Vec::new();
    let mut divisor = downscale;
    for Aligned {
        label,
        camera_to_world,
        lens,
    } in aligned
    {
        let of_camera =
            |problem: String| Error::file(path, format!("camera {} {problem}", shown(&label)));
        let relative = photos.find(&label).map_err(of_camera)?;
        let located = relative.as_ref().and_then(|relative| match divisor {
            Some(divisor) => locate(&base, relative, divisor),
            None => locate_any(&base, relative),
        });
        let Some((relative, located)) = relative.zip(located) else {
            missing.push(shown(&label));
            continue;
        };
        if let Some(other) = owners.insert(relative.clone(), label.clone()) {
            return Err(of_camera(format!(
                "and camera {} would both have the photo {}; give the photos names of their own",
                shown(&other),
                relative.display()
            )));
        }
        let lens = match lens {
            LensOf::Known(lens) => lens,
            LensOf::Film(film) => {
                // Smaller photos are rounded.
                let (photo, times) = match existing(&base.join(&relative)) {
                    Some(full) => (full, 1),
                    None => (located.path.clone(), located.divisor_on_disk),
                };
                let (width, height) = picture::read_size(&photo)?;
                film.of_size((width.saturating_mul(times), height.saturating_mul(times)))
            }
        };
        let lens = lens.checked().map_err(of_camera)?;
        let located = match divisor {
            Some(_) => located,
            None => {
                let size = (lens.intrinsics.width, lens.intrinsics.height);
                let chosen = auto_downscale(&base, &relative, &located, size);
                divisor = Some(chosen);
                locate(&base, &relative, chosen).unwrap_or(located)
            }
        };
        let world_to_camera = camera_to_world.inverse();
        if !world_to_camera.is_finite() {
            return Err(of_camera("has a pose beyond all measure".into()));
        }
        frames.push(Frame {
            name: relative.to_string_lossy().replace('\\', "/"),
            image_path: located.path,
            shrink: located.shrink,
            mask_path: None,
            lens,
            world_to_camera,
            role: None,
        });
    }
    if frames.is_empty() {
        return Err(Error::file(
            path,
            format!(
                "has the cameras of {listed} photos, and not one of them is beside it at this size; put the photos into the \
                 folder {}; the first is called {}{}",
                base.join(photos::IMAGES).display(),
                missing.first().map_or("", String::as_str),
                photos
                    .warning()
                    .map_or_else(String::new, |cut| format!("; {cut}"))
            ),
        ));
    }
    let points = points(&base, &frames, &mut warnings)?;
    let (normalize, up) = program.frame();
    Ok(Capture {
        kind: program.kind(),
        source: path.to_owned(),
        frames,
        listed,
        missing,
        points,
        downscale: divisor.unwrap_or(1),
        normalize,
        applied: Err(format!(
            "nerfstudio does not read {} but the transforms.json that ns-process-data makes of it: open that",
            path.display()
        )),
        background: [0.0; 3],
        up,
        split: EvalSplit::Interval(8),
        warnings,
    })
}

/// A photo that the program found the place of.
struct Aligned {
    /// As the file calls it, with or without an ending.
    label: String,
    /// In the frame of the file, OpenCV camera axes; rigid.
    camera_to_world: DMat4,
    lens: LensOf,
}

enum LensOf {
    Known(Lens),
    /// Becomes one once the size of the photo is known.
    Film(FilmLens),
}

/// A name of the file's for a sentence: damaged files have names without end.
fn shown(label: &str) -> String {
    const LONGEST: usize = 80;
    match label.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &label[..at]),
        None => label.to_owned(),
    }
}

/// The point cloud beside the file, if there is one that the cameras see.
fn points(base: &Path, frames: &[Frame], warnings: &mut Vec<String>) -> Result<Option<PointCloud>> {
    let (mut clouds, mut meshes, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    for path in files::list(base)? {
        if !has_ending(&path, "ply") || !files::is_file(&path) {
            continue;
        }
        match ply::Kind::of(&path) {
            Ok(ply::Kind::Points { faces: 0, .. }) => clouds.push(path),
            Ok(ply::Kind::Points { .. }) => meshes.push(path),
            Ok(ply::Kind::Splats { .. }) => {}
            Err(error) => damaged.push(error),
        }
    }
    if let Some(first) = damaged.first() {
        warnings.push(format!(
            "no points are taken from {} damaged files; of the first: {first}",
            damaged.len()
        ));
    }
    let candidates = if clouds.is_empty() { meshes } else { clouds };
    let path = match candidates.as_slice() {
        [] => return Ok(None),
        [one] => one,
        several => {
            warnings.push(format!(
                "of {} point clouds (.ply) beside the cameras none is used; leave the one that belongs to them",
                several.len()
            ));
            return Ok(None);
        }
    };
    let cloud = match ply::read_points(path) {
        Ok(cloud) if cloud.positions.is_empty() => return Ok(None),
        Ok(cloud) => cloud,
        Err(error) => {
            warnings.push(format!("no points are used: {error}"));
            return Ok(None);
        }
    };
    if is_seen(&cloud, frames) {
        return Ok(Some(cloud));
    }
    warnings.push(format!(
        "the points of {} are before none of the cameras, as if they were in another frame; they are not used: export them in \
         the coordinate system of the cameras",
        path.display()
    ));
    Ok(None)
}

/// Whether some part of a sample of the points is in some photo.
fn is_seen(cloud: &PointCloud, frames: &[Frame]) -> bool {
    const SAMPLE: usize = 500;
    /// Points of the surroundings may be in no photo, and so may noise; those of another frame hardly ever are in one.
    const PART: f64 = 0.1;
    let step = cloud.positions.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<_> = cloud.positions.iter().step_by(step).collect();
    let seen = sample.iter().filter(|point| {
        frames.iter().any(|frame| {
            let local = frame.world_to_camera.transform_point3(***point);
            let Intrinsics { width, height, .. } = frame.lens.intrinsics;
            let pixel = frame.lens.project(local);
            local.z > 0.0
                && (0.0..f64::from(width)).contains(&pixel.x)
                && (0.0..f64::from(height)).contains(&pixel.y)
        })
    });
    seen.count() as f64 >= PART * sample.len() as f64
}
