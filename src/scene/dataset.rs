//! A capture in memory: posed, undistorted photos and the points that structure-from-motion found. Readers normalize
//! the frame (`spec`: nerfstudio's orientation "up", centre "poses", auto-scale) and remember how, so that an export
//! can be put back where the capture was.

use super::{Camera, Photo};
use glam::{DMat4, DVec3, DVec4};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which reader made a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    Colmap,
    Nerfstudio,
    Blender,
    Llff,
    Metashape,
    RealityCapture,
}

/// One posed photo.
#[derive(Clone, Debug)]
pub struct View {
    /// File name as the capture lists it, e.g. `images/0001.jpg`.
    pub name: String,
    pub image_path: PathBuf,
    /// Pinhole, in the normalized world frame, at the resolution of `photo`.
    pub camera: Camera,
    /// Undistorted, downscaled, composited over the dataset's background.
    pub photo: Photo,
    /// How opaque the photo is, one byte a pixel; same size as `photo`. `None`: all of it.
    pub alpha: Option<std::sync::Arc<[u8]>>,
    /// One byte a pixel, 0 = ignore; same size as `photo`.
    pub mask: Option<std::sync::Arc<[u8]>>,
}

/// Structure-from-motion points in the normalized world frame.
#[derive(Clone, Debug, Default)]
pub struct PointCloud {
    pub positions: Vec<DVec3>,
    pub colors: Vec<[u8; 3]>,
}

/// Indices into [`Dataset::views`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    pub train: Vec<usize>,
    pub eval: Vec<usize>,
}

/// How file coordinates became world coordinates: `world = scale * (rotation_translation * file)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorldFromFile {
    pub rotation_translation: DMat4,
    pub scale: f64,
}

impl WorldFromFile {
    pub const IDENTITY: Self = Self {
        rotation_translation: DMat4::IDENTITY,
        scale: 1.0,
    };

    /// A point of the file in the world.
    pub fn point(&self, file: DVec3) -> DVec3 {
        self.rotation_translation.transform_point3(file) * self.scale
    }

    /// A camera of the file in the world; rotations stay rigid, only centres are scaled.
    pub fn world_to_camera(&self, file_to_camera: DMat4) -> DMat4 {
        let mut camera_to_world = self.rotation_translation * file_to_camera.inverse();
        camera_to_world.w_axis *= DVec4::new(self.scale, self.scale, self.scale, 1.0);
        camera_to_world.inverse()
    }

    /// The same frame, up to what single precision and text files lose: a hundred-thousandth of a radian and of the scene,
    /// about a hundredth of a pixel.
    pub fn is_near(&self, other: &Self) -> bool {
        const TOLERANCE: f64 = 1e-5;
        let ratio = self.scale / other.scale;
        let a = self.rotation_translation.to_cols_array();
        let b = other.rotation_translation.to_cols_array();
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        let (turned, moved) = (
            apart.clone().take(12).fold(0.0, f64::max),
            apart.skip(12).fold(0.0, f64::max),
        );
        (ratio - 1.0).abs() < TOLERANCE && turned < TOLERANCE && moved * other.scale < TOLERANCE
    }

    /// A point of the world in the file's frame: the inverse of [`WorldFromFile::point`].
    pub fn file_point(&self, world: DVec3) -> DVec3 {
        self.rotation_translation
            .inverse()
            .transform_point3(world / self.scale)
    }
}

/// A capture, ready to train on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What the person opened (a folder or a file).
    pub source: PathBuf,
    pub kind: DatasetKind,
    pub views: Vec<View>,
    pub split: Split,
    pub points: Option<PointCloud>,
    pub world_from_file: WorldFromFile,
    /// What the files' lengths were multiplied by before they were written, where they say that; else 1.
    pub applied_scale: f64,
    /// What transparent pixels were composited over, and what renders use as background.
    pub background: [f32; 3],
    /// World up where the capture says it, unit length; else it is what the cameras have in common.
    pub up: Option<DVec3>,
    /// Frames that the capture lists and the disk does not have.
    pub missing: Vec<String>,
    /// Sentences for the person: what was ignored or repaired.
    pub warnings: Vec<String>,
    /// Frames that the capture lists.
    pub listed: usize,
}

impl Dataset {
    /// World units a unit of what the capture's tool found: nerfstudio's `dataparser_scale`, which it multiplies depth
    /// pictures by.
    pub fn dataparser_scale(&self) -> f64 {
        self.world_from_file.scale * self.applied_scale
    }
}
