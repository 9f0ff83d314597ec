//! Which edit model: the bundled one and what it knows, one from a local folder, or InstructPix2Pix, which has to be
//! fetched first.

use super::{
    Action,
    chooser::Purpose,
    commands::UiCommand,
    models::{Models, name_of},
    theme,
};
use crate::{
    bundle::BUNDLED_MODEL,
    settings::{Setting, Settings},
};
use eframe::egui;

const MENU_WIDTH: f32 = 270.0;

/// The row of the panel: name on the left, the chosen model on the right, which opens the menu.
pub fn row(
    ui: &mut egui::Ui,
    setting: &'static Setting,
    settings: &mut Settings,
    models: &Models,
    last_used: &str,
    actions: &mut Vec<Action>,
) {
    ui.horizontal(|ui| {
        ui.set_min_height(theme::ROW_HEIGHT);
        let width = super::settings_panel::NAME_SHARE * ui.available_width();
        let name = ui
            .allocate_ui_with_layout(
                egui::vec2(width, theme::ROW_HEIGHT),
                egui::Layout::left_to_right(egui::Align::Center),
                |ui| {
                    ui.set_min_width(width);
                    ui.label(setting.label).on_hover_text(setting.help)
                },
            )
            .inner;
        let chosen = settings.model.clone();
        egui::ComboBox::from_id_salt(setting.key)
            .selected_text(name_of(&chosen))
            .width(ui.available_width() - 2.0)
            .height(520.0)
            .show_ui(ui, |ui| {
                ui.set_width(MENU_WIDTH);
                menu(ui, settings, models, last_used, actions);
            })
            .response
            .labelled_by(name.id)
            .on_hover_text(format!("{}\n\n{chosen}", setting.help));
    });
}

fn menu(
    ui: &mut egui::Ui,
    settings: &mut Settings,
    models: &Models,
    last_used: &str,
    actions: &mut Vec<Action>,
) {
    let is_bundled = settings.model == BUNDLED_MODEL;
    let entry = egui::Button::selectable(is_bundled, name_of(BUNDLED_MODEL));
    let is_there = models.bundled.is_ok();
    if ui.add_enabled(is_there, entry).clicked() {
        BUNDLED_MODEL.clone_into(&mut settings.model);
    }
    let about = match &models.bundled {
        Ok(notes) if notes.families.is_empty() => String::new(),
        Ok(notes) => {
            let names: Vec<&str> = notes.families.iter().map(|f| f.name.as_str()).collect();
            format!(
                "Small and quick, no download. Knows {} kinds of edit: {}.",
                names.len(),
                names.join(", ")
            )
        }
        Err(problem) => super::model::sentence(problem),
    };
    if !about.is_empty() {
        ui.with_layout(egui::Layout::top_down(egui::Align::Min), |ui| {
            ui.add(egui::Label::new(theme::small(about)).wrap());
        });
    }
    ui.add_space(4.0);
    let mut folders = vec![settings.model.clone()];
    if last_used != settings.model {
        folders.push(last_used.to_owned());
    }
    folders.retain(|folder| !folder.trim().is_empty() && folder != BUNDLED_MODEL);
    for folder in folders {
        let is_chosen = folder == settings.model;
        let response = ui
            .selectable_label(is_chosen, name_of(&folder))
            .on_hover_text(&folder);
        if response.clicked() {
            settings.model = folder;
        }
    }
    if ui.button("Local folder…").clicked() {
        actions.push(Action::Choose(Purpose::EditModel));
        ui.close();
    }
    ui.separator();
    let get = UiCommand::GetModel.info();
    let entry = ui.button("Get InstructPix2Pix…");
    if entry.on_hover_text(get.tooltip).clicked() {
        actions.push(Action::Run(UiCommand::GetModel));
        ui.close();
    }
}
