//! Where a capture is put in the world: upright, around the origin, within the unit cube. Learning rates, scene bounds
//! and camera controls can then be the same for every capture. nerfstudio's "up" orientation, "poses" centre and
//! auto-scale.

use crate::scene::WorldFromFile;
use glam::{DMat3, DMat4, DVec3};
use serde::{Deserialize, Serialize};

/// What is changed about the frame that the files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalize {
    /// Turn the mean up direction of the cameras to +z.
    pub orient: bool,
    /// Move the mean of the camera centres to the origin.
    pub center: bool,
    /// Scale so that the largest coordinate of a camera centre is 1 (or −1).
    pub auto_scale: bool,
}

impl Normalize {
    pub const ALL: Self = Self {
        orient: true,
        center: true,
        auto_scale: true,
    };
    pub const NOTHING: Self = Self {
        orient: false,
        center: false,
        auto_scale: false,
    };

    /// The transform for cameras with these camera-to-world matrices (OpenCV axes).
    pub fn world_from_file(self, camera_to_world: &[DMat4]) -> WorldFromFile {
        let Self {
            orient,
            center,
            auto_scale,
        } = self;
        if camera_to_world.is_empty() {
            return WorldFromFile::IDENTITY;
        }
        let n = camera_to_world.len() as f64;
        let centre = |m: &DMat4| m.w_axis.truncate();
        let up: DVec3 = camera_to_world.iter().map(|m| -m.y_axis.truncate()).sum();
        let rotation = match up.try_normalize() {
            Some(up) if orient => rotation_between(up, DVec3::Z),
            _ => DMat3::IDENTITY,
        };
        let translation = if center {
            -(rotation * (camera_to_world.iter().map(centre).sum::<DVec3>() / n))
        } else {
            DVec3::ZERO
        };
        let largest = camera_to_world
            .iter()
            .map(|m| (rotation * centre(m) + translation).abs().max_element())
            .fold(0.0, f64::max);
        // A single camera is at the origin by then, up to rounding.
        let scale = if auto_scale && largest > 1e-9 {
            1.0 / largest
        } else {
            1.0
        };
        WorldFromFile {
            rotation_translation: DMat4::from_mat3_translation(rotation, translation),
            scale,
        }
    }
}

/// The smallest rotation that takes unit vector `a` to unit vector `b`; half a turn about any axis when opposite.
fn rotation_between(a: DVec3, b: DVec3) -> DMat3 {
    let axis = a.cross(b);
    let axis = if axis.abs().element_sum() < 1e-6 {
        let other = if a.x.abs() < 1e-6 { DVec3::X } else { DVec3::Y };
        a.cross(other)
    } else {
        axis
    };
    DMat3::from_axis_angle(axis.normalize(), a.cross(b).length().atan2(a.dot(b)))
}
