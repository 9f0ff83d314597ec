//! Mesa's software adapter runs a dispatch in halves, one to each of its threads, and lets them sleep in between. Woken
//! together, two of them land on one processor often enough to cost a sixth of a training step, because a scheduler leaves a
//! thread for a while where it ran last. Here each has a processor of its own. The threads have no name of their own, but
//! take that of the thread that started them: the device is opened on one that is called [`NAME`].

use crate::{Error, Result};

/// As long as Linux lets a thread's name be.
const NAME: &str = "luxedit-adapter";

/// Run `open`, and give each thread that it starts a processor.
///
/// # Errors
/// What `open` says; [`Error::Gpu`] when it cannot be run.
pub(super) fn with_pinned_workers<T: Send>(open: impl FnOnce() -> Result<T> + Send) -> Result<T> {
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

#[cfg(target_os = "linux")]
fn pin_workers() -> std::io::Result<()> {
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        unistd::Pid,
    };
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let processors: Vec<usize> = (0..CpuSet::count())
        .filter(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .collect();
    for (thread, &processor) in workers()?.into_iter().zip(processors.iter().cycle()) {
        let mut alone = CpuSet::new();
        alone.set(processor)?;
        sched_setaffinity(Pid::from_raw(thread), &alone)?;
    }
    Ok(())
}

/// Numbers of the threads that the device started, in their order.
#[cfg(target_os = "linux")]
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

#[cfg(not(target_os = "linux"))]
fn pin_workers() -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use nix::{
        sched::{CpuSet, sched_getaffinity},
        unistd::Pid,
    };

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
