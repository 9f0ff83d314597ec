//! Intrinsics of a frame. A key at the top level holds for every frame; otherwise the frame must have it.

use super::checked;
use super::json::Object;
use crate::formats::distortion::{Distortion, Lens};
use crate::scene::Intrinsics;
use crate::{Error, Result};

/// Models without distortion of their own kind: what `k1`, … say is Brown–Conrady distortion.
const PERSPECTIVE: [&str; 5] = [
    "OPENCV",
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
];

/// `w` and `h` as (width, height), which some tools write as floats and others not at all.
pub fn listed_size(top: &Object<'_>, frame: &Object<'_>) -> Result<Option<(u32, u32)>> {
    let side = |key: &str| -> Result<Option<u32>> {
        let Some(value) = shared(top, frame, key)? else {
            return Ok(None);
        };
        if (1.0..=f64::from(1 << 20)).contains(&value) {
            Ok(Some(value.round() as u32))
        } else {
            Err(frame.error(format!("has the impossible picture size {key} = {value}")))
        }
    };
    Ok(side("w")?.zip(side("h")?))
}

/// The lens of a frame with pictures of this full-resolution (width, height).
pub fn lens(top: &Object<'_>, frame: &Object<'_>, (width, height): (u32, u32)) -> Result<Lens> {
    let key = |name: &str| shared(top, frame, name);
    let from_angle = |name: &str, side: u32| -> Result<Option<f64>> {
        Ok(key(name)?.map(|angle| 0.5 * f64::from(side) / (0.5 * angle).tan()))
    };
    let fx = match key("fl_x")? {
        Some(fx) => Some(fx),
        None => from_angle("camera_angle_x", width)?,
    };
    let fy = match key("fl_y")? {
        Some(fy) => Some(fy),
        None => from_angle("camera_angle_y", height)?,
    };
    let (fx, fy) = match (fx, fy) {
        (Some(fx), Some(fy)) => (fx, fy),
        (Some(f), None) | (None, Some(f)) => (f, f),
        (None, None) => {
            return Err(frame.error(
                "has no focal length: neither fl_x nor camera_angle_x is given, there or at the top level",
            ));
        }
    };
    let intrinsics = Intrinsics {
        fx,
        fy,
        cx: key("cx")?.unwrap_or(0.5 * f64::from(width)),
        cy: key("cy")?.unwrap_or(0.5 * f64::from(height)),
        width,
        height,
    };
    checked(
        frame,
        Lens {
            intrinsics,
            distortion: distortion(top, frame)?,
        },
    )
}

fn distortion(top: &Object<'_>, frame: &Object<'_>) -> Result<Distortion> {
    let model = match top.optional_text("camera_model")? {
        Some(model) => model,
        None => frame.optional_text("camera_model")?.unwrap_or_default(),
    };
    let is_fisheye =
        model == "OPENCV_FISHEYE" || top.get("is_fisheye").and_then(|v| v.as_bool()) == Some(true);
    if !is_fisheye && !model.is_empty() && !PERSPECTIVE.contains(&model.as_str()) {
        return Err(Error::file(
            top.path(),
            format!(
                "has the camera_model {model}, which is not supported; those that are: {}, OPENCV_FISHEYE",
                PERSPECTIVE.join(", ")
            ),
        ));
    }
    let [k1, k2, k3, k4, p1, p2] = coefficients(top, frame)?;
    Ok(if is_fisheye {
        Distortion::Fisheye {
            k: [k1, k2, k3, k4],
        }
    } else {
        Distortion::brown([k1, k2, k3, k4], [p1, p2])
    })
}

/// k1, k2, k3, k4, p1, p2: `distortion_params` in nerfstudio's order, or keys of those names; 0 where absent.
fn coefficients(top: &Object<'_>, frame: &Object<'_>) -> Result<[f64; 6]> {
    let mut values = [0.0; 6];
    let list = top.numbers("distortion_params")?;
    let list = match list {
        Some(list) => Some(list),
        None => frame.numbers("distortion_params")?,
    };
    if let Some(list) = list {
        if list.len() > values.len() {
            return Err(frame.error(format!(
                "has {} distortion_params; at most k1, k2, k3, k4, p1, p2 are supported",
                list.len()
            )));
        }
        values[..list.len()].copy_from_slice(&list);
    } else {
        for (value, name) in values.iter_mut().zip(["k1", "k2", "k3", "k4", "p1", "p2"]) {
            *value = shared(top, frame, name)?.unwrap_or(0.0);
        }
    }
    if values.iter().all(|v| v.is_finite()) {
        Ok(values)
    } else {
        Err(frame.error("has distortion coefficients that are not finite numbers"))
    }
}

/// The number at the top level, else in the frame.
fn shared(top: &Object<'_>, frame: &Object<'_>, key: &str) -> Result<Option<f64>> {
    match top.number(key)? {
        Some(value) => Ok(Some(value)),
        None => frame.number(key),
    }
}
