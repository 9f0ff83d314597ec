//! Cameras for a scene that came without any. A splat file from the web has no photos to edit; renders of it from all
//! around can stand for them. The cameras circle a point at several heights, because views of one height leave the upper
//! and lower sides to chance; one that looks into a wall or past everything is moved closer, and left out where that does
//! not help, because what such a view shows would be edited into the scene.

use super::{Camera, Intrinsics, Splats};
use crate::{Error, Result};
use glam::{DMat3, DQuat, DVec3};

/// Elevations of successive cameras above the first one's, degrees.
const ROWS: [f64; 4] = [0.0, 18.0, 0.0, -12.0];
const STEEPEST: f64 = 80.0;
/// Distances that are tried for a camera with a bad view, in shares of the wanted one.
const CLOSER: [f64; 4] = [1.0, 0.75, 0.55, 0.4];
/// Splats looked at to judge a view.
const SAMPLE: usize = 20_000;
/// What is nearer than this share of the distance to the center stands in the way.
const NEAR: f64 = 0.35;
const MOST_BLOCKED: f64 = 0.35;
const LEAST_COVERED: f64 = 0.25;
const FEWEST: usize = 4;
/// Share of the opaque splats, from the middle outwards, that count as the subject when a stance is looked for.
const SUBJECT: f64 = 0.95;
/// The subject's sides in each axis, in shares of its splats.
const EXTENT: f64 = 0.98;

/// A point to circle, and where the middle camera stands. World space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stance {
    pub center: DVec3,
    pub eye: DVec3,
    /// Unit length.
    pub up: DVec3,
}

/// How many cameras, and what they are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RigShape {
    pub count: usize,
    /// Azimuths are spread over this much, the middle camera in its middle; 360: all around.
    pub arc_degrees: f64,
    pub fov_degrees: f64,
    /// Pixels, width and height.
    pub side: u32,
}

impl RigShape {
    fn intrinsics(&self) -> Intrinsics {
        let half = f64::from(self.side) / 2.0;
        let focal = half / (self.fov_degrees.to_radians() / 2.0).tan();
        Intrinsics {
            fx: focal,
            fy: focal,
            cx: half,
            cy: half,
            width: self.side,
            height: self.side,
        }
    }
}

/// How a camera sees a scene, in shares of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sight {
    /// Shows something at a fair distance.
    covered: f64,
    /// Shows what is so near that it hides the rest.
    blocked: f64,
    /// Share of the splats near the center that lie inside the picture.
    framed: f64,
}

impl Sight {
    fn is_good(self) -> bool {
        self.blocked < MOST_BLOCKED && self.covered > LEAST_COVERED
    }
}

/// A splat as a ball.
#[derive(Clone, Copy)]
struct Ball {
    mean: DVec3,
    /// World units: of its two longer axes.
    radius: f64,
    opacity: f64,
}

fn sample(splats: &Splats) -> (Vec<Ball>, f64) {
    let stride = splats.len().div_ceil(SAMPLE).max(1);
    let balls = (0..splats.len()).step_by(stride).map(|i| {
        let vector = |values: &[f32]| {
            DVec3::from_array(std::array::from_fn(|k| f64::from(values[3 * i + k])))
        };
        let scales = vector(&splats.log_scales);
        let shortest = scales.min_element();
        Ball {
            mean: vector(&splats.means),
            radius: ((scales.element_sum() - shortest) / 2.0).exp(),
            opacity: 1.0 / (1.0 + (-f64::from(splats.logit_opacities[i])).exp()),
        }
    });
    (
        balls
            .filter(|b| b.mean.is_finite() && b.radius.is_finite())
            .collect(),
        stride as f64,
    )
}

/// `reach`: how far from the center the subject goes.
fn sight((balls, weight): &(Vec<Ball>, f64), camera: &Camera, center: DVec3, reach: f64) -> Sight {
    let k = camera.intrinsics;
    let pixels = f64::from(k.width) * f64::from(k.height);
    let distance = camera.position().distance(center);
    let (mut far, mut near) = (0.0, 0.0);
    let (mut subject, mut framed) = (0.0, 0.0);
    for ball in balls {
        let (pixel, z) = camera.project(ball.mean);
        let inside = z > 1e-3 * distance
            && (0.0..f64::from(k.width)).contains(&pixel.x)
            && (0.0..f64::from(k.height)).contains(&pixel.y);
        if ball.mean.distance(center) < reach {
            subject += ball.opacity;
            framed += if inside { ball.opacity } else { 0.0 };
        }
        if inside {
            let radius = ball.radius * k.fx / z;
            let area = std::f64::consts::PI * radius * radius * ball.opacity * weight;
            *if z < NEAR * distance {
                &mut near
            } else {
                &mut far
            } += area.min(pixels);
        }
    }
    // Overlapping at random.
    let share = |area: f64| 1.0 - (-area / pixels).exp();
    Sight {
        covered: share(far),
        blocked: share(near),
        framed: framed / f64::max(subject, 1e-12),
    }
}

/// A stance from which much of the scene is seen: around the middle of the splats, at the azimuth, height and distance
/// with the fullest unblocked view.
///
/// # Errors
/// [`Error::Invalid`] when there are no splats.
pub fn stance(splats: &Splats, up: DVec3, shape: &RigShape) -> Result<Stance> {
    let scene = sample(splats);
    let solid: Vec<&Ball> = scene.0.iter().filter(|b| b.opacity > 0.1).collect();
    if solid.is_empty() {
        return Err(Error::invalid(
            "there is nothing to see in the scene: no splat is opaque",
        ));
    }
    let quantile = |mut values: Vec<f64>, q: f64| {
        values.sort_by(f64::total_cmp);
        values[((values.len() - 1) as f64 * q) as usize]
    };
    // Halfway between the outer splats: the middle one of many would leave a thin neck or leg out.
    let axis = |i: usize| {
        let along: Vec<f64> = solid.iter().map(|b| b.mean[i]).collect();
        (quantile(along.clone(), 1.0 - EXTENT) + quantile(along, EXTENT)) / 2.0
    };
    let center = DVec3::new(axis(0), axis(1), axis(2));
    let radius = quantile(
        solid.iter().map(|b| b.mean.distance(center)).collect(),
        SUBJECT,
    )
    .max(1e-6);
    let fitting = radius / (shape.fov_degrees.to_radians() / 2.0).sin();
    let frame = upright(up, any_across(up));
    let intrinsics = shape.intrinsics();
    let mut best: Option<(f64, DVec3)> = None;
    for turn in 0..16 {
        for elevation in [10.0f64, 30.0] {
            for distance in [0.6, 1.0, 1.5] {
                let direction = frame * direction(f64::from(turn) * 22.5, elevation);
                let eye = center + direction * fitting * distance;
                let seen = sight(
                    &scene,
                    &Camera::look_at(eye, center, up, intrinsics),
                    center,
                    radius,
                );
                let score = seen.framed + 0.2 * seen.covered - 2.0 * seen.blocked;
                if best.is_none_or(|(known, _)| score > known) {
                    best = Some((score, eye));
                }
            }
        }
    }
    let eye = best.map_or(center + DVec3::X * fitting, |(_, eye)| eye);
    Ok(Stance { center, eye, up })
}

/// In a frame with z up and the front along x.
fn direction(azimuth_degrees: f64, elevation_degrees: f64) -> DVec3 {
    let (a, e) = (azimuth_degrees.to_radians(), elevation_degrees.to_radians());
    DVec3::new(e.cos() * a.cos(), e.cos() * a.sin(), e.sin())
}

fn any_across(up: DVec3) -> DVec3 {
    DQuat::from_rotation_arc(DVec3::Z, up) * DVec3::X
}

/// World from a frame with z along `up` and x towards `front`.
fn upright(up: DVec3, front: DVec3) -> DMat3 {
    let across = up
        .cross(front)
        .normalize_or(up.cross(any_across(up)).normalize());
    DMat3::from_cols(across.cross(up), across, up)
}

/// The cameras of a rig that see the scene, in order of their azimuth.
///
/// # Errors
/// [`Error::Invalid`] when hardly any does, with what to change.
pub fn cameras(splats: &Splats, stance: &Stance, shape: &RigShape) -> Result<Vec<Camera>> {
    let scene = sample(splats);
    let Stance { center, eye, up } = *stance;
    let front = eye - center;
    let distance = front.length();
    let intrinsics = shape.intrinsics();
    let frame = upright(up, front);
    let raised = (front.dot(up) / distance.max(1e-12))
        .clamp(-1.0, 1.0)
        .asin()
        .to_degrees();
    let seen = (0..shape.count).filter_map(|i| {
        let share = (i as f64 + 0.5) / shape.count as f64 - 0.5;
        let elevation = (raised + ROWS[i % ROWS.len()]).clamp(-STEEPEST, STEEPEST);
        let direction = frame * direction(share * shape.arc_degrees, elevation);
        CLOSER.into_iter().find_map(|closer| {
            let eye = center + direction * distance * closer;
            let camera = Camera::look_at(eye, center, up, intrinsics);
            sight(&scene, &camera, center, 0.0)
                .is_good()
                .then_some(camera)
        })
    });
    let seen: Vec<Camera> = seen.collect();
    if seen.len() < FEWEST.max(shape.count / 8) {
        return Err(Error::Invalid(format!(
            "only {} of {} views around the middle of the scene show it well: come closer to the subject, look at it from \
             the side that was captured, or spread the views over a smaller arc",
            seen.len(),
            shape.count
        )));
    }
    Ok(seen)
}
