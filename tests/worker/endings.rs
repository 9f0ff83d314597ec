//! What ends unasked, and what must end though something fails.

use crate::{Driven, adapter::gpu, long_reconstruction};
use luxedit::{
    settings::Settings,
    worker::{Access, Command, Event, Job, Project, WorkerHandle},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[test]
fn a_panic_costs_the_job_and_keeps_the_scene() {
    let Some(gpu) = gpu() else { return };
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = armed.clone();
    let worker = WorkerHandle::spawn(gpu, move || {
        assert!(
            !trigger.swap(false, Ordering::SeqCst),
            "the trigger went off"
        );
    })
    .unwrap();
    let settings = Settings {
        autosave_secs: 3600,
        ..long_reconstruction()
    };
    let mut driven = Driven::on(worker, &settings);
    driven.send(Command::Reconstruct);
    driven.until_snapshot_at(10);
    armed.store(true, Ordering::SeqCst);
    let mut problems = Vec::new();
    let step = loop {
        match driven.worker.events.recv_timeout(Duration::from_secs(120)) {
            Ok(Event::Error(problem)) => problems.push(problem),
            Ok(Event::Done {
                job: Job::Reconstruct,
                finished,
                step,
            }) => {
                assert!(!finished);
                break step;
            }
            Ok(_) => {}
            Err(e) => panic!("the worker says nothing more: {e}"),
        }
    };
    assert!(
        matches!(problems.as_slice(), [one] if one.contains(concat!("the trigger went off (", file!(), ":"))),
        "{problems:?}"
    );
    assert!(step >= 10);
    // What is open is saved, and the job can be gone on with.
    let project = Project::open(&driven._dir.path().join("test.luxedit"), Access::Read).unwrap();
    let live = project.manifest.live.as_ref().unwrap();
    assert_eq!(live.step, step);
    assert!(project.manifest.job.is_some());
    driven.send(Command::ResumeJob);
    driven.until_snapshot_at(step + 10);
    driven.worker.shut_down();
}

#[test]
fn a_shut_down_ends_though_nothing_can_be_saved() {
    let Some(mut driven) = Driven::start(&long_reconstruction()) else {
        return;
    };
    driven.send(Command::Reconstruct);
    driven.until_snapshot_at(10);
    // Nobody writes a state below a file, whoever it is.
    let states = driven._dir.path().join("test.luxedit/states");
    std::fs::remove_dir_all(&states).unwrap();
    std::fs::write(&states, "").unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    let Driven { worker, _dir, .. } = driven;
    std::thread::spawn(move || {
        worker.shut_down();
        ended.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(60))
        .expect("the worker ends");
}
