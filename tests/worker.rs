//! The worker thread by its messages: what the window relies on and the command line never does.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "worker/endings.rs"]
mod endings;
#[path = "worker/idle.rs"]
mod idle;

use adapter::gpu;
use luxedit::{
    edit::Drawable,
    formats::{SplatFormat, splats::write_splats},
    scene::Splats,
    settings::{EditDevice, Loss, Settings, Strategy, Sweep},
    worker::{Access, Command, Event, Job, Project, SnapshotId, Trial, WorkerHandle},
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

struct Driven {
    worker: WorkerHandle,
    snapshots: Vec<(SnapshotId, u32)>,
    /// Keeps the project's folder until the end.
    _dir: TempDir,
}

impl Driven {
    /// The small capture, open, with a project of its own; `None`, said, without an adapter.
    fn start(settings: &Settings) -> Option<Self> {
        let worker = WorkerHandle::spawn(gpu()?, || {}).unwrap();
        Some(Self::on(worker, settings))
    }

    fn on(worker: WorkerHandle, settings: &Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let mut driven = Self {
            worker,
            snapshots: Vec::new(),
            _dir: dir,
        };
        driven.send(Command::Settings(Box::new(settings.clone())));
        driven.send(Command::Project(driven._dir.path().join("test.luxedit")));
        driven.send(Command::Open(
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/tiny"),
        ));
        driven.until_done(Job::Open);
        driven
    }

    fn send(&self, command: Command) {
        self.worker.send(command).unwrap();
    }

    fn next(&mut self) -> Event {
        let event = self
            .worker
            .events
            .recv_timeout(Duration::from_secs(120))
            .expect("the worker says something");
        match &event {
            Event::Error(problem) => panic!("{problem}"),
            Event::Snapshot(s) => self.snapshots.push((s.id, s.step)),
            _ => {}
        }
        event
    }

    /// Whether the job finished, and its last step.
    fn until_done(&mut self, wanted: Job) -> (bool, u32) {
        loop {
            if let Event::Done {
                job,
                finished,
                step,
            } = self.next()
                && job == wanted
            {
                return (finished, step);
            }
        }
    }

    fn until_snapshot_at(&mut self, step: u32) {
        while !self.snapshots.iter().any(|(_, s)| *s >= step) {
            self.next();
        }
    }
}

fn long_reconstruction() -> Settings {
    Settings {
        reconstruct_steps: 100_000,
        snapshot_interval: 10,
        ..Default::default()
    }
}

#[test]
fn going_back_while_a_job_runs_stops_it_and_goes_back() {
    let Some(mut driven) = Driven::start(&long_reconstruction()) else {
        return;
    };
    driven.send(Command::Reconstruct);
    driven.until_snapshot_at(20);
    let (first, step) = driven.snapshots[1];
    driven.send(Command::Restore(first));
    let (finished, stopped_at) = driven.until_done(Job::Reconstruct);
    assert!(!finished);
    let restored = loop {
        if let Event::Restored(id) = driven.next() {
            break id;
        }
    };
    assert_eq!(restored, first);
    // Where it was stopped is on the timeline, and what runs next starts from the snapshot.
    assert!(
        driven.snapshots.iter().any(|(_, s)| *s == stopped_at),
        "step {stopped_at} is lost: {:?}",
        driven.snapshots
    );
    assert!(step < stopped_at);
    driven.send(Command::Evaluate);
    assert_eq!(driven.until_done(Job::Evaluate), (true, step));
}

#[test]
fn pause_holds_and_stop_ends_within_a_step() {
    let Some(mut driven) = Driven::start(&long_reconstruction()) else {
        return;
    };
    driven.send(Command::Reconstruct);
    driven.until_snapshot_at(10);
    driven.send(Command::Pause);
    let paused_at = loop {
        match driven.next() {
            Event::State(luxedit::worker::RunState::Paused(_)) => break driven.snapshots.len(),
            _ => continue,
        }
    };
    std::thread::sleep(Duration::from_millis(700));
    let losses = driven
        .worker
        .events
        .try_iter()
        .filter(|e| matches!(e, Event::Loss { .. }))
        .count();
    assert!(losses <= 2, "{losses} steps were taken while paused");
    assert!(paused_at >= 1);
    driven.send(Command::Stop);
    let (finished, step) = driven.until_done(Job::Reconstruct);
    assert!(!finished && step > 0);
    // The stopped job can be gone on with.
    driven.send(Command::ResumeJob);
    driven.until_snapshot_at(step + 10);
    driven.worker.shut_down();
}

#[test]
fn a_stop_during_opening_is_not_lost() {
    let Some(mut driven) = Driven::start(&long_reconstruction()) else {
        return;
    };
    let capture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/tiny");
    driven.send(Command::Open(capture));
    driven.send(Command::Stop);
    let (finished, _) = driven.until_done(Job::Open);
    // Either it was stopped, or it was through already; it must not be taken for the next job's stop.
    driven.send(Command::Reconstruct);
    driven.until_snapshot_at(if finished { 10 } else { 0 });
}

#[test]
fn sweeps_over_a_share_of_the_views_take_others_each_time_and_train_on_edited_ones() {
    use luxedit::edit::{Schedule, StepPlan};
    let settings = Settings {
        sweep_views: 4,
        sweep_interval: 10,
        ..Settings::default()
    };
    let mut schedule = Schedule::new(7, 11);
    let mut edited: Vec<Vec<usize>> = Vec::new();
    let mut trained = std::collections::BTreeSet::new();
    let ahead = schedule.edits_ahead(&settings, 30);
    let mut edits = 0;
    for _ in 0..30 {
        let plan = schedule.plan_edit(&settings);
        match plan {
            StepPlan::EditAndStep { position, sweep } => {
                edited.resize(sweep as usize + 1, Vec::new());
                edited[sweep as usize].push(position);
                edits += 1;
                schedule.finish_edit(&settings);
            }
            StepPlan::Step { position } => {
                assert!(
                    edited.iter().flatten().any(|p| *p == position),
                    "view {position} was not edited yet: {edited:?}"
                );
                trained.insert(position);
            }
            StepPlan::EditOnly { .. } | StepPlan::Distill { .. } => {
                panic!("the sweep is interleaved")
            }
        }
        schedule.finish_step(&plan);
    }
    assert_eq!(edited, [vec![0, 3, 6, 9], vec![1, 4, 7, 10], vec![2, 5, 8]]);
    assert_eq!(ahead, edits, "as many as were announced");
    assert!(trained.len() > 6, "{trained:?}");
}

#[test]
fn an_orbit_stays_within_the_cameras_arc_and_closes() {
    use glam::DVec3;
    use luxedit::scene::{Camera, Intrinsics, orbit};
    let intrinsics = Intrinsics {
        fx: 80.0,
        fy: 80.0,
        cx: 31.0,
        cy: 33.0,
        width: 64,
        height: 64,
    };
    let center = DVec3::new(3.0, -2.0, 1.0);
    // Two rings of cameras over an arc of azimuth, degrees.
    let rig = |from: f64, to: f64, count: usize| -> Vec<Camera> {
        let mut cameras = Vec::new();
        for elevation in [5.0f64, 35.0] {
            for i in 0..count {
                let azimuth = (from + (to - from) * i as f64 / (count - 1) as f64).to_radians();
                let (s, c) = azimuth.sin_cos();
                let (se, ce) = elevation.to_radians().sin_cos();
                let eye = center + 2.5 * DVec3::new(c * ce, s * ce, se);
                cameras.push(Camera::look_at(eye, center, DVec3::Z, intrinsics));
            }
        }
        cameras
    };
    let azimuth = |camera: &Camera| {
        let offset = camera.position() - center;
        offset.y.atan2(offset.x).to_degrees()
    };
    let longest_move = |path: &[Camera]| {
        let pairs = path.iter().zip(path.iter().cycle().skip(1));
        pairs
            .map(|(a, b)| a.position().distance(b.position()))
            .fold(0.0, f64::max)
    };

    let front = orbit::within(&rig(-60.0, 60.0, 9), 40);
    assert_eq!(front.len(), 40);
    for camera in &front {
        assert!(azimuth(camera).abs() < 60.0, "{}", azimuth(camera));
        let offset = camera.position() - center;
        assert!((offset.length() - 2.5).abs() < 1e-6, "{}", offset.length());
        let elevation = (offset.z / offset.length()).asin().to_degrees();
        assert!(elevation > 5.0 && elevation < 35.0, "{elevation}");
        let (pixel, depth) = camera.project(center);
        assert!(depth > 0.0 && pixel.distance(glam::DVec2::splat(32.0)) < 1e-6);
    }
    let sway = front.iter().map(azimuth).fold(0.0, f64::max);
    assert!(sway > 40.0, "it uses the arc: {sway}");
    assert!(longest_move(&front) < 0.5, "it moves smoothly and closes");

    let one_sided = rig(-60.0, 60.0, 9);
    let middle = orbit::front(center, &one_sided).expect("there are cameras");
    assert!(azimuth(&one_sided[middle]).abs() < 1e-6, "{middle}");
    assert_eq!(orbit::front(center, &rig(-180.0, 160.0, 18)), Some(0));
    assert_eq!(orbit::front(center, &[]), None);

    let around = orbit::within(&rig(-180.0, 160.0, 18), 40);
    let quarters: std::collections::BTreeSet<i32> = around
        .iter()
        .map(|c| (azimuth(c) / 90.0).floor() as i32)
        .collect();
    assert_eq!(quarters.len(), 4, "it goes all around: {quarters:?}");
    assert!(longest_move(&around) < 0.5);
    assert!(orbit::within(&[], 5).is_empty());
}

/// A project is a file of strangers: what it says of programs is not run, and it says nothing of them to strangers.
#[test]
fn a_project_names_no_program() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("p.luxedit");
    let theirs = Settings {
        ffmpeg: "/tmp/evil".into(),
        colmap: "/tmp/evil".into(),
        prompt: "bronze".into(),
        ..Settings::default()
    };
    let mut project = Project::create(&folder, dir.path(), &theirs).unwrap();
    let file = folder.join("project.json");
    let read = || std::fs::read_to_string(&file).unwrap();
    assert!(!read().contains("/tmp/evil"));
    let mut manifest = project.manifest.clone();
    manifest.settings = theirs;
    project.commit(manifest).unwrap();
    drop(project);
    let manifest = read();
    assert!(!manifest.contains("/tmp/evil") && manifest.contains("bronze"));
    let evil = manifest.replace(r#""ffmpeg": """#, r#""ffmpeg": "/tmp/evil""#);
    assert!(evil.contains("/tmp/evil"), "{evil}");
    std::fs::write(&file, evil).unwrap();
    let opened = Project::open(&folder, Access::Read).unwrap();
    let settings = &opened.manifest.settings;
    assert_eq!(
        (settings.ffmpeg.as_str(), settings.colmap.as_str()),
        ("", "")
    );
    assert_eq!(settings.prompt, "bronze");
}

fn splats(drawable: Drawable) -> u32 {
    match drawable {
        Drawable::Splats(scene) => scene.splats.count,
        Drawable::Luxen(_) => panic!("a reconstruction makes splats unless told otherwise"),
    }
}

#[test]
fn snapshots_of_different_numbers_of_splats_are_shown_and_gone_back_to() {
    let settings = Settings {
        reconstruct_steps: 200,
        snapshot_interval: 50,
        strategy: Strategy::Mcmc,
        sh_degree: 1,
        ..Default::default()
    };
    let Some(mut driven) = Driven::start(&settings) else {
        return;
    };
    driven.send(Command::Reconstruct);
    assert_eq!(driven.until_done(Job::Reconstruct), (true, 200));
    let mut shown = |id| {
        driven.send(Command::Show(id));
        while !matches!(driven.next(), Event::Shown(now) if now == id) {}
        let drawable = driven.worker.slots.drawable.take();
        splats(drawable.expect("something to draw"))
    };
    let live = shown(None);
    let ids: Vec<SnapshotId> = [0, 1, 2, 3, 4].map(SnapshotId).to_vec();
    let counts: Vec<u32> = ids.iter().map(|&id| shown(Some(id))).collect();
    println!("{counts:?}, live {live}");
    assert!(counts.is_sorted() && counts[4] > counts[0] && counts[4] == live);
    driven.send(Command::Restore(ids[0]));
    while !matches!(driven.next(), Event::Restored(_)) {}
    let drawable = driven.worker.slots.drawable.take();
    assert_eq!(splats(drawable.expect("the live scene")), counts[0]);
    driven.send(Command::Evaluate);
    assert_eq!(driven.until_done(Job::Evaluate), (true, 0));
}

#[test]
fn a_try_out_is_what_the_sweep_then_makes_of_the_view() {
    let settings = Settings {
        prompt: "make it a bronze bust".into(),
        model: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ip2p_tiny").into(),
        reconstruct_steps: 20,
        edit_steps: 1,
        diffusion_steps: 3,
        lower_bound: 0.9,
        upper_bound: 0.9,
        sweep: Sweep::Frozen,
        loss: Loss::L1,
        ..Default::default()
    };
    let Some(mut driven) = Driven::start(&settings) else {
        return;
    };
    driven.send(Command::Reconstruct);
    driven.until_done(Job::Reconstruct);
    let present = Trial::of(&settings);
    let stronger = Trial {
        guidance_scale: 20.0,
        ..present
    };
    let reseeded = Trial { seed: 5, ..present };
    driven.send(Command::TryOut {
        view: 3,
        prompt: settings.prompt.clone(),
        trials: vec![present, stronger, reseeded],
    });
    let mut before = None;
    let mut tried = Vec::new();
    let mut previews = Vec::new();
    loop {
        let event = driven.next();
        previews.extend(driven.worker.slots.preview.take());
        match event {
            Event::TryOutBegan { view: 3, render } => before = Some(render),
            Event::Tried(one) => tried.push(*one),
            Event::Done {
                job: Job::TryOut,
                finished,
                ..
            } => {
                assert!(finished);
                break;
            }
            Event::ViewEdited(_) => panic!("a try-out edits nothing"),
            _ => {}
        }
    }
    let trials: Vec<Trial> = tried.iter().map(|t| t.trial).collect();
    assert_eq!(trials, [present, stronger, reseeded]);
    assert_ne!(tried[0].picture, tried[1].picture);
    assert_ne!(tried[0].picture, tried[2].picture);
    assert!(previews.iter().all(|p| p.done <= p.steps && p.steps == 3));

    driven.send(Command::Edit);
    loop {
        match driven.next() {
            Event::ViewEdited(edit) if edit.view == 3 => {
                assert_eq!(Some(&edit.render), before.as_ref());
                assert_eq!(edit.edited, tried[0].picture);
                break;
            }
            Event::Done { job: Job::Edit, .. } => panic!("view 3 is edited"),
            _ => {}
        }
    }
    driven.until_done(Job::Edit);
}

#[test]
fn a_try_out_shows_each_step_and_stops_within_one() {
    let settings = Settings {
        prompt: "make it a bronze bust".into(),
        model: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ip2p_tiny").into(),
        diffusion_steps: 200,
        ..Default::default()
    };
    // No scene: the photo stands in for the render.
    let Some(mut driven) = Driven::start(&settings) else {
        return;
    };
    driven.send(Command::TryOut {
        view: 1,
        prompt: settings.prompt.clone(),
        trials: vec![Trial::of(&settings); 100],
    });
    let size = loop {
        if let Event::TryOutBegan { render, .. } = driven.next() {
            break (render.width, render.height);
        }
    };
    let began = std::time::Instant::now();
    let mut last = 0;
    while last < 5 {
        assert!(began.elapsed() < Duration::from_secs(120), "no previews");
        if let Some(preview) = driven.worker.slots.preview.take() {
            assert!(preview.done > last || preview.done == 1);
            last = preview.done;
            let picture = preview.picture.expect("each step has a picture");
            assert_eq!((picture.width, picture.height), size);
        }
    }
    driven.send(Command::Stop);
    let asked = last;
    let (finished, _) = driven.until_done(Job::TryOut);
    assert!(!finished);
    let after = driven.worker.slots.preview.take().map_or(0, |p| p.done);
    assert!(
        after <= asked + 2,
        "{after} steps were done, {asked} when it was stopped"
    );

    // An instruction is needed here too, and a view that is there.
    for (view, prompt) in [(1, " "), (4000, "make it bronze")] {
        driven.send(Command::TryOut {
            view,
            prompt: prompt.into(),
            trials: vec![Trial::of(&settings)],
        });
        let problem = loop {
            match driven.worker.events.recv_timeout(Duration::from_secs(60)) {
                Ok(Event::Error(problem)) => break problem,
                Ok(_) => {}
                Err(e) => panic!("{e}"),
            }
        };
        assert!(
            problem.contains("instruction") || problem.contains("no view 4000"),
            "{problem}"
        );
    }
}

/// Opaque balls on a sphere.
fn globe() -> Splats {
    let count = 600;
    let point = |i: usize| {
        let z = 1.0 - 2.0 * (i as f32 + 0.5) / count as f32;
        let (a, r) = (2.399963 * i as f32, (1.0 - z * z).sqrt());
        [r * a.cos(), r * a.sin(), z]
    };
    Splats {
        sh_degree: 0,
        antialiased: false,
        means: (0..count).flat_map(point).collect(),
        quats: [1.0, 0.0, 0.0, 0.0].repeat(count),
        log_scales: vec![0.08f32.ln(); 3 * count],
        logit_opacities: vec![4.0; count],
        sh_dc: (0..3 * count).map(|i| (i % 7) as f32 * 0.2 - 0.6).collect(),
        sh_rest: Vec::new(),
    }
}

#[test]
fn views_made_of_a_splat_file_are_opened_kept_and_edited() {
    let Some(gpu) = gpu() else { return };
    let dir = TempDir::new().unwrap();
    let [file, views, project] = ["globe.ply", "views", "gold.luxedit"].map(|n| dir.path().join(n));
    write_splats(&file, &globe(), SplatFormat::Ply).unwrap();
    let mut driven = Driven {
        worker: WorkerHandle::spawn(gpu, || {}).unwrap(),
        snapshots: Vec::new(),
        _dir: dir,
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    driven.send(Command::Settings(Box::new(Settings {
        prompt: "make it bronze".into(),
        model: root.join("tests/fixtures/ip2p_tiny").display().to_string(),
        edit_device: EditDevice::Cpu,
        edit_steps: 3,
        diffusion_steps: 2,
        sweep_views: 2,
        rig_count: 8,
        rig_side: 48,
        ..Settings::default()
    })));
    driven.send(Command::Project(project.clone()));
    driven.send(Command::Open(file.clone()));
    driven.until_done(Job::Open);
    driven.send(Command::MakeViews {
        stance: None,
        folder: Some(views.clone()),
        opens: true,
    });
    let opened = |driven: &mut Driven| loop {
        if let Event::Opened(info) = driven.next() {
            break info;
        }
    };
    let info = opened(&mut driven);
    assert!((4..=8).contains(&info.views.len()), "{}", info.views.len());
    assert!(info.has_splats);
    driven.until_done(Job::Render);
    assert!(project.join("project.json").is_file(), "kept from here on");

    // Nothing depends on the file any more.
    std::fs::remove_file(&file).unwrap();
    driven.send(Command::Edit);
    assert!(driven.until_done(Job::Edit).0);
    driven.send(Command::Open(project));
    let again = opened(&mut driven);
    assert!(again.has_splats);
    assert_eq!(again.views.len(), info.views.len());
}

#[test]
fn views_that_are_stopped_leave_their_folder_as_it_was() {
    let Some(gpu) = gpu() else { return };
    let dir = TempDir::new().unwrap();
    let (file, views) = (dir.path().join("globe.ply"), dir.path().join("views"));
    write_splats(&file, &globe(), SplatFormat::Ply).unwrap();
    let mut driven = Driven {
        worker: WorkerHandle::spawn(gpu, || {}).unwrap(),
        snapshots: Vec::new(),
        _dir: dir,
    };
    driven.send(Command::Settings(Box::new(Settings {
        rig_count: 900,
        rig_side: 64,
        ..Settings::default()
    })));
    driven.send(Command::Open(file));
    driven.until_done(Job::Open);
    driven.send(Command::MakeViews {
        stance: None,
        folder: Some(views.clone()),
        opens: false,
    });
    let pictures = || views.join("images").read_dir().map_or(0, Iterator::count);
    let began = std::time::Instant::now();
    while pictures() < 2 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    driven.send(Command::Stop);
    assert!(!driven.until_done(Job::Render).0, "it was stopped");
    assert!(!views.exists());
}
