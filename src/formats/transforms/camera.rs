//! Intrinsics of a frame. A key at the top level holds for every frame; otherwise the frame must have it.

use super::json::Object;
use crate::formats::distortion::{Distortion, Lens, MAX_SIDE};
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

/// Polynomials of the angle.
const FISHEYE: [&str; 5] = [
    "OPENCV_FISHEYE",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
    "SIMPLE_FISHEYE",
    "FISHEYE",
];

/// With keys of their own: `k5`, `k6`; `omega`; `sx1`, `sy1`.
const OTHERS: [&str; 3] = ["FULL_OPENCV", "FOV", "THIN_PRISM_FISHEYE"];

const FISHEYE624: &str = "FISHEYE624";

/// `w` and `h` as (width, height), which some tools write as floats and others not at all.
pub fn listed_size(top: &Object<'_>, frame: &Object<'_>) -> Result<Option<(u32, u32)>> {
    let side = |key: &str| -> Result<Option<u32>> {
        let Some(value) = shared(top, frame, key)? else {
            return Ok(None);
        };
        if (1.0..=f64::from(MAX_SIDE)).contains(&value) {
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
    let lens = Lens {
        intrinsics,
        distortion: distortion(top, frame)?,
    };
    lens.checked().map_err(|problem| frame.error(problem))
}

fn distortion(top: &Object<'_>, frame: &Object<'_>) -> Result<Distortion> {
    let model = match top.optional_text("camera_model")? {
        Some(model) => model,
        None => frame.optional_text("camera_model")?.unwrap_or_default(),
    };
    if model == FISHEYE624 {
        return fisheye624(top, frame);
    }
    let is_fisheye = FISHEYE.contains(&model.as_str())
        || top.get("is_fisheye").and_then(|v| v.as_bool()) == Some(true);
    let [k1, k2, k3, k4, p1, p2] = coefficients(top, frame)?;
    let named = |names: [&str; 2]| -> Result<[f64; 2]> {
        let mut values = [0.0; 2];
        for (value, name) in values.iter_mut().zip(names) {
            *value = shared(top, frame, name)?.unwrap_or(0.0);
            if !value.is_finite() {
                return Err(frame.error(format!("has {name} that is not a finite number")));
            }
        }
        Ok(values)
    };
    Ok(match model.as_str() {
        "THIN_PRISM_FISHEYE" => Distortion::ThinPrismFisheye {
            k: [k1, k2, k3, k4],
            p: [p1, p2],
            s: named(["sx1", "sy1"])?,
        },
        "FULL_OPENCV" => {
            let [k5, k6] = named(["k5", "k6"])?;
            Distortion::Rational {
                k: [k1, k2, k3, k4, k5, k6],
                p: [p1, p2],
            }
        }
        "FOV" => {
            let [omega, _] = named(["omega", "omega"])?;
            Distortion::field_of_view(omega).ok_or_else(|| {
                frame.error(format!("has the impossible field of view omega = {omega}"))
            })?
        }
        _ if is_fisheye => Distortion::Fisheye {
            k: [k1, k2, k3, k4],
        },
        known if known.is_empty() || PERSPECTIVE.contains(&known) => {
            Distortion::brown([k1, k2, k3, k4], [p1, p2])
        }
        _ => {
            return Err(Error::file(
                top.path(),
                format!(
                    "has the camera_model {model}, which is not supported; those that are: {}, {}, {}, {FISHEYE624}",
                    PERSPECTIVE.join(", "),
                    FISHEYE.join(", "),
                    OTHERS.join(", ")
                ),
            ));
        }
    })
}

/// Project Aria's model, as nerfstudio writes it: the twelve `distortion_params` k0 … k5, p0, p1, s0 … s3.
fn fisheye624(top: &Object<'_>, frame: &Object<'_>) -> Result<Distortion> {
    let list = match frame.numbers("distortion_params")? {
        Some(list) => Some(list),
        None => top.numbers("distortion_params")?,
    };
    let list = list.filter(|list| list.iter().all(|v| v.is_finite()));
    match list.as_deref() {
        Some(&[k0, k1, k2, k3, k4, k5, p0, p1, s0, s1, s2, s3]) => {
            Ok(Distortion::RadTanThinPrismFisheye {
                k: [k0, k1, k2, k3, k4, k5],
                p: [p0, p1],
                s: [s0, s1, s2, s3],
            })
        }
        _ => Err(frame.error(format!(
            "has the camera_model {FISHEYE624} without its twelve distortion_params"
        ))),
    }
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
