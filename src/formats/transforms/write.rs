//! Cameras as a nerfstudio `transforms.json`, for captures that are made of a scene. Such a scene is in its own frame
//! already, and has to meet its photos there: the key `luxedit_frame` keeps the reader from putting them anywhere else.

use super::{FRAME_KEY, SCENE_FRAME, UP_KEY};
use crate::{Result, formats::write_atomic, scene::Camera};
use glam::DVec3;
use serde_json::{Value, json};
use std::path::Path;

/// Write pinhole cameras in the scene's frame; each has the path of its photo, relative to the file's folder. `up`: world
/// up; a narrow arc of cameras that look down would say something else.
///
/// # Errors
/// [`crate::Error::Io`] when the file cannot be written.
pub fn write_transforms(path: &Path, cameras: &[(String, Camera)], up: DVec3) -> Result<()> {
    let frames: Vec<Value> = cameras
        .iter()
        .map(|(name, camera)| {
            let k = camera.intrinsics;
            let rows = camera
                .camera_to_world_opengl()
                .transpose()
                .to_cols_array_2d();
            json!({
                "file_path": name,
                "w": k.width, "h": k.height,
                "fl_x": k.fx, "fl_y": k.fy, "cx": k.cx, "cy": k.cy,
                "transform_matrix": rows,
            })
        })
        .collect();
    let file = json!({
        "camera_model": "PINHOLE",
        (FRAME_KEY): SCENE_FRAME,
        (UP_KEY): up.to_array(),
        "frames": frames,
    });
    let text = format!("{file:#}\n");
    write_atomic(path, |out| out.write_all(text.as_bytes()))
}
