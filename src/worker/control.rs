//! The worker's side of the channels: sorts commands into those that act at once (stop, pause, settings), those that run
//! between two steps of a job (show, export, save), and those that wait for the job's end.

use super::{Command, Event, Job, Progress, RunState, Slots, TrialPreview, fetch::Fetcher};
use crate::{bundle::BUNDLED_MODEL, edit::Drawable, error::Cancel, settings::Settings};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::{collections::VecDeque, sync::Arc, time::Duration};

pub struct Control {
    commands: Receiver<Command>,
    events: Sender<Event>,
    pub slots: Slots,
    notify: Arc<dyn Fn() + Send + Sync>,
    pub settings: Settings,
    /// Cancelled by a stop; shared with the handle, so that a stop also ends what does not listen to commands.
    pub cancel: Cancel,
    pub running: Option<Job>,
    paused: bool,
    /// After so long without a command nobody is there.
    idle: Duration,
    is_idle: bool,
    pub shutting_down: bool,
    fetcher: Fetcher,
    /// Commands that run between two steps.
    pub between: VecDeque<Command>,
    /// Commands that wait for the job's end.
    pub after: VecDeque<Command>,
}

impl Control {
    pub fn new(
        commands: Receiver<Command>,
        events: Sender<Event>,
        slots: Slots,
        notify: Arc<dyn Fn() + Send + Sync>,
        cancel: Cancel,
        idle: Duration,
    ) -> Self {
        Self {
            fetcher: Fetcher::new(events.clone(), slots.fetch.clone(), notify.clone()),
            commands,
            events,
            slots,
            notify,
            settings: Settings::default(),
            cancel,
            running: None,
            paused: false,
            idle,
            is_idle: false,
            shutting_down: false,
            between: VecDeque::new(),
            after: VecDeque::new(),
        }
    }

    pub fn emit(&self, event: Event) {
        // The receiver is gone only when the window closes; then there is nobody left to tell.
        if self.events.send(event).is_ok() {
            (self.notify)();
        }
    }

    pub fn progress(&self, progress: Progress) {
        self.slots.progress.put(progress);
        (self.notify)();
    }

    pub fn preview(&self, preview: TrialPreview) {
        self.slots.preview.put(preview);
        (self.notify)();
    }

    /// For what reports progress from other threads.
    pub fn notifier(&self) -> Arc<dyn Fn() + Send + Sync> {
        self.notify.clone()
    }

    pub fn draw(&self, drawable: Drawable) {
        self.slots.drawable.put(drawable);
        (self.notify)();
    }

    pub fn begin(&mut self, job: Job) {
        self.cancel.reset();
        self.paused = false;
        self.running = Some(job);
        self.emit(Event::State(RunState::Running(job)));
        if self.shutting_down {
            self.cancel.cancel();
        }
        // A stop that was sent before the reset still waits in the channel.
        self.poll();
    }

    pub fn end(&mut self) {
        self.running = None;
        self.paused = false;
        self.emit(Event::State(RunState::Idle));
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    pub fn is_stopping(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Take in what has arrived, without waiting.
    pub fn poll(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.sort(command);
        }
    }

    /// Wait for one command and take it in. A closed channel is a shut-down.
    pub fn wait(&mut self) {
        match self.commands.recv() {
            Ok(command) => self.sort(command),
            Err(_) => self.sort(Command::ShutDown),
        }
    }

    /// Wait for one command and take it in; true once none has come for so long that nobody is there, and again until one
    /// comes.
    pub fn is_left_alone(&mut self) -> bool {
        if !self.is_idle {
            match self.commands.recv_timeout(self.idle) {
                Ok(command) => self.sort(command),
                Err(RecvTimeoutError::Timeout) => self.is_idle = true,
                Err(RecvTimeoutError::Disconnected) => self.sort(Command::ShutDown),
            }
        }
        self.is_idle
    }

    fn sort(&mut self, command: Command) {
        self.is_idle = false;
        match command {
            Command::Settings(mut settings) => {
                settings.model = absolute_model(&settings.model);
                self.settings = *settings;
            }
            Command::Pause => {
                if let Some(job) = self.running
                    && !self.is_stopping()
                {
                    self.paused = true;
                    self.emit(Event::State(RunState::Paused(job)));
                }
            }
            Command::Resume => {
                if let Some(job) = self.running
                    && self.paused
                {
                    self.paused = false;
                    self.emit(Event::State(RunState::Running(job)));
                }
            }
            Command::Stop => {
                self.after.clear();
                self.stop();
            }
            Command::OfferModel { id, precision } => self.fetcher.offer(id, precision),
            Command::GetModel(offer) => self.fetcher.get(*offer),
            Command::StopModel => self.fetcher.stop(),
            Command::ShutDown => {
                self.shutting_down = true;
                self.fetcher.stop();
                self.after.clear();
                self.stop();
            }
            Command::Show(_)
            | Command::Pin(..)
            | Command::Export(_)
            | Command::Save
            | Command::Project(_) => self.between.push_back(command),
            Command::Open(_)
            | Command::OpenWithScene { .. }
            | Command::OpenReadOnly(_)
            | Command::AttachSplats(_)
            | Command::Restore(_) => {
                self.after.clear();
                self.stop();
                self.after.push_back(command);
            }
            Command::Reconstruct
            | Command::Edit
            | Command::EditCopy(_)
            | Command::ResumeJob
            | Command::Evaluate
            | Command::EditImage { .. }
            | Command::TryOut { .. }
            | Command::Render { .. }
            | Command::Deliver { .. }
            | Command::MakeViews { .. }
            | Command::FindPoses { .. } => self.after.push_back(command),
        }
    }

    fn stop(&mut self) {
        self.paused = false;
        if let Some(job) = self.running {
            self.cancel.cancel();
            self.emit(Event::State(RunState::Stopping(job)));
        }
    }
}

/// Where the model is, from wherever the project is resumed. A folder that does not exist stays as it was typed, for the
/// error that names it.
fn absolute_model(model: &str) -> String {
    if model == BUNDLED_MODEL {
        return model.to_owned();
    }
    std::fs::canonicalize(model)
        .map_or_else(|_| model.to_owned(), |path| path.display().to_string())
}
