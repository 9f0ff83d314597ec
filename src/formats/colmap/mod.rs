//! COLMAP sparse models, binary and text. Counts and sizes in these files are not trusted: a truncated or foreign file
//! must end in a sentence, not in an allocation of terabytes.

mod binary;
mod find;
mod text;

pub use find::find_model;

use super::capture::{Capture, Frame, auto_downscale, locate, locate_any};
use super::distortion::{Distortion, Lens};
use super::files;
use super::normalize::Normalize;
use super::split::EvalSplit;
use crate::scene::{DatasetKind, Intrinsics, PointCloud, WorldFromFile};
use crate::{Error, Result};
use glam::{DMat4, DQuat, DVec3};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// COLMAP's camera models: name and number of parameters, at the index that the binary files use.
pub const MODELS: [(&str, usize); 16] = [
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    ("SIMPLE_DIVISION", 4),
    ("DIVISION", 5),
    ("SIMPLE_FISHEYE", 3),
    ("FISHEYE", 4),
];

/// A camera as stored; `params` has as many entries as its model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCamera {
    pub model: &'static str,
    pub width: u64,
    pub height: u64,
    pub params: Vec<f64>,
}

/// A registered image.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelImage {
    pub id: u32,
    pub camera_id: u32,
    /// With `/` between folders.
    pub name: String,
    /// (w, x, y, z) as stored: neither sign nor length is normalized.
    pub world_to_camera_quat: [f64; 4],
    pub world_to_camera_translation: DVec3,
    /// Keypoints in the file.
    pub keypoints: usize,
    /// Keypoints that belong to a 3D point.
    pub triangulated: usize,
}

/// A 3D point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelPoint {
    pub id: u64,
    pub position: DVec3,
    pub color: [u8; 3],
    /// Mean reprojection error in pixels.
    pub error: f64,
    /// Images that see it.
    pub track_len: usize,
}

/// A sparse model in COLMAP's own frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub cameras: BTreeMap<u32, ModelCamera>,
    /// In order of their ids.
    pub images: Vec<ModelImage>,
    /// `None` when the folder has no points3D file.
    pub points: Option<Vec<ModelPoint>>,
}

impl ModelCamera {
    /// # Errors
    /// What is wrong with it, as the end of a sentence about the camera.
    pub fn lens(&self) -> Result<Lens, String> {
        let p = &self.params;
        let side = |v: u64| u32::try_from(v).ok().filter(|v| (1..=1 << 20).contains(v));
        let (Some(width), Some(height)) = (side(self.width), side(self.height)) else {
            return Err(format!(
                "has the impossible size {}x{}",
                self.width, self.height
            ));
        };
        if p.iter().any(|v| !v.is_finite()) {
            return Err("has parameters that are not finite numbers".into());
        }
        let has_one_focal = matches!(
            self.model,
            "SIMPLE_PINHOLE"
                | "SIMPLE_RADIAL"
                | "RADIAL"
                | "SIMPLE_RADIAL_FISHEYE"
                | "RADIAL_FISHEYE"
                | "SIMPLE_DIVISION"
                | "SIMPLE_FISHEYE"
        );
        let ([fx, fy, cx, cy], extra) = if has_one_focal {
            ([p[0], p[0], p[1], p[2]], &p[3..])
        } else {
            ([p[0], p[1], p[2], p[3]], &p[4..])
        };
        let distortion = distortion(self.model, extra)?;
        if fx <= 0.0 || fy <= 0.0 {
            return Err(format!(
                "has the focal lengths {fx} and {fy}, which must be above 0"
            ));
        }
        Ok(Lens {
            intrinsics: Intrinsics {
                fx,
                fy,
                cx,
                cy,
                width,
                height,
            },
            distortion,
        })
    }
}

/// `e`: the parameters after the principal point, as many as `model` has.
fn distortion(model: &str, e: &[f64]) -> Result<Distortion, String> {
    let radial = || {
        let mut k = [0.0; 4];
        k[..e.len()].copy_from_slice(e);
        k
    };
    Ok(match model {
        "SIMPLE_PINHOLE" | "PINHOLE" => Distortion::None,
        "SIMPLE_RADIAL" | "RADIAL" => Distortion::brown(radial(), [0.0; 2]),
        "OPENCV" => Distortion::brown([e[0], e[1], 0.0, 0.0], [e[2], e[3]]),
        "FULL_OPENCV" => Distortion::Rational {
            k: [e[0], e[1], e[4], e[5], e[6], e[7]],
            p: [e[2], e[3]],
        },
        "OPENCV_FISHEYE"
        | "SIMPLE_RADIAL_FISHEYE"
        | "RADIAL_FISHEYE"
        | "SIMPLE_FISHEYE"
        | "FISHEYE" => Distortion::Fisheye { k: radial() },
        "THIN_PRISM_FISHEYE" => Distortion::ThinPrismFisheye {
            k: [e[0], e[1], e[4], e[5]],
            p: [e[2], e[3]],
            s: [e[6], e[7]],
        },
        "RAD_TAN_THIN_PRISM_FISHEYE" => Distortion::RadTanThinPrismFisheye {
            k: [e[0], e[1], e[2], e[3], e[4], e[5]],
            p: [e[6], e[7]],
            s: [e[8], e[9], e[10], e[11]],
        },
        "FOV" => Distortion::field_of_view(e[0])
            .ok_or_else(|| format!("has the impossible field of view {}", e[0]))?,
        "SIMPLE_DIVISION" | "DIVISION" => Distortion::Division { k: e[0] },
        other => {
            return Err(format!(
                "has the model {other}, which is not supported; straighten the photos with `colmap image_undistorter` and \
                 open its output folder"
            ));
        }
    })
}

impl ModelImage {
    /// World-to-camera transform; `None` when the stored values are no pose.
    pub fn world_to_camera(&self) -> Option<DMat4> {
        let [w, x, y, z] = self.world_to_camera_quat;
        let quat = DQuat::from_xyzw(x, y, z, w);
        let length = quat.length();
        let usable =
            length.is_finite() && length > 1e-9 && self.world_to_camera_translation.is_finite();
        usable.then(|| {
            DMat4::from_rotation_translation(quat.normalize(), self.world_to_camera_translation)
        })
    }
}

/// Read `cameras`, `images` and `points3D` of one folder: `.bin` where there is one, else `.txt`.
///
/// # Errors
/// A file is missing, truncated (with the record and the byte or line), or holds what COLMAP never writes.
pub fn read_model(folder: &Path) -> Result<Model> {
    let mut model = Model {
        cameras: match part(folder, "cameras")? {
            Part::Binary(path) => binary::read_cameras(&path)?,
            Part::Text(path) => text::read_cameras(&path)?,
        },
        images: match part(folder, "images")? {
            Part::Binary(path) => binary::read_images(&path)?,
            Part::Text(path) => text::read_images(&path)?,
        },
        points: match part(folder, "points3D") {
            Ok(Part::Binary(path)) => Some(binary::read_points(&path)?),
            Ok(Part::Text(path)) => Some(text::read_points(&path)?),
            Err(_) => None,
        },
    };
    model.images.sort_by_key(|image| image.id);
    Ok(model)
}

enum Part {
    Binary(PathBuf),
    Text(PathBuf),
}

fn part(folder: &Path, name: &str) -> Result<Part> {
    let binary = folder.join(format!("{name}.bin"));
    let text = folder.join(format!("{name}.txt"));
    if files::is_file(&binary) {
        Ok(Part::Binary(binary))
    } else if files::is_file(&text) {
        Ok(Part::Text(text))
    } else {
        Err(Error::file(
            folder,
            format!("is a COLMAP model without {name}.bin or {name}.txt"),
        ))
    }
}

/// Images registered in a model folder, without reading more than that takes.
fn image_count(folder: &Path) -> Result<u64> {
    match part(folder, "images")? {
        Part::Binary(path) => binary::claimed_count(&path),
        Part::Text(path) => Ok(text::read_images(&path)?.len() as u64),
    }
}

/// The model in `folder` with its photos. `downscale` as in [`super::LoadOptions::downscale`].
///
/// # Errors
/// As [`read_model`]; a camera model that is not supported; a pose that is none; not one of the photos exists.
pub fn read(folder: &Path, downscale: Option<u32>) -> Result<Capture> {
    let model = read_model(folder)?;
    if model.images.is_empty() {
        return Err(Error::file(
            folder,
            "is a COLMAP model without registered images",
        ));
    }
    let photos = find::photo_folder(folder, &model.images)?;
    let (base, prefix) = (photos.base, photos.prefix);
    let mut frames = Vec::with_capacity(model.images.len());
    let mut missing = Vec::new();
    let mut divisor = downscale;
    for image in &model.images {
        let at = |problem: String| {
            Error::file(
                folder,
                format!("image {} ({}) {problem}", image.id, image.name),
            )
        };
        let camera = model.cameras.get(&image.camera_id).ok_or_else(|| {
            at(format!(
                "names camera {}, which does not exist",
                image.camera_id
            ))
        })?;
        let lens = camera
            .lens()
            .map_err(|e| Error::file(folder, format!("camera {} {e}", image.camera_id)))?;
        let world_to_camera = image
            .world_to_camera()
            .ok_or_else(|| at("has a pose that is not a rotation and a translation".into()))?;
        let relative = prefix.join(&image.name);
        if divisor.is_none()
            && let Some(located) = locate_any(&base, &relative)
        {
            let size = (lens.intrinsics.width, lens.intrinsics.height);
            divisor = Some(auto_downscale(&base, &relative, &located, size));
        }
        match locate(&base, &relative, divisor.unwrap_or(1)) {
            Some(located) => frames.push(Frame {
                name: image.name.clone(),
                image_path: located.path,
                shrink: located.shrink,
                mask_path: None,
                lens,
                world_to_camera,
                role: None,
            }),
            None => missing.push(image.name.clone()),
        }
    }
    if frames.is_empty() {
        return Err(Error::file(
            folder,
            format!(
                "lists {} images, but none of them exists at this size; the first is {}",
                model.images.len(),
                base.join(&prefix).join(&model.images[0].name).display()
            ),
        ));
    }
    let points = model.points.map(|points| PointCloud {
        positions: points.iter().map(|p| p.position).collect(),
        colors: points.iter().map(|p| p.color).collect(),
    });
    Ok(Capture {
        kind: DatasetKind::Colmap,
        source: folder.to_owned(),
        frames,
        listed: model.images.len(),
        missing,
        points,
        downscale: divisor.unwrap_or(1),
        normalize: Normalize::ALL,
        applied: Ok(WorldFromFile::IDENTITY),
        background: [0.0; 3],
        up: None,
        split: EvalSplit::Interval(8),
        warnings: Vec::new(),
    })
}
