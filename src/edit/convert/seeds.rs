//! Splats' places on a surface that pictures with depths show. A surface is seen by many pictures, and by each with many
//! more pixels than splats are needed; one seed is kept of each cube about as large as a pixel is there, the one that was
//! seen from nearest.

use super::DepthView;
use crate::splat::Seed;
use std::collections::BTreeMap;

/// Sides of a cube, in pixels; cubes have sides that are powers of two.
const PIXELS_A_SIDE: f64 = 1.0;
/// A splat begins at most so many cubes wide.
const MOST_CUBES: f64 = 2.0;
/// Depths that differ by more than so many pixels between neighbours belong to different surfaces: the pixel is half one
/// and half the other.
const EDGE_PIXELS: f64 = 8.0;

/// Seeds on all surfaces that `views` show, in an order that depends on nothing else.
pub fn seeds(views: &[DepthView]) -> Vec<Seed> {
    // The power of two, and the cube's place in units of its side.
    let mut cubes = BTreeMap::<(i32, [i64; 3]), (f64, Seed)>::new();
    for view in views {
        let k = view.camera.intrinsics;
        let world_from_camera = view.camera.camera_to_world();
        let (width, height) = (k.width as usize, k.height as usize);
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                let depth = f64::from(view.depth[at]);
                if depth <= 0.0 || !depth.is_finite() || is_edge(view, x, y) {
                    continue;
                }
                let pixel = view.footprint(depth);
                let power = (pixel * PIXELS_A_SIDE).log2().round() as i32;
                let side = f64::from(power).exp2();
                let ray = glam::DVec3::new(
                    (x as f64 + 0.5 - k.cx) / k.fx,
                    (y as f64 + 0.5 - k.cy) / k.fy,
                    1.0,
                );
                let position = world_from_camera.transform_point3(ray * depth);
                let place = (position / side).floor().to_array().map(|v| v as i64);
                let [r, g, b, _] = view.rgba[at];
                let seed = Seed {
                    position,
                    color: [r, g, b].map(|v| f32::from(v) / 255.0),
                    max_scale: MOST_CUBES * side,
                };
                let kept = cubes.entry((power, place)).or_insert((depth, seed));
                if depth < kept.0 {
                    *kept = (depth, seed);
                }
            }
        }
    }
    cubes.into_values().map(|(_, seed)| seed).collect()
}

fn is_edge(view: &DepthView, x: usize, y: usize) -> bool {
    let k = view.camera.intrinsics;
    let (width, height) = (k.width as usize, k.height as usize);
    let depth = view.depth[y * width + x];
    let most = EDGE_PIXELS * view.footprint(f64::from(depth));
    let is_far = |x: usize, y: usize| {
        let other = view.depth[y * width + x];
        other > 0.0 && f64::from((other - depth).abs()) > most
    };
    (x > 0 && is_far(x - 1, y))
        || (x + 1 < width && is_far(x + 1, y))
        || (y > 0 && is_far(x, y - 1))
        || (y + 1 < height && is_far(x, y + 1))
}
