//! The thread behind the window, as the window sees it: a place for commands, a channel of events, the latest-wins
//! slots. A trait, so that a test can play the worker; the window never waits on any of its calls but the last one.

use crate::worker::{Command, Event, Slots};
use crossbeam_channel::Receiver;

/// What the window needs of a worker.
pub trait Worker {
    /// Queue a command. Returns at once.
    fn send(&self, command: Command);
    /// Events in the order in which they happened. Disconnected once the worker has ended.
    fn events(&self) -> &Receiver<Event>;
    fn slots(&self) -> &Slots;
    /// Ask it to stop, save and end, and wait until it has.
    fn shut_down(self: Box<Self>);
}
