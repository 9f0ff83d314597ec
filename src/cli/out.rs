//! What a command says on standard output. Who reads may leave early (`luxedit info scene.ply | head -1`): what the
//! command does goes on, and what it would still say, or tell beside it, goes nowhere. Output that is refused for another reason, a full disk
//! say, fails the command.

use crate::{Error, Result};
use std::{
    fmt::Arguments,
    io::{ErrorKind, Write},
    sync::Mutex,
};

static REFUSED: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// `println!` for results.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::out::line(format_args!($($part)*)) };
}
pub(super) use say;

/// `eprintln!` for what is told beside the result.
macro_rules! tell {
    ($($part:tt)*) => { $crate::cli::out::aside(format_args!($($part)*)) };
}
pub(super) use tell;

/// A line beside the result. Where nobody takes it there is nobody left to say so to.
pub(super) fn aside(text: Arguments<'_>) {
    writeln!(std::io::stderr().lock(), "{text}").unwrap_or_default();
}

/// A line of a result.
pub(super) fn line(text: Arguments<'_>) {
    if let Err(e) = writeln!(std::io::stdout().lock(), "{text}")
        && e.kind() != ErrorKind::BrokenPipe
        && let Ok(mut refused) = REFUSED.lock()
    {
        refused.get_or_insert(e);
    }
}

/// # Errors
/// [`Error::Invalid`] when a line could not be written.
pub(super) fn finish() -> Result<()> {
    let flushed = std::io::stdout().lock().flush();
    let refused = REFUSED.lock().map_or(None, |mut refused| refused.take());
    match refused.map_or(flushed, Err) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::Invalid(format!(
            "what was found could not be written to standard output: {e}"
        ))),
        _ => Ok(()),
    }
}
