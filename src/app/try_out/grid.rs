//! The pictures of the grid: instruction strength to the right, faithfulness and seed downwards.

use super::Trials;
use crate::{
    app::{
        theme,
        thumbs::{Picture, Thumbs},
    },
    settings::Settings,
    worker::{Grid, Trial, TrialPreview},
};
use eframe::egui::{self, Align2, FontId, Rect, Sense};

/// Room for the names of rows and columns, points.
const ROW_NAMES: f32 = 76.0;
const COLUMN_NAMES: f32 = 40.0;
/// Least width of a picture; smaller ones scroll.
const LEAST: f32 = 72.0;

/// What a cell shows.
enum Cell<'a> {
    Done(u64, &'a crate::scene::Photo),
    Running(u64, &'a TrialPreview),
    /// Will be tried.
    Waiting,
    Empty,
}

/// The width that all cells take in `room`.
pub fn width(grid: &Grid, room: egui::Vec2, aspect: f32) -> f32 {
    let cell = cell_size(grid, room, aspect);
    ROW_NAMES + grid.guidance_scales.len() as f32 * (cell.x + theme::GAP)
}

fn cell_size(grid: &Grid, room: egui::Vec2, aspect: f32) -> egui::Vec2 {
    let columns = grid.guidance_scales.len() as f32;
    let rows = grid.rows().len() as f32;
    let width = (room.x - ROW_NAMES) / columns - theme::GAP;
    let height = (room.y - COLUMN_NAMES) / rows - theme::GAP;
    let width = width.min(height * aspect).max(LEAST);
    egui::vec2(width, width / aspect)
}

/// All cells; `aspect` of the view's pictures. A click on a picture chooses its setting.
pub fn show(
    ui: &mut egui::Ui,
    grid: &Grid,
    results: Option<&Trials>,
    (aspect, is_trying): (f32, bool),
    chosen: &mut Option<Trial>,
    thumbs: &mut Thumbs,
) {
    let rows = grid.rows();
    let columns = grid.guidance_scales.len();
    let cell = cell_size(grid, ui.available_size(), aspect);
    let pitch = cell + egui::Vec2::splat(theme::GAP);
    let all = egui::vec2(
        ROW_NAMES + columns as f32 * pitch.x,
        COLUMN_NAMES + rows.len() as f32 * pitch.y,
    );
    egui::ScrollArea::both()
        .id_salt("try out grid")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            let (rect, _) = ui.allocate_exact_size(all, Sense::hover());
            names(ui, rect, grid, &rows, pitch);
            for (i, trial) in grid.trials().into_iter().enumerate() {
                let (column, row) = ((i % columns) as f32, (i / columns) as f32);
                let offset = egui::vec2(ROW_NAMES + column * pitch.x, COLUMN_NAMES + row * pitch.y);
                let place = Rect::from_min_size(rect.min + offset, cell);
                let content = content(results, &trial, is_trying);
                if show_cell(
                    ui,
                    place,
                    &trial,
                    grid,
                    content,
                    *chosen == Some(trial),
                    thumbs,
                ) {
                    *chosen = Some(trial);
                }
            }
        });
}

fn content<'a>(results: Option<&'a Trials>, trial: &Trial, is_trying: bool) -> Cell<'a> {
    let Some(results) = results else {
        return Cell::Empty;
    };
    if let Some((number, tried)) = results.of(trial) {
        return Cell::Done(*number, &tried.picture);
    }
    match &results.preview {
        Some((number, preview)) if is_trying && preview.trial == *trial => {
            Cell::Running(*number, preview)
        }
        _ if is_trying => Cell::Waiting,
        _ => Cell::Empty,
    }
}

fn names(ui: &egui::Ui, rect: Rect, grid: &Grid, rows: &[(f64, u64)], pitch: egui::Vec2) {
    let label = |key: &str| Settings::info(key).map_or("", |s| s.label);
    let painter = ui.painter();
    let small = FontId::proportional(11.5);
    let body = FontId::proportional(13.5);
    painter.text(
        rect.min + egui::vec2(ROW_NAMES, 0.0),
        Align2::LEFT_TOP,
        label("guidance_scale"),
        small.clone(),
        theme::TEXT_WEAK,
    );
    let axis = painter.layout(
        label("image_guidance_scale").to_owned(),
        small.clone(),
        theme::TEXT_WEAK,
        ROW_NAMES - 6.0,
    );
    painter.galley(rect.min, axis, theme::TEXT_WEAK);
    for (i, scale) in grid.guidance_scales.iter().enumerate() {
        painter.text(
            rect.min + egui::vec2(ROW_NAMES + i as f32 * pitch.x, COLUMN_NAMES - 6.0),
            Align2::LEFT_BOTTOM,
            scale.to_string(),
            body.clone(),
            theme::TEXT_STRONG,
        );
    }
    for (i, (scale, seed)) in rows.iter().enumerate() {
        let at = rect.min + egui::vec2(0.0, COLUMN_NAMES + i as f32 * pitch.y);
        let text = scale.to_string();
        painter.text(at, Align2::LEFT_TOP, text, body.clone(), theme::TEXT_STRONG);
        if grid.seeds.len() > 1 {
            let at = at + egui::vec2(0.0, 18.0);
            let text = format!("Seed {seed}");
            painter.text(at, Align2::LEFT_TOP, text, small.clone(), theme::TEXT_WEAK);
        }
    }
}

/// True when the cell was clicked and has a picture to choose.
fn show_cell(
    ui: &mut egui::Ui,
    rect: Rect,
    trial: &Trial,
    grid: &Grid,
    content: Cell<'_>,
    is_chosen: bool,
    thumbs: &mut Thumbs,
) -> bool {
    let mut name = format!(
        "Strength {}, faithfulness {}",
        trial.guidance_scale, trial.image_guidance_scale
    );
    if grid.seeds.len() > 1 {
        name += &format!(", seed {}", trial.seed);
    }
    let is_done = matches!(content, Cell::Done(..));
    let sense = if is_done {
        Sense::click()
    } else {
        Sense::hover()
    };
    let id = ui.scope_id().with(("trial", &name));
    let response = ui.interact(rect, id, sense);
    response
        .widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, is_done, is_chosen, &name));
    if !ui.is_rect_visible(rect) {
        return false;
    }
    ui.painter().rect_filled(rect, theme::CORNER, theme::SUNKEN);
    match content {
        Cell::Done(number, photo) => thumbs.paint_whole(ui, rect, Picture::Tried(number), photo),
        Cell::Running(number, preview) => {
            if let Some(photo) = &preview.picture {
                thumbs.paint_whole(ui, rect, Picture::Tried(number), photo);
            }
            let share = preview.done as f32 / preview.steps.max(1) as f32;
            let strip = Rect::from_min_max(rect.left_bottom() - egui::vec2(0.0, 5.0), rect.max);
            ui.painter().rect_filled(strip, 2.0, theme::OVERLAY);
            let part = egui::vec2(strip.width() * share, strip.height());
            let done = Rect::from_min_size(strip.min, part);
            ui.painter().rect_filled(done, 2.0, theme::ACCENT);
        }
        Cell::Waiting => note(ui, rect, "Waiting"),
        Cell::Empty => note(ui, rect, "Not tried"),
    }
    let is_pointed = is_done && (response.hovered() || response.has_focus());
    if is_chosen || is_pointed {
        let (width, color) = if is_chosen {
            (3.0, theme::ACCENT)
        } else {
            (1.5, theme::ACCENT_LIGHT)
        };
        let stroke = egui::Stroke::new(width, color);
        let painter = ui.painter();
        painter.rect_stroke(rect, theme::CORNER, stroke, egui::StrokeKind::Outside);
    }
    response.clicked() && is_done
}

fn note(ui: &egui::Ui, rect: Rect, text: &str) {
    ui.painter().text(
        rect.center(),
        Align2::CENTER_CENTER,
        text,
        FontId::proportional(11.5),
        theme::TEXT_WEAK,
    );
}
