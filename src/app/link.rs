//! The thread behind the window, as the window sees it: a place for commands, a channel of events, the latest-wins
//! slots. A trait, so that a test can play the worker; the window never waits on any of its calls but the last one.

use crate::{
    Result,
    worker::{Command, Event, Slots, WorkerHandle},
};
use crossbeam_channel::Receiver;

/// What the window needs of a worker.
pub trait Worker {
    /// Queue a command. Returns at once.
    ///
    /// # Errors
    /// When the worker has ended or takes nothing more at the moment.
    fn send(&self, command: Command) -> Result<()>;
    /// Events in the order in which they happened. Disconnected once the worker has ended.
    fn events(&self) -> &Receiver<Event>;
    fn slots(&self) -> &Slots;
    /// Ask it to stop, save and end, and wait until it has.
    fn shut_down(self: Box<Self>);
}

impl Worker for WorkerHandle {
    fn send(&self, command: Command) -> Result<()> {
        Self::send(self, command)
    }
    fn events(&self) -> &Receiver<Event> {
        &self.events
    }
    fn slots(&self) -> &Slots {
        &self.slots
    }
    fn shut_down(self: Box<Self>) {
        Self::shut_down(*self);
    }
}
