//! Where splats start: on the points that structure-from-motion found, or, without any, at random in the volume that
//! the training cameras see together.

use super::sweep::Sweep;
use crate::{
    Error, Result,
    scene::{Camera, Dataset, DatasetKind, PointCloud, Splats, View},
};
use glam::{DMat3, DVec3, Vec2};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use rayon::prelude::*;
use rstar::{RTree, primitives::GeomWithData};
use serde::{Deserialize, Serialize};

/// Y₀₀, the DC spherical-harmonics basis function: colour = 0.5 + Y₀₀ · `sh_dc`.
pub const SH_C0: f32 = 0.282_094_8;

/// Rounds of drawing pixels until enough of them have given a point; after some, any depth that several views see will
/// do.
const MAX_ROUNDS: usize = 20;
const SWEPT_ROUNDS: usize = 10;

/// How to start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitConfig {
    pub seed: u64,
    /// 0 to 3.
    pub sh_degree: u32,
    pub antialiased: bool,
    /// Splats to draw when the capture has no points.
    pub random_count: u32,
    /// Of more points, so many are chosen at random.
    pub most: u32,
    pub opacity: f32,
    /// Standard deviation over the mean distance to the three nearest neighbours.
    pub scale_factor: f64,
}

impl Default for InitConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            sh_degree: 3,
            antialiased: false,
            random_count: 25_000,
            most: u32::MAX,
            opacity: 0.1,
            scale_factor: 1.0,
        }
    }
}

/// Splats for the training views of `dataset`. The same dataset and configuration give the same splats.
///
/// # Errors
/// [`Error::Invalid`] without training views, or when no point lies before the cameras.
pub fn initialize(dataset: &Dataset, config: &InitConfig) -> Result<Splats> {
    let views: Vec<&View> = dataset
        .split
        .train
        .iter()
        .filter_map(|&i| dataset.views.get(i))
        .collect();
    if views.is_empty() {
        return Err(Error::invalid(format!(
            "{}: no training views",
            dataset.source.display()
        )));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut points: Vec<Seed> = match &dataset.points {
        Some(PointCloud { positions, colors }) if positions.len() >= 4 => positions
            .iter()
            .zip(colors)
            .filter(|(p, _)| p.is_finite())
            .map(|(p, c)| Seed {
                position: *p,
                color: c.map(|v| f32::from(v) / 255.0),
                max_scale: f64::INFINITY,
            })
            .collect(),
        _ => {
            // Photos composited over one colour show where there is nothing.
            let empty = (dataset.kind == DatasetKind::Blender).then(|| {
                dataset
                    .background
                    .map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8)
            });
            let count = config.random_count.min(config.most);
            random_points(&views, empty, count as usize, &mut rng)?
        }
    };
    Ok(grow_from(&mut points, config, &mut rng))
}

/// Splats at known places. The same seeds and configuration give the same splats.
///
/// # Errors
/// [`Error::Invalid`] without seeds.
pub fn initialize_at(mut seeds: Vec<Seed>, config: &InitConfig) -> Result<Splats> {
    if seeds.is_empty() {
        return Err(Error::invalid("there is no surface to put splats on"));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    Ok(grow_from(&mut seeds, config, &mut rng))
}

/// Of too many points, some at random.
fn grow_from(points: &mut Vec<Seed>, config: &InitConfig, rng: &mut ChaCha8Rng) -> Splats {
    let most = config.most.max(1) as usize;
    if points.len() > most {
        for i in 0..most {
            let other = i + uniform_index(rng, points.len() - i);
            points.swap(i, other);
        }
        points.truncate(most);
    }
    splats_at(points, config, rng)
}

/// Radius of the training cameras around their centre, ×1.1 (as 3D Gaussian Splatting defines it), in world units; for
/// a single camera position 1.
pub fn scene_extent<'a>(cameras: impl IntoIterator<Item = &'a Camera>) -> f64 {
    let positions: Vec<DVec3> = cameras.into_iter().map(Camera::position).collect();
    let centre = positions.iter().sum::<DVec3>() / positions.len().max(1) as f64;
    let radius = positions
        .iter()
        .map(|p| p.distance(centre))
        .fold(0.0, f64::max);
    if radius > 1e-9 { 1.1 * radius } else { 1.0 }
}

/// Where a splat starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seed {
    pub position: DVec3,
    /// Display-referred rgb.
    pub color: [f32; 3],
    /// World units; what its share of the picture measures at its depth.
    pub max_scale: f64,
}

/// The point nearest to all optical axes, and the mean distance of the cameras from it. Axes that hardly converge are
/// taken to meet two camera radii ahead.
fn common_focus(cameras: &[Camera]) -> (DVec3, f64) {
    let mut normal = DMat3::ZERO;
    let mut right = DVec3::ZERO;
    for camera in cameras {
        let (o, f) = (camera.position(), camera.forward());
        let across = DMat3::IDENTITY - DMat3::from_cols(f * f.x, f * f.y, f * f.z);
        normal += across;
        right += across * o;
    }
    let n = cameras.len() as f64;
    let extent = scene_extent(cameras);
    let focus = normal.inverse() * right;
    let ahead = |p: DVec3| {
        cameras
            .iter()
            .filter(|c| (p - c.position()).dot(c.forward()) > 0.0)
            .count()
    };
    let reach = 10.0 * extent;
    let centre = cameras.iter().map(Camera::position).sum::<DVec3>() / n;
    let focus = if focus.is_finite()
        && focus.distance(centre) < reach
        && 2 * ahead(focus) > cameras.len()
    {
        focus
    } else {
        centre + cameras.iter().map(Camera::forward).sum::<DVec3>() / n * (2.0 * extent)
    };
    let distance = cameras
        .iter()
        .map(|c| c.position().distance(focus))
        .sum::<f64>()
        / n;
    (focus, distance.max(1e-6))
}

/// Points on the rays of random pixels, at the depths at which neighbouring photos agree best, where several views see
/// them.
fn random_points(
    views: &[&View],
    empty: Option<[u8; 3]>,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Seed>> {
    let cameras: Vec<Camera> = views.iter().map(|v| v.camera).collect();
    let (focus, distance) = common_focus(&cameras);
    // Around a synthetic object there is nothing; behind a real one there is the world.
    let (near, far) = if empty.is_some() {
        (0.5 * distance, 1.5 * distance)
    } else {
        (0.2 * distance, 10.0 * distance)
    };
    let inverse_range = (1.0 / far as f32, 1.0 / near as f32);
    let quorum = (views.len() / 10).clamp(2, 5).min(views.len());
    let allowed = |point: DVec3| {
        let mut seen = 0;
        for view in views {
            if let Some(color) = color_at(view, point) {
                if empty == Some(color) {
                    return false;
                }
                seen += 1;
            }
        }
        seen >= quorum
    };
    let sweep = Sweep::new(views, focus);
    let mut points: Vec<Seed> = Vec::with_capacity(count);
    for round in 0..MAX_ROUNDS {
        let missing = count - points.len();
        if missing == 0 {
            break;
        }
        let tries: Vec<(usize, Vec2, f32, f32)> = (0..missing)
            .map(|_| {
                let view = uniform_index(rng, views.len());
                let k = &views[view].camera.intrinsics;
                let pixel = Vec2::new(
                    uniform(rng) as f32 * k.width as f32,
                    uniform(rng) as f32 * k.height as f32,
                );
                (view, pixel, uniform(rng) as f32, uniform(rng) as f32)
            })
            .collect();
        let found: Vec<Seed> = tries
            .into_par_iter()
            .filter_map(|(index, pixel, offset, random)| {
                let view = views[index];
                let k = &view.camera.intrinsics;
                let ray = DVec3::new(
                    (f64::from(pixel.x) - k.cx) / k.fx,
                    (f64::from(pixel.y) - k.cy) / k.fy,
                    1.0,
                );
                let at = |depth: f32| {
                    view.camera
                        .camera_to_world()
                        .transform_point3(ray * f64::from(depth))
                };
                let color = color_at(view, at(near as f32))?;
                if empty == Some(color) {
                    return None;
                }
                let depth = if views.len() > 1 && round < SWEPT_ROUNDS {
                    sweep.depth_at(index, pixel, inverse_range, offset, allowed)?
                } else {
                    1.0 / (inverse_range.0 + random * (inverse_range.1 - inverse_range.0))
                };
                let position = at(depth);
                let pixels_each = f64::from(k.width) * f64::from(k.height) / count as f64;
                allowed(position).then(|| Seed {
                    position,
                    color: color.map(|v| f32::from(v) / 255.0),
                    max_scale: f64::from(depth) / k.fx.min(k.fy) * pixels_each.sqrt().max(1.0),
                })
            })
            .collect();
        points.extend(found);
    }
    if points.is_empty() {
        return Err(Error::invalid(
            "the training cameras have no view in common, or show nothing but background: check the camera poses",
        ));
    }
    Ok(points)
}

/// The photo's colour where it shows `point`; `None` outside the picture, behind the camera, or under the mask.
fn color_at(view: &View, point: DVec3) -> Option<[u8; 3]> {
    let (pixel, depth) = view.camera.project(point);
    let (width, height) = (view.photo.width, view.photo.height);
    let inside = depth > 0.0
        && (0.0..f64::from(width)).contains(&pixel.x)
        && (0.0..f64::from(height)).contains(&pixel.y);
    if !inside {
        return None;
    }
    let at = pixel.y as usize * width as usize + pixel.x as usize;
    if view.mask.as_ref().is_some_and(|mask| mask[at] == 0) {
        return None;
    }
    let rgb = &view.photo.rgb[at * 3..at * 3 + 3];
    Some([rgb[0], rgb[1], rgb[2]])
}

/// Round splats of the size of the gaps between them.
fn splats_at(points: &[Seed], config: &InitConfig, rng: &mut ChaCha8Rng) -> Splats {
    let tree = RTree::bulk_load(
        points
            .iter()
            .enumerate()
            .map(|(i, p)| GeomWithData::new(p.position.to_array(), i))
            .collect(),
    );
    let mut spacings: Vec<f64> = points
        .par_iter()
        .enumerate()
        .map(|(i, p)| {
            let (sum, n) = tree
                .nearest_neighbor_iter_with_distance_2(&p.position.to_array())
                .filter(|(other, _)| other.data != i)
                .take(3)
                .fold((0.0, 0), |(sum, n), (_, d2)| (sum + d2.sqrt(), n + 1));
            sum / f64::from(n.max(1))
        })
        .collect();
    // Doubled points have no spacing and strays too much.
    let mut sorted = spacings.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let median = if median > 0.0 { median } else { 1e-3 };
    for (spacing, point) in spacings.iter_mut().zip(points) {
        *spacing = spacing
            .clamp(1e-3 * median, 30.0 * median)
            .min(point.max_scale);
    }

    let n = points.len();
    let rest = Splats::rest_count_of(config.sh_degree) * 3;
    let opacity = config.opacity.clamp(1e-4, 1.0 - 1e-4);
    Splats {
        sh_degree: config.sh_degree,
        antialiased: config.antialiased,
        means: points
            .iter()
            .flat_map(|p| p.position.as_vec3().to_array())
            .collect(),
        quats: (0..n).flat_map(|_| uniform_quat(rng)).collect(),
        log_scales: spacings
            .iter()
            .flat_map(|s| [(s * config.scale_factor).ln() as f32; 3])
            .collect(),
        logit_opacities: vec![(opacity / (1.0 - opacity)).ln(); n],
        sh_dc: points
            .iter()
            .flat_map(|p| p.color.map(|v| (v - 0.5) / SH_C0))
            .collect(),
        sh_rest: vec![0.0; n * rest],
    }
}

/// [0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn uniform_index(rng: &mut ChaCha8Rng, count: usize) -> usize {
    ((uniform(rng) * count as f64) as usize).min(count - 1)
}

/// (w, x, y, z), uniform over rotations (Shoemake 1992).
fn uniform_quat(rng: &mut ChaCha8Rng) -> [f32; 4] {
    let (u, v, w) = (
        uniform(rng),
        uniform(rng) * std::f64::consts::TAU,
        uniform(rng) * std::f64::consts::TAU,
    );
    let (a, b) = ((1.0 - u).sqrt(), u.sqrt());
    [a * v.sin(), a * v.cos(), b * w.sin(), b * w.cos()].map(|v| v as f32)
}
