//! Depths for random pixels where a capture comes without points. A splat that starts on a surface needs to be no larger
//! than the gap to its neighbours; one that starts anywhere in the volume must be found by the optimizer first, which
//! without densification is slow and often fails. So each random pixel's ray is swept (Collins 1996): of random depths
//! that several cameras see, the one whose surroundings look most alike in neighbouring photos is kept.

use crate::scene::{Camera, View};
use glam::{DVec3, Mat3, Vec2, Vec3};

/// Photos a depth is compared in.
const NEIGHBOURS: usize = 8;
/// Baseline, as an angle at the focus, at which photos are most telling.
const BEST_ANGLE_RADIANS: f64 = 0.2;
/// Depths tried on a ray on the coarsest photos, then around the best one on finer and finer ones.
const COARSE_DEPTHS: usize = 64;
const FINE_DEPTHS: usize = 5;
/// Photos at 1/4, 1/2 and full size.
const LEVELS: usize = 3;
/// Patch around the pixel, in pixels of the level.
const PATCH: [(f32, f32); 9] = [
    (0.0, 0.0),
    (-1.0, 0.0),
    (1.0, 0.0),
    (0.0, -1.0),
    (0.0, 1.0),
    (-1.0, -1.0),
    (1.0, -1.0),
    (-1.0, 1.0),
    (1.0, 1.0),
];

/// A photo at one size, `[height, width]` of rgb in [0, 1].
struct Level {
    width: usize,
    height: usize,
    pixels: Vec<Vec3>,
}

impl Level {
    fn of(view: &View) -> Self {
        Self {
            width: view.photo.width as usize,
            height: view.photo.height as usize,
            pixels: view
                .photo
                .rgb
                .as_chunks::<3>()
                .0
                .iter()
                .map(|c| Vec3::from_array(c.map(|v| f32::from(v) / 255.0)))
                .collect(),
        }
    }

    fn halved(&self) -> Self {
        let (width, height) = ((self.width / 2).max(1), (self.height / 2).max(1));
        let at = |x: usize, y: usize| {
            self.pixels[y.min(self.height - 1) * self.width + x.min(self.width - 1)]
        };
        Self {
            width,
            height,
            pixels: (0..width * height)
                .map(|i| {
                    let (x, y) = (i % width * 2, i / width * 2);
                    (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
                })
                .collect(),
        }
    }

    /// Bilinear; `position` in pixels of this level, the first pixel's centre at 0.5; clamped to the border.
    fn sample(&self, position: Vec2) -> Vec3 {
        let p = (position - 0.5).clamp(
            Vec2::ZERO,
            Vec2::new((self.width - 1) as f32, (self.height - 1) as f32),
        );
        let (x, y) = (p.x as usize, p.y as usize);
        let (x1, y1) = ((x + 1).min(self.width - 1), (y + 1).min(self.height - 1));
        let (fx, fy) = (p.x - x as f32, p.y - y as f32);
        let at = |x: usize, y: usize| self.pixels[y * self.width + x];
        at(x, y)
            .lerp(at(x1, y), fx)
            .lerp(at(x, y1).lerp(at(x1, y1), fx), fy)
    }
}

/// From one camera's space to another's.
struct Neighbour {
    view: usize,
    rotation: Mat3,
    translation: Vec3,
}

/// Photos and poses, ready for sweeping.
pub(super) struct Sweep<'a> {
    views: &'a [&'a View],
    levels: Vec<[Level; LEVELS]>,
    neighbours: Vec<Vec<Neighbour>>,
}

impl<'a> Sweep<'a> {
    /// `focus`: the point that the cameras look at.
    pub fn new(views: &'a [&'a View], focus: DVec3) -> Self {
        use rayon::prelude::*;
        let levels = views
            .par_iter()
            .map(|view| {
                let full = Level::of(view);
                let half = full.halved();
                [half.halved(), half, full]
            })
            .collect();
        let neighbours = views
            .iter()
            .enumerate()
            .map(|(i, view)| neighbours_of(i, &view.camera, views, focus))
            .collect();
        Self {
            views,
            levels,
            neighbours,
        }
    }

    /// The most consistent depth (camera z) at `pixel` of `view`. `inverse_range` is 1/far and 1/near, `first_offset` in
    /// [0, 1) shifts the depths that are tried, `allowed` tells which world points may be at all. `None` when no depth is
    /// allowed and seen by two neighbours (by one, where there is only one).
    pub fn depth_at(
        &self,
        view: usize,
        pixel: Vec2,
        inverse_range: (f32, f32),
        first_offset: f32,
        allowed: impl Fn(DVec3) -> bool,
    ) -> Option<f32> {
        let (far, near) = inverse_range;
        let mut step = (near - far) / COARSE_DEPTHS as f32;
        let to_world = self.views[view].camera.camera_to_world();
        let ray = self.ray(view, pixel);
        let try_depths = |level: usize, first: f32, step: f32, count: usize| {
            let patch = self.patch(view, pixel, level);
            let mut best: Option<(f32, f32)> = None;
            for i in 0..count {
                let inverse = first + step * i as f32;
                if inverse <= 0.0 {
                    continue;
                }
                let world = to_world.transform_point3((ray / inverse).as_dvec3());
                if !allowed(world) {
                    continue;
                }
                if let Some(cost) = self.cost(view, &patch, level, 1.0 / inverse)
                    && best.is_none_or(|(_, least)| cost < least)
                {
                    best = Some((inverse, cost));
                }
            }
            best
        };
        let (mut inverse, _) = try_depths(0, far + step * first_offset, step, COARSE_DEPTHS)?;
        for level in 1..LEVELS {
            step /= 3.0;
            let first = inverse - step * (FINE_DEPTHS / 2) as f32;
            (inverse, _) = try_depths(level, first, step, FINE_DEPTHS)?;
        }
        Some(1.0 / inverse)
    }

    fn ray(&self, view: usize, pixel: Vec2) -> Vec3 {
        let k = &self.views[view].camera.intrinsics;
        Vec3::new(
            ((f64::from(pixel.x) - k.cx) / k.fx) as f32,
            ((f64::from(pixel.y) - k.cy) / k.fy) as f32,
            1.0,
        )
    }

    /// Rays and colours around the pixel.
    fn patch(&self, view: usize, pixel: Vec2, level: usize) -> [(Vec3, Vec3); PATCH.len()] {
        let shrink = (1 << (LEVELS - 1 - level)) as f32;
        PATCH.map(|(dx, dy)| {
            let p = pixel + Vec2::new(dx, dy) * shrink;
            (
                self.ray(view, p),
                self.levels[view][level].sample(p / shrink),
            )
        })
    }

    /// Mean absolute difference of the patch in the better half of the neighbours that see it.
    fn cost(
        &self,
        view: usize,
        patch: &[(Vec3, Vec3); PATCH.len()],
        level: usize,
        depth: f32,
    ) -> Option<f32> {
        let shrink = (1 << (LEVELS - 1 - level)) as f32;
        let neighbours = &self.neighbours[view];
        let mut costs = [f32::INFINITY; NEIGHBOURS];
        let mut seen = 0;
        for neighbour in neighbours {
            let k = &self.views[neighbour.view].camera.intrinsics;
            let focal = Vec2::new(k.fx as f32, k.fy as f32);
            let centre = Vec2::new(k.cx as f32, k.cy as f32);
            let photo = &self.levels[neighbour.view][level];
            let mut sum = 0.0;
            for (i, (ray, color)) in patch.iter().enumerate() {
                let p = neighbour.rotation * (*ray * depth) + neighbour.translation;
                let pixel = focal * Vec2::new(p.x, p.y) / p.z + centre;
                let inside = p.z > 1e-6
                    && pixel.cmpge(Vec2::ZERO).all()
                    && pixel.x < k.width as f32
                    && pixel.y < k.height as f32;
                if i == 0 && !inside {
                    sum = f32::INFINITY;
                    break;
                }
                if p.z > 1e-6 {
                    sum += (photo.sample(pixel / shrink) - *color).abs().element_sum();
                }
            }
            if sum.is_finite() {
                costs[seen] = sum / (3 * PATCH.len()) as f32;
                seen += 1;
            }
        }
        if seen < neighbours.len().min(2) || seen == 0 {
            return None;
        }
        let costs = &mut costs[..seen];
        costs.sort_by(f32::total_cmp);
        let better = seen.div_ceil(2).max(2).min(seen);
        Some(costs[..better].iter().sum::<f32>() / better as f32)
    }
}

fn neighbours_of(view: usize, camera: &Camera, views: &[&View], focus: DVec3) -> Vec<Neighbour> {
    let arm = (camera.position() - focus).normalize_or_zero();
    let mut ranked: Vec<(f64, usize)> = views
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != view)
        .map(|(i, other)| {
            let other_arm = (other.camera.position() - focus).normalize_or_zero();
            let turned = other.camera.forward().angle_between(camera.forward());
            let baseline = arm.angle_between(other_arm);
            ((baseline - BEST_ANGLE_RADIANS).abs() + turned, i)
        })
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ranked
        .into_iter()
        .take(NEIGHBOURS)
        .map(|(_, i)| {
            let relative = views[i].camera.world_to_camera * camera.camera_to_world();
            Neighbour {
                view: i,
                rotation: glam::DMat3::from_mat4(relative).as_mat3(),
                translation: relative.w_axis.truncate().as_vec3(),
            }
        })
        .collect()
}
