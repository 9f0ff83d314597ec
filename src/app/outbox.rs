//! Commands on their way to the worker. Most go at once; settings wait until a slider is let go, and a scrub over the
//! timeline keeps only its newest position while the worker is still bringing up an earlier one.

use super::link::Worker;
use crate::{
    Result,
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
    /// `None` when the worker may have others: opening a project replaces them.
    sent_settings: Option<Settings>,
    sent_settings_at: Instant,
    /// A show that the worker has not answered.
    asked: Option<(Option<SnapshotId>, Instant)>,
    waiting: Option<Option<SnapshotId>>,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            sent_settings: Some(Settings::default()),
            sent_settings_at: Instant::now(),
            asked: None,
            waiting: None,
        }
    }

    /// The worker's settings are not known any more: send the next ones in any case.
    pub fn settings_unknown(&mut self) {
        self.sent_settings = None;
    }

    /// The live scene is about to be another: no scrub is under way any more.
    pub fn forget_shows(&mut self) {
        self.asked = None;
        self.waiting = None;
    }

    /// Send settings that changed: now if `at_once`, else at intervals. Returns whether some wait.
    ///
    /// # Errors
    /// See [`Worker::send`].
    pub fn settings(
        &mut self,
        worker: &dyn Worker,
        settings: &Settings,
        at_once: bool,
    ) -> Result<bool> {
        if self.sent_settings.as_ref() == Some(settings) {
            return Ok(false);
        }
        if !at_once && self.sent_settings_at.elapsed() < SETTINGS_INTERVAL {
            return Ok(true);
        }
        worker.send(Command::Settings(Box::new(settings.clone())))?;
        self.sent_settings = Some(settings.clone());
        self.sent_settings_at = Instant::now();
        Ok(false)
    }

    /// Show a snapshot or the live scene; only the newest wish counts.
    ///
    /// # Errors
    /// See [`Worker::send`].
    pub fn show(&mut self, worker: &dyn Worker, id: Option<SnapshotId>) -> Result<()> {
        match self.asked {
            Some((asked, _)) if asked == id => self.waiting = None,
            Some((_, at)) if at.elapsed() < SHOW_PATIENCE => self.waiting = Some(id),
            _ => {
                worker.send(Command::Show(id))?;
                self.asked = Some((id, Instant::now()));
                self.waiting = None;
            }
        }
        Ok(())
    }

    /// The worker answered a show.
    ///
    /// # Errors
    /// See [`Worker::send`].
    pub fn shown(&mut self, worker: &dyn Worker) -> Result<()> {
        self.asked = None;
        match self.waiting.take() {
            Some(id) => self.show(worker, id),
            None => Ok(()),
        }
    }

    /// What the artist wants to see, ahead of the worker's answer.
    pub fn wished(&self) -> Option<Option<SnapshotId>> {
        self.waiting.or(self.asked.map(|(id, _)| id))
    }
}
