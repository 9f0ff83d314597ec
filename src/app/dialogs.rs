//! The dialogs made from the table of commands (palette, shortcuts), and the list of warnings; which dialog is open.

use super::{
    Action, about,
    commands::{COMMANDS, CommandInfo, Facts, Menu},
    get_model::GetModel,
    model::Model,
    poses::FindPoses,
    theme,
    thumbs::Thumbs,
    try_out::TryOut,
};
use eframe::egui::{self, Key, RichText};

/// Which dialog is open.
#[derive(Default)]
pub enum Dialog {
    #[default]
    None,
    Palette(Palette),
    Shortcuts,
    Warnings,
    GetModel(GetModel),
    TryOut(TryOut),
    FindPoses(FindPoses),
    About,
}

/// The command palette's state.
pub struct Palette {
    query: String,
    selected: usize,
    asks_focus: bool,
}

impl Default for Palette {
    fn default() -> Self {
        Self {
            query: String::new(),
            selected: 0,
            asks_focus: true,
        }
    }
}

impl Dialog {
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::None)
    }

    pub fn show(
        &mut self,
        ctx: &egui::Context,
        model: &Model,
        facts: &Facts,
        thumbs: &mut Thumbs,
        actions: &mut Vec<Action>,
    ) {
        let stays = match self {
            Self::None => return,
            Self::Palette(palette) => palette.show(ctx, facts, actions),
            Self::Shortcuts => shortcuts(ctx),
            Self::Warnings => warnings(ctx, model),
            Self::GetModel(dialog) => dialog.show(ctx, &model.fetch, actions),
            Self::TryOut(dialog) => dialog.show(ctx, model, thumbs, actions),
            Self::FindPoses(dialog) => dialog.show(ctx, actions),
            Self::About => about::show(ctx),
        };
        if !stays {
            *self = Self::None;
        }
    }
}

/// Whether the letters of `query` occur in `label` in order; the score is better the fewer gaps there are.
fn score(label: &str, query: &str) -> Option<usize> {
    let label = label.to_lowercase();
    if let Some(at) = label.find(&query.to_lowercase()) {
        return Some(at);
    }
    let mut letters = label.chars();
    let mut gaps = 1000;
    for wanted in query.to_lowercase().chars().filter(|c| !c.is_whitespace()) {
        gaps += letters.by_ref().position(|c| c == wanted)?;
    }
    Some(gaps)
}

impl Palette {
    fn show(&mut self, ctx: &egui::Context, facts: &Facts, actions: &mut Vec<Action>) -> bool {
        let mut stays = true;
        let area = egui::Modal::default_area(egui::Id::unique("palette"))
            .anchor(egui::Align2::CENTER_TOP, [0.0, 90.0]);
        let modal = theme::dialog("palette").area(area).show(ctx, |ui| {
            ui.set_width(460.0);
            let field = ui
                .add(
                    egui::TextEdit::singleline(&mut self.query)
                        .desired_width(f32::INFINITY)
                        .hint_text("Type a command"),
                )
                .accessible_name("Command");
            if std::mem::take(&mut self.asks_focus) {
                field.request_focus();
            }
            if field.changed() {
                self.selected = 0;
            }
            let mut found: Vec<(usize, &CommandInfo)> = COMMANDS
                .iter()
                .filter_map(|info| Some((score(info.label, &self.query)?, info)))
                .collect();
            found.sort_by_key(|(score, info)| (*score, (info.enabled)(facts).is_err()));
            let (down, up, enter) = ui.input(|i| {
                let pressed = |key| i.key_pressed(key);
                (
                    pressed(Key::ArrowDown),
                    pressed(Key::ArrowUp),
                    pressed(Key::Enter),
                )
            });
            let last = found.len().saturating_sub(1);
            self.selected = match (down, up) {
                (true, _) => (self.selected + 1).min(last),
                (_, true) => self.selected.saturating_sub(1),
                _ => self.selected.min(last),
            };
            ui.add_space(4.0);
            if found.is_empty() {
                ui.label(theme::weak("No command has these letters"));
            }
            egui::ScrollArea::vertical()
                .max_height(340.0)
                .show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = 1.0;
                    for (i, (_, info)) in found.iter().enumerate() {
                        let is_selected = i == self.selected;
                        let response = entry(ui, info, facts, is_selected);
                        if is_selected && (down || up) {
                            response.scroll_to_me(None);
                        }
                        let is_chosen = response.clicked() || (enter && is_selected);
                        if is_chosen && (info.enabled)(facts).is_ok() {
                            actions.push(Action::Run(info.command));
                            stays = false;
                        }
                    }
                });
        });
        stays && !modal.should_close()
    }
}

fn entry(
    ui: &mut egui::Ui,
    info: &CommandInfo,
    facts: &Facts,
    is_selected: bool,
) -> egui::Response {
    let refusal = (info.enabled)(facts).err();
    let mut button = egui::Button::selectable(is_selected, info.label)
        .min_size(egui::vec2(ui.available_width(), theme::ROW_HEIGHT));
    if let Some(keys) = info.keys(ui.ctx()) {
        button = button.shortcut_text(theme::small(keys));
    }
    ui.add_enabled(refusal.is_none(), button)
        .on_hover_text(info.tooltip)
        .on_disabled_hover_text(refusal.unwrap_or_default())
}

fn shortcuts(ctx: &egui::Context) -> bool {
    let mut stays = true;
    let modal = theme::dialog("shortcuts").show(ctx, |ui| {
        ui.set_width(600.0);
        ui.heading("Keyboard shortcuts");
        ui.add_space(theme::GAP);
        let height = (ctx.content_rect().height() - 200.0).max(120.0);
        egui::ScrollArea::vertical()
            .max_height(height)
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.x = 36.0;
                ui.columns_const(|[left, right]| {
                    for menu in Menu::ALL {
                        let column = match menu {
                            Menu::File | Menu::Run | Menu::Help => &mut *left,
                            Menu::View | Menu::Timeline => &mut *right,
                        };
                        group(
                            column,
                            menu.label(),
                            COMMANDS.iter().filter(|c| c.menu == menu).filter_map(|c| {
                                Some((c.label.trim_end_matches('…').to_owned(), c.keys(ctx)?))
                            }),
                        );
                    }
                    let moves = [
                        ("Orbit", "Drag"),
                        ("Pan", "Right-drag or Shift+drag"),
                        ("Zoom", "Wheel"),
                        ("Look around", "Alt+drag"),
                        ("Fly", "W A S D, Q E"),
                        ("Fly fast", "Shift"),
                        ("Turn to a surface", "Double-click"),
                    ];
                    let moves = moves.map(|(a, b)| (a.to_owned(), b.to_owned()));
                    group(left, "Viewport", moves.into_iter());
                });
            });
        ui.add_space(theme::GAP);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            stays = !ui.button("Close").clicked();
        });
    });
    stays && !modal.should_close()
}

fn group(ui: &mut egui::Ui, title: &str, rows: impl Iterator<Item = (String, String)>) {
    theme::section(ui, title);
    ui.spacing_mut().interact_size.y = 18.0;
    ui.spacing_mut().item_spacing = egui::vec2(8.0, 4.0);
    for (label, keys) in rows {
        ui.horizontal(|ui| {
            ui.label(label);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                ui.label(RichText::new(keys).small().color(theme::TEXT_WEAK));
            });
        });
    }
    ui.add_space(theme::GAP);
}

fn warnings(ctx: &egui::Context, model: &Model) -> bool {
    let mut stays = true;
    let modal = theme::dialog("warnings").show(ctx, |ui| {
        ui.set_width(520.0);
        ui.heading("Warnings");
        ui.add_space(theme::GAP);
        let height = (ctx.content_rect().height() - 220.0).max(120.0);
        egui::ScrollArea::vertical()
            .max_height(height)
            .show(ui, |ui| {
                for warning in model.warnings.iter().rev() {
                    egui::Frame::new()
                        .fill(theme::WARNING_MUTED)
                        .corner_radius(theme::CORNER)
                        .inner_margin(8)
                        .show(ui, |ui| {
                            ui.set_width(ui.available_width());
                            ui.label(warning);
                        });
                }
            });
        ui.add_space(theme::GAP);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            stays = !ui.button("Close").clicked();
        });
    });
    stays && !modal.should_close()
}
