//! The edges of the window: menu bar, status line, the banner of an error, and the chips that lie on the viewport.

use super::{
    Action,
    commands::{COMMANDS, Facts, Menu, UiCommand},
    model::{Model, count, thousands},
    theme,
    viewport::Viewport,
};
use crate::gpu::Gpu;
use eframe::egui::{self, Align, Layout, RichText};

/// Which parts of the window are shown.
pub struct Shown {
    pub reel: bool,
    pub timeline: bool,
    pub side_panel: bool,
}

/// Menus from the table of commands; on the right what is open and the warnings.
pub fn menu_bar(
    ui: &mut egui::Ui,
    model: &Model,
    facts: &Facts,
    is_on: impl Fn(UiCommand) -> Option<bool>,
    actions: &mut Vec<Action>,
) {
    egui::MenuBar::new().ui(ui, |ui| {
        for menu in Menu::ALL {
            ui.menu_button(menu.label(), |ui| {
                ui.set_min_width(240.0);
                for info in COMMANDS.iter().filter(|c| c.menu == menu) {
                    if info.group {
                        ui.separator();
                    }
                    let refusal = (info.enabled)(facts).err();
                    let mark = match is_on(info.command) {
                        Some(true) => "•  ",
                        Some(false) => "    ",
                        None => "",
                    };
                    let mut button = egui::Button::new(format!("{mark}{}", info.label));
                    if let Some(keys) = info.keys(ui.ctx()) {
                        button = button.shortcut_text(keys);
                    }
                    let response = ui
                        .add_enabled(refusal.is_none(), button)
                        .on_hover_text(info.tooltip)
                        .on_disabled_hover_text(refusal.unwrap_or_default());
                    if response.clicked() {
                        actions.push(Action::Run(info.command));
                        ui.close();
                    }
                }
            });
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if !model.warnings.is_empty() {
                let text = count(model.warnings.len(), "warning");
                let color = if model.unread_warnings > 0 {
                    theme::WARNING
                } else {
                    theme::TEXT_WEAK
                };
                let button = egui::Button::new(RichText::new(text).color(color));
                if ui.add(button.frame(false)).clicked() {
                    actions.push(Action::Run(UiCommand::Warnings));
                }
                theme::warning_icon(ui, color);
            }
        });
    });
}

/// One line: what is open, what it consists of, what just happened, what it runs on.
pub fn status_line(ui: &mut egui::Ui, model: &Model, viewport: &Viewport, gpu: &Gpu) {
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 14.0;
        let splats = viewport.splat_count().filter(|_| model.has_splats);
        if let Some(splats) = splats {
            ui.label(theme::small(count(splats as usize, "splat")));
        }
        if let Some(step) = step(model) {
            ui.label(theme::small(format!("step {}", thousands(step))));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let kind = if gpu.is_software() { " (software)" } else { "" };
            ui.label(theme::small(short_device_name(&gpu.info.name)))
                .on_hover_text(format!("{}{kind}, {:?}", gpu.info.name, gpu.info.backend));
            if gpu.is_software() {
                ui.label(
                    RichText::new("No graphics card")
                        .small()
                        .color(theme::WARNING),
                )
                .on_hover_text("Everything runs on the processor: it works, slowly");
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(egui::Label::new(theme::small(&model.notice)).truncate());
            });
        });
    });
}

/// The step of what is shown.
fn step(model: &Model) -> Option<u32> {
    match model.shown.and_then(|id| model.snapshot(id)) {
        Some(snapshot) => Some(snapshot.step),
        None => model.step,
    }
}

fn short_device_name(name: &str) -> &str {
    name.split(" (").next().unwrap_or(name)
}

/// An error as a sentence, until it is dismissed.
pub fn error_banner(ui: &mut egui::Ui, error: &str, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        theme::warning_icon(ui, theme::ERROR);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button("Dismiss").clicked() {
                actions.push(Action::DismissError);
            }
            ui.with_layout(
                Layout::left_to_right(Align::Center).with_main_wrap(false),
                |ui| {
                    ui.add(egui::Label::new(RichText::new(error).color(theme::TEXT_STRONG)).wrap());
                },
            );
        });
    });
}

fn chip(ui: &mut egui::Ui, content: impl FnOnce(&mut egui::Ui)) {
    egui::Frame::new()
        .fill(theme::OVERLAY)
        .corner_radius(theme::CORNER + 2)
        .inner_margin(egui::Margin::symmetric(8, 4))
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            ui.spacing_mut().button_padding.x = 7.0;
            ui.spacing_mut().interact_size.y = 22.0;
            ui.horizontal(content);
        });
}

/// What lies on the viewport: on the left what is looked at, on the right how.
pub fn viewport_chips(
    ui: &mut egui::Ui,
    rect: egui::Rect,
    model: &Model,
    facts: &Facts,
    viewport: &mut Viewport,
    actions: &mut Vec<Action>,
) {
    let rect = rect.shrink(10.0);
    let mut left = ui.new_child(
        egui::UiBuilder::new()
            .id_salt("chips left")
            .max_rect(rect)
            .layout(Layout::top_down(Align::Min)),
    );
    looked_at(&mut left, model, facts, viewport, actions);
    let row = egui::Rect::from_min_size(rect.min, egui::vec2(rect.width(), 32.0));
    let mut right = ui.new_child(
        egui::UiBuilder::new()
            .id_salt("chips right")
            .max_rect(row)
            .layout(Layout::right_to_left(Align::Min)),
    );
    // Laid out from the right.
    chip(&mut right, |ui| {
        if viewport.camera.view_index().is_none() {
            let mut degrees = viewport.camera.fov_y().to_degrees();
            let field = egui::DragValue::new(&mut degrees)
                .range(15.0..=110.0)
                .speed(0.3)
                .fixed_decimals(0)
                .suffix("°");
            let response = ui.add(field).accessible_name("Field of view");
            if response.on_hover_text("Vertical field of view").changed() {
                viewport.camera.set_fov_y(degrees.to_radians());
            }
        }
        for (command, text, is_on) in [
            (UiCommand::ToggleWipe, "Compare", viewport.wipe_on),
            (UiCommand::ToggleCameras, "Cameras", viewport.cameras_on),
            (UiCommand::Home, "Home", false),
        ] {
            let info = command.info();
            let refusal = (info.enabled)(facts).err();
            let button = egui::Button::selectable(is_on && refusal.is_none(), text);
            let response = ui.add_enabled(refusal.is_none(), button);
            if response.clicked() {
                actions.push(Action::Run(command));
            }
            response
                .on_hover_text(info.tooltip)
                .on_disabled_hover_text(refusal.unwrap_or_default());
        }
    });
}

/// The last `length` characters, with an ellipsis for what is left out.
fn ending(text: &str, length: usize) -> String {
    let count = text.chars().count();
    if count <= length {
        return text.to_owned();
    }
    let rest: String = text.chars().skip(count - length + 1).collect();
    format!("…{rest}")
}

fn looked_at(
    ui: &mut egui::Ui,
    model: &Model,
    facts: &Facts,
    viewport: &Viewport,
    actions: &mut Vec<Action>,
) {
    let mut small = |ui: &mut egui::Ui, command: UiCommand, text: &str, name: &str| {
        let refusal = (command.info().enabled)(facts).err();
        let response = ui.add_enabled(refusal.is_none(), egui::Button::new(text).small());
        if response.clicked() {
            actions.push(Action::Run(command));
        }
        response
            .accessible_name(name)
            .on_hover_text(command.info().tooltip);
    };
    let view = viewport.camera.view_index().zip(model.scene.as_ref());
    if let Some((index, view)) = view.and_then(|(i, scene)| Some((i, scene.views.get(i)?))) {
        chip(ui, |ui| {
            small(ui, UiCommand::PreviousView, "‹", "Previous training view");
            small(ui, UiCommand::NextView, "›", "Next training view");
            let held_out = if view.is_eval { " · held out" } else { "" };
            let text = format!("View {index} · {}{held_out}", ending(&view.name, 28));
            ui.label(RichText::new(text).small().color(theme::TEXT_STRONG))
                .on_hover_text(&view.name);
            small(ui, UiCommand::LeaveView, "Leave", "Leave training view");
        });
    }
    if let Some(snapshot) = model.shown.and_then(|id| model.snapshot(id)) {
        chip(ui, |ui| {
            ui.label(
                RichText::new(format!("Snapshot of step {}", thousands(snapshot.step)))
                    .small()
                    .color(theme::ACCENT),
            );
            let label: String = snapshot.label.chars().take(48).collect();
            ui.label(theme::small(label));
        });
    }
}
