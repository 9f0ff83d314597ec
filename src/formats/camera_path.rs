//! nerfstudio's camera path: what its viewer's render panel saves and `ns-render camera-path` renders. Cameras are
//! camera-to-world in OpenGL axes, 16 numbers row by row, in the frame that nerfstudio puts a capture in, which is the one
//! that this program puts it in, too ([`super::normalize`]); the angle of view is vertical, in degrees; the principal point
//! is in the middle.

use super::transforms::json::{self, Object};
use super::write_atomic;
use crate::scene::{Camera, Intrinsics};
use crate::{Error, Result};
use glam::DMat4;
use serde_json::{Value, json};
use std::path::Path;

/// Keyframes that a file gets for nerfstudio's viewer, which draws its curve through them.
const KEYFRAMES: usize = 12;

/// The pictures of a film, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraPath {
    pub cameras: Vec<Camera>,
    pub frames_per_sec: f64,
    /// What of the file is not followed: sentences for the person.
    pub warnings: Vec<String>,
}

/// # Errors
/// No JSON, no `camera_path`, a camera that is none, or another projection than perspective.
pub fn read_camera_path(path: &Path) -> Result<CameraPath> {
    let file = json::parse(path)?;
    let top = file.top();
    let listed = top
        .get("camera_path")
        .and_then(Value::as_array)
        .filter(|listed| !listed.is_empty())
        .ok_or_else(|| {
            top.error("has no \"camera_path\" with cameras: it is not a camera path of nerfstudio")
        })?;
    if let Some(projection) = top.optional_text("camera_type")?
        && projection != "perspective"
    {
        return Err(top.error(format!(
            "is a path of {projection} pictures; perspective ones are rendered"
        )));
    }
    let side = |key: &str| -> Result<u32> {
        let value = top.number(key)?.unwrap_or(f64::NAN);
        if (1.0..=16_384.0).contains(&value) {
            Ok(value.round() as u32)
        } else {
            Err(top.error(format!("has no usable {key}: it must be from 1 to 16384")))
        }
    };
    let (width, height) = (side("render_width")?, side("render_height")?);
    let cameras: Vec<Camera> = listed
        .iter()
        .enumerate()
        .map(|(i, value)| camera(&top.frame(i, value)?, width, height))
        .collect::<Result<_>>()?;
    let frames_per_sec = match (top.number("fps")?, top.number("seconds")?) {
        (Some(fps), _) => fps,
        (None, Some(secs)) => cameras.len() as f64 / secs,
        (None, None) => 24.0,
    };
    if !(0.01..=1000.0).contains(&frames_per_sec) {
        return Err(top.error(format!(
            "has the impossible rate of {frames_per_sec} pictures a second"
        )));
    }
    let mut warnings = Vec::new();
    if top.get("crop").is_some() {
        warnings
            .push("the camera path's crop box is not followed: all of the scene is drawn".into());
    }
    Ok(CameraPath {
        cameras,
        frames_per_sec,
        warnings,
    })
}

fn camera(frame: &Object<'_>, width: u32, height: u32) -> Result<Camera> {
    let rows = frame.numbers("camera_to_world")?.unwrap_or_default();
    let rows: [f64; 16] = rows
        .try_into()
        .map_err(|_| frame.error("has no camera_to_world of 16 numbers"))?;
    let pose = DMat4::from_cols_array(&rows).transpose();
    let (pose, _) = super::capture::rigid(pose).map_err(|problem| frame.error(problem))?;
    let fov = frame.number("fov")?.unwrap_or(f64::NAN);
    if !(fov > 0.0 && fov < 180.0) {
        return Err(frame.error("has no usable fov: it must be between 0 and 180 degrees"));
    }
    let focal = 0.5 * f64::from(height) / (0.5 * fov.to_radians()).tan();
    let intrinsics = Intrinsics {
        fx: focal,
        fy: focal,
        cx: 0.5 * f64::from(width),
        cy: 0.5 * f64::from(height),
        width,
        height,
    };
    Ok(Camera::from_opengl(pose, intrinsics))
}

/// Write `cameras`, which have one size, as a path that is a closed loop when `is_cycle`. What the format does not have is
/// left out: principal points beside the middle, and pixels that are not square.
///
/// # Errors
/// No camera; sizes that differ; the file cannot be written.
pub fn write_camera_path(
    path: &Path,
    cameras: &[Camera],
    frames_per_sec: f64,
    is_cycle: bool,
) -> Result<()> {
    let size = |camera: &Camera| (camera.intrinsics.width, camera.intrinsics.height);
    let Some(first) = cameras.first() else {
        return Err(Error::file(path, "a camera path needs at least one camera"));
    };
    let (width, height) = size(first);
    if cameras.iter().any(|camera| size(camera) != (width, height)) {
        return Err(Error::file(
            path,
            "the cameras of a path must have one size; choose it with --size",
        ));
    }
    let aspect = f64::from(width) / f64::from(height);
    let matrix = |camera: &Camera| camera.camera_to_world_opengl().transpose().to_cols_array();
    let fov = |camera: &Camera| {
        let k = &camera.intrinsics;
        2.0 * (0.5 * f64::from(k.height) / k.fy).atan().to_degrees()
    };
    let frames: Vec<Value> = cameras
        .iter()
        .map(|c| json!({ "camera_to_world": matrix(c), "fov": fov(c), "aspect": aspect }))
        .collect();
    let count = cameras.len().min(KEYFRAMES);
    let keyframes: Vec<Value> = (0..count)
        .map(|i| match is_cycle {
            true => i * cameras.len() / count,
            false => i * (cameras.len() - 1) / (count - 1).max(1),
        })
        .map(|i| &cameras[i])
        .map(|c| {
            json!({
                "matrix": matrix(c), "fov": fov(c), "aspect": aspect,
                "override_transition_enabled": false, "override_transition_sec": null,
            })
        })
        .collect();
    let seconds = cameras.len() as f64 / frames_per_sec;
    let file = json!({
        "default_fov": fov(first),
        "default_transition_sec": seconds / count as f64,
        "keyframes": keyframes,
        "camera_type": "perspective",
        "render_height": height,
        "render_width": width,
        "fps": frames_per_sec,
        "seconds": seconds,
        "is_cycle": is_cycle,
        "smoothness_value": 0.0,
        "camera_path": frames,
    });
    write_atomic(path, |out| out.write_all(file.to_string().as_bytes()))
}
