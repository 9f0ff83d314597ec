//! The dialog that fetches an edit model: what it is, how large, under which licence, and where it will lie are shown before
//! anything is fetched. The transfer is the worker's and goes on when the dialog is closed.

use super::{
    Action,
    model::{duration, sentence},
    theme,
};
use crate::{
    hub::{FetchProgress, INSTRUCT_PIX2PIX, Offer, size},
    settings::Precision,
};
use eframe::egui::{self, RichText};

const WIDTH: f32 = 480.0;

/// How far the fetching of a model is.
#[derive(Default)]
pub enum Fetch {
    #[default]
    Idle,
    /// The Hub was asked.
    Asking,
    Offered(Box<Offer>),
    Running(Box<Offer>, FetchProgress),
    Stopped,
    Failed(String),
    /// The model of this id is in the cache.
    Done(String),
}

/// The dialog's state.
pub struct GetModel {
    id: String,
    full: bool,
    asks: bool,
}

impl GetModel {
    /// Asks for the published model, unless something is under way.
    pub fn open(fetch: &Fetch) -> Self {
        Self {
            id: INSTRUCT_PIX2PIX.to_owned(),
            full: false,
            asks: !matches!(fetch, Fetch::Asking | Fetch::Running(..)),
        }
    }

    /// False when the dialog is to be closed.
    pub fn show(&mut self, ctx: &egui::Context, fetch: &Fetch, actions: &mut Vec<Action>) -> bool {
        let mut stays = true;
        let modal = theme::dialog("get model").show(ctx, |ui| {
            ui.set_width(WIDTH);
            ui.heading("Get an edit model");
            ui.label(theme::weak(
                "From the Hugging Face Hub into the cache that other tools use as well",
            ));
            ui.add_space(theme::GAP);
            self.choice(ui, fetch);
            ui.add_space(theme::GAP);
            state(ui, fetch);
            ui.add_space(theme::GAP);
            // One row high, whatever height a longer state has left to the dialog.
            ui.horizontal(|ui| {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    self.buttons(ui, fetch, actions);
                    stays = !ui.button("Close").clicked();
                });
            });
        });
        if std::mem::take(&mut self.asks) {
            actions.push(Action::AskForModel {
                id: self.id.trim().to_owned(),
                precision: if self.full {
                    Precision::Full
                } else {
                    Precision::Half
                },
            });
        }
        stays && !modal.should_close()
    }

    fn choice(&mut self, ui: &mut egui::Ui, fetch: &Fetch) {
        let is_busy = matches!(fetch, Fetch::Asking | Fetch::Running(..));
        ui.add_enabled_ui(!is_busy, |ui| {
            let field = ui
                .add(
                    egui::TextEdit::singleline(&mut self.id)
                        .desired_width(f32::INFINITY)
                        .hint_text("owner/name"),
                )
                .accessible_name("Model on the Hub");
            let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            let toggled = ui
                .checkbox(&mut self.full, "Full precision (twice the size)")
                .changed();
            self.asks |= entered || toggled;
        });
    }

    /// Right to left.
    fn buttons(&mut self, ui: &mut egui::Ui, fetch: &Fetch, actions: &mut Vec<Action>) {
        match fetch {
            Fetch::Idle | Fetch::Stopped => self.asks |= ui.button("Look up").clicked(),
            Fetch::Failed(_) => self.asks |= ui.button("Try again").clicked(),
            Fetch::Asking | Fetch::Running(..) => {
                if ui.button("Stop").clicked() {
                    actions.push(Action::StopModel);
                }
            }
            Fetch::Offered(offer) if offer.id != self.id.trim() => {
                self.asks |= ui.button("Look up").clicked();
            }
            Fetch::Offered(offer) => {
                let fits = offer.fits(offer.free_bytes);
                let get = ui.add_enabled(fits, theme::primary_button("Get it"));
                if get.clicked() {
                    actions.push(Action::GetModel);
                }
                get.on_disabled_hover_text("The disk has too little room");
            }
            Fetch::Done(id) => {
                if ui.add(theme::primary_button("Use this model")).clicked() {
                    actions.push(Action::UseModel(id.clone()));
                }
            }
        }
    }
}

fn state(ui: &mut egui::Ui, fetch: &Fetch) {
    match fetch {
        Fetch::Idle => {}
        Fetch::Asking => {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label("Asking the Hub");
            });
        }
        Fetch::Offered(offer) => facts(ui, offer),
        Fetch::Running(offer, progress) => {
            facts(ui, offer);
            ui.add_space(theme::GAP);
            let share = progress.done_bytes as f32 / progress.total_bytes.max(1) as f32;
            ui.add(egui::ProgressBar::new(share));
            ui.label(progress_line(progress));
            ui.label(theme::weak(&progress.file));
        }
        Fetch::Stopped => {
            ui.label("Stopped. What arrived is kept, and the next time goes on from there.");
        }
        Fetch::Failed(problem) => {
            ui.label(RichText::new(sentence(problem)).color(theme::ERROR));
        }
        Fetch::Done(id) => {
            ui.label(format!("{id} is here"));
        }
    }
}

fn facts(ui: &mut egui::Ui, offer: &Offer) {
    let license = offer.license.as_deref().unwrap_or("not stated");
    let missing = if offer.missing_bytes == 0 {
        "nothing: all of it is here".to_owned()
    } else {
        size(offer.missing_bytes)
    };
    let rows = [
        ("License", license.to_owned()),
        ("Size", size(offer.total_bytes)),
        ("To fetch", missing),
        ("Free on the disk", size(offer.free_bytes)),
        ("Folder", offer.folder.display().to_string()),
    ];
    egui::Grid::new("model facts")
        .num_columns(2)
        .spacing([16.0, 4.0])
        .show(ui, |ui| {
            for (name, value) in rows {
                ui.label(theme::weak(name));
                ui.add(egui::Label::new(value).wrap());
                ui.end_row();
            }
        });
}

/// "1.02 GB of 2.13 GB, 12.3 MB a second, 2 min left".
fn progress_line(progress: &FetchProgress) -> String {
    let mut line = format!(
        "{} of {}",
        size(progress.done_bytes),
        size(progress.total_bytes)
    );
    if progress.bytes_per_sec > 0.0 {
        line += &format!(", {} a second", size(progress.bytes_per_sec as u64));
    }
    if let Some(eta_secs) = progress.eta_secs {
        line += &format!(", {} left", duration(eta_secs));
    }
    line
}
