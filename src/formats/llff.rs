//! LLFF's `poses_bounds.npy`: for each photo of the folder `images`, in order of names, a row of a 3 × 5 matrix and the
//! nearest and farthest depth. The matrix is camera-to-world with the axes down, right, backwards, then the camera's
//! centre, then height, width and focal length. The depths are not used.

use super::capture::{Capture, Frame, auto_downscale, is_photo, locate, locate_any, rigid};
use super::distortion::{Distortion, Lens};
use super::files;
use super::normalize::Normalize;
use super::npy::read_matrix;
use super::split::EvalSplit;
use crate::scene::{Camera, DatasetKind, Intrinsics};
use crate::{Error, Result};
use glam::{DMat4, DVec4};
use std::path::Path;

pub const POSES: &str = "poses_bounds.npy";

const IMAGES: &str = "images";
const COLUMNS: usize = 17;

/// The capture whose poses are in the file `path`. `downscale` as in [`super::LoadOptions::downscale`]. Every eighth photo
/// is held out.
///
/// # Errors
/// No such matrix, as many photos as it has rows are not there, or a pose that is none.
pub fn read(path: &Path, downscale: Option<u32>) -> Result<Capture> {
    let poses = read_matrix(path)?;
    if poses.columns != COLUMNS {
        return Err(Error::file(
            path,
            format!(
                "has {} numbers a photo; LLFF's poses_bounds.npy has {COLUMNS}",
                poses.columns
            ),
        ));
    }
    let base = path.parent().unwrap_or(Path::new(""));
    let names = photo_names(base)?;
    if names.len() != poses.rows || names.is_empty() {
        return Err(Error::file(
            path,
            format!(
                "has the poses of {} photos, and the folder {} holds {}",
                poses.rows,
                base.join(IMAGES).display(),
                names.len()
            ),
        ));
    }
    let mut frames = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    let mut divisor = downscale;
    let (rows, _) = poses.values.as_chunks::<COLUMNS>();
    for (row, name) in rows.iter().zip(names) {
        let error = |problem: &str| Error::file(path, format!("the row of {name} {problem}"));
        // Rows of the 3 × 5 matrix.
        let at = |column: usize| DVec4::new(row[column], row[5 + column], row[10 + column], 0.0);
        let (down, right, back) = (at(0), at(1), at(2));
        let pose = DMat4::from_cols(right, -down, back, at(3) + DVec4::W);
        let (pose, _) = rigid(pose).map_err(error)?;
        let [height, width, focal] = [row[4], row[9], row[14]];
        let side = |v: f64| (1.0..=f64::from(1 << 20)).contains(&v);
        if !(side(width) && side(height) && focal.is_finite() && focal > 0.0) {
            return Err(error(&format!(
                "has the impossible camera {width} x {height}, focal length {focal}"
            )));
        }
        let (width, height) = (width.round() as u32, height.round() as u32);
        let relative = Path::new(IMAGES).join(&name);
        if divisor.is_none()
            && let Some(located) = locate_any(base, &relative)
        {
            divisor = Some(auto_downscale(base, &relative, &located, (width, height)));
        }
        let name = format!("{IMAGES}/{name}");
        let Some(located) = locate(base, &relative, divisor.unwrap_or(1)) else {
            missing.push(name);
            continue;
        };
        let intrinsics = Intrinsics {
            fx: focal,
            fy: focal,
            cx: 0.5 * f64::from(width),
            cy: 0.5 * f64::from(height),
            width,
            height,
        };
        frames.push(Frame {
            name,
            image_path: located.path,
            shrink: located.shrink,
            mask_path: None,
            lens: Lens {
                intrinsics,
                distortion: Distortion::None,
            },
            world_to_camera: Camera::from_opengl(pose, intrinsics).world_to_camera,
            role: None,
        });
    }
    if frames.is_empty() {
        return Err(Error::file(
            path,
            "is of photos of which none exists at this size",
        ));
    }
    Ok(Capture {
        kind: DatasetKind::Llff,
        source: path.to_owned(),
        frames,
        listed: poses.rows,
        up: None,
        missing,
        points: None,
        downscale: divisor.unwrap_or(1),
        normalize: Normalize::ALL,
        applied: Err(format!(
            "{} is in no frame of nerfstudio's, which reads no such file",
            path.display()
        )),
        background: [0.0; 3],
        split: EvalSplit::Interval(8),
        warnings: Vec::new(),
    })
}

/// In order of bytes, as LLFF sorted them; of a folder of smaller photos where the full size is not there.
fn photo_names(base: &Path) -> Result<Vec<String>> {
    for ending in ["", "_2", "_4", "_8"] {
        let photos = files::list(&base.join(format!("{IMAGES}{ending}")))?;
        let mut names: Vec<String> = photos
            .iter()
            .filter(|path| is_photo(path))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        if !names.is_empty() {
            names.sort();
            return Ok(names);
        }
    }
    Ok(Vec::new())
}
