//! A capture as its files have it: what the readers of the different formats agree on, before any photo is decoded and
//! before anything is moved. `luxedit info` shows this; loading starts from it.

use super::distortion::Lens;
use super::files;
use super::normalize::Normalize;
use super::split::EvalSplit;
use crate::scene::{DatasetKind, PointCloud, WorldFromFile};
use crate::{Error, Result};
use glam::{DMat3, DMat4, DVec3};
use std::path::{Path, PathBuf};

/// Photos are shrunk no further than this without being asked to.
const MAX_AUTO_SIDE: u32 = 1600;

/// Endings tried for photos listed without one, as Blender's exporter lists them.
const PHOTO_ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "PNG", "JPG", "JPEG", "webp", "exr"];

/// Which list of the capture a frame is in, where it has such lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Train,
    Eval,
    /// In a list that is used for neither.
    Neither,
}

/// One listed photo that exists.
#[derive(Clone, Debug)]
pub struct Frame {
    /// As the capture lists it, without a leading `./`.
    pub name: String,
    pub image_path: PathBuf,
    /// The photo still has to be shrunk by [`Capture::downscale`]; otherwise the file is that small already.
    pub shrink: bool,
    pub mask_path: Option<PathBuf>,
    /// At full resolution.
    pub lens: Lens,
    /// In the frame of the file, OpenCV camera axes.
    pub world_to_camera: DMat4,
    pub role: Option<Role>,
}

/// A capture in the frame of its files.
#[derive(Clone, Debug)]
pub struct Capture {
    pub kind: DatasetKind,
    /// The file or folder that was read.
    pub source: PathBuf,
    pub frames: Vec<Frame>,
    /// Photos that the capture lists, the missing ones included.
    pub listed: usize,
    pub missing: Vec<String>,
    pub points: Option<PointCloud>,
    /// How many times smaller than the listed sizes the photos will be.
    pub downscale: u32,
    /// What the format's own tools do.
    pub normalize: Normalize,
    /// What was done to poses between nerfstudio's finding and writing them; else why that cannot be told, a sentence.
    pub applied: std::result::Result<WorldFromFile, String>,
    pub background: [f32; 3],
    /// Up direction in the frame of the files, where they say it; not of unit length.
    pub up: Option<DVec3>,
    /// For captures whose frames have no role.
    pub split: EvalSplit,
    pub warnings: Vec<String>,
}

impl Capture {
    /// Where the file's poses are put: for a run, whose `dataparser_transforms.json` says `frame`, or as usual.
    ///
    /// # Errors
    /// As [`Self::world_of_run`].
    pub fn world_from_file(&self, frame: Option<&WorldFromFile>) -> Result<WorldFromFile> {
        if let Some(frame) = frame {
            return self.world_of_run(frame);
        }
        let poses = self.frames.iter().map(|f| f.world_to_camera.inverse());
        Ok(self.normalize.world_from_file(&poses.collect::<Vec<_>>()))
    }

    /// Where the file's poses are put for a run whose `dataparser_transforms.json` says `frame`.
    ///
    /// # Errors
    /// What was done to the poses before they were written cannot be told.
    pub fn world_of_run(&self, frame: &WorldFromFile) -> Result<WorldFromFile> {
        let applied = self.applied.as_ref().map_err(|problem| {
            Error::Invalid(format!(
                "where a nerfstudio run had these cameras cannot be told: {problem}"
            ))
        })?;
        Ok(WorldFromFile {
            rotation_translation: frame.rotation_translation
                * applied.rotation_translation.inverse(),
            scale: frame.scale / applied.scale,
        })
    }
}

/// Folders of smaller photos that tools make, tried where the full-size photos are not there.
const USUAL_DIVISORS: [u32; 3] = [2, 4, 8];

/// Where a photo is, at some resolution.
pub struct Located {
    pub path: PathBuf,
    pub shrink: bool,
    /// How many times smaller than the listed size the file is.
    pub divisor_on_disk: u32,
}

/// The photo `relative` of a capture in `base`: in `images_{divisor}` where that has it, else at full size. `None` when
/// neither exists.
pub fn locate(base: &Path, relative: &Path, divisor: u32) -> Option<Located> {
    if divisor > 1
        && let Some(path) = smaller(relative, divisor).and_then(|r| existing(&base.join(r)))
    {
        return Some(Located {
            path,
            shrink: false,
            divisor_on_disk: divisor,
        });
    }
    existing(&base.join(relative)).map(|path| Located {
        path,
        shrink: divisor > 1,
        divisor_on_disk: 1,
    })
}

/// As [`locate`] when nobody chose a divisor: at full size, else in `images_2`, `images_4` or `images_8`.
pub fn locate_any(base: &Path, relative: &Path) -> Option<Located> {
    locate(base, relative, 1).or_else(|| {
        USUAL_DIVISORS
            .iter()
            .find_map(|&divisor| locate(base, relative, divisor))
    })
}

/// Whether a file is called as photos are.
pub fn is_photo(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| PHOTO_ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e)))
}

/// `path`, or `path` with the ending of a photo; whichever is a file.
pub fn existing(path: &Path) -> Option<PathBuf> {
    if files::is_file(path) {
        return Some(path.to_owned());
    }
    PHOTO_ENDINGS
        .iter()
        .map(|ending| {
            let mut with_ending = path.as_os_str().to_owned();
            with_ending.push(".");
            with_ending.push(ending);
            PathBuf::from(with_ending)
        })
        .find(|p| files::is_file(p))
}

/// nerfstudio's rule where nobody chose: twice as small while the longer side exceeds 1600 pixels and a folder
/// `images_{2ⁿ}` has the photo. `located` is from [`locate_any`]; the sides are those at full size.
pub fn auto_downscale(
    base: &Path,
    relative: &Path,
    located: &Located,
    (width, height): (u32, u32),
) -> u32 {
    let mut divisor = located.divisor_on_disk;
    while width.max(height) / divisor > MAX_AUTO_SIDE
        && smaller(relative, divisor * 2).is_some_and(|r| existing(&base.join(r)).is_some())
    {
        divisor *= 2;
    }
    divisor
}

/// `images/a/1.jpg` → `images_4/a/1.jpg`; a path without a folder `images` has its last folder renamed.
fn smaller(relative: &Path, divisor: u32) -> Option<PathBuf> {
    let parts: Vec<_> = relative.components().collect();
    let folders = parts.len().checked_sub(1)?;
    let renamed = parts[..folders]
        .iter()
        .position(|c| c.as_os_str() == "images")
        .or(folders.checked_sub(1))?;
    let mut path = PathBuf::new();
    for (i, part) in parts.iter().enumerate() {
        if i == renamed {
            let mut folder = part.as_os_str().to_owned();
            folder.push(format!("_{divisor}"));
            path.push(folder);
        } else {
            path.push(part);
        }
    }
    Some(path)
}

/// As [`rigid`], of a matrix that has to be so as it is: what would be mended is refused, scales among it.
pub fn exactly_rigid(matrix: DMat4) -> Result<DMat4, &'static str> {
    match rigid(matrix)? {
        (matrix, false) => Ok(matrix),
        (_, true) => {
            Err("has a pose that is not exactly a rotation and a translation (it scales or shears)")
        }
    }
}

/// What can be wrong with a camera-to-world matrix; `Ok` is the rigid transform and whether it had to be made so.
pub fn rigid(camera_to_world: DMat4) -> Result<(DMat4, bool), &'static str> {
    if !camera_to_world.is_finite() {
        return Err("has a pose with values that are not finite numbers");
    }
    let rotation = DMat3::from_mat4(camera_to_world);
    let determinant = rotation.determinant();
    if determinant.abs() < 1e-12 {
        return Err("has a pose that cannot be inverted");
    }
    if determinant < 0.0 {
        return Err("has a pose that mirrors (its determinant is negative)");
    }
    let deviation = |m: DMat3| {
        (m.transpose() * m - DMat3::IDENTITY)
            .to_cols_array()
            .iter()
            .fold(0.0, |worst: f64, v| worst.max(v.abs()))
    };
    if deviation(rotation) < 1e-5 {
        return Ok((camera_to_world, false));
    }
    let unscaled = rotation * (1.0 / determinant.cbrt());
    if deviation(unscaled) > 0.05 {
        return Err("has a pose that is not a rotation and a translation (it shears)");
    }
    let z = unscaled.z_axis.normalize();
    let x = unscaled.y_axis.cross(z).normalize();
    let rotation = DMat3::from_cols(x, z.cross(x), z);
    Ok((
        DMat4::from_mat3_translation(rotation, camera_to_world.w_axis.truncate()),
        true,
    ))
}
