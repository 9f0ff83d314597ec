//! The strip of edited views: for each, the photo, what the scene rendered, and what the model made of it. It follows
//! the newest edit until the artist scrolls back; a click enlarges, a double click looks through the view.

use super::{
    Action,
    model::{Model, ReelItem, duration, thousands},
    theme,
    thumbs::{self, Picture, Thumbs},
};
use crate::{scene::Photo, worker::ViewInfo};
use eframe::egui::{self, Align2, FontId, Rect, Sense};

const CAPTION: f32 = 18.0;
/// Points between the three pictures of one item.
const SEAM: f32 = 2.0;

/// The whole strip's height.
pub const HEIGHT: f32 = theme::REEL_PICTURE + CAPTION + 20.0;

pub fn show(
    ui: &mut egui::Ui,
    model: &Model,
    views: &[ViewInfo],
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) {
    egui::ScrollArea::horizontal()
        .id_salt("reel")
        .auto_shrink([false, false])
        .stick_to_right(true)
        .show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 10.0;
                for item in &model.reel {
                    if let Some(view) = views.get(item.edit.view) {
                        card(ui, item, view, thumbs, actions);
                    }
                }
            });
        });
}

/// Original, render, edited.
fn pictures<'a>(item: &'a ReelItem, view: &'a ViewInfo) -> [(Picture, &'a Photo); 3] {
    [
        (Picture::Original(item.edit.view), &view.photo),
        (Picture::Render(item.number), &item.edit.render),
        (Picture::Edited(item.number), &item.edit.edited),
    ]
}

fn card(
    ui: &mut egui::Ui,
    item: &ReelItem,
    view: &ViewInfo,
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) {
    let height = theme::REEL_PICTURE;
    let width = (height * thumbs::aspect(&item.edit.edited)).clamp(0.5 * height, 1.8 * height);
    let size = egui::vec2(3.0 * width + 2.0 * SEAM, height + CAPTION);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let edit = &item.edit;
    let name = format!("Edit {} of view {}", item.number + 1, edit.view);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    if response.clicked() {
        actions.push(Action::Inspect(Some(item.number)));
    }
    if response.double_clicked() {
        actions.push(Action::Inspect(None));
        actions.push(Action::LookThrough(edit.view));
    }
    if !ui.is_rect_visible(rect) {
        return;
    }
    for (i, (picture, photo)) in pictures(item, view).into_iter().enumerate() {
        let min = rect.min + egui::vec2(i as f32 * (width + SEAM), 0.0);
        thumbs.paint_filling(
            ui,
            Rect::from_min_size(min, egui::vec2(width, height)),
            picture,
            photo,
        );
    }
    let painter = ui.painter();
    if response.hovered() || response.has_focus() {
        let frame = Rect::from_min_size(rect.min, egui::vec2(size.x, height)).expand(2.0);
        let stroke = egui::Stroke::new(1.5, theme::ACCENT);
        painter.rect_stroke(frame, theme::CORNER, stroke, egui::StrokeKind::Outside);
    }
    let y = rect.max.y - 0.5 * CAPTION + 3.0;
    let caption = format!("View {} · step {}", edit.view, thousands(edit.step));
    let at = |x: f32| egui::pos2(x, y);
    let font = FontId::proportional(11.5);
    let clipped = painter.with_clip_rect(rect.intersect(ui.clip_rect()));
    clipped.text(
        at(rect.min.x),
        Align2::LEFT_CENTER,
        caption,
        font.clone(),
        theme::TEXT_WEAK,
    );
    if let Some(change) = edit.change
        && size.x > 170.0
    {
        let text = format!("Δ {:.1} %", change * 100.0);
        clipped.text(
            at(rect.max.x),
            Align2::RIGHT_CENTER,
            text,
            font,
            theme::TEXT_WEAK,
        );
    }
    response.on_hover_text(format!(
        "{}\nOriginal · render · edited\n“{}”\nClick to enlarge, double-click to look through this view",
        view.name, edit.prompt
    ));
}

/// One edit, large, over the window.
pub fn inspect(
    ctx: &egui::Context,
    model: &Model,
    number: u64,
    views: &[ViewInfo],
    thumbs: &mut Thumbs,
    actions: &mut Vec<Action>,
) {
    let found = model.reel.iter().position(|item| item.number == number);
    let Some((at, item, view)) =
        found.and_then(|at| Some((at, &model.reel[at], views.get(model.reel[at].edit.view)?)))
    else {
        actions.push(Action::Inspect(None));
        return;
    };
    let edit = &item.edit;
    let room = ctx.content_rect().size();
    let neighbour = |step: isize| {
        at.checked_add_signed(step)
            .and_then(|i| model.reel.get(i))
            .map(|item| item.number)
    };
    let modal = theme::dialog("inspect edit").show(ctx, |ui| {
        let picture_width = ((room.x - 160.0) / 3.0).min(460.0);
        let height = (picture_width / thumbs::aspect(&edit.edited)).min(room.y - 240.0).max(80.0);
        let width = (height * thumbs::aspect(&edit.edited)).clamp(200.0, picture_width);
        ui.set_width(3.0 * width + 2.0 * theme::GAP);
        ui.heading(format!("View {} · {}", edit.view, view.name));
        ui.label(theme::weak(format!("“{}”", edit.prompt)));
        ui.add_space(theme::GAP);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = theme::GAP;
            for ((picture, photo), title) in
                pictures(item, view).into_iter().zip(["Original", "Render", "Edited"])
            {
                ui.vertical(|ui| {
                    ui.label(theme::small(title));
                    let (rect, response) =
                        ui.allocate_exact_size(egui::vec2(width, height), Sense::hover());
                    response.widget_info(|| {
                        let label = format!("{title} picture");
                        egui::WidgetInfo::labeled(egui::Role::Image, true, label)
                    });
                    ui.painter().rect_filled(rect, theme::CORNER, theme::SUNKEN);
                    thumbs.paint_whole(ui, rect, picture, photo);
                });
            }
        });
        ui.add_space(theme::GAP);
        let change = match edit.change {
            Some(change) => format!("{:.1} % from its last edit", change * 100.0),
            None => "first edit of this view".to_owned(),
        };
        ui.label(theme::weak(format!(
            "Step {} · sweep {} · instruction strength {} · faithfulness {} · noise level {} · {} · took {}",
            thousands(edit.step),
            edit.sweep + 1,
            edit.guidance_scale,
            edit.image_guidance_scale,
            edit.timestep,
            change,
            duration(edit.duration_secs),
        )));
        ui.add_space(theme::GAP);
        ui.horizontal(|ui| {
            let button = theme::primary_button("Look through this view");
            if ui.add(button).clicked() {
                actions.push(Action::Inspect(None));
                actions.push(Action::LookThrough(edit.view));
            }
            for (label, step, key) in
                [("Earlier edit", -1, egui::Key::ArrowLeft), ("Later edit", 1, egui::Key::ArrowRight)]
            {
                let target = neighbour(step);
                let pressed = ui.input(|i| i.key_pressed(key));
                let clicked = ui.add_enabled(target.is_some(), egui::Button::new(label)).clicked();
                if let Some(target) = target.filter(|_| clicked || pressed) {
                    actions.push(Action::Inspect(Some(target)));
                }
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button("Close").clicked() {
                    actions.push(Action::Inspect(None));
                }
            });
        });
    });
    if modal.should_close() {
        actions.push(Action::Inspect(None));
    }
}
