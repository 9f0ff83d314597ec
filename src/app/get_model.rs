//! How to get InstructPix2Pix, the model that follows any instruction.

use super::{Action, chooser::Purpose, theme};
use eframe::egui;

const COMMAND: &str = "luxedit model get timbrooks/instruct-pix2pix";

/// False once it was closed.
pub fn show(ctx: &egui::Context, actions: &mut Vec<Action>) -> bool {
    let mut stays = true;
    let modal = theme::dialog("get model").show(ctx, |ui| {
        ui.set_width(440.0);
        ui.heading("Get InstructPix2Pix");
        ui.label(theme::weak(
            "InstructPix2Pix (Brooks et al. 2023) follows instructions in plain words, whatever they are about. It is a \
             download of about 2 GB and wants a graphics card. This command in a terminal fetches it and says where it is:",
        ));
        ui.add_space(theme::GAP);
        egui::Frame::new()
            .fill(theme::SUNKEN)
            .corner_radius(theme::CORNER)
            .inner_margin(8)
            .show(ui, |ui| {
                ui.horizontal(|ui| {
                    ui.label(egui::RichText::new(COMMAND).monospace());
                    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                        if ui.button("Copy").clicked() {
                            ui.ctx().copy_text(COMMAND.to_owned());
                        }
                    });
                });
            });
        ui.add_space(theme::GAP);
        ui.label(theme::weak("Then choose its folder here."));
        ui.add_space(theme::GAP);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if ui.add(theme::primary_button("Choose its folder…")).clicked() {
                actions.push(Action::Choose(Purpose::EditModel));
                stays = false;
            }
            if ui.button("Close").clicked() {
                stays = false;
            }
        });
    });
    stays && !modal.should_close()
}
