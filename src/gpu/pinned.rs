//! Mesa's software adapter gives each of its threads an equal part of a dispatch, and lets them sleep in between. Woken
//! together, two of them land on one processor often enough to cost a sixth of a training step, because a scheduler leaves a
//! thread for a while where it ran last. Here they are dealt out to the processors, and stay there. They have no names of their
//! own, but take that of the thread that started them: the device is opened on one that is called [`NAME`].

use crate::{Error, Result};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::{Pid, gettid},
};
use std::sync::{Mutex, PoisonError};

/// As long as Linux lets a thread's name be.
const NAME: &str = "luxedit-adapter";
/// While a device is being opened, so that threads are told from those of another.
static OPENING: Mutex<()> = Mutex::new(());

/// Run `open`, and tie each thread that it starts to a processor.
///
/// # Errors
/// What `open` says; [`Error::Gpu`] when it cannot be run.
pub(super) fn with_pinned_workers<T: Send>(open: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = workers();
    let (opener, opened) = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(NAME.into());
        let failed = |e: &dyn std::fmt::Display| {
            Error::Gpu(format!("opening the software adapter's device: {e}"))
        };
        thread
            .spawn_scoped(scope, || (gettid(), open()))
            .map_err(|e| failed(&e))?
            .join()
            .map_err(|_| failed(&"its thread panicked"))
    })?;
    let opened = opened?;
    // What is not pinned works as well, if slower.
    let pinned = before.and_then(|before| {
        let is_new = |thread: &Pid| *thread != opener && !before.contains(thread);
        pin(workers()?.into_iter().filter(is_new).collect())
    });
    if let Err(e) = pinned {
        log::debug!("the software adapter's threads have no processors of their own: {e}");
    }
    Ok(opened)
}

/// Deal threads out to the processors that this process may use. Where there are fewer threads, they stay free: they would
/// share the first processors with those of every other such process.
fn pin(threads: Vec<Pid>) -> std::io::Result<()> {
    let processors = processors(Pid::from_raw(0))?;
    if threads.len() < processors.len() {
        return Ok(());
    }
    for (thread, &processor) in threads.into_iter().zip(processors.iter().cycle()) {
        let mut alone = CpuSet::new();
        alone.set(processor)?;
        match sched_setaffinity(thread, &alone) {
            // It ended meanwhile.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Processors that a thread may run on; 0: the calling one.
fn processors(thread: Pid) -> std::io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(thread)?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .collect())
}

/// This process's threads that are called [`NAME`], oldest first as long as numbers rise.
fn workers() -> std::io::Result<Vec<Pid>> {
    let mut workers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        // A thread may end before its name is read.
        let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else {
            continue;
        };
        let number = entry.file_name().to_str().and_then(|n| n.parse().ok());
        if let (NAME, Some(number)) = (name.trim_end(), number) {
            workers.push(Pid::from_raw(number));
        }
    }
    workers.sort_unstable();
    Ok(workers)
}
