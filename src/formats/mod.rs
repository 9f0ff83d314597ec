//! Files in, files out: captures of COLMAP, nerfstudio, instant-ngp, LLFF, Blender, Metashape and RealityCapture, archived
//! ones too; splats of all tools; point clouds in PLY; pictures. What a file is, is told from what it holds, before it is parsed, so that an error speaks of the format that
//! the person really has. Counts and sizes in files are never trusted.

mod animation;
pub mod atomic;
mod camera_path;
pub mod capture;
pub mod colmap;
pub mod distortion;
pub(crate) mod files;
pub(crate) mod glb;
mod info;
mod llff;
mod load;
mod mesh;
pub mod nerfstudio;
pub mod normalize;
mod npy;
mod photogrammetry;
pub mod picture;
pub mod ply;
pub mod splats;
pub mod split;
pub mod torch;
pub mod transforms;
pub mod undistort;

pub use animation::GifWriter;
pub use atomic::write_atomic;
pub use camera_path::{CameraPath, read_camera_path, write_camera_path};
pub use distortion::{Distortion, Lens};
pub use info::{Bounds, CaptureInfo, Info, LensGroup, LuxenInfo, PointInfo, SplatInfo};
pub use mesh::{MeshFormat, write_mesh, write_points};
pub use normalize::Normalize;
pub use splats::SplatFormat;
pub use split::EvalSplit;
pub use transforms::write_transforms;

use crate::error::Cancel;
use crate::scene::{Dataset, WorldFromFile};
use crate::{Error, Result};
use capture::Capture;
use glam::DVec3;
use nerfstudio::ModelKind;
use photogrammetry::Program;
use serde::{Deserialize, Serialize};
use splats::Recognized;
use std::path::{Path, PathBuf};

/// How to load a capture. `None` is what the capture's own tools do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadOptions {
    /// Shrink photos this many times: from `images_{n}` where the capture has it, else by averaging. `None`: halve while
    /// the longer side exceeds 1600 pixels and a folder of such photos exists.
    pub downscale: Option<u32>,
    /// `None`: the capture's lists of file names, else 0.9 of a transforms.json trains, and of other captures every 8th
    /// photo is held out.
    pub split: Option<EvalSplit>,
    /// `None`: all of it, except for Blender scenes, which keep their frame.
    pub normalize: Option<Normalize>,
    /// Instead: where a nerfstudio run had the capture (see [`nerfstudio::frame_of`]).
    pub frame: Option<WorldFromFile>,
    /// What transparent pixels are composited over, RGB in [0, 1]. `None`: white for Blender scenes, else black.
    pub background: Option<[f32; 3]>,
}

/// Load a capture: a folder, its `transforms.json`, or a COLMAP model folder. `progress` is called with (photos done,
/// photos in all), from several threads.
///
/// # Errors
/// Nothing that is known is there; the files are damaged; a photo cannot be decoded; [`Error::Cancelled`].
pub fn open_dataset(
    path: &Path,
    options: &LoadOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
    cancel: &Cancel,
) -> Result<Dataset> {
    load::load(
        read_capture(path, options.downscale)?,
        path,
        options,
        progress,
        cancel,
    )
}

/// Everything about a capture but its photos.
///
/// # Errors
/// As [`open_dataset`].
pub fn read_capture(path: &Path, downscale: Option<u32>) -> Result<Capture> {
    if downscale == Some(0) {
        return Err(Error::invalid("downscale 0: give 1 for full size, or more"));
    }
    match identify(path)? {
        Source::Transforms(file) => transforms::read(&file, downscale),
        Source::Llff(file) => llff::read(&file, downscale),
        Source::Photogrammetry(file, program) => photogrammetry::read(&file, program, downscale),
        Source::Blender(folder) => transforms::read_blender(&folder, downscale),
        Source::Colmap { model, others } => {
            let mut capture = colmap::read(&model, downscale)?;
            if others > 0 {
                capture.warnings.push(format!(
                    "of {} COLMAP models the one with the most images is used: {}",
                    others + 1,
                    model.display()
                ));
            }
            Ok(capture)
        }
        Source::Ply(file) => {
            ply::Kind::of(&file)?;
            Err(no_capture(&file, "a point cloud"))
        }
        Source::Splats(Recognized { file, .. }) => Err(no_capture(&file, "a splat scene")),
        Source::Nerfacto(file) => Err(no_capture(&file, "a nerfacto")),
    }
}

/// How many times the photos of the capture at `path` must be shrunk for no side to exceed `side` pixels; at least as
/// much as the capture's own rule says.
///
/// # Errors
/// As [`read_capture`].
pub fn divisor_for_side(path: &Path, side: u32) -> Result<u32> {
    let capture = read_capture(path, None)?;
    let longest = capture
        .frames
        .iter()
        .map(|frame| {
            frame
                .lens
                .intrinsics
                .width
                .max(frame.lens.intrinsics.height)
        })
        .max();
    let divisor = longest.map_or(1, |longest| longest.div_ceil(side.max(1)));
    Ok(divisor.max(capture.downscale).max(1))
}

fn no_capture(file: &Path, what: &str) -> Error {
    Error::file(
        file,
        format!(
            "is {what}, not a capture: it has no photos; open the folder of the photos and their poses"
        ),
    )
}

/// Whether `path` is opened as a scene without photos rather than as a capture: any splat file, any PLY file, and a
/// checkpoint of nerfstudio's.
///
/// # Errors
/// It cannot be read; it is a PLY file with a damaged header, or a damaged checkpoint.
pub fn is_splat_scene(path: &Path) -> Result<bool> {
    Ok(nerfstudio::find(path)?.is_some()
        || splats::recognize_file(path)?.is_some()
        || ply::is_ply(path))
}

/// Whether `path` is anything that luxedit opens, damaged or not.
pub fn is_capture(path: &Path) -> bool {
    let is_splats = splats::recognize(path).is_ok_and(|found| found.is_some());
    is_splats || !path.is_dir() || !matches!(find_capture(path), Ok(None))
}

/// What `path` holds, without decoding photos.
///
/// # Errors
/// As [`open_dataset`], photos excepted.
pub fn inspect(path: &Path) -> Result<Info> {
    match identify(path)? {
        Source::Splats(Recognized { format, file }) => {
            let splats = splats::read_splats(&file)?;
            let means = splats.means.as_chunks::<3>().0;
            Ok(Info::Splats(SplatInfo {
                path: file,
                format,
                splats: splats.len(),
                sh_degree: splats.sh_degree,
                bounds: Bounds::of(means.iter().map(|m| DVec3::from_array(m.map(f64::from)))),
            }))
        }
        Source::Ply(file) => {
            let points = ply::read_points(&file)?;
            Ok(Info::PointCloud(PointInfo {
                path: file,
                points: points.positions.len(),
                bounds: Bounds::of(points.positions),
            }))
        }
        Source::Nerfacto(file) => Ok(Info::Luxen(LuxenInfo::of(&nerfstudio::read(&file)?))),
        _ => Ok(Info::Capture(CaptureInfo::of(read_capture(path, None)?))),
    }
}

/// What a path is, and which file or folder to read.
enum Source {
    Transforms(PathBuf),
    Blender(PathBuf),
    Llff(PathBuf),
    Photogrammetry(PathBuf, Program),
    Colmap {
        model: PathBuf,
        others: usize,
    },
    Splats(Recognized),
    /// Points; splats are told apart before.
    Ply(PathBuf),
    /// A neural field; checkpoints of splats are told apart before.
    Nerfacto(PathBuf),
}

fn identify(path: &Path) -> Result<Source> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    match nerfstudio::find(path)? {
        Some((file, ModelKind::Splatfacto)) => {
            let format = SplatFormat::Splatfacto;
            return Ok(Source::Splats(Recognized { format, file }));
        }
        Some((file, ModelKind::Nerfacto)) => return Ok(Source::Nerfacto(file)),
        None => {}
    }
    if let Some(recognized) = splats::recognize_file(path)? {
        return Ok(Source::Splats(recognized));
    }
    if metadata.is_dir() {
        find_capture(path)?.ok_or_else(|| Error::file(path, no_capture_in("folder")))
    } else if files::is_archive(path) {
        identify_archive(path)
    } else {
        identify_file(path)
    }
}

/// What a folder holds of captures; `None`: nothing that is known.
fn find_capture(folder: &Path) -> Result<Option<Source>> {
    match find_named(folder)? {
        Some(source) => Ok(Some(source)),
        None => find_photogrammetry(folder),
    }
}

/// Of the captures whose files have names of their own.
fn find_named(folder: &Path) -> Result<Option<Source>> {
    let transforms = folder.join("transforms.json");
    if files::is_file(&transforms) {
        return Ok(Some(Source::Transforms(transforms)));
    }
    if files::is_file(&folder.join(transforms::BLENDER_TRAIN)) {
        return Ok(Some(Source::Blender(folder.to_owned())));
    }
    if let Some((model, others)) = colmap::find_model(folder)? {
        return Ok(Some(Source::Colmap { model, others }));
    }
    let poses = folder.join(llff::POSES);
    Ok(files::is_file(&poses).then_some(Source::Llff(poses)))
}

fn find_photogrammetry(folder: &Path) -> Result<Option<Source>> {
    let cameras = photogrammetry::find(folder)?;
    Ok(cameras.map(|(file, program)| Source::Photogrammetry(file, program)))
}

/// A capture at the top of an archive or in the folders that it was packed with; tables and XML beside it may be of another
/// program.
fn identify_archive(archive: &Path) -> Result<Source> {
    const DEPTH: usize = 3;
    /// A folder is asked about a dozen files.
    const FOLDERS: usize = 100;
    let mut levels = vec![vec![archive.to_owned()]];
    while let Some(folders) = levels.last()
        && levels.len() < DEPTH
    {
        let inner: Vec<Vec<PathBuf>> = folders
            .iter()
            .map(|folder| files::list(folder))
            .collect::<Result<_>>()?;
        let mut inner: Vec<PathBuf> = inner.into_iter().flatten().collect();
        inner.retain(|folder| files::is_folder(folder));
        inner.truncate(FOLDERS);
        levels.push(inner);
    }
    for find in [find_named, find_photogrammetry] {
        for folder in levels.iter().flatten() {
            if let Some(source) = find(folder)? {
                return Ok(source);
            }
        }
    }
    Err(Error::file(archive, no_capture_in("archive")))
}

fn no_capture_in(place: &str) -> String {
    format!(
        "holds no capture that is known; looked in this {place} for transforms.json (nerfstudio, instant-ngp), \
         transforms_train.json (Blender), poses_bounds.npy (LLFF), cameras that Metashape (.xml) or \
         RealityCapture (.csv) exported, and COLMAP's cameras and images files (.bin or .txt) here, in sparse, sparse/0, \
         colmap/sparse/0 and sparse_txt/0"
    )
}

fn identify_file(path: &Path) -> Result<Source> {
    let head = files::read_head(path, 4096)?;
    let has_ending = |ending: &str| {
        path.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(ending))
    };
    if head.starts_with(b"ply") || has_ending("ply") {
        return Ok(Source::Ply(path.to_owned()));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    if text.trim_ascii_start().starts_with(b"{") || has_ending("json") {
        if transforms::is_blender_file(path)
            && files::parent(path)
                .join(transforms::BLENDER_TRAIN)
                .is_file()
        {
            return Ok(Source::Blender(files::parent(path)));
        }
        return Ok(Source::Transforms(path.to_owned()));
    }
    let is_colmap = path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        ["cameras", "images", "points3D"]
            .iter()
            .any(|part| name == format!("{part}.bin") || name == format!("{part}.txt"))
    });
    if path.file_name().is_some_and(|name| name == llff::POSES) {
        return Ok(Source::Llff(path.to_owned()));
    }
    if let Some(program) = Program::of_head(&head) {
        return Ok(Source::Photogrammetry(path.to_owned(), program));
    }
    if is_colmap {
        return Ok(Source::Colmap {
            model: files::parent(path),
            others: 0,
        });
    }
    Err(Error::file(
        path,
        "is no file that is known: it is neither a transforms.json, nor one of COLMAP's files, nor a poses_bounds.npy, nor \
         cameras of Metashape (.xml) or RealityCapture (.csv), nor an archive of a capture (.zip), nor a point cloud, nor a splat file (.ply, .splat, .ksplat, .spz, .sog, .gltf, .glb)",
    ))
}
