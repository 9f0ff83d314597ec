//! The right panel: what to turn the scene into, the buttons, how far it is, and, folded away, everything else that the
//! table of settings offers.

use super::{
    Action,
    commands::{Facts, UiCommand},
    crop, examples,
    model::{Model, sentence},
    model_chooser,
    models::Models,
    run_panel, settings_panel, theme,
};
use crate::{
    settings::{SETTINGS, Settings, Tier, jobs},
    worker::{Job, RunState},
};
use eframe::egui;

/// What the panel reads beside the model of the window.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub models: &'a Models,
    /// The edit model that was used last; empty when none was.
    pub last_used: &'a str,
}

/// What the panel remembers.
#[derive(Default)]
pub struct SidePanel {
    /// An edit was asked for and refused: reasons show in full colour.
    pub was_refused: bool,
    /// Move the keyboard focus to the instruction in the next frame.
    pub focus_prompt: bool,
}

impl SidePanel {
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        model: &mut Model,
        known: Known<'_>,
        facts: &Facts,
        actions: &mut Vec<Action>,
    ) {
        egui::ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 6.0;
                if facts.views == 0 {
                    splat_file_only(ui, model, known.models, facts, actions);
                } else if model.has_splats {
                    self.instruction(ui, model, known, facts, actions);
                } else {
                    reconstruction(ui, model, known.models);
                }
                ui.add_space(theme::GAP);
                if facts.views > 0 {
                    run_panel::buttons(ui, model, facts, actions);
                    if model.has_splats {
                        self.refusal(ui, model, facts);
                    }
                    cost(ui, model, known.models);
                    ui.add_space(theme::SECTION_GAP);
                }
                run_panel::progress(ui, model);
                if facts.is_luxen
                    && let Some(scene) = &model.scene
                {
                    ui.add_space(theme::SECTION_GAP);
                    crop::panel(ui, &mut model.settings.crop, scene);
                }
                if facts.views > 0 {
                    ui.add_space(theme::SECTION_GAP);
                    advanced(ui, model, known.models, facts, actions);
                }
            });
    }

    fn instruction(
        &mut self,
        ui: &mut egui::Ui,
        model: &mut Model,
        known: Known<'_>,
        facts: &Facts,
        actions: &mut Vec<Action>,
    ) {
        let Known { models, last_used } = known;
        let title = theme::section(ui, "Instruction");
        let is_empty = model.settings.prompt.trim().is_empty();
        let mut frame = egui::Frame::new()
            .fill(theme::SUNKEN)
            .corner_radius(theme::CORNER)
            .inner_margin(8);
        frame.stroke = egui::Stroke::new(
            1.0,
            if is_empty && self.was_refused {
                theme::WARNING
            } else {
                theme::LINE
            },
        );
        let field = frame
            .show(ui, |ui| {
                ui.add(
                    egui::TextEdit::multiline(&mut model.settings.prompt)
                        .frame(egui::Frame::NONE)
                        .desired_width(f32::INFINITY)
                        .desired_rows(3)
                        .hint_text("Make him a marble statue"),
                )
            })
            .inner
            .labelled_by(title.id);
        if std::mem::take(&mut self.focus_prompt) {
            field.request_focus();
        }
        if is_empty && (model.job().is_none() || self.was_refused) {
            self.reason(ui, facts);
        }
        if let Some(notice) = models.notice(&model.settings) {
            ui.label(theme::small(notice));
        }
        examples::show(ui, models.notes(), &mut model.settings.prompt);
        ui.add_space(4.0);
        for key in [
            "guidance_scale",
            "image_guidance_scale",
            "photo_detail",
            "edit_steps",
        ] {
            row(ui, key, &mut model.settings, models);
        }
        if let Some(setting) = Settings::info("model") {
            // A running edit keeps the model that it loaded.
            ui.add_enabled_ui(model.job() != Some(Job::Edit), |ui| {
                let settings = &mut model.settings;
                model_chooser::row(ui, setting, settings, models, last_used, actions);
            });
        }
        if model.run == RunState::Running(Job::Edit) {
            ui.label(theme::small(
                "Instruction, guidance and detail can be changed now: the next edited view follows them",
            ));
        }
    }

    /// Under the buttons: why an edit cannot start, when the instruction is not the reason.
    fn refusal(&mut self, ui: &mut egui::Ui, model: &Model, facts: &Facts) {
        if facts.edit_refusal.is_none() {
            self.was_refused = false;
        } else if model.job().is_none() && !model.settings.prompt.trim().is_empty() {
            self.reason(ui, facts);
        }
    }

    fn reason(&self, ui: &mut egui::Ui, facts: &Facts) {
        if let Some(refusal) = &facts.edit_refusal {
            let color = if self.was_refused {
                theme::WARNING
            } else {
                theme::TEXT_WEAK
            };
            ui.label(egui::RichText::new(sentence(refusal)).small().color(color));
        }
    }
}

/// A scene without photos: they can be made.
fn splat_file_only(
    ui: &mut egui::Ui,
    model: &mut Model,
    models: &Models,
    facts: &Facts,
    actions: &mut Vec<Action>,
) {
    theme::section(ui, "Splat file");
    ui.label(theme::weak(
        "Edits start from pictures. This scene came without any: luxedit can make them, from cameras around what the \
         viewport looks at. Turn the scene upright, stand where the subject is well seen, then make them. If you have the \
         capture it was made from, open that instead: photos are sharper.",
    ));
    ui.add_space(theme::GAP);
    for setting in SETTINGS
        .iter()
        .filter(|s| s.jobs & jobs::VIEWS != 0 && s.key != "up_axis")
    {
        settings_panel::row(ui, setting, &mut model.settings, models.preset());
    }
    ui.add_space(theme::GAP);
    if model.job().is_none() {
        let (upright, make) = (UiCommand::TurnUpright, UiCommand::MakeViews);
        run_panel::command_button(ui, upright, "Turn another axis up", false, facts, actions);
        run_panel::command_button(ui, make, "Make views to edit", true, facts, actions);
    } else {
        run_panel::command_button(ui, UiCommand::Stop, "Stop", false, facts, actions);
    }
}

/// What the machine costs.
fn cost(ui: &mut egui::Ui, model: &Model, models: &Models) {
    let shrinks_photos = model.scene.as_ref().is_some_and(|s| s.downscale > 1);
    let job = if model.has_splats {
        jobs::EDIT
    } else {
        jobs::RECONSTRUCT
    };
    let preset = models.preset();
    if let Some(text) = preset.explanation(&model.settings, job, shrinks_photos) {
        ui.label(theme::small(text))
            .on_hover_text("Chosen for this machine; every value can be changed under Advanced");
    }
}

fn reconstruction(ui: &mut egui::Ui, model: &mut Model, models: &Models) {
    theme::section(ui, "Reconstruction");
    ui.label(theme::weak(
        "Makes a scene of the photos. You can watch, pause and stop at any time.",
    ));
    row(ui, "kind", &mut model.settings, models);
    row(ui, "reconstruct_steps", &mut model.settings, models);
}

fn row(ui: &mut egui::Ui, key: &str, settings: &mut Settings, models: &Models) {
    if let Some(setting) = Settings::info(key) {
        settings_panel::row(ui, setting, settings, models.preset());
    }
}

/// The other tier of the table, grouped by the job that reads a setting.
fn advanced(
    ui: &mut egui::Ui,
    model: &mut Model,
    models: &Models,
    facts: &Facts,
    actions: &mut Vec<Action>,
) {
    let preset = models.preset();
    let rows = |job: u16, other: u16| {
        SETTINGS
            .iter()
            .filter(move |s| s.tier == Tier::Advanced && s.jobs & job != 0 && s.jobs & other == 0)
    };
    let both = || {
        SETTINGS.iter().filter(|s| {
            s.tier == Tier::Advanced && s.jobs & jobs::EDIT != 0 && s.jobs & jobs::RECONSTRUCT != 0
        })
    };
    let changed = SETTINGS
        .iter()
        .filter(|s| s.tier == Tier::Advanced)
        .filter(|s| (s.get)(&model.settings) != preset.baseline(s, &model.settings))
        .count();
    let mut open = egui::collapsing_header::CollapsingState::load_with_default_open(
        ui.ctx(),
        ui.make_persistent_id("advanced"),
        false,
    );
    let header = ui.horizontal(|ui| {
        ui.spacing_mut().button_padding.x = 0.0;
        let openness = open.openness(ui.ctx());
        let (rect, _) =
            ui.allocate_exact_size(egui::vec2(14.0, theme::ROW_HEIGHT), egui::Sense::hover());
        let title = egui::RichText::new("Advanced")
            .color(theme::TEXT_STRONG)
            .strong();
        let response = ui
            .add(egui::Button::new(title).frame(false))
            .on_hover_text("Everything else that the jobs read");
        let icon = egui::Rect::from_center_size(rect.center(), egui::Vec2::splat(10.0));
        let icon = response.clone().with_new_rect(icon);
        egui::collapsing_header::paint_default_icon(ui, openness, &icon);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if changed > 0 {
                ui.label(theme::small(format!("{changed} changed")));
            }
        });
        response
    });
    if header.inner.clicked() {
        open.toggle(ui);
    }
    open.show_body_unindented(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        if model.has_splats {
            ui.label(theme::small("Edit"));
            for setting in rows(jobs::EDIT, jobs::RECONSTRUCT) {
                settings_panel::row(ui, setting, &mut model.settings, preset);
            }
            ui.add_space(theme::GAP);
        }
        if model.has_splats {
            ui.label(theme::small("Export"));
            for setting in rows(jobs::CONVERT, jobs::EDIT).filter(|s| s.key != "crop") {
                settings_panel::row(ui, setting, &mut model.settings, preset);
            }
            ui.add_space(theme::GAP);
        }
        ui.label(theme::small("Reconstruction"));
        if model.has_splats {
            row(ui, "kind", &mut model.settings, models);
            row(ui, "reconstruct_steps", &mut model.settings, models);
        }
        for setting in rows(jobs::RECONSTRUCT, jobs::EDIT) {
            settings_panel::row(ui, setting, &mut model.settings, preset);
        }
        if model.has_splats {
            let command = super::commands::UiCommand::Reconstruct;
            run_panel::command_button(ui, command, "Reconstruct again", false, facts, actions);
        }
        ui.add_space(theme::GAP);
        ui.label(theme::small("Both"));
        for setting in both() {
            settings_panel::row(ui, setting, &mut model.settings, preset);
        }
    });
}
