//! The dialog for photos or a video without poses: what they are, and what will find where they were taken; where that is
//! not on this machine, how to get it, and a way to say where it is.

use super::{Action, chooser::Purpose, model::count, theme};
use crate::settings::Settings;
use crate::tools::{Program, Unposed};
use eframe::egui;
use std::path::PathBuf;

const WIDTH: f32 = 440.0;

/// A program that is run and may be somewhere else than on the PATH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Colmap,
    Ffmpeg,
}

impl Tool {
    fn program(self) -> Program {
        match self {
            Self::Colmap => Program::COLMAP,
            Self::Ffmpeg => Program::FFMPEG,
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::Colmap => Purpose::Colmap,
            Self::Ffmpeg => Purpose::Ffmpeg,
        }
    }

    /// Where `settings` say that it is.
    pub fn setting(self, settings: &mut Settings) -> &mut String {
        match self {
            Self::Colmap => &mut settings.colmap,
            Self::Ffmpeg => &mut settings.ffmpeg,
        }
    }
}

/// The dialog's state.
pub struct FindPoses {
    path: PathBuf,
    what: String,
    needs: Vec<Need>,
}

/// A program that this takes.
struct Need {
    tool: Tool,
    /// Somebody said where it is.
    is_chosen: bool,
    /// Where it is, or what is missing.
    found: Result<PathBuf, String>,
}

impl Need {
    fn new(tool: Tool) -> Self {
        Self {
            tool,
            is_chosen: false,
            found: Err(String::new()),
        }
    }

    fn look(&mut self, settings: &Settings) {
        let chosen = match self.tool {
            Tool::Colmap => &settings.colmap,
            Tool::Ffmpeg => &settings.ffmpeg,
        };
        self.is_chosen = !chosen.trim().is_empty();
        self.found = self.tool.program().look(chosen).map_err(|e| e.to_string());
    }

    fn show(&self, ui: &mut egui::Ui, actions: &mut Vec<Action>) {
        let name = self.tool.program().name;
        match &self.found {
            Ok(path) => {
                let line = format!("{name}: {}", path.display());
                ui.add(egui::Label::new(theme::weak(line)).truncate());
            }
            Err(missing) => super::run_panel::waiting_note(ui, missing),
        }
        ui.horizontal(|ui| {
            if ui.button(format!("Choose {name}…")).clicked() {
                actions.push(Action::Choose(self.tool.purpose()));
            }
            if self.is_chosen && ui.button(format!("Use {name} on the PATH")).clicked() {
                actions.push(Action::UseProgramOnPath(self.tool));
            }
        });
    }
}

impl FindPoses {
    pub fn new(path: PathBuf, unposed: &Unposed, settings: &Settings) -> Self {
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
        let mut needs = vec![Need::new(Tool::Colmap)];
        let what = match unposed {
            Unposed::Photos(photos) => format!(
                "{name} holds {}, and nothing says where they were taken. COLMAP can find out; it takes minutes for some \
                 dozens of photos, and hours for many hundreds.",
                count(*photos, "photo")
            ),
            Unposed::Video => {
                needs.push(Need::new(Tool::Ffmpeg));
                format!(
                    "{name} is a video. {} pictures are taken from it, and COLMAP finds where; it takes some minutes.",
                    settings.video_frames
                )
            }
        };
        let mut dialog = Self { path, what, needs };
        dialog.look(settings);
        dialog
    }

    /// Look for the programs where `settings` say that they are.
    pub fn look(&mut self, settings: &Settings) {
        self.needs.iter_mut().for_each(|need| need.look(settings));
    }

    /// False when the dialog is to be closed.
    pub fn show(&mut self, ctx: &egui::Context, actions: &mut Vec<Action>) -> bool {
        let mut stays = true;
        let modal = theme::dialog("find poses").show(ctx, |ui| {
            ui.set_width(WIDTH);
            ui.heading("Find camera poses");
            ui.label(&self.what);
            ui.label(theme::weak(
                "The photos stay as they are; a capture is made of them beside your projects.",
            ));
            for need in &self.needs {
                ui.add_space(theme::GAP);
                need.show(ui, actions);
            }
            ui.add_space(theme::GAP);
            ui.horizontal(|ui| {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let is_there = self.needs.iter().all(|need| need.found.is_ok());
                    let find = theme::primary_button("Find poses");
                    if ui.add_enabled(is_there, find).clicked() {
                        actions.push(Action::FindPoses(self.path.clone()));
                        stays = false;
                    }
                    stays &= !ui.button("Cancel").clicked();
                });
            });
        });
        stays && !modal.should_close()
    }
}
