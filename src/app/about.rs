//! What luxedit is, whose ideas it runs and whose work its demo shows.

use super::theme;
use eframe::egui;

/// The demo's credits; `assets/demo/LICENSES.md` has the whole table.
pub const DEMO_CREDITS: &str = "Demo scene: man by Reallusion, CC BY 3.0 US, placed in a room, lit and rendered. Plants and \
     lamp by Evivivi, Elysia, Ndakasha, rameshrj and ColdShiverGames, light by Poly Haven, all CC0.";
const REALLUSION: &str = "http://www.reallusion.com/";
const LICENSE_OF_THE_MAN: &str = "https://creativecommons.org/licenses/by/3.0/us/";

const METHODS: [(&str, &str); 4] = [
    (
        "Instruct-NeRF2NeRF, Haque et al. 2023",
        "https://instruct-nerf2nerf.github.io",
    ),
    (
        "Instruct-GS2GS, Vachha and Haque 2024",
        "https://instruct-gs2gs.github.io",
    ),
    (
        "InstructPix2Pix, Brooks et al. 2023",
        "https://www.timothybrooks.com/instruct-pix2pix",
    ),
    (
        "3D Gaussian splatting, Kerbl et al. 2023",
        "https://repo-sam.inria.fr/fungraph/3d-gaussian-splatting/",
    ),
];

/// False once it was closed.
pub fn show(ctx: &egui::Context) -> bool {
    let mut stays = true;
    let modal = theme::dialog("about").show(ctx, |ui| {
        ui.set_width(440.0);
        ui.heading("luxedit");
        ui.label(theme::weak(format!(
            "Version {}. Turns a captured 3D scene into something else by telling it what to become.",
            env!("CARGO_PKG_VERSION")
        )));
        ui.label(theme::weak("MIT or Apache-2.0, at your option."));
        ui.add_space(theme::SECTION_GAP);
        theme::section(ui, "Whose ideas it runs");
        for (name, address) in METHODS {
            ui.hyperlink_to(name, address);
        }
        ui.add_space(theme::SECTION_GAP);
        theme::section(ui, "Whose work it shows");
        ui.label(DEMO_CREDITS);
        ui.horizontal(|ui| {
            ui.hyperlink_to("Reallusion", REALLUSION);
            ui.hyperlink_to("CC BY 3.0 US", LICENSE_OF_THE_MAN);
        });
        ui.add_space(theme::GAP);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            stays = !ui.button("Close").clicked();
        });
    });
    stays && !modal.should_close()
}
