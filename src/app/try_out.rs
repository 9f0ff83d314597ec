//! Trying an instruction on one view before the scene learns it: a small grid of settings, each with the picture that comes
//! of it. What is chosen becomes the settings of the panel. The worker does the editing; the window remembers what came of
//! which setting, so that a wider grid runs only what is missing.

mod grid;

use super::{
    Action,
    commands::UiCommand,
    model::{Model, sentence},
    theme,
    thumbs::{self, Picture, Thumbs},
};
use crate::{
    scene::{
        Camera, Photo,
        orbit::{self, Gaze},
    },
    settings::Settings,
    worker::{Grid, Job, RunState, SceneInfo, Trial, TrialPreview, Tried},
};
use eframe::egui::{self, RichText};

/// Width of the left column, at least and at most.
const LEFT: [f32; 2] = [272.0, 400.0];
/// Height of the two pictures on the left, points.
const LEAST_PICTURE: f32 = 90.0;
/// Values of one axis at most.
const MOST: usize = 5;

/// What was tried, and what is being tried.
#[derive(Default)]
pub struct Trials {
    /// View, settings without what a trial varies, and the scene's step: results of others do not count.
    of: Option<(usize, Settings, Option<u32>)>,
    /// How the scene looks from the view.
    render: Option<(u64, Photo)>,
    done: Vec<(u64, Tried)>,
    preview: Option<(u64, TrialPreview)>,
    /// Numbers of pictures, for their textures.
    next: u64,
}

impl Trials {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn began(&mut self, render: Photo) {
        self.render = Some((self.number(), render));
    }

    pub fn tried(&mut self, tried: Tried) {
        let number = self.number();
        self.preview = None;
        self.done.retain(|(_, known)| known.trial != tried.trial);
        self.done.push((number, tried));
    }

    pub fn previewed(&mut self, mut preview: TrialPreview) {
        // A step without a picture does not take away the last one's.
        if preview.picture.is_none()
            && let Some((_, last)) = &mut self.preview
            && last.trial == preview.trial
        {
            preview.picture = last.picture.take();
        }
        self.preview = Some((self.number(), preview));
    }

    pub fn ended(&mut self) {
        self.preview = None;
    }

    fn of(&self, trial: &Trial) -> Option<&(u64, Tried)> {
        self.done.iter().find(|(_, tried)| tried.trial == *trial)
    }
}

/// The dialog's state.
pub struct TryOut {
    view: usize,
    prompt: String,
    grid: Grid,
    chosen: Option<Trial>,
    asks_focus: bool,
}

impl TryOut {
    /// On the view that is looked through, else the training view most in front.
    pub fn open(model: &Model, looked_through: Option<usize>) -> Self {
        let view = looked_through.or_else(|| model.scene.as_ref().and_then(front));
        Self {
            view: view.unwrap_or(0),
            prompt: model.settings.prompt.clone(),
            grid: Grid::around(&model.settings),
            chosen: None,
            asks_focus: model.settings.prompt.trim().is_empty(),
        }
    }

    /// False when the dialog is to be closed.
    pub fn show(
        &mut self,
        ctx: &egui::Context,
        model: &Model,
        thumbs: &mut Thumbs,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(scene) = &model.scene else {
            return false;
        };
        let mut stays = true;
        let room = ctx.content_rect().size();
        let size = egui::vec2((room.x - 96.0).min(1240.0), (room.y - 96.0).min(800.0));
        let modal = theme::dialog("try out").show(ctx, |ui| {
            ui.set_width(size.x);
            ui.horizontal(|ui| {
                ui.heading("Try on one view");
                ui.label(theme::weak(
                    "The scene and its settings stay as they are until you keep one of these",
                ));
            });
            ui.add_space(theme::GAP);
            let height = size.y - 96.0;
            let aspect = scene
                .views
                .get(self.view)
                .map_or(1.0, |v| thumbs::aspect(&v.photo));
            // What the grid has no use for makes the pictures on the left larger.
            let most = egui::vec2(size.x - LEFT[0] - theme::SECTION_GAP, height);
            let left = size.x - theme::SECTION_GAP - grid::width(&self.grid, most, aspect);
            let left = left.clamp(LEFT[0], LEFT[1]);
            ui.horizontal_top(|ui| {
                let column = egui::Layout::top_down(egui::Align::Min);
                ui.allocate_ui_with_layout(egui::vec2(left, height), column, |ui| {
                    egui::ScrollArea::vertical()
                        .id_salt("try out left")
                        .auto_shrink([false, false])
                        .show(ui, |ui| self.left(ui, model, scene, thumbs));
                });
                ui.add_space(theme::SECTION_GAP);
                let results = self.results(model);
                let rest = egui::vec2(ui.available_width(), height);
                ui.allocate_ui_with_layout(rest, column, |ui| {
                    ui.set_min_size(rest);
                    let is_trying = model.job() == Some(Job::TryOut);
                    grid::show(
                        ui,
                        &self.grid,
                        results,
                        (aspect, is_trying),
                        &mut self.chosen,
                        thumbs,
                    );
                });
            });
            ui.add_space(theme::GAP);
            ui.horizontal(|ui| {
                ui.set_height(theme::ROW_HEIGHT + 4.0);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    stays = self.buttons(ui, model, actions);
                    ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                        self.state(ui, model);
                    });
                });
            });
        });
        stays &= !modal.should_close();
        if !stays && model.job() == Some(Job::TryOut) {
            actions.push(Action::Run(UiCommand::Stop));
        }
        stays
    }

    /// What results must be of to count.
    fn key(&self, model: &Model) -> (usize, Settings, Option<u32>) {
        key(model, self.view, &self.prompt)
    }

    fn results<'a>(&self, model: &'a Model) -> Option<&'a Trials> {
        let counts = model.trials.of.as_ref() == Some(&self.key(model));
        counts.then_some(&model.trials)
    }

    /// What the grid lacks, the present setting first.
    fn missing(&self, model: &Model) -> Vec<Trial> {
        let results = self.results(model);
        let mut missing = self.grid.trials();
        missing.retain(|trial| results.is_none_or(|r| r.of(trial).is_none()));
        let present = Trial::of(&model.settings);
        missing.sort_by_key(|trial| *trial != present);
        missing
    }

    fn left(&mut self, ui: &mut egui::Ui, model: &Model, scene: &SceneInfo, thumbs: &mut Thumbs) {
        ui.spacing_mut().item_spacing.y = 6.0;
        let is_busy = model.job().is_some();
        ui.add_enabled_ui(!is_busy, |ui| {
            ui.horizontal(|ui| {
                let count = scene.views.len();
                let previous = ui.button("‹").on_hover_text("Previous view");
                if previous.accessible_name("View before").clicked() {
                    self.view = (self.view + count - 1) % count.max(1);
                }
                let next = ui.button("›").on_hover_text("Next view");
                if next.accessible_name("View after").clicked() {
                    self.view = (self.view + 1) % count.max(1);
                }
                let name = scene.views.get(self.view).map_or("", |v| v.name.as_str());
                let text = format!("View {} · {name}", self.view);
                ui.add(egui::Label::new(theme::small(text)).truncate())
                    .on_hover_text(name);
            });
        });
        ui.add_space(4.0);
        ui.add_enabled_ui(!is_busy, |ui| {
            let title = theme::section(ui, "Instruction");
            let field = ui
                .add(
                    egui::TextEdit::multiline(&mut self.prompt)
                        .desired_width(f32::INFINITY)
                        .desired_rows(2)
                        .hint_text("Make him a marble statue"),
                )
                .labelled_by(title.id)
                .accessible_name("Instruction to try");
            if std::mem::take(&mut self.asks_focus) {
                field.request_focus();
            }
            ui.add_space(2.0);
            axis(ui, "guidance_scale", &mut self.grid.guidance_scales, 2.5);
            axis(
                ui,
                "image_guidance_scale",
                &mut self.grid.image_guidance_scales,
                0.3,
            );
            axis(ui, "seed", &mut self.grid.seeds, 1);
        });
        ui.add_space(2.0);
        self.pictures(ui, model, scene, thumbs);
    }

    /// The photo, and beside it what is chosen, else how the scene looks.
    fn pictures(&self, ui: &mut egui::Ui, model: &Model, scene: &SceneInfo, thumbs: &mut Thumbs) {
        let Some(view) = scene.views.get(self.view) else {
            return;
        };
        let results = self.results(model);
        let chosen = self.chosen.and_then(|trial| results?.of(&trial));
        let render = results
            .and_then(|r| r.render.as_ref())
            .filter(|_| model.has_splats);
        let second = match (chosen, render) {
            (Some((number, tried)), _) => Some(("Chosen", *number, &tried.picture)),
            (None, Some((number, render))) => Some(("Scene", *number, render)),
            (None, None) => None,
        };
        let width = ui.available_width();
        let height = (0.5 * ui.available_height() - 6.0).clamp(LEAST_PICTURE, 260.0);
        let mut picture = |title: &str, picture: Picture, photo: &Photo| {
            let size = thumbs::fit(egui::vec2(width, height), photo);
            let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
            response.widget_info(|| {
                let label = format!("{title} picture");
                egui::WidgetInfo::labeled(egui::Role::Image, true, label)
            });
            thumbs.paint_whole(ui, rect, picture, photo);
            let corner = rect.left_top() + egui::vec2(6.0, 5.0);
            let font = egui::FontId::proportional(11.5);
            let text = ui
                .painter()
                .layout_no_wrap(title.to_owned(), font, theme::TEXT_STRONG);
            let plate =
                egui::Rect::from_min_size(corner, text.size()).expand2(egui::vec2(4.0, 2.0));
            ui.painter().rect_filled(plate, 3.0, theme::OVERLAY);
            ui.painter().galley(corner, text, theme::TEXT_STRONG);
        };
        picture("Photo", Picture::Original(self.view), &view.photo);
        if let Some((title, number, photo)) = second {
            picture(title, Picture::Tried(number), photo);
        }
    }

    /// One line: what is wrong, what goes on, or what is chosen.
    fn state(&self, ui: &mut egui::Ui, model: &Model) {
        let line = |ui: &mut egui::Ui, text: RichText| {
            ui.add(egui::Label::new(text).wrap());
        };
        if let Some(error) = &model.error {
            return line(ui, RichText::new(error).color(theme::ERROR));
        }
        if let Some(refusal) = self.refusal(model) {
            return line(ui, theme::weak(sentence(&refusal)));
        }
        match model.run {
            RunState::Running(Job::TryOut) if model.progress.waiting.is_some() => {
                let reason = model.progress.waiting.as_deref().unwrap_or_default();
                line(ui, RichText::new(reason).color(theme::WARNING));
            }
            RunState::Running(Job::TryOut) => {
                ui.add(egui::Spinner::new().size(14.0));
                let mut text = sentence(&model.progress.detail);
                if let Some(eta) = model.progress.eta_secs {
                    text += &format!(", {} left", super::model::duration(eta));
                }
                line(ui, theme::weak(text));
            }
            RunState::Stopping(_) => line(ui, theme::weak("Stopping after this step…")),
            _ => match self.chosen {
                Some(trial) => line(ui, theme::weak(self.describe(&trial))),
                None if self.results(model).is_some() => {
                    line(ui, theme::weak("Click the picture that you like best"));
                }
                None => {}
            },
        }
    }

    fn describe(&self, trial: &Trial) -> String {
        let label = |key: &str| Settings::info(key).map_or("", |s| s.label);
        let parts = trial.values().map(|(key, value)| {
            let label = label(key);
            format!("{label} {value}")
        });
        parts.join(" · ")
    }

    fn refusal(&self, model: &Model) -> Option<String> {
        let (_, settings, _) = self.key(model);
        settings.check_edit().err().map(|e| e.to_string())
    }

    /// Right to left. False when the dialog is to be closed.
    fn buttons(&self, ui: &mut egui::Ui, model: &Model, actions: &mut Vec<Action>) -> bool {
        let missing = self.missing(model);
        let is_trying = model.job() == Some(Job::TryOut);
        let chosen = self
            .chosen
            .filter(|trial| self.results(model).is_some_and(|r| r.of(trial).is_some()));
        let keep = if chosen.is_some() {
            theme::primary_button("Keep this setting")
        } else {
            egui::Button::new("Keep this setting")
        };
        let keep = ui.add_enabled(chosen.is_some(), keep);
        if keep.clicked()
            && let Some(trial) = chosen
        {
            actions.push(Action::KeepTrial {
                prompt: self.prompt.clone(),
                trial,
            });
        }
        keep.on_hover_text("Instruction and values become the settings of the scene")
            .on_disabled_hover_text("Choose a picture first");
        if is_trying {
            if ui.button("Stop trying").clicked() {
                actions.push(Action::Run(UiCommand::Stop));
            }
        } else {
            let text = match missing.len() {
                0 | 1 => "Try".to_owned(),
                n => format!("Try {n} settings"),
            };
            let can = !missing.is_empty() && model.job().is_none() && self.refusal(model).is_none();
            let button = if chosen.is_none() {
                theme::primary_button(&text)
            } else {
                egui::Button::new(&text)
            };
            let run = ui.add_enabled(can, button);
            if run.clicked() {
                actions.push(Action::TryOut {
                    view: self.view,
                    prompt: self.prompt.clone(),
                    trials: missing.clone(),
                });
            }
            if missing.is_empty() {
                run.on_disabled_hover_text("All of these were tried; add or change a value");
            }
        }
        !ui.button("Close").clicked()
    }
}

fn key(model: &Model, view: usize, prompt: &str) -> (usize, Settings, Option<u32>) {
    let neutral = Settings::default();
    let settings = Settings {
        prompt: prompt.to_owned(),
        guidance_scale: neutral.guidance_scale,
        image_guidance_scale: neutral.image_guidance_scale,
        seed: neutral.seed,
        ..model.settings.clone()
    };
    (view, settings, model.step)
}

impl Model {
    /// Trials of a view by an instruction begin; results of others are forgotten.
    pub fn begin_trials(&mut self, view: usize, prompt: &str) {
        let key = key(self, view, prompt);
        if self.trials.of.as_ref() != Some(&key) {
            self.trials = Trials {
                of: Some(key),
                next: self.trials.next,
                ..Trials::default()
            };
        }
    }
}

/// The training view most in front.
fn front(scene: &SceneInfo) -> Option<usize> {
    let train: Vec<usize> = (0..scene.views.len())
        .filter(|&i| !scene.views[i].is_eval)
        .collect();
    let cameras: Vec<Camera> = train.iter().map(|&i| scene.views[i].camera).collect();
    orbit::front(Gaze::of(&cameras).center, &cameras).map(|i| train[i])
}

/// The values of one axis: each can be changed, the last taken away, another added.
fn axis<T: egui::emath::Numeric>(ui: &mut egui::Ui, key: &str, values: &mut Vec<T>, step: T) {
    let Some(setting) = Settings::info(key) else {
        return;
    };
    ui.label(theme::small(setting.label))
        .on_hover_text(setting.help);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.spacing_mut().interact_size.x = 38.0;
        ui.spacing_mut().button_padding.x = 5.0;
        let (min, max) = setting.range();
        for (i, value) in values.iter_mut().enumerate() {
            let field = egui::DragValue::new(value)
                .range(min..=max)
                .speed(0.1 * step.to_f64())
                .custom_formatter(|value, _| format!("{}", (value * 100.0).round() / 100.0));
            ui.add(field)
                .accessible_name(format!("{} {}", setting.label, i + 1));
        }
        let more = ui.add_enabled(values.len() < MOST, egui::Button::new("+"));
        if more
            .accessible_name(format!("Another value: {}", setting.label))
            .on_hover_text("Another value")
            .clicked()
            && let Some(last) = values.last()
        {
            let next = last.to_f64() + step.to_f64();
            values.push(T::from_f64(next.clamp(min, max)));
        }
        let fewer = ui.add_enabled(values.len() > 1, egui::Button::new("−"));
        if fewer
            .accessible_name(format!("One value less: {}", setting.label))
            .on_hover_text("One value less")
            .clicked()
        {
            values.pop();
        }
    });
}
