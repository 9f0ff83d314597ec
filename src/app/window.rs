//! The program's window: drains the worker's events, lays out the panels, carries out what they ask for. Events are
//! drained in `logic`, which eframe also calls while the window is hidden, so the worker never waits for a window that
//! is not painted.

use super::{
    Action, bars,
    bars::Shown,
    chooser::{Choice, Chooser, Purpose},
    commands::{COMMANDS, Facts, UiCommand},
    dialogs::{Dialog, Palette},
    link::Worker,
    model::{Model, Reaction},
    outbox::Outbox,
    recents::Recents,
    reel,
    side_panel::SidePanel,
    start_page, theme,
    thumbs::{Picture, Thumbs},
    timeline,
    viewport::Viewport,
};
use crate::{
    Error, Result,
    gpu::Gpu,
    worker::{Command, RunState, SceneInfo, SnapshotId, WorkerHandle},
};
use crossbeam_channel::TryRecvError;
use eframe::{
    egui::{self, Key},
    egui_wgpu::RenderState,
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Longest that a frame may spend on events.
const DRAIN_TIME: Duration = Duration::from_millis(8);

/// The window's state.
pub struct App {
    gpu: Arc<Gpu>,
    /// `None` once it was shut down.
    worker: Option<Box<dyn Worker>>,
    model: Model,
    outbox: Outbox,
    viewport: Viewport,
    side_panel: SidePanel,
    thumbs: Thumbs,
    recents: Recents,
    chooser: Chooser,
    dialog: Dialog,
    shown: Shown,
    /// Edit of the strip that is enlarged.
    inspected: Option<u64>,
    /// Path that is being opened, for the list of recent files.
    opening: Option<PathBuf>,
    /// An edit began before anything was drawn: the first drawable is the scene before it.
    keep_before_when_shown: bool,
    is_closing: bool,
    /// Set from outside (a signal) to close the window.
    asked_to_close: Arc<AtomicBool>,
    title: String,
    /// Reported already.
    viewport_error: Option<String>,
}

impl App {
    /// # Errors
    /// [`Error::Gpu`] when the adapter cannot run the rasterizer.
    pub fn new(
        gpu: Arc<Gpu>,
        state: &RenderState,
        worker: Box<dyn Worker>,
        recents: Recents,
        chooser: Chooser,
    ) -> Result<Self> {
        let mut model = Model::default();
        recents.model().clone_into(&mut model.settings.model);
        Ok(Self {
            viewport: Viewport::new(gpu.clone(), state)?,
            gpu,
            worker: Some(worker),
            model,
            outbox: Outbox::new(),
            side_panel: SidePanel::default(),
            thumbs: Thumbs::default(),
            recents,
            chooser,
            dialog: Dialog::default(),
            shown: Shown { reel: true, timeline: true, side_panel: true },
            inspected: None,
            opening: None,
            keep_before_when_shown: false,
            is_closing: false,
            asked_to_close: Arc::default(),
            title: String::new(),
            viewport_error: None,
        })
    }

    /// Set this, and request a repaint, to close the window as if its close button had been pressed.
    pub fn close_switch(&self) -> Arc<AtomicBool> {
        self.asked_to_close.clone()
    }

    /// Open a capture, a splat file or a project.
    pub fn open(&mut self, path: &Path) {
        self.opening = Some(path.to_owned());
        self.send(Command::Open(path.to_owned()));
    }

    /// The viewport shows the newest parameters from where the camera is, at full resolution.
    pub fn is_settled(&self) -> bool {
        self.viewport.is_settled()
    }

    fn send(&mut self, command: Command) {
        let sent = self.worker.as_ref().map_or(Ok(()), |worker| worker.send(command));
        self.report(sent);
    }

    /// An error ends here, in the banner.
    fn report(&mut self, result: Result<()>) {
        if let Err(e) = result {
            self.model.error = Some(super::model::sentence(&e.to_string()));
        }
    }

    /// Snapshot on show, or on its way to be.
    fn shown_snapshot(&self) -> Option<SnapshotId> {
        self.outbox.wished().unwrap_or(self.model.shown)
    }

    // ------------------------------------------------------------------------------------------- worker → window

    /// Take in what the worker has told, for a few milliseconds at most; the rest waits for the next call. Called
    /// whether the window is visible or not; never waits.
    pub fn drain(&mut self, ctx: &egui::Context) {
        let start = Instant::now();
        loop {
            if start.elapsed() > DRAIN_TIME {
                ctx.request_repaint();
                break;
            }
            let Some(worker) = &self.worker else { return };
            match worker.events().try_recv() {
                Ok(event) => {
                    let reaction = self.model.apply(event);
                    self.react(reaction);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.worker_ended(ctx);
                    return;
                }
            }
        }
        let Some(worker) = &self.worker else { return };
        if let Some(progress) = worker.slots().progress.take() {
            self.model.progress = progress;
        }
        if let Some(drawable) = worker.slots().drawable.take() {
            self.viewport.set_drawable(drawable);
            self.model.has_splats = true;
            if std::mem::take(&mut self.keep_before_when_shown) {
                self.viewport.keep_before();
            }
        }
        let checked = self.gpu.check_lost();
        self.report(checked);
    }

    fn react(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::None | Reaction::SplatsReady => {}
            Reaction::SceneOpened => self.scene_opened(),
            Reaction::ProjectChosen => {
                let project = self.model.scene.as_ref().and_then(|s| s.project.as_deref());
                if let Some(project) = project {
                    self.recents.opened(project);
                }
            }
            Reaction::SnapshotGone(id) => self.thumbs.forget(Picture::Snapshot(id)),
            Reaction::Shown => {
                if let Some(worker) = &self.worker {
                    let sent = self.outbox.shown(worker.as_ref());
                    self.report(sent);
                }
            }
        }
    }

    fn scene_opened(&mut self) {
        let Some(scene) = &self.model.scene else { return };
        self.thumbs.clear();
        self.viewport.open(scene);
        self.inspected = None;
        self.keep_before_when_shown = false;
        self.outbox.settings_known(&scene.settings);
        if self.model.settings.model.is_empty() {
            self.recents.model().clone_into(&mut self.model.settings.model);
        }
        let path = self.opening.take().unwrap_or_else(|| scene.source.clone());
        self.recents.opened(&path);
    }

    fn worker_ended(&mut self, ctx: &egui::Context) {
        if let Some(worker) = self.worker.take() {
            worker.shut_down();
        }
        if self.is_closing {
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        } else {
            self.model.run = RunState::Idle;
            self.model.error = Some(
                "The background thread ended unexpectedly. The project is as it was last saved: restart luxedit and \
                 open it again"
                    .to_owned(),
            );
        }
    }

    // ------------------------------------------------------------------------------------------- window → worker

    fn facts(&self) -> Facts {
        let scene = self.model.scene.as_ref();
        let shown = self.shown_snapshot();
        Facts {
            has_scene: scene.is_some(),
            views: scene.map_or(0, |s| s.views.len()),
            has_splats: self.model.has_splats && scene.is_some(),
            has_project: scene.is_some_and(|s| s.project.is_some()),
            run: self.model.run,
            edit_refusal: self.model.settings.check_edit().err().map(|e| e.to_string()),
            has_interrupted_job: scene.is_some_and(|s| s.interrupted.is_some()),
            snapshots: self.model.snapshots.len(),
            shows_snapshot: shown.is_some(),
            can_go_back: self.model.neighbour(shown, false).is_some(),
            looks_through_view: self.viewport.camera.view_index().is_some(),
            has_before: self.viewport.before_kind().is_some(),
            warnings: self.model.warnings.len(),
        }
    }

    fn act(&mut self, action: Action, ctx: &egui::Context) {
        match action {
            Action::Run(command) => self.run_command(command, ctx),
            Action::Open(path) => self.open_when_idle(&path),
            Action::ForgetRecent(path) => self.recents.forget(&path),
            Action::Choose(purpose) => self.choose(purpose, ctx),
            Action::Show(id) => self.show_snapshot(id),
            Action::Pin(id, pinned) => self.send(Command::Pin(id, pinned)),
            Action::LookThrough(index) => self.look_through(index),
            Action::Inspect(number) => self.inspected = number,
            Action::DismissError => self.model.error = None,
        }
    }

    fn open_when_idle(&mut self, path: &Path) {
        if self.model.job().is_some() {
            self.model.error =
                Some(format!("Stop what is under way before opening {}", path.display()));
        } else {
            self.open(path);
        }
    }

    fn choose(&mut self, purpose: Purpose, ctx: &egui::Context) {
        let stem = self.model.scene.as_ref().map_or("scene", |scene| {
            scene.title.split('.').next().filter(|s| !s.is_empty()).unwrap_or("scene")
        });
        let suggestion = match purpose {
            Purpose::SaveProject => format!("{stem}.luxedit"),
            Purpose::ExportPly => format!("{stem}.ply"),
            Purpose::OpenFolder | Purpose::OpenFile | Purpose::EditModel => String::new(),
        };
        self.chooser.ask(purpose, &suggestion, ctx);
    }

    fn chosen(&mut self, choice: Choice) {
        let Choice { purpose, path } = choice;
        match purpose {
            Purpose::OpenFolder | Purpose::OpenFile => self.open_when_idle(&path),
            Purpose::SaveProject => {
                self.send(Command::Project(path));
                self.send(Command::Save);
            }
            Purpose::ExportPly => {
                let path = if path.extension().is_none() { path.with_extension("ply") } else { path };
                self.send(Command::Export(path));
            }
            Purpose::EditModel => self.model.settings.model = path.display().to_string(),
        }
    }

    fn show_snapshot(&mut self, id: Option<SnapshotId>) {
        if let Some(worker) = &self.worker {
            let sent = self.outbox.show(worker.as_ref(), id);
            self.report(sent);
        }
    }

    fn look_through(&mut self, index: usize) {
        let Some(view) = self.model.scene.as_ref().and_then(|s| s.views.get(index)) else { return };
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
            self.send(Command::Restore(id));
        }
        self.viewport.keep_before();
        self.keep_before_when_shown = !self.viewport.has_drawable();
        self.recents.used_model(&self.model.settings.model);
        self.send_settings(true);
        self.send(Command::Edit);
    }

    fn send_settings(&mut self, at_once: bool) -> bool {
        let Some(worker) = &self.worker else { return false };
        let sent = self.outbox.settings(worker.as_ref(), &self.model.settings, at_once);
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
            UiCommand::OpenFolder => self.choose(Purpose::OpenFolder, ctx),
            UiCommand::OpenFile => self.choose(Purpose::OpenFile, ctx),
            UiCommand::Save => self.send(Command::Save),
            UiCommand::SaveAs => self.choose(Purpose::SaveProject, ctx),
            UiCommand::Export => self.choose(Purpose::ExportPly, ctx),
            UiCommand::Quit => self.close(ctx),
            UiCommand::Reconstruct => {
                self.send_settings(true);
                self.send(Command::Reconstruct);
            }
            UiCommand::StartEdit => self.start_edit(),
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
                    self.send(Command::Restore(id));
                }
            }
            UiCommand::PinSnapshot => {
                if let Some(snapshot) = self.shown_snapshot().and_then(|id| self.model.snapshot(id)) {
                    self.send(Command::Pin(snapshot.id, !snapshot.pinned));
                }
            }
            UiCommand::Palette => self.dialog = Dialog::Palette(Palette::default()),
            UiCommand::Shortcuts => self.dialog = Dialog::Shortcuts,
            UiCommand::Warnings => {
                self.model.unread_warnings = 0;
                self.dialog = Dialog::Warnings;
            }
        }
    }

    fn is_on(&self, command: UiCommand) -> Option<bool> {
        match command {
            UiCommand::ToggleCameras => Some(self.viewport.cameras_on),
            UiCommand::ToggleWipe => Some(self.viewport.wipe_on),
            UiCommand::ToggleReel => Some(self.shown.reel),
            UiCommand::ToggleTimeline => Some(self.shown.timeline),
            UiCommand::ToggleSidePanel => Some(self.shown.side_panel),
            _ => None,
        }
    }

    /// Plain keys belong to a text field or a focused button first.
    fn shortcuts(&mut self, ctx: &egui::Context, facts: &Facts) {
        let is_modal = self.dialog.is_open() || self.inspected.is_some();
        if is_modal || self.chooser.asks_in_window() || self.is_closing {
            return;
        }
        let is_typing = ctx.text_edit_focused();
        let focus_elsewhere = ctx.memory(|m| m.focused().is_some()) && !self.viewport.has_focus;
        let popup = ctx.any_popup_open();
        let pressed = COMMANDS.iter().find(|info| {
            let Some(shortcut) = info.shortcut else { return false };
            let is_plain = shortcut.conflicts_with_text_editing();
            let is_confirm = matches!(shortcut.logical_key, Key::Space | Key::Enter);
            if is_plain && (is_typing || popup || (is_confirm && focus_elsewhere)) {
                return false;
            }
            // A refused edit says why.
            let may_run =
                (info.enabled)(facts).is_ok() || info.command == UiCommand::StartEdit;
            may_run && ctx.input_mut(|i| i.consume_shortcut(&shortcut))
        });
        if let Some(info) = pressed {
            self.run_command(info.command, ctx);
        }
    }

    // ------------------------------------------------------------------------------------------------- closing

    /// Ask the worker to save and end; the window closes once it has.
    fn close(&mut self, ctx: &egui::Context) {
        if self.worker.is_none() {
            self.is_closing = true;
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        } else if !self.is_closing {
            self.is_closing = true;
            self.send(Command::ShutDown);
            ctx.request_repaint();
        }
    }

    fn closing(&mut self, ctx: &egui::Context) {
        let wants_to_close = ctx.input(|i| i.viewport().close_requested());
        if wants_to_close && self.worker.is_some() {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            self.close(ctx);
        }
        if self.asked_to_close.swap(false, Ordering::Relaxed) {
            self.close(ctx);
        }
        if self.is_closing {
            ctx.request_repaint_after_secs(0.05);
        }
    }

    /// Whether the window may go: the worker has saved and ended.
    pub fn has_closed(&self) -> bool {
        self.is_closing && self.worker.is_none()
    }

    /// End the worker, waiting for it.
    pub fn shut_down(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.shut_down();
        }
    }

    // -------------------------------------------------------------------------------------------------- layout

    /// What runs before every frame, and instead of one while the window is hidden.
    pub fn update(&mut self, ctx: &egui::Context) {
        self.drain(ctx);
        self.closing(ctx);
        let scene = self.model.scene.as_ref();
        let title = scene.map_or("luxedit".to_owned(), |s| format!("{} – luxedit", s.title));
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }

    /// Draw the window.
    pub fn show(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        self.thumbs.begin_frame();
        self.dropped_files(&ctx);
        let facts = self.facts();
        self.shortcuts(&ctx, &facts);
        let facts = self.facts();
        let mut actions = Vec::new();
        self.panels(ui, &facts, &mut actions);
        self.overlays(&ctx, &facts, &mut actions);
        for action in actions {
            self.act(action, &ctx);
        }
        if let Some(choice) = self.chooser.show(&ctx) {
            self.chosen(choice);
        }
        let is_dragging = ctx.input(|i| i.pointer.any_down());
        if self.send_settings(false) || is_dragging {
            ctx.request_repaint_after_secs(0.1);
        }
    }

    fn panels(&mut self, ui: &mut egui::Ui, facts: &Facts, actions: &mut Vec<Action>) {
        let bar = egui::Frame::new()
            .fill(theme::PANEL)
            .inner_margin(egui::Margin::symmetric(8, 3));
        egui::Panel::top("menu bar").frame(bar).show(ui, |ui| {
            bars::menu_bar(ui, &self.model, facts, |command| self.is_on(command), actions);
        });
        egui::Panel::bottom("status line").frame(bar).exact_size(26.0).show(ui, |ui| {
            bars::status_line(ui, &self.model, &self.viewport, &self.gpu);
        });
        if let Some(error) = self.model.error.clone() {
            let frame = egui::Frame::new().fill(theme::ERROR_MUTED).inner_margin(10);
            egui::Panel::top("error").frame(frame).show(ui, |ui| {
                bars::error_banner(ui, &error, actions);
            });
        }
        let Some(scene) = self.model.scene.clone() else {
            let frame = egui::Frame::new().fill(theme::SUNKEN);
            egui::CentralPanel::default().frame(frame).show(ui, |ui| {
                start_page::show(ui, &self.model, facts, &self.recents, actions);
            });
            return;
        };
        if self.shown.side_panel {
            egui::Panel::right("side panel")
                .frame(theme::panel_frame())
                .resizable(true)
                .default_size(theme::SIDE_PANEL)
                .size_range(264.0..=460.0)
                .show(ui, |ui| {
                    self.side_panel.show(ui, &mut self.model, facts, actions);
                });
        }
        self.bottom_panels(ui, &scene, facts, actions);
        let frame = egui::Frame::new().fill(theme::SUNKEN);
        egui::CentralPanel::default().frame(frame).show(ui, |ui| {
            if self.viewport.has_drawable() {
                self.viewport(ui, &scene, facts, actions);
            } else {
                let thumbs = &mut self.thumbs;
                start_page::contact_sheet(ui, &self.model, &scene, thumbs, facts, actions);
            }
        });
    }

    fn bottom_panels(
        &mut self,
        ui: &mut egui::Ui,
        scene: &SceneInfo,
        facts: &Facts,
        actions: &mut Vec<Action>,
    ) {
        let frame = egui::Frame::new()
            .fill(theme::PANEL)
            .inner_margin(egui::Margin { left: 12, right: 12, top: 8, bottom: 0 });
        if self.shown.timeline && !self.model.snapshots.is_empty() {
            let shown = self.shown_snapshot();
            egui::Panel::bottom("timeline")
                .frame(frame)
                .exact_size(timeline::HEIGHT)
                .show(ui, |ui| {
                    timeline::show(ui, &self.model, shown, facts, &mut self.thumbs, actions);
                });
        }
        if self.shown.reel && !self.model.reel.is_empty() {
            egui::Panel::bottom("edited views").frame(frame).exact_size(reel::HEIGHT).show(
                ui,
                |ui| reel::show(ui, &self.model, &scene.views, &mut self.thumbs, actions),
            );
        }
    }

    fn viewport(
        &mut self,
        ui: &mut egui::Ui,
        scene: &SceneInfo,
        facts: &Facts,
        actions: &mut Vec<Action>,
    ) {
        let is_live = self.model.is_running() && self.model.shown.is_none();
        match self.viewport.show(ui, scene, is_live) {
            Ok(output) => {
                self.viewport_error = None;
                if let (Some(camera), Some(worker)) = (output.camera, &self.worker) {
                    worker.slots().camera.put(camera);
                }
                if let Some(index) = output.look_through {
                    actions.push(Action::LookThrough(index));
                }
                if let Some(rect) = output.rect {
                    let viewport = &mut self.viewport;
                    bars::viewport_chips(ui, rect, &self.model, facts, viewport, actions);
                }
            }
            Err(e) => {
                let message = super::model::sentence(&e.to_string());
                let is_new = self.viewport_error.as_ref() != Some(&message);
                ui.painter().text(
                    ui.max_rect().center(),
                    egui::Align2::CENTER_CENTER,
                    "The scene cannot be drawn",
                    egui::FontId::proportional(14.0),
                    theme::TEXT_WEAK,
                );
                if is_new {
                    self.model.error = Some(message.clone());
                }
                self.viewport_error = Some(message);
            }
        }
    }

    fn overlays(&mut self, ctx: &egui::Context, facts: &Facts, actions: &mut Vec<Action>) {
        self.dialog.show(ctx, &self.model, facts, actions);
        if let (Some(number), Some(scene)) = (self.inspected, &self.model.scene) {
            let views = scene.views.clone();
            reel::inspect(ctx, &self.model, number, &views, &mut self.thumbs, actions);
        }
        let waits = ctx.input(|i| !i.raw.hovered_files.is_empty());
        if waits {
            let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop hint"));
            let painter = ctx.layer_painter(layer);
            let rect = ctx.content_rect();
            painter.rect_filled(rect, 0.0, theme::OVERLAY);
            painter.text(
                rect.center(),
                egui::Align2::CENTER_CENTER,
                "Drop to open",
                egui::FontId::proportional(22.0),
                theme::TEXT_STRONG,
            );
        }
        if self.is_closing {
            theme::dialog("closing").show(ctx, |ui| {
                ui.set_width(320.0);
                ui.horizontal(|ui| {
                    ui.add(egui::Spinner::new());
                    ui.label("Finishing the current step and saving the project…");
                });
            });
        }
    }

    /// The first of what was dropped is opened; the rest is named.
    fn dropped_files(&mut self, ctx: &egui::Context) {
        let dropped: Vec<PathBuf> =
            ctx.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_owned()).collect());
        let Some((first, rest)) = dropped.split_first() else { return };
        if !rest.is_empty() {
            self.model.warn(format!(
                "only one thing can be open: {} was opened, {} dropped with it was not",
                first.display(),
                super::model::count(rest.len(), "other item")
            ));
        }
        self.open_when_idle(first);
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.update(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.show(ui);
    }

    fn on_exit(&mut self) {
        self.shut_down();
    }
}

/// Open the window, and in it `path`. Returns when it was closed and the worker has saved.
///
/// # Errors
/// [`Error::Gpu`] when there is no display or no adapter that can draw the window.
pub fn run(path: Option<PathBuf>) -> Result<()> {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("luxedit")
            .with_app_id("luxedit")
            .with_inner_size([1320.0, 860.0])
            .with_min_inner_size([860.0, 560.0])
            .with_icon(super::icon::icon())
            .with_drag_and_drop(true),
        renderer: eframe::Renderer::Wgpu,
        wgpu_options: eframe::egui_wgpu::WgpuConfiguration {
            wgpu_setup: crate::gpu::eframe_setup(),
            ..Default::default()
        },
        ..Default::default()
    };
    eframe::run_native(
        "luxedit",
        options,
        Box::new(move |cc| Ok(Box::new(start(cc, path.as_deref())?))),
    )
    .map_err(|e| explain(&e))
}

fn start(cc: &eframe::CreationContext<'_>, path: Option<&Path>) -> Result<App> {
    let state = cc
        .wgpu_render_state
        .as_ref()
        .ok_or_else(|| Error::Gpu("the window was opened without a graphics device".into()))?;
    theme::apply(&cc.egui_ctx);
    let gpu = Gpu::from_eframe(state);
    let ctx = cc.egui_ctx.clone();
    let worker = WorkerHandle::spawn(gpu.clone(), move || ctx.request_repaint())?;
    let mut app = App::new(gpu, state, Box::new(worker), Recents::load(), Chooser::detect())?;
    close_on_signal(&app, &cc.egui_ctx);
    if let Some(path) = path {
        app.open(path);
    }
    Ok(app)
}

/// Ctrl-C in the terminal closes the window as its close button does.
fn close_on_signal(app: &App, ctx: &egui::Context) {
    let switch = app.close_switch();
    let ctx = ctx.clone();
    let installed = ctrlc::set_handler(move || {
        switch.store(true, Ordering::Relaxed);
        ctx.request_repaint();
    });
    if let Err(e) = installed {
        log::warn!("Ctrl-C will end luxedit without saving: {e}");
    }
}

fn explain(error: &eframe::Error) -> Error {
    match error {
        eframe::Error::AppCreation(inner) => match inner.downcast_ref::<Error>() {
            Some(known) => Error::Gpu(known.to_string()),
            None => Error::Gpu(inner.to_string()),
        },
        eframe::Error::Wgpu(e) => Error::Gpu(format!(
            "no graphics adapter can draw the window ({e}). Install your graphics driver; without a graphics card, \
             Mesa's software adapter serves: `sudo apt-get install mesa-vulkan-drivers libvulkan1`"
        )),
        e => Error::Gpu(format!(
            "no window can be opened here ({e}). On a machine without a display, use the command line: `luxedit --help`"
        )),
    }
}
