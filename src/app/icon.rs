//! The window's icon, drawn rather than stored: a lit ball on the colour of the panels.

use super::theme;
use eframe::egui::{Color32, IconData};

const SIDE: usize = 64;

pub fn icon() -> IconData {
    let mut rgba = Vec::with_capacity(SIDE * SIDE * 4);
    for y in 0..SIDE {
        for x in 0..SIDE {
            rgba.extend(pixel(unit(x), unit(y)).to_srgba_unmultiplied());
        }
    }
    IconData {
        rgba,
        width: SIDE as u32,
        height: SIDE as u32,
    }
}

/// Pixel centre in [−1, 1].
fn unit(i: usize) -> f32 {
    (2 * i + 1) as f32 / SIDE as f32 - 1.0
}

fn pixel(x: f32, y: f32) -> Color32 {
    // A square with round corners, one pixel of soft edge.
    let corner = 0.36;
    let outside = (x.abs() - 1.0 + corner)
        .max(0.0)
        .hypot((y.abs() - 1.0 + corner).max(0.0));
    let cover = ((corner - outside) * 0.5 * SIDE as f32 + 0.5).clamp(0.0, 1.0);
    let radius = 0.62;
    let ball = ((radius - x.hypot(y)) * 0.5 * SIDE as f32 + 0.5).clamp(0.0, 1.0);
    let z = (radius * radius - x * x - y * y).max(0.0).sqrt() / radius;
    let light = (0.25 + 0.6 * z - 0.35 * (x + y)).clamp(0.1, 1.15);
    let mix = |back: u8, front: u8| {
        let front = (f32::from(front) * light).min(255.0);
        (f32::from(back) + (front - f32::from(back)) * ball) as u8
    };
    let (back, front) = (theme::PANEL, theme::ACCENT);
    Color32::from_rgba_unmultiplied(
        mix(back.r(), front.r()),
        mix(back.g(), front.g()),
        mix(back.b(), front.b()),
        (255.0 * cover) as u8,
    )
}
