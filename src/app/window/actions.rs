//! What the artist asks for, carried out: commands of the table, actions of the panels, shortcuts, chosen paths.

use super::App;
use crate::{
    Result,
    app::{
        Action,
        chooser::{Choice, Purpose},
        commands::{COMMANDS, Facts, UiCommand},
        dialogs::{Dialog, Palette},
        get_model::{Fetch, GetModel},
        model::sentence,
        poses::{FindPoses, Tool},
        try_out::TryOut,
    },
    edit::Look,
    hub::FetchProgress,
    settings::Settings,
    tools::{Program, Unposed},
    worker::{Command, Delivery, LOOP_PICTURES, Project, RenderFormat, SnapshotId, Trial},
};
use eframe::egui::{self, Key};
use std::path::{Path, PathBuf};

/// What a path is that is not opened, but made a capture of.
fn unposed(path: &Path) -> Result<Option<Unposed>> {
    if Project::is_project(path) {
        return Ok(None);
    }
    Unposed::of(path)
}

/// A file name that says what is in it.
fn with_ending(path: PathBuf, ending: &str) -> PathBuf {
    if path.extension().is_none() {
        path.with_extension(ending)
    } else {
        path
    }
}

impl App {
    pub(super) fn facts(&self) -> Facts {
        let scene = self.model.scene.as_ref();
        let shown = self.shown_snapshot();
        Facts {
            has_scene: scene.is_some(),
            views: scene.map_or(0, |s| s.views.len()),
            has_splats: self.model.has_splats && scene.is_some(),
            is_luxen: self.viewport.is_luxen(),
            has_project: scene.is_some_and(|s| s.project.is_some()),
            run: self.model.run,
            edit_refusal: self
                .model
                .settings
                .check_edit()
                .err()
                .map(|e| e.to_string())
                .or_else(|| self.models.refusal(&self.model.settings.model)),
            has_interrupted_job: scene.is_some_and(|s| s.interrupted.is_some()),
            snapshots: self.model.snapshots.len(),
            shows_snapshot: shown.is_some(),
            can_go_back: self.model.neighbour(shown, false).is_some(),
            looks_through_view: self.viewport.camera.view_index().is_some(),
            has_before: self.viewport.before_kind().is_some(),
            warnings: self.model.warnings.len(),
            demo_refusal: self.models.demo.as_ref().err().cloned(),
        }
    }

    pub(super) fn act(&mut self, action: Action, ctx: &egui::Context) {
        match action {
            Action::Run(command) => self.run_command(command, ctx),
            Action::Open(path) => self.open_when_idle(&path),
            Action::FindPoses(photos) => {
                self.forget_last_scene();
                self.send_settings(true);
                self.send(Command::FindPoses {
                    photos,
                    folder: None,
                    opens: true,
                });
            }
            Action::ForgetRecent(path) => self.recents.forget(&path),
            Action::Choose(purpose) => self.choose(purpose, ctx),
            Action::UseProgramOnPath(tool) => self.use_program(tool, None),
            Action::Show(id) => self.show_snapshot(id),
            Action::Pin(id, pinned) => self.send(Command::Pin(id, pinned)),
            Action::LookThrough(index) => self.look_through(index),
            Action::Inspect(number) => self.inspected = number,
            Action::DismissError => self.model.error = None,
            Action::AskForModel { id, precision } => {
                self.model.fetch = Fetch::Asking;
                self.send(Command::OfferModel { id, precision });
            }
            Action::GetModel => self.get_model(),
            Action::StopModel => self.send(Command::StopModel),
            Action::TryOut {
                view,
                prompt,
                trials,
            } => self.try_out(view, prompt, trials),
            Action::KeepTrial { prompt, trial } => self.keep_trial(prompt, &trial),
            Action::UseModel(id) => {
                self.model.settings.model = id;
                self.dialog = Dialog::None;
            }
        }
    }

    pub(super) fn open_when_idle(&mut self, path: &Path) {
        if self.model.job().is_some() {
            self.model.error = Some(format!(
                "Stop what is under way before opening {}",
                path.display()
            ));
            return;
        }
        match unposed(path) {
            Ok(Some(unposed)) => {
                let dialog = FindPoses::new(path.to_owned(), &unposed, &self.model.settings);
                self.dialog = Dialog::FindPoses(dialog);
            }
            Ok(None) => self.open(path),
            Err(problem) => self.model.error = Some(sentence(&problem.to_string())),
        }
    }

    fn choose(&mut self, purpose: Purpose, ctx: &egui::Context) {
        let stem = self.model.scene.as_ref().map_or("scene", |scene| {
            scene
                .title
                .split('.')
                .next()
                .filter(|s| !s.is_empty())
                .unwrap_or("scene")
        });
        let suggestion = match purpose {
            Purpose::SaveProject => format!("{stem}.luxedit"),
            Purpose::ExportPly | Purpose::ExportAsSplats => format!("{stem}.ply"),
            Purpose::ExportMesh => format!("{stem}.glb"),
            Purpose::ExportFilm => format!("{stem}.mp4"),
            Purpose::OpenFolder
            | Purpose::OpenFile
            | Purpose::EditModel
            | Purpose::Colmap
            | Purpose::Ffmpeg => String::new(),
        };
        self.chooser.ask(purpose, &suggestion, ctx);
    }

    pub(super) fn chosen(&mut self, choice: Choice) {
        let Choice { purpose, path } = choice;
        match purpose {
            Purpose::OpenFolder | Purpose::OpenFile => self.open_when_idle(&path),
            Purpose::SaveProject => {
                self.send(Command::Project(path));
                self.send(Command::Save);
            }
            Purpose::ExportPly => {
                self.send(Command::Export(with_ending(path, "ply")));
            }
            Purpose::ExportAsSplats => self.deliver(with_ending(path, "ply"), Delivery::Splats),
            Purpose::ExportMesh => self.deliver(with_ending(path, "glb"), Delivery::Mesh),
            Purpose::ExportFilm => {
                let output = with_ending(path, "mp4");
                let Some(format) = RenderFormat::of_film(&output) else {
                    self.model.error = Some(format!(
                        "{} has no ending of a film: take .mp4, .gif or .json",
                        output.display()
                    ));
                    return;
                };
                if format == RenderFormat::Video
                    && let Err(missing) = Program::FFMPEG.look(&self.model.settings.ffmpeg)
                {
                    self.model.error = Some(format!(
                        "{missing} (File, Choose ffmpeg…). Without it: a name that ends in .gif makes an animation"
                    ));
                    return;
                }
                self.send_settings(true);
                self.send(Command::Render {
                    cameras: None,
                    orbit: Some(LOOP_PICTURES),
                    path: None,
                    frames_per_sec: None,
                    side: None,
                    output,
                    format,
                    look: self.viewport.look,
                });
            }
            Purpose::EditModel => self.model.settings.model = path.display().to_string(),
            Purpose::Colmap => self.use_program(Tool::Colmap, Some(&path)),
            Purpose::Ffmpeg => self.use_program(Tool::Ffmpeg, Some(&path)),
        }
    }

    /// `path` is this program from now on; `None`: the one on the PATH.
    fn use_program(&mut self, tool: Tool, path: Option<&Path>) {
        let path = path.map_or_else(String::new, |path| path.display().to_string());
        self.recents.chose_program(tool, &path);
        *tool.setting(&mut self.model.settings) = path;
        self.send_settings(true);
        if let Dialog::FindPoses(dialog) = &mut self.dialog {
            dialog.look(&self.model.settings);
        }
    }

    fn deliver(&mut self, output: PathBuf, delivery: Delivery) {
        self.send_settings(true);
        self.send(Command::Deliver { output, delivery });
    }

    fn get_model(&mut self) {
        match std::mem::take(&mut self.model.fetch) {
            Fetch::Offered(offer) => {
                self.send(Command::GetModel(offer.clone()));
                self.model.fetch = Fetch::Running(offer, FetchProgress::default());
            }
            other => self.model.fetch = other,
        }
    }

    fn try_out(&mut self, view: usize, prompt: String, trials: Vec<Trial>) {
        self.model.error = None;
        self.model.begin_trials(view, &prompt);
        self.recents.used_model(&self.model.settings.model);
        self.send_settings(true);
        self.send(Command::TryOut {
            view,
            prompt,
            trials,
        });
    }

    fn keep_trial(&mut self, prompt: String, trial: &Trial) {
        let settings = &mut self.model.settings;
        settings.prompt = prompt;
        let mut chosen = Ok(());
        for (key, value) in trial.values() {
            if let Some(setting) = Settings::info(key) {
                chosen = chosen.and(self.models.preset().choose(setting, settings, value));
            }
        }
        self.report(chosen);
        self.dialog = Dialog::None;
    }

    fn show_snapshot(&mut self, id: Option<SnapshotId>) {
        if let Some(worker) = &self.worker {
            let sent = self.outbox.show(worker.as_ref(), id);
            self.report(sent);
        }
    }

    fn look_through(&mut self, index: usize) {
        let Some(view) = self.model.scene.as_ref().and_then(|s| s.views.get(index)) else {
            return;
        };
        self.viewport.camera.look_through(index, &view.camera);
    }

    fn step_view(&mut self, step: isize) {
        let views = self.model.scene.as_ref().map_or(0, |s| s.views.len());
        if views == 0 {
            return;
        }
        let next = match self.viewport.camera.view_index() {
            Some(index) => (index as isize + step).rem_euclid(views as isize) as usize,
            None => 0,
        };
        self.look_through(next);
    }

    fn start_edit(&mut self) {
        if let Some(id) = self.shown_snapshot() {
            self.outbox.forget_shows();
            self.send(Command::Restore(id));
        }
        self.viewport.keep_before();
        self.keep_before_when_shown = !self.viewport.has_drawable();
        self.recents.used_model(&self.model.settings.model);
        self.send_settings(true);
        self.send(Command::Edit);
    }

    pub(super) fn send_settings(&mut self, at_once: bool) -> bool {
        let Some(worker) = &self.worker else {
            return false;
        };
        let sent = self
            .outbox
            .settings(worker.as_ref(), &self.model.settings, at_once);
        let waits = matches!(sent, Ok(true));
        self.report(sent.map(|_| ()));
        waits
    }

    fn run_command(&mut self, command: UiCommand, ctx: &egui::Context) {
        if (command.info().enabled)(&self.facts()).is_err() {
            if command == UiCommand::StartEdit {
                self.side_panel.was_refused = true;
                self.side_panel.focus_prompt = self.model.settings.prompt.trim().is_empty();
                self.shown.side_panel = true;
            }
            return;
        }
        let neighbour = |forward| self.model.neighbour(self.shown_snapshot(), forward);
        match command {
            UiCommand::OpenDemo => self.open_demo(),
            UiCommand::OpenFolder => self.choose(Purpose::OpenFolder, ctx),
            UiCommand::OpenFile => self.choose(Purpose::OpenFile, ctx),
            UiCommand::Save => self.send(Command::Save),
            UiCommand::SaveAs => self.choose(Purpose::SaveProject, ctx),
            UiCommand::Export => self.choose(Purpose::ExportPly, ctx),
            UiCommand::ExportMesh => self.choose(Purpose::ExportMesh, ctx),
            UiCommand::ExportFilm => self.choose(Purpose::ExportFilm, ctx),
            UiCommand::ChooseColmap => self.choose(Purpose::Colmap, ctx),
            UiCommand::ChooseFfmpeg => self.choose(Purpose::Ffmpeg, ctx),
            UiCommand::ExportAsSplats => self.choose(Purpose::ExportAsSplats, ctx),
            UiCommand::Quit => self.close(ctx),
            UiCommand::Reconstruct => {
                self.send_settings(true);
                self.send(Command::Reconstruct);
            }
            UiCommand::StartEdit => self.start_edit(),
            UiCommand::MakeViews => {
                self.send_settings(true);
                self.send(Command::MakeViews {
                    stance: Some(self.viewport.camera.stance()),
                    folder: None,
                    opens: true,
                });
            }
            UiCommand::TurnUpright => self.viewport.camera.turn_next_axis_up(),
            UiCommand::TryOut => {
                self.model.error = None;
                let view = self.viewport.camera.view_index();
                self.dialog = Dialog::TryOut(TryOut::open(&self.model, view));
            }
            UiCommand::ResumeJob => {
                self.viewport.keep_before();
                self.send_settings(true);
                self.send(Command::ResumeJob);
            }
            UiCommand::Pause => self.send(Command::Pause),
            UiCommand::Resume => {
                self.send_settings(true);
                self.send(Command::Resume);
            }
            UiCommand::Stop => self.send(Command::Stop),
            UiCommand::Evaluate => self.send(Command::Evaluate),
            UiCommand::Home => self.viewport.camera.go_home(),
            UiCommand::Focus => self.viewport.camera.focus_center(),
            UiCommand::PreviousView => self.step_view(-1),
            UiCommand::NextView => self.step_view(1),
            UiCommand::LeaveView => self.viewport.camera.leave_view(),
            UiCommand::ToggleCameras => self.viewport.cameras_on = !self.viewport.cameras_on,
            UiCommand::ToggleWipe => self.viewport.wipe_on = !self.viewport.wipe_on,
            UiCommand::ShowColor => self.viewport.look = Look::Color,
            UiCommand::ShowDepth => self.viewport.look = Look::Depth,
            UiCommand::ShowAccumulation => self.viewport.look = Look::Accumulation,
            UiCommand::ShowNormals => self.viewport.look = Look::Normals,
            UiCommand::ToggleReel => self.shown.reel = !self.shown.reel,
            UiCommand::ToggleTimeline => self.shown.timeline = !self.shown.timeline,
            UiCommand::ToggleSidePanel => self.shown.side_panel = !self.shown.side_panel,
            UiCommand::PreviousSnapshot => {
                if let Some(id) = neighbour(false) {
                    self.show_snapshot(id);
                }
            }
            UiCommand::NextSnapshot => {
                if let Some(id) = neighbour(true) {
                    self.show_snapshot(id);
                }
            }
            UiCommand::BackToLive => self.show_snapshot(None),
            UiCommand::RestoreSnapshot => {
                if let Some(id) = self.shown_snapshot() {
                    self.outbox.forget_shows();
                    self.send(Command::Restore(id));
                }
            }
            UiCommand::PinSnapshot => {
                if let Some(snapshot) = self.shown_snapshot().and_then(|id| self.model.snapshot(id))
                {
                    self.send(Command::Pin(snapshot.id, !snapshot.pinned));
                }
            }
            UiCommand::Palette => self.dialog = Dialog::Palette(Palette::default()),
            UiCommand::Shortcuts => self.dialog = Dialog::Shortcuts,
            UiCommand::Warnings => {
                self.model.unread_warnings = 0;
                self.dialog = Dialog::Warnings;
            }
            UiCommand::About => self.dialog = Dialog::About,
            UiCommand::GetModel => {
                self.dialog = Dialog::GetModel(GetModel::open(&self.model.fetch));
            }
        }
    }

    pub(super) fn is_on(&self, command: UiCommand) -> Option<bool> {
        match command {
            UiCommand::ToggleCameras => Some(self.viewport.cameras_on),
            UiCommand::ToggleWipe => Some(self.viewport.wipe_on),
            UiCommand::ShowColor => Some(self.viewport.look == Look::Color),
            UiCommand::ShowDepth => Some(self.viewport.look == Look::Depth),
            UiCommand::ShowAccumulation => Some(self.viewport.look == Look::Accumulation),
            UiCommand::ShowNormals => Some(self.viewport.look == Look::Normals),
            UiCommand::ToggleReel => Some(self.shown.reel),
            UiCommand::ToggleTimeline => Some(self.shown.timeline),
            UiCommand::ToggleSidePanel => Some(self.shown.side_panel),
            _ => None,
        }
    }

    /// Plain keys belong to a text field or a focused button first.
    pub(super) fn shortcuts(&mut self, ctx: &egui::Context, facts: &Facts) {
        let is_modal = self.dialog.is_open() || self.inspected.is_some();
        if is_modal || self.chooser.asks_in_window() || self.is_closing {
            return;
        }
        let is_typing = ctx.text_edit_focused();
        let focus_elsewhere = ctx.memory(|m| m.focused().is_some()) && !self.viewport.has_focus;
        let popup = ctx.any_popup_open();
        let pressed = COMMANDS.iter().find(|info| {
            let Some(shortcut) = info.shortcut else {
                return false;
            };
            let is_plain = shortcut.conflicts_with_text_editing();
            let is_confirm = matches!(shortcut.logical_key, Key::Space | Key::Enter);
            if is_plain && (is_typing || popup || (is_confirm && focus_elsewhere)) {
                return false;
            }
            // A refused edit says why.
            let may_run = (info.enabled)(facts).is_ok() || info.command == UiCommand::StartEdit;
            may_run && ctx.input_mut(|i| i.consume_shortcut(&shortcut))
        });
        if let Some(info) = pressed {
            self.run_command(info.command, ctx);
        }
    }
}
