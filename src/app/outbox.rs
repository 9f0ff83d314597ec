//! Commands on their way to the worker. Most go at once; settings wait until a slider is let go, and a scrub over the
//! timeline keeps only its newest position while the worker is still bringing up an earlier one.

use super::link::Worker;
use crate::{
    settings::Settings,
    worker::{Command, SnapshotId},
};
use std::time::{Duration, Instant};

/// Between two sends of changed settings while a control is being dragged.
const SETTINGS_INTERVAL: Duration = Duration::from_millis(250);
/// After which an unanswered scrub no longer holds back the next.
const SHOW_PATIENCE: Duration = Duration::from_secs(2);

/// What was sent, and what waits.
pub struct Outbox {
    sent_settings: Settings,
    sent_settings_at: Instant,
    /// A show that the worker has not answered.
    asked: Option<(Option<SnapshotId>, Instant)>,
    waiting: Option<Option<SnapshotId>>,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            sent_settings: Settings::default(),
            sent_settings_at: Instant::now(),
            asked: None,
            waiting: None,
        }
    }

    /// The worker has these settings already.
    pub fn settings_known(&mut self, settings: &Settings) {
        self.sent_settings = settings.clone();
    }

    /// Send settings that changed: now if `at_once`, else when nothing is being dragged. Returns whether some wait.
    pub fn settings(&mut self, worker: &dyn Worker, settings: &Settings, at_once: bool) -> bool {
        if *settings == self.sent_settings {
            return false;
        }
        if !at_once && self.sent_settings_at.elapsed() < SETTINGS_INTERVAL {
            return true;
        }
        worker.send(Command::Settings(Box::new(settings.clone())));
        self.settings_known(settings);
        self.sent_settings_at = Instant::now();
        false
    }

    /// Show a snapshot or the live scene; only the newest wish counts.
    pub fn show(&mut self, worker: &dyn Worker, id: Option<SnapshotId>) {
        match self.asked {
            Some((asked, _)) if asked == id => self.waiting = None,
            Some((_, at)) if at.elapsed() < SHOW_PATIENCE => self.waiting = Some(id),
            _ => {
                worker.send(Command::Show(id));
                self.asked = Some((id, Instant::now()));
                self.waiting = None;
            }
        }
    }

    /// The worker answered a show.
    pub fn shown(&mut self, worker: &dyn Worker) {
        self.asked = None;
        if let Some(id) = self.waiting.take() {
            self.show(worker, id);
        }
    }

    /// What the artist wants to see, ahead of the worker's answer.
    pub fn wished(&self) -> Option<Option<SnapshotId>> {
        self.waiting.or(self.asked.map(|(id, _)| id))
    }
}
