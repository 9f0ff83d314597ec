//! The snapshots of the run as pictures in a row. Dragging along them scrubs the viewport; at the right end is the live
//! scene. What is shown can be restored, and then what follows is a branch, marked where it leaves the row's order.

use super::{
    Action,
    commands::{Facts, UiCommand},
    model::{Model, thousands},
    theme,
    thumbs::{self, Picture, Thumbs},
};
use crate::worker::{SnapshotId, SnapshotInfo};
use eframe::egui::{
    self, Align2, FontId, Rect, Sense,
    scroll_area::{DragScroll, ScrollSource},
};

const CAPTION: f32 = 18.0;

/// The whole row's height.
pub const HEIGHT: f32 = theme::TIMELINE_PICTURE + CAPTION + 18.0;
/// Width of the column of buttons beside the row.
const BUTTONS: f32 = 118.0;

pub fn show(
    ui: &mut egui::Ui,
    model: &Model,
    shown: Option<SnapshotId>,
    facts: &Facts,
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) {
    ui.horizontal_top(|ui| {
        let row = egui::vec2(ui.available_width() - BUTTONS - theme::GAP, HEIGHT - 8.0);
        ui.allocate_ui(row, |ui| strip(ui, model, shown, thumbs, actions));
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            buttons(ui, model, shown, facts, actions);
        });
    });
}

fn strip(
    ui: &mut egui::Ui,
    model: &Model,
    shown: Option<SnapshotId>,
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) {
    egui::ScrollArea::horizontal()
        .id_salt("timeline")
        .auto_shrink([false, false])
        .stick_to_right(true)
        .scroll_source(ScrollSource {
            drag: DragScroll::Never,
            ..ScrollSource::default()
        })
        .show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let mut places = Vec::with_capacity(model.snapshots.len() + 1);
                let mut previous = None;
                let has_moved = shown_has_changed(ui, shown);
                for snapshot in &model.snapshots {
                    let is_branch = previous.is_some() && snapshot.parent != previous;
                    let rect = card(
                        ui,
                        model,
                        snapshot,
                        [shown == Some(snapshot.id), is_branch],
                        thumbs,
                        actions,
                    );
                    if has_moved && shown == Some(snapshot.id) {
                        ui.scroll_to_rect(rect, None);
                    }
                    places.push((rect, Some(snapshot.id)));
                    previous = Some(snapshot.id);
                }
                let rect = live_card(ui, shown.is_none(), actions);
                if has_moved && shown.is_none() {
                    ui.scroll_to_rect(rect, None);
                }
                places.push((rect, None));
                scrub(ui, shown, &places, actions);
            });
        });
}

/// Whether another state is on show than in the last frame.
fn shown_has_changed(ui: &egui::Ui, shown: Option<SnapshotId>) -> bool {
    let id = egui::Id::unique("timeline shown");
    ui.data_mut(|data| {
        let last = data.get_temp::<Option<SnapshotId>>(id);
        data.insert_temp(id, shown);
        last.is_some_and(|last| last != shown)
    })
}

/// Dragging over the row shows what is under the pointer.
fn scrub(
    ui: &egui::Ui,
    shown: Option<SnapshotId>,
    places: &[(Rect, Option<SnapshotId>)],
    actions: &mut Vec<Action>,
) {
    let pointer = ui.input(|i| {
        let origin = i.pointer.press_origin()?;
        let is_here =
            places.iter().any(|(rect, _)| rect.contains(origin)) && i.pointer.primary_down();
        i.pointer
            .interact_pos()
            .filter(|_| is_here && i.pointer.is_decidedly_dragging())
    });
    let is_on_top = |at| ui.ctx().layer_id_at(at) == Some(ui.layer_id());
    let Some(pointer) = pointer.filter(|at| is_on_top(*at)) else {
        return;
    };
    let nearest = places.iter().min_by(|a, b| {
        (a.0.center().x - pointer.x)
            .abs()
            .total_cmp(&(b.0.center().x - pointer.x).abs())
    });
    if let Some((_, id)) = nearest
        && *id != shown
    {
        actions.push(Action::Show(*id));
    }
}

fn card(
    ui: &mut egui::Ui,
    model: &Model,
    snapshot: &SnapshotInfo,
    [is_shown, is_branch]: [bool; 2],
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) -> Rect {
    let height = theme::TIMELINE_PICTURE;
    let width = (height * thumbs::aspect(&snapshot.thumbnail)).clamp(0.8 * height, 1.5 * height);
    let (rect, response) =
        ui.allocate_exact_size(egui::vec2(width, height + CAPTION), Sense::click());
    let name = format!("Snapshot {} of step {}", snapshot.id.0, snapshot.step);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, is_shown, &name));
    if response.clicked() {
        actions.push(Action::Show(Some(snapshot.id)));
    }
    if ui.is_rect_visible(rect) {
        let picture = Rect::from_min_size(rect.min, egui::vec2(width, height));
        thumbs.paint_filling(
            ui,
            picture,
            Picture::Snapshot(snapshot.id),
            &snapshot.thumbnail,
        );
        mark(
            ui,
            picture,
            is_shown,
            response.hovered() || response.has_focus(),
        );
        let painter = ui.painter();
        let font = FontId::proportional(11.5);
        let color = if is_shown {
            theme::TEXT_STRONG
        } else {
            theme::TEXT_WEAK
        };
        let at = egui::pos2(picture.center().x, rect.max.y - 0.5 * CAPTION + 3.0);
        painter.text(
            at,
            Align2::CENTER_CENTER,
            thousands(snapshot.step),
            font,
            color,
        );
        if snapshot.pinned {
            let at = picture.right_top() + egui::vec2(-9.0, 9.0);
            painter.circle_filled(at, 7.0, theme::OVERLAY);
            painter.circle_filled(at, 3.5, theme::ACCENT);
        }
        if is_branch {
            let x = picture.min.x - 2.0;
            let stroke = egui::Stroke::new(2.0, theme::SECOND);
            painter.vline(x, picture.y_range(), stroke);
        }
    }
    let parent = match snapshot.parent.and_then(|id| model.snapshot(id)) {
        Some(parent) if is_branch => {
            format!(
                "\nA branch: grew from the snapshot of step {}",
                thousands(parent.step)
            )
        }
        _ => String::new(),
    };
    let pinned = if snapshot.pinned {
        "\nPinned: kept whatever the limit"
    } else {
        ""
    };
    response.context_menu(|ui| {
        if ui.button("Show").clicked() {
            actions.push(Action::Show(Some(snapshot.id)));
            ui.close();
        }
        let pin = if snapshot.pinned { "Unpin" } else { "Pin" };
        if ui.button(pin).clicked() {
            actions.push(Action::Pin(snapshot.id, !snapshot.pinned));
            ui.close();
        }
    });
    response.on_hover_text(format!(
        "{}\nStep {}{parent}{pinned}",
        snapshot.label,
        thousands(snapshot.step)
    ));
    rect
}

fn live_card(ui: &mut egui::Ui, is_shown: bool, actions: &mut Vec<Action>) -> Rect {
    let height = theme::TIMELINE_PICTURE;
    let (rect, response) =
        ui.allocate_exact_size(egui::vec2(height, height + CAPTION), Sense::click());
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::Role::Button, true, is_shown, "Live scene")
    });
    if response.clicked() {
        actions.push(Action::Show(None));
    }
    if ui.is_rect_visible(rect) {
        let picture = Rect::from_min_size(rect.min, egui::vec2(height, height));
        let painter = ui.painter();
        painter.rect_filled(picture, theme::CORNER, theme::RAISED);
        let color = if is_shown {
            theme::ACCENT
        } else {
            theme::TEXT_WEAK
        };
        painter.circle_filled(picture.center() - egui::vec2(0.0, 8.0), 5.0, color);
        let at = picture.center() + egui::vec2(0.0, 11.0);
        painter.text(
            at,
            Align2::CENTER_CENTER,
            "Live",
            FontId::proportional(12.5),
            color,
        );
        mark(
            ui,
            picture,
            is_shown,
            response.hovered() || response.has_focus(),
        );
    }
    response.on_hover_text("The scene as it is now");
    rect
}

fn mark(ui: &egui::Ui, picture: Rect, is_shown: bool, is_hovered: bool) {
    let stroke = match (is_shown, is_hovered) {
        (true, _) => egui::Stroke::new(2.0, theme::ACCENT),
        (false, true) => egui::Stroke::new(1.5, theme::TEXT_WEAK),
        (false, false) => return,
    };
    ui.painter()
        .rect_stroke(picture, theme::CORNER, stroke, egui::StrokeKind::Inside);
}

fn buttons(
    ui: &mut egui::Ui,
    model: &Model,
    shown: Option<SnapshotId>,
    facts: &Facts,
    actions: &mut Vec<Action>,
) {
    let is_pinned = shown
        .and_then(|id| model.snapshot(id))
        .is_some_and(|s| s.pinned);
    ui.spacing_mut().interact_size.y = 22.0;
    ui.spacing_mut().button_padding.y = 2.0;
    let pin = if is_pinned { "Unpin" } else { "Pin" };
    for (command, label) in [
        (UiCommand::BackToLive, "Back to live"),
        (UiCommand::RestoreSnapshot, "Restore"),
        (UiCommand::PinSnapshot, pin),
    ] {
        let info = command.info();
        let refusal = (info.enabled)(facts).err();
        let button = egui::Button::new(label);
        let size = egui::vec2(BUTTONS, 22.0);
        let response = ui
            .add_enabled_ui(refusal.is_none(), |ui| ui.add_sized(size, button))
            .inner;
        if response.clicked() {
            actions.push(Action::Run(command));
        }
        response
            .on_hover_text(info.tooltip)
            .on_disabled_hover_text(refusal.unwrap_or_default());
    }
}
