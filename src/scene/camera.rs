//! Pinhole cameras in OpenCV axes (x right, y down, z forward). Poses are f64: captures in geographic frames lose
//! centimetres in f32; kernels get f32 relative to what they draw. OpenGL axes exist only at the edges.

use glam::{DMat3, DMat4, DVec2, DVec3, DVec4};
use serde::{Deserialize, Serialize};

/// Pinhole intrinsics in pixels; the centre of the first pixel is at (0.5, 0.5).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intrinsics {
    pub fx: f64,
    pub fy: f64,
    pub cx: f64,
    pub cy: f64,
    pub width: u32,
    pub height: u32,
}

impl Intrinsics {
    /// Intrinsics of the picture shrunk `divisor` times, sides floored (nerfstudio's rule), never below one pixel.
    pub fn downscaled(self, divisor: u32) -> Self {
        let d = f64::from(divisor.max(1));
        Self {
            fx: self.fx / d,
            fy: self.fy / d,
            cx: self.cx / d,
            cy: self.cy / d,
            width: (self.width / divisor.max(1)).max(1),
            height: (self.height / divisor.max(1)).max(1),
        }
    }

    /// The same field of view at another picture size.
    pub fn resized(self, width: u32, height: u32) -> Self {
        let sx = f64::from(width) / f64::from(self.width);
        let sy = f64::from(height) / f64::from(self.height);
        Self {
            fx: self.fx * sx,
            fy: self.fy * sy,
            cx: self.cx * sx,
            cy: self.cy * sy,
            width,
            height,
        }
    }
}

/// A posed pinhole camera.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// Rigid transform from world to camera space, OpenCV axes.
    pub world_to_camera: DMat4,
    pub intrinsics: Intrinsics,
}

impl Camera {
    /// From a camera-to-world matrix in OpenGL axes (x right, y up, looking down −z), as in `transforms.json`.
    pub fn from_opengl(camera_to_world: DMat4, intrinsics: Intrinsics) -> Self {
        let flip = DMat4::from_diagonal(DVec4::new(1.0, -1.0, -1.0, 1.0));
        Self {
            world_to_camera: (camera_to_world * flip).inverse(),
            intrinsics,
        }
    }

    /// A camera at `eye` looking at `target`; `up` is the world's up direction.
    pub fn look_at(eye: DVec3, target: DVec3, up: DVec3, intrinsics: Intrinsics) -> Self {
        let forward = (target - eye).normalize_or(DVec3::Y);
        let right = forward
            .cross(up)
            .normalize_or(forward.any_orthonormal_vector());
        let down = forward.cross(right);
        let camera_from_world = DMat3::from_cols(right, down, forward).transpose();
        Self {
            world_to_camera: DMat4::from_mat3(camera_from_world) * DMat4::from_translation(-eye),
            intrinsics,
        }
    }

    pub fn camera_to_world(&self) -> DMat4 {
        self.world_to_camera.inverse()
    }

    /// Camera-to-world in OpenGL axes.
    pub fn camera_to_world_opengl(&self) -> DMat4 {
        self.camera_to_world() * DMat4::from_diagonal(DVec4::new(1.0, -1.0, -1.0, 1.0))
    }

    /// Camera centre in world space.
    pub fn position(&self) -> DVec3 {
        self.camera_to_world().w_axis.truncate()
    }

    /// Viewing direction in world space, unit length.
    pub fn forward(&self) -> DVec3 {
        self.camera_to_world().z_axis.truncate()
    }

    pub fn up(&self) -> DVec3 {
        -self.camera_to_world().y_axis.truncate()
    }

    /// Pixel position and depth (camera z) of a world point; the pixel is meaningless where depth ≤ 0.
    pub fn project(&self, world: DVec3) -> (DVec2, f64) {
        let p = self.world_to_camera.transform_point3(world);
        let k = &self.intrinsics;
        (
            DVec2::new(k.fx * p.x / p.z + k.cx, k.fy * p.y / p.z + k.cy),
            p.z,
        )
    }

    pub fn downscaled(self, divisor: u32) -> Self {
        Self {
            intrinsics: self.intrinsics.downscaled(divisor),
            ..self
        }
    }
}
