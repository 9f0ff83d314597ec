//! The program's window: drains the worker's events, lays out the panels, carries out what they ask for. Events are
//! drained in `logic`, which eframe also calls while the window is hidden, so the worker never waits for a window that
//! is not painted.

mod actions;
mod layout;
mod native;

pub use native::run;

use super::{
    bars::Shown,
    chooser::Chooser,
    dialogs::Dialog,
    get_model::Fetch,
    link::Worker,
    model::{Model, Reaction},
    models::Models,
    outbox::Outbox,
    recents::Recents,
    side_panel::SidePanel,
    thumbs::{Picture, Thumbs},
    viewport::Viewport,
};
use crate::{
    Result,
    bundle::Bundle,
    gpu::Gpu,
    settings::Settings,
    worker::{Command, RunState, SnapshotId},
};
use crossbeam_channel::TryRecvError;
use eframe::{egui, egui_wgpu::RenderState};
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
    models: Models,
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
    /// [`crate::Error::Gpu`] when the adapter cannot run the rasterizer.
    pub fn new(
        gpu: Arc<Gpu>,
        state: &RenderState,
        worker: Box<dyn Worker>,
        recents: Recents,
        chooser: Chooser,
        bundle: Bundle,
    ) -> Result<Self> {
        let mut model = Model::default();
        let mut models = Models::new(bundle, gpu.is_software());
        if !recents.model().is_empty() {
            recents.model().clone_into(&mut model.settings.model);
        }
        recents.fill_programs(&mut model.settings);
        if let Err(e) = models.follow(&mut model.settings) {
            model.error = Some(super::model::sentence(&e.to_string()));
        }
        Ok(Self {
            models,
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
            shown: Shown {
                reel: true,
                timeline: true,
                side_panel: true,
            },
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
        self.forget_last_scene();
        self.send_settings(true);
        self.send(Command::Open(path.to_owned()));
    }

    /// The size that a project's photos were loaded at is the project's, not that of what is opened next; and a crop box
    /// is around one scene.
    fn forget_last_scene(&mut self) {
        self.model.settings.crop.clear();
        let opened = self.model.scene.as_ref().filter(|s| s.project.is_some());
        if opened.is_some_and(|s| s.settings.downscale == self.model.settings.downscale) {
            self.model.settings.downscale = Settings::default().downscale;
        }
    }

    /// Open the demo that comes with the program.
    fn open_demo(&mut self) {
        let demo = match &self.models.demo {
            Ok(demo) => demo.clone(),
            Err(problem) => {
                self.model.error = Some(super::model::sentence(problem));
                return;
            }
        };
        let Some(scene) = demo.scene else {
            self.open(&demo.capture);
            return;
        };
        self.opening = Some(demo.capture.clone());
        self.forget_last_scene();
        self.send_settings(true);
        self.send(Command::OpenWithScene {
            capture: demo.capture,
            scene,
        });
    }

    /// The viewport shows the newest parameters from where the camera is, at full resolution.
    pub fn is_settled(&self) -> bool {
        self.viewport.is_settled()
    }

    fn send(&mut self, command: Command) {
        let sent = self
            .worker
            .as_ref()
            .map_or(Ok(()), |worker| worker.send(command));
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
                    // A last save that failed keeps the window open, with the reason.
                    if matches!(event, crate::worker::Event::NotSaved(_)) {
                        self.is_closing = false;
                    }
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
        if let Some(preview) = worker.slots().preview.take() {
            self.model.trials.previewed(preview);
        }
        if let Some(now) = worker.slots().fetch.take()
            && let Fetch::Running(_, progress) = &mut self.model.fetch
        {
            *progress = now;
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
        let Some(scene) = &self.model.scene else {
            return;
        };
        self.thumbs.clear();
        self.viewport.open(scene);
        self.inspected = None;
        self.keep_before_when_shown = false;
        self.outbox.settings_unknown();
        let keeps_all = scene.interrupted.is_some();
        if self.model.settings.model.is_empty() {
            self.recents
                .model()
                .clone_into(&mut self.model.settings.model);
        }
        self.recents.fill_programs(&mut self.model.settings);
        let opened = self
            .models
            .scene_opened(&mut self.model.settings, keeps_all);
        let path = self.opening.take().unwrap_or_else(|| scene.source.clone());
        // The demo has its own place on the start page.
        let is_demo = self.models.demo.as_ref().is_ok_and(|d| d.capture == path);
        if !is_demo {
            self.recents.opened(&path);
        }
        self.report(opened);
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
}
