//! `transforms.json`: nerfstudio's and instant-ngp's captures, and Blender's synthetic scenes with one such file for each
//! of train, val and test. Cameras are camera-to-world in OpenGL axes. `applied_transform` and `applied_scale` say what
//! was done to poses and points before they were written, so that neither is applied again; only what was said of the poses
//! before it (`dataparser_transforms.json` of a nerfstudio run) has to go through them.

mod camera;
pub(super) mod json;
mod write;

pub use write::write_transforms;

use super::capture::{
    Capture, Frame, Role, auto_downscale, exactly_rigid, existing, locate, locate_any, rigid,
};
use super::normalize::Normalize;
use super::split::EvalSplit;
use super::{files, picture, ply};
use crate::scene::{Camera, DatasetKind, PointCloud, WorldFromFile};
use crate::{Error, Result};
use glam::{DMat4, DVec3, DVec4};
use json::{Object, parse, plain_name};
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Of captures that were made of a scene: says that their cameras are in that scene's frame.
const FRAME_KEY: &str = "luxedit_frame";
const SCENE_FRAME: &str = "scene";
/// Up direction of the scene; other tools take the cameras' mean.
const UP_KEY: &str = "luxedit_up";

/// Beside the captures that [`legacy_applied`] is of.
const LEGACY_COLMAP: &str = "colmap/sparse/0";

/// The file that makes a folder a Blender scene.
pub const BLENDER_TRAIN: &str = "transforms_train.json";
const BLENDER_EVAL: [&str; 2] = ["transforms_test.json", "transforms_val.json"];

/// Whether a file is one of a Blender scene's, by its name.
pub fn is_blender_file(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == BLENDER_TRAIN || BLENDER_EVAL.iter().any(|e| name == *e))
}

/// A nerfstudio or instant-ngp capture. `downscale` as in [`super::LoadOptions::downscale`]. Frames are in order of their
/// paths, as nerfstudio sorts them.
///
/// # Errors
/// No JSON, a missing key, a camera model that is not supported, a pose that is none, or not one of the photos exists.
pub fn read(path: &Path, downscale: Option<u32>) -> Result<Capture> {
    let mut file = read_file(path, downscale)?;
    file.frames
        .sort_by(|a, b| Path::new(&a.name).cmp(Path::new(&b.name)));
    file.missing.sort_by(|a, b| Path::new(a).cmp(Path::new(b)));
    let mut warnings = file.warnings;
    assign_roles(&mut file.frames, file.json.top());
    let normalize = normalization(file.json.top(), &mut warnings)?;
    let points = points(path, file.json.top(), &mut warnings)?;
    Ok(Capture {
        kind: DatasetKind::Nerfstudio,
        source: path.to_owned(),
        frames: file.frames,
        listed: file.listed,
        missing: file.missing,
        points,
        downscale: file.divisor.unwrap_or(1),
        normalize,
        applied: applied(path, file.json.top()).map_err(|e| e.to_string()),
        background: [0.0; 3],
        up: up(file.json.top())?,
        split: EvalSplit::Fraction(0.9),
        warnings,
    })
}

/// A Blender scene: the train file trains; the test file, or else the val file, is held out. White background, and the
/// frame of the files is kept.
///
/// # Errors
/// As [`read`], for each of the files.
pub fn read_blender(folder: &Path, downscale: Option<u32>) -> Result<Capture> {
    let mut capture = Capture {
        kind: DatasetKind::Blender,
        source: folder.to_owned(),
        frames: Vec::new(),
        listed: 0,
        missing: Vec::new(),
        points: None,
        downscale: downscale.unwrap_or(1),
        normalize: Normalize::NOTHING,
        applied: Ok(WorldFromFile::IDENTITY),
        background: [1.0; 3],
        up: None,
        split: EvalSplit::Fraction(0.9),
        warnings: Vec::new(),
    };
    let eval = BLENDER_EVAL
        .into_iter()
        .find(|name| files::is_file(&folder.join(name)));
    for (name, role) in [(Some(BLENDER_TRAIN), Role::Train), (eval, Role::Eval)] {
        let Some(name) = name else { continue };
        let mut file = read_file(&folder.join(name), Some(capture.downscale))?;
        if eval.is_some() {
            for frame in &mut file.frames {
                frame.role = Some(role);
            }
        }
        capture.frames.append(&mut file.frames);
        capture.listed += file.listed;
        capture.missing.append(&mut file.missing);
        capture.warnings.append(&mut file.warnings);
    }
    Ok(capture)
}

/// One file's frames, in the file's order.
struct FileFrames {
    json: json::File,
    frames: Vec<Frame>,
    listed: usize,
    missing: Vec<String>,
    divisor: Option<u32>,
    warnings: Vec<String>,
}

fn read_file(path: &Path, downscale: Option<u32>) -> Result<FileFrames> {
    let json = parse(path)?;
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let top = json.top();
    let listed = top.frames()?;
    if listed.is_empty() {
        return Err(Error::file(path, "lists no frames (\"frames\" is empty)"));
    }
    let mut frames = Vec::with_capacity(listed.len());
    let mut missing = Vec::new();
    let mut divisor = downscale;
    let (mut repaired, mut maskless) = (0, 0);
    for (index, value) in listed.iter().enumerate() {
        let frame = top.frame(index, value)?;
        let listed_path = frame.text("file_path")?;
        let frame = frame.named(&listed_path);
        let relative = relative_path(&base, &listed_path);
        let pose = pose(&frame)?;
        let (pose, was_repaired) = rigid(pose).map_err(|problem| frame.error(problem))?;
        let name = plain_name(&listed_path);
        let located = match divisor {
            Some(divisor) => locate(&base, &relative, divisor),
            None => locate_any(&base, &relative),
        };
        let Some(located) = located else {
            missing.push(name);
            continue;
        };
        repaired += usize::from(was_repaired);
        let size = camera::listed_size(&top, &frame)?;
        let size = match size {
            Some(size) => size,
            None => {
                let (width, height) = picture::read_size(&located.path)?;
                let divisor = located.divisor_on_disk;
                (
                    width.saturating_mul(divisor),
                    height.saturating_mul(divisor),
                )
            }
        };
        let lens = camera::lens(&top, &frame, size)?;
        let located = match divisor {
            Some(_) => located,
            None => {
                let chosen = auto_downscale(&base, &relative, &located, size);
                divisor = Some(chosen);
                locate(&base, &relative, chosen).unwrap_or(located)
            }
        };
        let mask_path = match frame.optional_text("mask_path")? {
            Some(mask) => {
                let found = existing(&base.join(relative_path(&base, &mask)));
                maskless += usize::from(found.is_none());
                found
            }
            None => None,
        };
        frames.push(Frame {
            name,
            image_path: located.path,
            shrink: located.shrink,
            mask_path,
            lens,
            world_to_camera: Camera::from_opengl(pose, lens.intrinsics).world_to_camera,
            role: None,
        });
    }
    if frames.is_empty() {
        let first = missing.first().map_or("", String::as_str);
        return Err(Error::file(
            path,
            format!(
                "lists {} frames, but not one of their files exists; the first is {}",
                listed.len(),
                base.join(first).display()
            ),
        ));
    }
    let mut warnings = Vec::new();
    if repaired > 0 {
        warnings.push(format!(
            "{repaired} poses were not exactly rigid; their rotations were made so"
        ));
    }
    if maskless > 0 {
        warnings.push(format!(
            "{maskless} frames name a mask that does not exist; their whole pictures are used"
        ));
    }
    let listed = listed.len();
    Ok(FileFrames {
        json,
        frames,
        listed,
        missing,
        divisor,
        warnings,
    })
}

/// As listed, or with `/` for `\` where only that exists (files written on Windows).
fn relative_path(base: &Path, listed: &str) -> PathBuf {
    let as_listed = PathBuf::from(listed);
    if listed.contains('\\') && existing(&base.join(&as_listed)).is_none() {
        return PathBuf::from(listed.replace('\\', "/"));
    }
    as_listed
}

fn pose(frame: &Object<'_>) -> Result<DMat4> {
    matrix(frame, "transform_matrix")?.ok_or_else(|| frame.error("has no transform_matrix"))
}

/// What was done to the poses before they were written.
///
/// # Errors
/// The file says it in a way that cannot be used.
fn applied(path: &Path, top: Object<'_>) -> Result<WorldFromFile> {
    const KEY: &str = "applied_transform";
    let base = path.parent().unwrap_or(Path::new(""));
    let rotation_translation = match matrix(&top, KEY)? {
        Some(matrix) => exactly_rigid(matrix)
            .map_err(|problem| top.error(format!("{problem}: its \"{KEY}\"")))?,
        None if files::is_folder(&base.join(LEGACY_COLMAP)) => legacy_applied(),
        None => DMat4::IDENTITY,
    };
    let scale = top.number("applied_scale")?.unwrap_or(1.0);
    if !(scale.is_finite() && scale > 0.0) {
        return Err(top.error(format!("has the impossible applied_scale {scale}")));
    }
    Ok(WorldFromFile {
        rotation_translation,
        scale,
    })
}

/// What nerfstudio's tools did to COLMAP's poses before they wrote `applied_transform`, which its data parser still takes
/// them to have done where that is not written and COLMAP's model lies beside: (x, y, z) became (y, x, -z).
fn legacy_applied() -> DMat4 {
    DMat4::from_cols(DVec4::Y, DVec4::X, -DVec4::Z, DVec4::W)
}

fn matrix(object: &Object<'_>, key: &str) -> Result<Option<DMat4>> {
    let Some(value) = object.get(key) else {
        return Ok(None);
    };
    let wrong = || object.error(format!("has a {key} that is not 4x4 (or 3x4) numbers"));
    let rows = value.as_array().ok_or_else(wrong)?;
    if !(3..=4).contains(&rows.len()) {
        return Err(wrong());
    }
    let mut matrix = [DVec4::ZERO, DVec4::ZERO, DVec4::ZERO, DVec4::W];
    for (row, value) in matrix.iter_mut().zip(rows) {
        let values = value
            .as_array()
            .filter(|v| v.len() == 4)
            .ok_or_else(wrong)?;
        let mut parsed = [0.0; 4];
        for (to, from) in parsed.iter_mut().zip(values) {
            *to = json::number(from).ok_or_else(wrong)?;
        }
        *row = DVec4::from_array(parsed);
    }
    // NaN is left to the check of the pose, which says so.
    if matrix[3].is_finite() && !matrix[3].abs_diff_eq(DVec4::W, 1e-6) {
        return Err(object.error(format!("has a {key} whose last row is not 0 0 0 1")));
    }
    let columns = DMat4::from_cols(matrix[0], matrix[1], matrix[2], matrix[3]);
    Ok(Some(columns.transpose()))
}

/// `train_filenames`, `test_filenames`, `val_filenames`. Frames of the test list are held out, or else those of the val
/// list; without a train list, all others train.
fn assign_roles(frames: &mut [Frame], top: Object<'_>) {
    let list = |key: &str| -> Option<HashSet<String>> {
        let names = top.get(key)?.as_array()?;
        Some(
            names
                .iter()
                .filter_map(Value::as_str)
                .map(plain_name)
                .collect(),
        )
    };
    let train = list("train_filenames");
    let eval = list("test_filenames")
        .filter(|names| !names.is_empty())
        .or_else(|| list("val_filenames"));
    if train.is_none() && eval.is_none() {
        return;
    }
    for frame in frames {
        let contains = |names: &Option<HashSet<String>>| {
            names
                .as_ref()
                .is_some_and(|names| names.contains(&frame.name))
        };
        frame.role = Some(if contains(&eval) {
            Role::Eval
        } else if contains(&train) || train.is_none() {
            Role::Train
        } else {
            Role::Neither
        });
    }
}

/// A file's `orientation_override` replaces the "up" method.
fn normalization(top: Object<'_>, warnings: &mut Vec<String>) -> Result<Normalize> {
    if top.optional_text(FRAME_KEY)?.as_deref() == Some(SCENE_FRAME) {
        return Ok(Normalize::NOTHING);
    }
    match top.optional_text("orientation_override")?.as_deref() {
        None | Some("up") => Ok(Normalize::ALL),
        Some("none") => Ok(Normalize {
            orient: false,
            ..Normalize::ALL
        }),
        Some(other) => {
            warnings.push(format!(
                "orientation_override \"{other}\" is not supported; the cameras' up direction is used"
            ));
            Ok(Normalize::ALL)
        }
    }
}

fn up(top: Object<'_>) -> Result<Option<DVec3>> {
    let Some(numbers) = top.numbers(UP_KEY)? else {
        return Ok(None);
    };
    match numbers[..] {
        [x, y, z] if DVec3::new(x, y, z).try_normalize().is_some() => Ok(Some(DVec3::new(x, y, z))),
        _ => Err(top.error(format!("has {UP_KEY} that is no direction"))),
    }
}

fn points(path: &Path, top: Object<'_>, warnings: &mut Vec<String>) -> Result<Option<PointCloud>> {
    let Some(listed) = top.optional_text("ply_file_path")? else {
        return Ok(None);
    };
    let base = path.parent().unwrap_or(Path::new(""));
    let ply = base.join(relative_path(base, &listed));
    if !files::is_file(&ply) {
        warnings.push(format!("the point cloud {listed} does not exist"));
        return Ok(None);
    }
    ply::read_points(&ply).map(Some)
}
