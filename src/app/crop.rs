//! The crop box of a Luxen: numbers in the panel, lines in the viewport.

use super::theme;
use crate::{
    scene::{Camera, CropBox},
    worker::SceneInfo,
};
use eframe::egui;
use glam::DVec3;

/// A new box reaches this share of the scene's radius to each side of its middle.
const REACH: f64 = 0.4;
/// Share of the radius that a number changes by when it is dragged by a point.
const SPEED: f64 = 0.003;
/// Least side, shares of the radius.
const LEAST: f64 = 1e-3;

/// The box that a setting's text names; none for a text that names none.
pub fn of_text(text: &str) -> Option<CropBox> {
    CropBox::parse(text).ok().flatten()
}

/// A switch and two corners; `text` is the setting.
pub fn panel(ui: &mut egui::Ui, text: &mut String, scene: &SceneInfo) {
    let known = of_text(text);
    let mut is_on = known.is_some();
    let switch = ui.checkbox(&mut is_on, "Crop box").on_hover_text(
        "Show, render and export only what is in a box; reconstruction and edits see everything",
    );
    if switch.changed() {
        let reach = DVec3::splat(REACH * scene.radius);
        *text = match is_on {
            true => CropBox {
                low: scene.center - reach,
                high: scene.center + reach,
            }
            .to_string(),
            false => String::new(),
        };
    }
    let Some(mut crop) = of_text(text) else {
        return;
    };
    let least = LEAST * scene.radius;
    let mut changed = false;
    for axis in 0..3 {
        ui.horizontal(|ui| {
            let name = ["x", "y", "z"][axis];
            ui.label(theme::small(format!("{name} from")));
            let (mut low, mut high) = (crop.low[axis], crop.high[axis]);
            let mut number = |ui: &mut egui::Ui, value: &mut f64, range, what: &str| {
                let drag = egui::DragValue::new(value)
                    .speed(SPEED * scene.radius)
                    .max_decimals(3)
                    .range(range);
                let response = ui.add(drag);
                response.widget_info(|| {
                    egui::WidgetInfo::labeled(
                        egui::Role::SpinButton,
                        true,
                        format!("Crop box {name} {what}"),
                    )
                });
                changed |= response.changed();
            };
            number(ui, &mut low, f64::NEG_INFINITY..=high - least, "from");
            ui.label(theme::small("to"));
            number(ui, &mut high, low + least..=f64::INFINITY, "to");
            (crop.low[axis], crop.high[axis]) = (low, high);
        });
    }
    if changed {
        *text = crop.to_string();
    }
}

/// The box's edges, as `camera` sees them in `rect`.
pub fn paint(painter: &egui::Painter, rect: egui::Rect, camera: &Camera, crop: &CropBox) {
    let corners = crop.corners().map(|corner| {
        let (pixel, depth) = camera.project(corner);
        let at = rect.min + egui::vec2(pixel.x as f32, pixel.y as f32);
        (depth > 0.0).then_some(at)
    });
    let stroke = egui::Stroke::new(1.0, theme::ACCENT);
    for from in 0..8usize {
        for axis in 0..3 {
            let to = from | 1 << axis;
            if let (true, Some(a), Some(b)) = (to != from, corners[from], corners[to]) {
                painter.line_segment([a, b], stroke);
            }
        }
    }
}
