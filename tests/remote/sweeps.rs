//! A sweep on one, on two and on lost editors: always the sweep that is made here.

use crate::common::{MODEL, Slow, gpu, host, host_at, root, tiny};
use luxedit::{
    edit::Host,
    gpu::Gpu,
    settings::{EditDevice, Loss, Settings, Sweep},
    worker::{Command, Event, Progress, ViewEdit, WorkerHandle},
};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const VIEWS: usize = 16;

/// The small capture without its last photos, and a scene made of it.
fn scene(gpu: &Arc<Gpu>) -> &'static (PathBuf, PathBuf) {
    static SCENE: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    SCENE.get_or_init(|| {
        let folder = FOLDER.get_or_init(|| TempDir::new().expect("a temporary folder"));
        let capture = folder.path().join("capture");
        std::fs::create_dir_all(capture.join("images")).expect("a folder");
        let tiny = root().join("assets/tiny");
        let text = std::fs::read_to_string(tiny.join("transforms.json")).expect("the capture");
        let mut frames: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        frames["frames"]
            .as_array_mut()
            .expect("frames")
            .truncate(VIEWS + 1);
        std::fs::write(capture.join("transforms.json"), frames.to_string()).expect("a file");
        std::fs::copy(tiny.join("points.ply"), capture.join("points.ply")).expect("a copy");
        for image in std::fs::read_dir(tiny.join("images")).expect("images") {
            let image = image.expect("an image").path();
            let name = image.file_name().expect("a name");
            std::fs::copy(&image, capture.join("images").join(name)).expect("a copy");
        }
        let mut run = Run::open(gpu, Command::Open(capture.clone()), &settings("cpu"));
        run.send(Command::Reconstruct);
        run.until_done();
        let ply = folder.path().join("scene.ply");
        run.send(Command::Export(ply.clone()));
        while !matches!(run.next(), Event::Exported(path) if path == ply) {}
        (capture, ply)
    })
}

fn settings(device: &str) -> Settings {
    Settings {
        prompt: "make it a bronze bust".into(),
        model: MODEL.into(),
        edit_device: EditDevice::parse(device).expect("a device"),
        reconstruct_steps: 30,
        edit_steps: 1,
        diffusion_steps: 3,
        sweep: Sweep::Frozen,
        loss: Loss::L1,
        ..Default::default()
    }
}

struct Run {
    worker: WorkerHandle,
    edits: Vec<ViewEdit>,
    /// Time of the last edit since the job began.
    took: Duration,
    began: Option<Instant>,
    warnings: Vec<String>,
    error: Option<String>,
    _folder: TempDir,
}

impl Run {
    fn open(gpu: &Arc<Gpu>, open: Command, settings: &Settings) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let run = Self {
            worker: WorkerHandle::spawn(gpu.clone(), || {}).expect("a thread"),
            edits: Vec::new(),
            took: Duration::ZERO,
            began: None,
            warnings: Vec::new(),
            error: None,
            _folder: folder,
        };
        run.send(Command::Settings(Box::new(settings.clone())));
        run.send(Command::Project(run._folder.path().join("run.luxedit")));
        run.send(open);
        let mut run = run;
        run.until_done();
        run
    }

    /// The scene, and an edit of it begun.
    fn edit(gpu: &Arc<Gpu>, device: &str) -> Self {
        Self::edit_by(gpu, &settings(device))
    }

    fn edit_by(gpu: &Arc<Gpu>, settings: &Settings) -> Self {
        let (capture, ply) = scene(gpu).clone();
        let open = Command::OpenWithScene {
            capture,
            scene: ply,
        };
        let mut run = Self::open(gpu, open, settings);
        run.began = Some(Instant::now());
        run.send(Command::Edit);
        run
    }

    fn send(&self, command: Command) {
        self.worker.send(command).expect("the worker listens");
    }

    fn next(&mut self) -> Event {
        let patience = Duration::from_secs(120);
        let event = self.worker.events.recv_timeout(patience);
        let event = event.expect("the worker says something");
        match &event {
            Event::ViewEdited(edit) => {
                self.edits.push((**edit).clone());
                self.took = self.began.map_or(Duration::ZERO, |began| began.elapsed());
            }
            Event::Error(problem) => self.error = Some(problem.clone()),
            Event::Warning(warning) => self.warnings.push(warning.clone()),
            _ => {}
        }
        event
    }

    /// Whether it finished.
    fn until_done(&mut self) -> bool {
        loop {
            if let Event::Done { finished, .. } = self.next() {
                assert_eq!(self.error, None);
                return finished;
            }
        }
    }

    /// To the end; numbers of the views that were told to be denoised.
    fn until_done_watching(&mut self) -> BTreeSet<usize> {
        let mut denoised = BTreeSet::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(120) {
            let told = self.worker.slots.progress.take();
            let detail = told.map(|p| p.detail).unwrap_or_default();
            if let Some(rest) = detail.strip_prefix("editing view ") {
                let number = rest.split(' ').next().and_then(|n| n.parse().ok());
                denoised.insert(number.expect("a number"));
            }
            match self.worker.events.try_recv() {
                Ok(Event::Done { finished, .. }) => {
                    assert!(finished);
                    return denoised;
                }
                Ok(Event::ViewEdited(edit)) => self.edits.push(*edit),
                Ok(Event::Error(problem)) => panic!("{problem}"),
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("it does not end");
    }

    /// Until progress begins with `what`.
    fn until_denoising(&mut self, what: &str) {
        let began = Instant::now();
        let is_it = |p: Progress| p.detail.starts_with(what);
        while !self.worker.slots.progress.take().is_some_and(is_it) {
            assert!(began.elapsed() < Duration::from_secs(60), "no {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn until_edits(&mut self, count: usize) {
        while self.edits.len() < count {
            assert!(!matches!(self.next(), Event::Done { .. }), "it ended early");
        }
    }

    fn until_waiting(&mut self) -> String {
        let began = Instant::now();
        loop {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "it does not wait"
            );
            let waiting = |p: Progress| p.waiting;
            if let Some(reason) = self.worker.slots.progress.take().and_then(waiting) {
                return reason;
            }
            if let Ok(Event::ViewEdited(edit)) = self.worker.events.try_recv() {
                self.edits.push(*edit);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The sweep made here.
fn local(gpu: &Arc<Gpu>) -> &'static [ViewEdit] {
    static LOCAL: OnceLock<Vec<ViewEdit>> = OnceLock::new();
    LOCAL.get_or_init(|| {
        let mut run = Run::edit(gpu, "cpu");
        assert!(run.until_done());
        run.edits
    })
}

#[track_caller]
fn assert_same(edits: &[ViewEdit], gpu: &Arc<Gpu>) {
    let local = local(gpu);
    assert_eq!(local.len(), VIEWS);
    let views = |edits: &[ViewEdit]| edits.iter().map(|e| e.view).collect::<Vec<_>>();
    assert_eq!(views(edits), views(local), "each view once, in order");
    for (one, other) in edits.iter().zip(local) {
        assert!(one.render == other.render, "another render of {}", one.view);
        assert!(one.edited == other.edited, "another edit of {}", one.view);
        assert_eq!(one.timestep, other.timestep);
    }
}

fn slow(gpu: &Arc<Gpu>, millis: u64) -> Host {
    host(
        gpu,
        Slow {
            inner: tiny(gpu),
            delay: Duration::from_millis(millis),
            card: None,
        },
    )
}

#[test]
fn two_editors_halve_a_frozen_sweep_and_make_the_same_pictures() {
    let Some(gpu) = gpu() else { return };
    local(&gpu);
    let (a, b) = (slow(&gpu, 600), slow(&gpu, 600));
    let mut one = Run::edit(&gpu, &format!("ws://{}", a.address()));
    assert!(one.until_done());
    assert_eq!(a.edits(), VIEWS);
    let mut two = Run::edit(&gpu, &format!("ws://{},ws://{}", a.address(), b.address()));
    assert!(two.until_done());
    let ratio = two.took.as_secs_f64() / one.took.as_secs_f64();
    println!(
        "{VIEWS} views, 0.6 s of waiting each: {:.2} s with one editor, {:.2} s with two, ratio {ratio:.2}; \
         edits {} and {}",
        one.took.as_secs_f64(),
        two.took.as_secs_f64(),
        a.edits() - VIEWS,
        b.edits()
    );
    assert_same(&one.edits, &gpu);
    assert_same(&two.edits, &gpu);
    assert!(ratio <= 0.6, "{ratio:.2}");
    assert!(b.edits() >= VIEWS / 3, "{} of {VIEWS}", b.edits());
}

/// Sixteen views, three at a time: the last stands alone. An instruction that changes reaches those that were edited
/// ahead.
#[test]
fn views_taken_together_make_the_sweep_that_is_made_one_by_one() {
    let Some(gpu) = gpu() else { return };
    let mut together = settings("cpu");
    together.views_at_once = 3;
    let mut run = Run::edit_by(&gpu, &together);
    let denoised = run.until_done_watching();
    println!("denoised: {denoised:?}");
    let firsts: BTreeSet<usize> = (1..=VIEWS).step_by(3).collect();
    assert!(
        !denoised.is_empty() && denoised.is_subset(&firsts),
        "{denoised:?}"
    );
    let local = local(&gpu);
    assert_eq!(run.edits.len(), VIEWS);
    for (one, other) in run.edits.iter().zip(local) {
        assert_eq!((one.view, one.timestep), (other.view, other.timestep));
        assert!(one.render == other.render, "another render of {}", one.view);
        let pairs = one.edited.rgb.iter().zip(other.edited.rgb.iter());
        let farthest = pairs.map(|(a, b)| a.abs_diff(*b)).max();
        assert!(farthest <= Some(1), "view {}: {farthest:?}", one.view);
    }

    let mut run = Run::edit_by(&gpu, &together);
    run.until_denoising("editing view 1 ");
    let mut changed = together.clone();
    changed.prompt = "make it snow".into();
    run.send(Command::Settings(Box::new(changed)));
    assert!(run.until_done());
    assert_eq!(run.edits.len(), VIEWS);
    for (one, other) in run.edits.iter().zip(local).skip(1) {
        assert_eq!(one.prompt, "make it snow");
        let pairs = one.edited.rgb.iter().zip(other.edited.rgb.iter());
        let farthest = pairs.map(|(a, b)| a.abs_diff(*b)).max();
        assert!(farthest > Some(2), "view {}: {farthest:?}", one.view);
    }
}

#[test]
fn an_editor_lost_in_the_middle_loses_nothing() {
    let Some(gpu) = gpu() else { return };
    local(&gpu);
    let (a, b) = (slow(&gpu, 150), slow(&gpu, 150));
    let mut run = Run::edit(&gpu, &format!("ws://{},ws://{}", a.address(), b.address()));
    run.until_edits(4);
    // In the middle of an edit.
    drop(a);
    assert!(run.until_done());
    assert_same(&run.edits, &gpu);
}

#[test]
fn an_edit_waits_for_its_only_editor_and_goes_on() {
    let Some(gpu) = gpu() else { return };
    local(&gpu);
    let first = slow(&gpu, 100);
    let at = first.address().to_string();
    let mut run = Run::edit(&gpu, &format!("ws://{at}"));
    run.until_edits(3);
    drop(first);
    let reason = run.until_waiting();
    assert!(
        reason.contains(&at) && reason.contains("goes on when it is back"),
        "{reason}"
    );
    let so_far = run.edits.len();
    assert!((3..VIEWS).contains(&so_far));
    std::thread::sleep(Duration::from_millis(600));
    assert!(
        !run.worker
            .events
            .try_iter()
            .any(|e| matches!(e, Event::ViewEdited(_))),
        "nothing is edited meanwhile"
    );
    let again = host_at(&at, &gpu, tiny(&gpu));
    assert!(run.until_done());
    assert_same(&run.edits, &gpu);
    assert!(again.edits() >= VIEWS - so_far);

    // A stop ends the waiting, too, and what was reached can be gone on with.
    let first = slow(&gpu, 100);
    let mut run = Run::edit(&gpu, &format!("ws://{}", first.address()));
    run.until_edits(2);
    drop(first);
    run.until_waiting();
    let began = Instant::now();
    run.send(Command::Stop);
    assert!(!run.until_done());
    assert!(began.elapsed() < Duration::from_secs(5));
    let mut live = settings("cpu");
    live.edit_steps = 1;
    run.send(Command::Settings(Box::new(live)));
    run.send(Command::ResumeJob);
    assert!(run.until_done());
    assert_same(&run.edits, &gpu);
}

#[test]
fn a_change_of_instruction_reaches_views_that_were_asked_for_ahead() {
    let Some(gpu) = gpu() else { return };
    let (a, b) = (slow(&gpu, 150), slow(&gpu, 150));
    let device = format!("ws://{},ws://{}", a.address(), b.address());
    let mut run = Run::edit(&gpu, &device);
    run.until_edits(3);
    let mut changed = settings(&device);
    changed.prompt = "make it snow".into();
    run.send(Command::Settings(Box::new(changed)));
    assert!(run.until_done());
    assert_eq!(run.edits.len(), VIEWS);
    // At most the view that was waited for still follows the old one.
    let old = run
        .edits
        .iter()
        .filter(|e| e.prompt != "make it snow")
        .count();
    assert!((3..=6).contains(&old), "{old} followed the old instruction");
    let local = local(&gpu);
    for (edit, other) in run.edits.iter().zip(local) {
        let is_same = edit.edited == other.edited;
        assert_eq!(is_same, edit.prompt != "make it snow", "view {}", edit.view);
    }
    assert_eq!(run.warnings, Vec::<String>::new());
}
