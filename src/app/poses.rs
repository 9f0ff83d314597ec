//! The dialog for photos or a video without poses: what they are, and what will find where they were taken; where that is
//! not on this machine, how to get it.

use super::{Action, model::count, theme};
use crate::settings::Settings;
use crate::tools::{Program, Unposed};
use eframe::egui;
use std::path::PathBuf;

const WIDTH: f32 = 440.0;

/// The dialog's state.
pub struct FindPoses {
    path: PathBuf,
    what: String,
    /// What is missing.
    refusal: Option<String>,
}

impl FindPoses {
    pub fn new(path: PathBuf, unposed: &Unposed, settings: &Settings) -> Self {
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
        let (what, ffmpeg) = match unposed {
            Unposed::Photos(photos) => (
                format!(
                    "{name} holds {}, and nothing says where they were taken. COLMAP can find out; it takes minutes for \
                     some dozens of photos, and hours for many hundreds.",
                    count(*photos, "photo")
                ),
                Ok(PathBuf::new()),
            ),
            Unposed::Video => (
                format!(
                    "{name} is a video. {} pictures are taken from it, and COLMAP finds where; it takes some minutes.",
                    settings.video_frames
                ),
                Program::FFMPEG.find(&settings.ffmpeg),
            ),
        };
        let found = Program::COLMAP.find(&settings.colmap).and(ffmpeg);
        Self {
            path,
            what,
            refusal: found.err().map(|e| super::model::sentence(&e.to_string())),
        }
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
            if let Some(refusal) = &self.refusal {
                ui.add_space(theme::GAP);
                super::run_panel::waiting_note(ui, refusal);
            }
            ui.add_space(theme::GAP);
            ui.horizontal(|ui| {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let find = theme::primary_button("Find poses");
                    if ui.add_enabled(self.refusal.is_none(), find).clicked() {
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
