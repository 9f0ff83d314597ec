//! Mesa's software adapter gives each of its threads an equal part of a dispatch, and lets them sleep in between. Woken
//! together, two of them land on one processor often enough to cost a sixth of a training step, because a scheduler leaves a
//! thread for a while where it ran last. Here they are dealt out to the processors, and stay there. They have no names of their
//! own, but take that of the thread that started them: the device is opened on one that is called [`NAME`].

use crate::{Error, Result};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::sync::{Mutex, PoisonError};

/// As long as Linux lets a thread's name be.
const NAME: &str = "luxedit-adapter";

/// While a device is being opened: its opener has the name, too.
static OPENING: Mutex<()> = Mutex::new(());

/// Run `open`, and tie each thread that it starts to a processor.
///
/// # Errors
/// What `open` says; [`Error::Gpu`] when it cannot be run.
pub(super) fn with_pinned_workers<T: Send>(open: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(NAME.into());
        let failed = |e: &dyn std::fmt::Display| {
            Error::Gpu(format!("opening the software adapter's device: {e}"))
        };
        thread
            .spawn_scoped(scope, open)
            .map_err(|e| failed(&e))?
            .join()
            .map_err(|_| failed(&"its thread panicked"))?
    })?;
    // What is not pinned works as well, if slower.
    if let Err(e) = pin_workers() {
        log::debug!("the software adapter's threads have no processors of their own: {e}");
    }
    Ok(opened)
}

fn pin_workers() -> std::io::Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let processors: Vec<usize> = (0..CpuSet::count())
        .filter(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .collect();
    for (thread, &processor) in workers()?.into_iter().zip(processors.iter().cycle()) {
        let mut alone = CpuSet::new();
        alone.set(processor)?;
        match sched_setaffinity(Pid::from_raw(thread), &alone) {
            // It ended meanwhile, as the opener does.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Numbers of the threads that software adapters' devices started in this process, oldest first as long as numbers rise.
fn workers() -> std::io::Result<Vec<i32>> {
    let mut workers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        // A thread may end meanwhile.
        let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else {
            continue;
        };
        let number = entry.file_name().to_str().and_then(|n| n.parse().ok());
        if let (NAME, Some(number)) = (name.trim_end(), number) {
            workers.push(number);
        }
    }
    workers.sort_unstable();
    Ok(workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_are_started_have_a_processor_each() {
        let (sender, stop) = crossbeam_channel::bounded::<()>(0);
        let stop = &stop;
        std::thread::scope(|scope| {
            with_pinned_workers(|| Ok(())).unwrap();
            let before = workers().unwrap();
            // As Mesa does: threads that do not name themselves.
            let started = with_pinned_workers(|| {
                for _ in 0..2 {
                    scope.spawn(move || stop.recv().err());
                }
                Ok(2)
            });
            assert_eq!(started.unwrap(), 2);
            let after = workers().unwrap();
            assert_eq!(after.len(), before.len() + 2);
            for thread in after {
                let own = sched_getaffinity(Pid::from_raw(thread)).unwrap();
                let count = (0..CpuSet::count()).filter(|&cpu| own.is_set(cpu).unwrap());
                assert_eq!(count.count(), 1);
            }
            drop(sender);
        });
    }
}
