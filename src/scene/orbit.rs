//! A camera path that shows a scene off: a smooth closed loop among the cameras of the capture. Where they stand all
//! around, it goes around; where they stand in front, it sways from side to side within their arc, since a scene looks
//! wrong from where no photo was taken.

use super::{Camera, Intrinsics};
use glam::{DMat3, DVec3};
use std::f64::consts::TAU;

/// Cameras that leave a wider gap than this around the scene, radians, do not surround it.
const GAP: f64 = 1.3;
/// Share of the arc's half width that the sway uses.
const INSET: f64 = 0.7;
/// Width of the window, radians of azimuth, over which the cameras' heights and distances are averaged.
const WINDOW: f64 = 0.35;
/// Length of the cameras' mean direction from the centre below which they have no side in common.
const ONE_SIDED: f64 = 0.3;
/// The loop rises and falls by this many standard deviations of the cameras' elevation.
const RISE: f64 = 0.5;

/// What a set of cameras looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaze {
    /// The point nearest to all viewing axes, world space.
    pub center: DVec3,
    /// Mean distance of the cameras from it, world units.
    pub radius: f64,
    /// Mean up direction of the cameras, unit length.
    pub up: DVec3,
}

impl Gaze {
    /// As [`Self::of`], where `up` is known.
    pub fn upright(cameras: &[Camera], up: Option<DVec3>) -> Self {
        let gaze = Self::of(cameras);
        Self {
            up: up.unwrap_or(gaze.up),
            ..gaze
        }
    }

    /// Of no camera: the origin, from one unit away, up along z.
    pub fn of(cameras: &[Camera]) -> Self {
        let count = cameras.len().max(1) as f64;
        let mean = cameras.iter().map(Camera::position).sum::<DVec3>() / count;
        let up = cameras
            .iter()
            .map(Camera::up)
            .sum::<DVec3>()
            .normalize_or(DVec3::Z);
        let mut normal = DMat3::ZERO;
        let mut right = DVec3::ZERO;
        for c in cameras {
            let d = c.forward();
            let across = DMat3::IDENTITY - DMat3::from_cols(d * d.x, d * d.y, d * d.z);
            normal += across;
            right += across * c.position();
        }
        let center = if normal.determinant().abs() > 1e-6 * count.powi(3) {
            normal.inverse() * right
        } else {
            mean + cameras.first().map_or(DVec3::ZERO, Camera::forward)
        };
        let distances = cameras.iter().map(|c| c.position().distance(center));
        Self {
            center,
            radius: (distances.sum::<f64>() / count).max(1e-3),
            up,
        }
    }
}

/// Index of the camera in the middle of those that look at `center` from one side; the first where they stand all around.
pub fn front(center: DVec3, cameras: &[Camera]) -> Option<usize> {
    let up = cameras
        .iter()
        .map(Camera::up)
        .sum::<DVec3>()
        .normalize_or_zero();
    // Level: cameras that all look down from a full circle stand on no side.
    let outward = |c: &Camera| {
        let direction = (c.position() - center).normalize_or_zero();
        direction - up * direction.dot(up)
    };
    let mean = cameras.iter().map(outward).sum::<DVec3>() / cameras.len().max(1) as f64;
    if mean.length() < ONE_SIDED {
        return (!cameras.is_empty()).then_some(0);
    }
    let ahead = |i: usize| outward(&cameras[i]).dot(mean);
    (0..cameras.len()).max_by(|&a, &b| ahead(a).total_cmp(&ahead(b)))
}

/// A camera's place as seen from the centre: angles in radians, distance in world units.
struct Place {
    azimuth: f64,
    elevation: f64,
    distance: f64,
}

/// `count` cameras of a closed loop within what `cameras` saw, looking at what they look at. Empty for no camera.
pub fn within(cameras: &[Camera], count: usize) -> Vec<Camera> {
    around(cameras, None, count)
}

/// [`within`], around the world's `up` where it is known.
pub fn around(cameras: &[Camera], up: Option<DVec3>, count: usize) -> Vec<Camera> {
    let Some(intrinsics) = middle_lens(cameras) else {
        return Vec::new();
    };
    let Gaze { center, up, .. } = Gaze::upright(cameras, up);
    let east = up.any_orthonormal_vector();
    let north = up.cross(east);
    let places: Vec<Place> = cameras
        .iter()
        .map(|camera| {
            let offset = camera.position() - center;
            let distance = offset.length().max(1e-9);
            Place {
                azimuth: offset.dot(north).atan2(offset.dot(east)),
                elevation: (offset.dot(up) / distance).clamp(-1.0, 1.0).asin(),
                distance,
            }
        })
        .collect();
    let (start, width) = arc(&places);
    let surrounds = TAU - width < GAP;
    (0..count)
        .map(|i| {
            let t = i as f64 / count as f64 * TAU;
            let azimuth = if surrounds {
                start + t
            } else {
                start + 0.5 * width * (1.0 + INSET * t.sin())
            };
            let (elevation, spread, distance) = near(&places, azimuth);
            let (sin_e, cos_e) = (elevation + RISE * spread * t.cos()).sin_cos();
            let (sin_a, cos_a) = azimuth.sin_cos();
            let outward = (east * cos_a + north * sin_a) * cos_e + up * sin_e;
            Camera::look_at(center + outward * distance, center, up, intrinsics)
        })
        .collect()
}

/// The smallest arc of azimuth that holds all places: `(start, width)`, radians.
fn arc(places: &[Place]) -> (f64, f64) {
    let mut azimuths: Vec<f64> = places.iter().map(|p| p.azimuth).collect();
    azimuths.sort_by(f64::total_cmp);
    let (mut start, mut widest) = (0.0, 0.0);
    for (i, &azimuth) in azimuths.iter().enumerate() {
        let before = match i {
            0 => azimuths[azimuths.len() - 1] - TAU,
            i => azimuths[i - 1],
        };
        if azimuth - before > widest {
            (start, widest) = (azimuth, azimuth - before);
        }
    }
    (start, TAU - widest)
}

/// Mean elevation, its standard deviation, and mean distance of the places around `azimuth`.
fn near(places: &[Place], azimuth: f64) -> (f64, f64, f64) {
    let (mut weights, mut elevation, mut square, mut distance) = (0.0, 0.0, 0.0, 0.0);
    for place in places {
        let apart = (place.azimuth - azimuth + 0.5 * TAU).rem_euclid(TAU) - 0.5 * TAU;
        // Never quite nothing, so that the mean exists everywhere.
        let weight = (-0.5 * (apart / WINDOW).powi(2)).exp() + 1e-6;
        weights += weight;
        elevation += weight * place.elevation;
        square += weight * place.elevation.powi(2);
        distance += weight * place.distance;
    }
    let mean = elevation / weights;
    let variance = (square / weights - mean * mean).max(0.0);
    (mean, variance.sqrt(), distance / weights)
}

/// The lens with the median field of view, its principal point in the middle.
fn middle_lens(cameras: &[Camera]) -> Option<Intrinsics> {
    let mut lenses: Vec<Intrinsics> = cameras.iter().map(|c| c.intrinsics).collect();
    let angle = |k: &Intrinsics| k.fx / f64::from(k.width.max(1));
    lenses.sort_by(|a, b| angle(a).total_cmp(&angle(b)));
    let k = *lenses.get(lenses.len() / 2)?;
    Some(Intrinsics {
        cx: 0.5 * f64::from(k.width),
        cy: 0.5 * f64::from(k.height),
        ..k
    })
}
