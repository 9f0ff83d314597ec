//! One error type for the library, so that every failure reaches the person as one sentence: what is wrong, where, and
//! what to do. Errors are handled once, at the window's banner or the command line's last line; nothing in between logs
//! them as well.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// Everything that a person, a file, a disk or a driver can get wrong, and what luxedit itself did.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file's content is not what it should be.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A value that the person gave cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// No graphics adapter, or one that cannot run the kernels.
    #[error("{0}")]
    Gpu(String),
    /// Something in luxedit panicked.
    #[error("a defect in luxedit: {0}; please report it")]
    Defect(String),
    /// The person asked to stop.
    #[error("stopped")]
    Cancelled,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A malformed file: `problem` says what is wrong and where in the file.
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_owned(),
            problem: problem.into(),
        }
    }

    /// For `map_err` on `std::io` results.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    /// What panics in `run` becomes [`Error::Defect`], with its place where it was on this thread.
    ///
    /// # Errors
    /// Those of `run`, and its panic.
    pub(crate) fn contained<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
        remember_places();
        PLACE.set(None);
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = (panic.downcast_ref::<String>().map(String::as_str))
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("it gave no reason");
            let at = PLACE.take().map_or(String::new(), |at| format!(" ({at})"));
            Err(Self::Defect(format!("{text}{at}")))
        })
    }

    pub fn invalid(problem: impl Into<String>) -> Self {
        Self::Invalid(problem.into())
    }
}

thread_local! {
    /// File and line of this thread's last panic.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// A panic's payload does not say where it was.
fn remember_places() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let at = panic.location().map(ToString::to_string);
            // A thread that is ending keeps none.
            PLACE.try_with(|place| place.set(at)).ok();
            before(panic);
        }));
    });
}

/// A flag shared between the person who may stop a job and the code that runs it.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    own: Arc<AtomicBool>,
    whole: Option<Box<Cancel>>,
}

impl Cancel {
    /// A flag for a part of what this one stops: it stops with the whole, and can be stopped alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            own: Arc::default(),
            whole: Some(Box::new(self.clone())),
        }
    }
    pub fn cancel(&self) {
        self.own.store(true, Ordering::Relaxed);
    }
    /// Ready for the next job.
    pub fn reset(&self) {
        self.own.store(false, Ordering::Relaxed);
    }
    pub fn is_cancelled(&self) -> bool {
        let is_whole_cancelled = || self.whole.as_ref().is_some_and(|w| w.is_cancelled());
        self.own.load(Ordering::Relaxed) || is_whole_cancelled()
    }
    /// # Errors
    /// [`Error::Cancelled`] once [`Cancel::cancel`] was called.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}
