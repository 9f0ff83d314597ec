//! What the window shows when there is nothing to draw yet: the start page when nothing is open, and the photos of a
//! capture that was not reconstructed.

use super::{
    Action,
    commands::{Facts, UiCommand},
    model::{Model, count},
    models::Models,
    recents::Recents,
    run_panel, theme,
    thumbs::{Picture, Thumbs},
};
use crate::worker::{Job, RunState, SceneInfo};
use eframe::egui::{self, Align, Layout, RichText, Sense};

const WIDTH: f32 = 460.0;
const DEMO_HEIGHT: f32 = 104.0;

/// Nothing is open.
pub fn show(
    ui: &mut egui::Ui,
    model: &Model,
    facts: &Facts,
    recents: &Recents,
    models: &Models,
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) {
    let top = (ui.available_height() * 0.16).clamp(12.0, 180.0);
    ui.add_space(top);
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        ui.set_max_width(WIDTH);
        ui.label(
            RichText::new("luxedit")
                .size(34.0)
                .color(theme::TEXT_STRONG),
        );
        ui.label(theme::weak(
            "Turn a captured 3D scene into something else by telling it what to become",
        ));
        ui.add_space(theme::SECTION_GAP * 1.5);
        if model.run == RunState::Running(Job::Open) {
            ui.add(egui::Spinner::new().size(22.0));
            let detail = match model.progress.detail.as_str() {
                "" => "Opening…".to_owned(),
                detail => super::model::sentence(detail),
            };
            ui.label(theme::weak(detail));
            if model.progress.total > 0 {
                let share = model.progress.done as f32 / model.progress.total as f32;
                ui.add(
                    egui::ProgressBar::new(share)
                        .desired_width(260.0)
                        .desired_height(6.0),
                );
            }
            return;
        }
        demo(ui, facts, models, thumbs, actions);
        ui.add_space(theme::GAP);
        ui.columns_const(|[left, right]| {
            let command = UiCommand::OpenFolder;
            run_panel::command_button(left, command, "Open capture folder…", false, facts, actions);
            let command = UiCommand::OpenFile;
            run_panel::command_button(right, command, "Open file…", false, facts, actions);
        });
        ui.add_space(4.0);
        ui.label(theme::small(
            "or drop a capture (COLMAP, nerfstudio, Metashape, RealityCapture, …; zipped too), photos, a video, a splat file or a project here",
        ));
        if recents.paths().is_empty() {
            return;
        }
        ui.add_space(theme::SECTION_GAP * 1.5);
        ui.with_layout(Layout::top_down(Align::Min), |ui| {
            ui.label(theme::weak("Recent"));
            for path in recents.paths() {
                recent(ui, path, actions);
            }
        });
    });
}

/// A card that opens the demo; where there is none, why.
fn demo(
    ui: &mut egui::Ui,
    facts: &Facts,
    models: &Models,
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) {
    if let Some(problem) = &facts.demo_refusal {
        ui.label(theme::small(super::model::sentence(problem)));
        return;
    }
    let info = UiCommand::OpenDemo.info();
    let size = egui::vec2(ui.available_width(), DEMO_HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, info.label));
    let is_hot = response.hovered() || response.has_focus();
    let fill = if is_hot {
        theme::CONTROL_HOVERED
    } else {
        theme::RAISED
    };
    let line = if is_hot { theme::ACCENT } else { theme::LINE };
    ui.painter().rect(
        rect,
        theme::CORNER,
        fill,
        egui::Stroke::new(1.0, line),
        egui::StrokeKind::Inside,
    );
    let inside = rect.shrink(8.0);
    let picture = egui::Rect::from_min_size(inside.min, egui::Vec2::splat(inside.height()));
    if let Some(photo) = &models.demo_picture {
        thumbs.paint_filling(ui, picture, Picture::Demo, photo);
    }
    let text = egui::Rect::from_min_max(
        egui::pos2(picture.right() + 14.0, inside.top() + 10.0),
        inside.max,
    );
    let mut inner = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(text)
            .layout(Layout::top_down(Align::Min)),
    );
    inner.spacing_mut().item_spacing.y = 3.0;
    let line = |text: RichText| egui::Label::new(text).wrap().selectable(false);
    inner.add(line(
        RichText::new("Try it on the demo")
            .color(theme::ACCENT_LIGHT)
            .strong(),
    ));
    inner.add(line(theme::small(
        "A man in a room: photos and scene, ready to edit. Type what he shall become, and press start.",
    )));
    if response.on_hover_text(info.tooltip).clicked() {
        actions.push(Action::Run(UiCommand::OpenDemo));
    }
}

fn recent(ui: &mut egui::Ui, path: &std::path::Path, actions: &mut Vec<Action>) {
    let name = path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let folder = path
        .parent()
        .map(|p| p.display().to_string())
        .unwrap_or_default();
    let size = egui::vec2(ui.available_width(), 38.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let label = format!("Open recent {}", path.display());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
    let visuals = ui.style().interact(&response);
    if response.hovered() || response.has_focus() {
        ui.painter()
            .rect_filled(rect, theme::CORNER, visuals.weak_bg_fill);
    }
    let mut inner = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect.shrink2(egui::vec2(10.0, 3.0)))
            .layout(Layout::top_down(Align::Min)),
    );
    inner.spacing_mut().item_spacing.y = 0.0;
    let line = |text: RichText| egui::Label::new(text).truncate().selectable(false);
    inner.add(line(RichText::new(name).color(theme::TEXT_STRONG)));
    inner.add(line(theme::small(folder)));
    if response.clicked() {
        actions.push(Action::Open(path.to_owned()));
    }
    response.context_menu(|ui| {
        if ui.button("Remove from this list").clicked() {
            actions.push(Action::ForgetRecent(path.to_owned()));
            ui.close();
        }
    });
}

/// A capture is open and has no scene yet: its photos.
pub fn contact_sheet(
    ui: &mut egui::Ui,
    model: &Model,
    scene: &SceneInfo,
    thumbs: &mut Thumbs,
    facts: &Facts,
    actions: &mut Vec<Action>,
) {
    let frame = egui::Frame::new().inner_margin(egui::Margin::symmetric(20, 16));
    frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.heading(&scene.title);
                let held_out = scene.views.iter().filter(|v| v.is_eval).count();
                ui.label(theme::weak(format!(
                    "{}, {} of them held out to measure quality",
                    count(scene.views.len(), "photo"),
                    held_out
                )));
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if model.run == RunState::Idle {
                    ui.set_max_width(200.0);
                    let command = UiCommand::Reconstruct;
                    run_panel::command_button(
                        ui,
                        command,
                        "Reconstruct this capture",
                        true,
                        facts,
                        actions,
                    );
                } else {
                    ui.add(egui::Spinner::new());
                    ui.label(theme::weak("The scene appears with the first steps"));
                }
            });
        });
        ui.add_space(theme::GAP);
        egui::ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                let gap = 6.0;
                let room = ui.available_width();
                let columns = (room / 130.0).floor().max(1.0);
                let side = (room - gap * (columns - 1.0)) / columns;
                let columns = columns as usize;
                ui.spacing_mut().item_spacing = egui::vec2(gap, gap);
                for (row, views) in scene.views.chunks(columns).enumerate() {
                    ui.horizontal(|ui| {
                        for (i, view) in views.iter().enumerate() {
                            let (rect, response) =
                                ui.allocate_exact_size(egui::vec2(side, side), Sense::hover());
                            if ui.is_rect_visible(rect) {
                                let picture = Picture::Original(row * columns + i);
                                thumbs.paint_filling(ui, rect, picture, &view.photo);
                            }
                            response.on_hover_text(&view.name);
                        }
                    });
                }
            });
    });
}
