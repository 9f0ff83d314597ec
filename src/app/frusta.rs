//! Where the photos were taken: each capture camera as a small pyramid over the scene, clickable.

use super::theme;
use crate::{scene::Camera, worker::ViewInfo};
use eframe::egui::{self, Pos2, Stroke};
use glam::{DVec2, DVec3};

/// Points from the pointer within which a camera is hit.
const REACH: f32 = 14.0;

/// Draw the capture cameras as seen by `camera`, whose intrinsics are in points of `rect`. `depth` is the length of a
/// pyramid in world units. Returns the view under the pointer.
pub fn show(
    painter: &egui::Painter,
    rect: egui::Rect,
    camera: &Camera,
    views: &[ViewInfo],
    depth: f64,
    pointer: Option<Pos2>,
) -> Option<usize> {
    let near = depth * 0.1;
    let project = |world: DVec3| {
        let (pixel, z) = camera.project(world);
        (z > near).then(|| rect.min + egui::vec2(pixel.x as f32, pixel.y as f32))
    };
    let apexes: Vec<Option<Pos2>> = views
        .iter()
        .map(|view| project(view.camera.position()))
        .collect();
    let hovered = pointer.and_then(|pointer| {
        let distance = |i: usize| apexes[i].map_or(f32::INFINITY, |apex| apex.distance(pointer));
        (0..views.len())
            .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
            .filter(|&i| distance(i) < REACH)
    });
    for (i, view) in views.iter().enumerate() {
        let Some(apex) = apexes[i] else { continue };
        let corners = corners(&view.camera, depth).map(project);
        let [Some(a), Some(b), Some(c), Some(d)] = corners else {
            continue;
        };
        let (color, width) = if hovered == Some(i) {
            (theme::ACCENT, 2.0)
        } else if view.is_eval {
            (theme::TEXT_WEAK, 1.0)
        } else {
            (theme::SECOND, 1.0)
        };
        let stroke = Stroke::new(width, color);
        painter.add(egui::Shape::closed_line(vec![a, b, c, d], stroke));
        for corner in [a, b, c, d] {
            painter.line_segment([apex, corner], stroke);
        }
    }
    hovered
}

/// The picture's corners at `depth`, in world space, around the picture.
fn corners(camera: &Camera, depth: f64) -> [DVec3; 4] {
    let k = camera.intrinsics;
    let (w, h) = (f64::from(k.width), f64::from(k.height));
    let world_from_camera = camera.camera_to_world();
    [[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]].map(|[x, y]| {
        let on_plane = DVec2::new((x - k.cx) / k.fx, (y - k.cy) / k.fy) * depth;
        world_from_camera.transform_point3(on_plane.extend(depth))
    })
}
