//! Controls generated from the table of settings: a row of the table is a row here, with its range, unit, help and
//! default. A changed value is marked, and a right click on its name takes back the default, or what the edit model
//! recommends.

use super::theme;
use crate::{
    bundle::Preset,
    settings::{EditDevice, Kind, Setting, Settings, Value},
};
use eframe::egui::{self, RichText};

/// Share of a row's width that the name takes.
pub const NAME_SHARE: f32 = 0.46;

/// One row: name on the left, control on the right. A value that does not fit is not taken.
pub fn row(ui: &mut egui::Ui, setting: &'static Setting, settings: &mut Settings, preset: &Preset) {
    let width = ui.available_width();
    ui.horizontal(|ui| {
        ui.set_min_height(theme::ROW_HEIGHT);
        let name_size = egui::vec2(width * NAME_SHARE, theme::ROW_HEIGHT);
        let name = ui
            .allocate_ui_with_layout(
                name_size,
                egui::Layout::left_to_right(egui::Align::Center),
                |ui| {
                    ui.set_min_width(name_size.x);
                    name(ui, setting, settings, preset)
                },
            )
            .inner;
        let mut value = (setting.get)(settings);
        let before = value.clone();
        let response = control(ui, setting, &mut value).labelled_by(name.id);
        response.on_hover_text(tooltip(setting, settings));
        choose(setting, settings, preset, before, value);
    });
    if let (Kind::Device, Value::Text(mut text)) = (setting.kind, (setting.get)(settings))
        && is_remote(&text)
    {
        let before = Value::Text(text.clone());
        addresses(ui, &mut text);
        choose(setting, settings, preset, before, Value::Text(text));
    }
}

fn choose(
    setting: &Setting,
    settings: &mut Settings,
    preset: &Preset,
    before: Value,
    value: Value,
) {
    if value != before
        && let Err(refusal) = preset.choose(setting, settings, value)
    {
        log::debug!("{refusal}");
    }
}

fn name(
    ui: &mut egui::Ui,
    setting: &'static Setting,
    settings: &mut Settings,
    preset: &Preset,
) -> egui::Response {
    let baseline = preset.baseline(setting, settings);
    let changed = (setting.get)(settings) != baseline;
    let text =
        RichText::new(setting.label).color(if changed { theme::ACCENT } else { theme::TEXT });
    let response = ui
        .add(
            egui::Label::new(text)
                .truncate()
                .selectable(false)
                .sense(egui::Sense::click()),
        )
        .on_hover_text(tooltip(setting, settings));
    if changed {
        let dot = response.rect.left_center() - egui::vec2(6.0, 0.0);
        ui.painter().circle_filled(dot, 2.0, theme::ACCENT);
    }
    response.context_menu(|ui| {
        let text = match &baseline {
            Value::Text(text) if text.is_empty() => "Reset to empty".to_owned(),
            baseline => format!("Reset to {baseline}"),
        };
        if ui.add_enabled(changed, egui::Button::new(text)).clicked() {
            if let Err(refusal) = preset.choose(setting, settings, baseline.clone()) {
                log::debug!("{refusal}");
            }
            ui.close();
        }
    });
    response
}

/// Width of a letter of a unit, points.
const UNIT_LETTER: f32 = 8.0;

fn control(ui: &mut egui::Ui, setting: &Setting, value: &mut Value) -> egui::Response {
    let suffix = match setting.unit {
        unit if unit.is_empty() || setting.label.to_lowercase().contains(unit) => String::new(),
        unit => format!(" {unit}"),
    };
    match (setting.kind, value) {
        (Kind::Float { min, max }, Value::Float(v)) => {
            // The number has its unit with it: what a longer one takes, the slider gives.
            let number = 46.0 + UNIT_LETTER * suffix.chars().count() as f32;
            ui.spacing_mut().slider_width = (ui.available_width() - number - 10.0).max(40.0);
            ui.spacing_mut().interact_size = egui::vec2(number, 20.0);
            ui.spacing_mut().button_padding.y = 1.0;
            let slider = egui::Slider::new(v, min..=max)
                .max_decimals(if max - min >= 1.0 { 2 } else { 5 })
                .suffix(suffix);
            ui.add(slider)
        }
        (Kind::Int { min, max }, Value::Int(v)) => {
            let speed = if max - min > 1000 {
                (*v as f64 * 0.01).max(1.0)
            } else {
                0.1
            };
            let drag = egui::DragValue::new(v)
                .range(min..=max)
                .speed(speed)
                .suffix(suffix);
            ui.add_sized([ui.available_width() - 2.0, theme::ROW_HEIGHT - 2.0], drag)
        }
        (Kind::Choice(choices), Value::Text(chosen)) => {
            egui::ComboBox::from_id_salt(setting.key)
                .selected_text(capitalized(chosen))
                .width(ui.available_width() - 2.0)
                .show_ui(ui, |ui| {
                    for choice in choices {
                        let is_chosen = chosen == choice;
                        if ui
                            .selectable_label(is_chosen, capitalized(choice))
                            .clicked()
                        {
                            *chosen = (*choice).to_owned();
                        }
                    }
                })
                .response
        }
        (Kind::Device, Value::Text(text)) => device(ui, setting, text),
        (_, Value::Text(text)) => {
            ui.add(egui::TextEdit::singleline(text).desired_width(ui.available_width() - 2.0))
        }
        (_, value) => ui.label(value.to_string()),
    }
}

/// What remote editors are typed as; what any address begins with.
const REMOTE: &str = "ws://";

fn is_remote(text: &str) -> bool {
    EditDevice::parse(text).is_some_and(|device| device.is_remote())
}

fn device(ui: &mut egui::Ui, setting: &Setting, text: &mut String) -> egui::Response {
    let name = |place: &str| capitalized(if is_remote(place) { "remote" } else { place });
    egui::ComboBox::from_id_salt(setting.key)
        .selected_text(name(text))
        .width(ui.available_width() - 2.0)
        .show_ui(ui, |ui| {
            for place in ["auto", "gpu", "cpu", REMOTE] {
                let is_chosen = place == text || is_remote(place) && is_remote(text);
                let clicked = ui.selectable_label(is_chosen, name(place)).clicked();
                if clicked && !is_chosen {
                    place.clone_into(text);
                }
            }
        })
        .response
}

/// The addresses of remote editors, under their row.
fn addresses(ui: &mut egui::Ui, text: &mut String) {
    ui.add(
        egui::TextEdit::singleline(text)
            .desired_width(ui.available_width() - 2.0)
            .hint_text("ws://host:port"),
    )
    .accessible_name("Addresses of remote editors")
    .on_hover_text("As `luxedit serve-editor` says it on the other machine; several with commas");
}

/// Help, range and default of a setting.
pub fn tooltip(setting: &Setting, settings: &Settings) -> String {
    let default = setting.default_in(settings);
    let range = match setting.kind {
        Kind::Text => String::new(),
        _ => format!("\n\nTakes {}. Default: {default}.", setting.expects()),
    };
    format!("{}{range}\nRight-click the name to reset.", setting.help)
}

fn capitalized(text: &str) -> String {
    super::model::sentence(text)
}
