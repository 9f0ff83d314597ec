//! The two lines that tell an artist whether waiting longer is worth it: the loss, and how much each new edit of a view
//! still differs from its last one.

use super::{series::Series, theme};
use eframe::egui::{self, Color32};
use egui_plot::{Corner, HoverPosition, Line, Plot, PlotPoints};

const HEIGHT: f32 = 74.0;

/// What a plot says.
pub struct Caption {
    pub title: &'static str,
    pub help: &'static str,
    pub empty: &'static str,
    pub color: Color32,
}

pub const LOSS: Caption = Caption {
    title: "Loss",
    help: "How far the scene is from its training pictures. It jumps up when views are edited, then falls again",
    empty: "Appears with the first step",
    color: theme::ACCENT,
};

pub const CONVERGENCE: Caption = Caption {
    title: "Convergence",
    help: "How much each new edit of a view still differs from the view's last one, mean over recent edits. \
           When it no longer falls, the edit has settled",
    empty: "Appears when a view is edited for the second time",
    color: theme::SECOND,
};

/// A line over the steps, with its newest value.
pub fn show(ui: &mut egui::Ui, caption: &Caption, series: &Series) {
    ui.horizontal(|ui| {
        let title = ui
            .label(theme::weak(caption.title))
            .on_hover_text(caption.help);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if let Some(value) = series.last() {
                ui.label(
                    egui::RichText::new(format!("{value:.4}"))
                        .monospace()
                        .color(theme::TEXT),
                )
                .labelled_by(title.id);
            }
        });
    });
    if series.points().len() < 2 {
        let (rect, _) = ui.allocate_exact_size(
            egui::vec2(ui.available_width(), HEIGHT * 0.5),
            egui::Sense::hover(),
        );
        ui.painter().rect_filled(rect, theme::CORNER, theme::SUNKEN);
        ui.painter().text(
            rect.center(),
            egui::Align2::CENTER_CENTER,
            caption.empty,
            egui::FontId::proportional(11.5),
            theme::TEXT_WEAK,
        );
        return;
    }
    let points = series.points();
    let smooth = smoothed(points);
    Plot::new(caption.title)
        .height(HEIGHT)
        .show_axes(false)
        .show_grid([false, true])
        .show_background(true)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .show_crosshair(false)
        .set_margin_fraction(egui::vec2(0.02, 0.12))
        .coordinates_formatter(
            Corner::RightTop,
            egui_plot::CoordinatesFormatter::new(|_, _| String::new()),
        )
        .label_formatter(|hover| {
            let position = match hover {
                HoverPosition::NearDataPoint { position, .. }
                | HoverPosition::Elsewhere { position } => position,
            };
            Some(format!("Step {:.0}\n{:.4}", position.x, position.y))
        })
        .show(ui, |plot| {
            let raw = PlotPoints::new(points.to_vec());
            plot.line(
                Line::new("Each", raw)
                    .color(caption.color.gamma_multiply(0.35))
                    .width(1.0),
            );
            plot.line(Line::new("Mean", smooth).color(caption.color).width(1.8));
        });
}

/// Exponential moving average over a twentieth of the line.
fn smoothed(points: &[[f64; 2]]) -> PlotPoints<'static> {
    let weight = (20.0 / points.len() as f64).clamp(0.02, 0.5);
    let mut mean = points.first().map_or(0.0, |p| p[1]);
    points
        .iter()
        .map(|p| {
            mean += weight * (p[1] - mean);
            [p[0], mean]
        })
        .collect()
}
