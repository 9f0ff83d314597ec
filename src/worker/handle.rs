//! The window's and the command line's end of the worker thread.

use super::{Command, Event, Slots, control::Control, run::Worker};
use crate::{Error, Result, edit::IDLE, error::Cancel, gpu::Gpu};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use std::{sync::Arc, time::Duration};

/// Commands are few and handled within a step; events come at most a few a step and are drained every frame.
const COMMAND_CAPACITY: usize = 256;
const EVENT_CAPACITY: usize = 1 << 16;

/// A running worker thread. Dropping it shuts the worker down and waits for its last save.
pub struct WorkerHandle {
    commands: Sender<Command>,
    pub events: Receiver<Event>,
    pub slots: Slots,
    cancel: Cancel,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WorkerHandle {
    /// Start the thread. `notify` is called after every event, drawable and progress report, from the worker thread.
    ///
    /// # Errors
    /// When the operating system starts no thread.
    pub fn spawn(gpu: Arc<Gpu>, notify: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        Self::spawn_idling(gpu, IDLE, notify)
    }

    /// [`Self::spawn`]; after `idle` without a command the edit model of no job, or of a paused one, leaves the
    /// graphics card.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_idling(
        gpu: Arc<Gpu>,
        idle: Duration,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let (commands, command_receiver) = crossbeam_channel::bounded(COMMAND_CAPACITY);
        let (event_sender, events) = crossbeam_channel::bounded(EVENT_CAPACITY);
        let slots = Slots::default();
        let worker_slots = slots.clone();
        let cancel = Cancel::default();
        let worker_cancel = cancel.clone();
        let thread = std::thread::Builder::new()
            .name("luxedit worker".into())
            .stack_size(16 << 20)
            .spawn(move || {
                let control = Control::new(
                    command_receiver,
                    event_sender,
                    worker_slots,
                    Arc::new(notify),
                    worker_cancel,
                    idle,
                );
                Worker::new(gpu, control).run();
            })
            .map_err(|e| Error::Invalid(format!("the worker thread does not start: {e}")))?;
        Ok(Self {
            commands,
            events,
            slots,
            cancel,
            thread: Some(thread),
        })
    }

    /// Queue a command. Never blocks.
    ///
    /// # Errors
    /// When the worker has ended, or has not answered for hundreds of commands.
    pub fn send(&self, command: Command) -> Result<()> {
        let stops = matches!(command, Command::Stop | Command::ShutDown);
        let sent = self.enqueue(command);
        if stops {
            self.cancel.cancel();
        }
        sent
    }

    fn enqueue(&self, command: Command) -> Result<()> {
        self.commands.try_send(command).map_err(|e| match e {
            TrySendError::Full(_) => Error::invalid("the worker is busy; try again in a moment"),
            TrySendError::Disconnected(_) => {
                Error::invalid("the worker has ended; save what is open and restart luxedit")
            }
        })
    }

    /// Stop the job, save, and wait for the thread.
    pub fn shut_down(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        if self.commands.send(Command::ShutDown).is_err() {
            log::debug!("the worker had ended before the shut-down");
        }
        self.cancel.cancel();
        // The worker must not block on a full event channel that nobody reads any more; where its save fails, it is told
        // once more.
        while !thread.is_finished() {
            while let Ok(event) = self.events.try_recv() {
                if matches!(event, Event::NotSaved(_))
                    && self.commands.send(Command::ShutDown).is_err()
                {
                    log::debug!("the worker gave up what was not saved");
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.join().is_err() {
            log::error!("the worker thread panicked");
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.end();
    }
}
