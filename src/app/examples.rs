//! Instructions to click: what the chosen model was trained on, or, for a model without notes, instructions of the
//! Instruct-NeRF2NeRF paper (Haque et al. 2023) that InstructPix2Pix follows well.

use super::theme;
use crate::bundle::ModelNotes;
use eframe::egui;

const INSTRUCT_PIX2PIX: [(&str, &str); 10] = [
    ("Bronze bust", "Turn him into a bronze bust"),
    ("Clown", "Turn him into a clown"),
    ("Einstein", "Turn him into Albert Einstein"),
    ("Elf", "Turn him into a Tolkien elf"),
    ("Munch", "Make it look like an Edvard Munch painting"),
    ("Snow", "Make it look like it just snowed"),
    ("Mustache", "Give him a mustache"),
    ("Skull", "Turn his face into a skull"),
    ("Cowboy hat", "Give him a cowboy hat"),
    ("Midnight", "Make it midnight"),
];
/// Offered without opening the menu, where the notes name no favourites.
const FEATURED: usize = 6;

/// Chips that put an instruction into `prompt`.
pub fn show(ui: &mut egui::Ui, notes: &ModelNotes, prompt: &mut String) {
    let (examples, featured): (Vec<(String, &str)>, usize) = if notes.families.is_empty() {
        let all = INSTRUCT_PIX2PIX.map(|(title, text)| (title.to_owned(), text));
        (all.to_vec(), FEATURED)
    } else {
        let all = notes.families.iter();
        let featured = match notes.featured {
            0 => FEATURED,
            n => n,
        };
        let titled = all.map(|f| (f.title.clone(), f.example.as_str()));
        (titled.collect(), featured)
    };
    let (first, rest) = examples.split_at(featured.min(examples.len()));
    ui.scope(|ui| {
        theme::chips(ui);
        ui.horizontal_wrapped(|ui| {
            for (title, text) in first {
                let chip = egui::Button::new(theme::small(title));
                if example(ui, chip, title, text) {
                    (*text).clone_into(prompt);
                }
            }
            if !rest.is_empty() {
                more(ui, rest, prompt);
            }
        });
    });
}

fn more(ui: &mut egui::Ui, rest: &[(String, &str)], prompt: &mut String) {
    ui.menu_button(theme::small("More…"), |ui| {
        ui.set_min_width(260.0);
        egui::ScrollArea::vertical()
            .max_height(360.0)
            .show(ui, |ui| {
                for (title, text) in rest {
                    if example(ui, egui::Button::new(*text), title, text) {
                        (*text).clone_into(prompt);
                        ui.close();
                    }
                }
            });
    })
    .response
    .accessible_name("More examples…")
    .on_hover_text("Everything that this model offers");
}

fn example(ui: &mut egui::Ui, button: egui::Button<'_>, title: &str, text: &str) -> bool {
    ui.add(button)
        .accessible_name(format!("{title}: {text}"))
        .on_hover_text(format!("“{text}”"))
        .clicked()
}
