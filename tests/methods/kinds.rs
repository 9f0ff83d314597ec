//! Every method on either kind of scene, and what a network's gradient does to a Luxen.

use crate::{
    luxen_scene::{gpu, tiny, views},
    runs::{CAPTURE, MODEL, edit_args, has_adapter, json, luxedit, manifest, path},
};
use luxedit::{
    edit::{PerceptualLoss, PerceptualSearch, SceneState},
    gpu::Gpu,
    loss::{ImageGradient, NetworkGradient, Target, TrainView, lpips::LpipsNet},
    luxen::{LuxenConfig, LuxenState, LuxenTrainer},
    scene::Photo,
    settings::{EditDevice, LpipsClassifier, Method, SceneKind, Settings, Speed},
    worker::{Access, Command, Event, Job, Project, StateRecord, WorkerHandle},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

fn assert_same_moments(got: &LuxenState, expected: &LuxenState, tolerance: f64) {
    let mut compared = 0;
    for (a, b) in got.tensors.iter().zip(&expected.tensors) {
        if !a.name.ends_with(".first") {
            continue;
        }
        let norm: f64 = b.data.iter().map(|v| f64::from(*v).powi(2)).sum();
        let pairs = a.data.iter().zip(&b.data);
        let difference: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        assert!(
            difference.sqrt() <= tolerance * norm.sqrt(),
            "{}: {:.2e} of {:.2e}",
            a.name,
            difference.sqrt(),
            norm.sqrt()
        );
        compared += usize::from(norm > 0.0);
    }
    assert!(compared >= 3, "{compared} groups moved");
}

/// Without the losses that need no pixel, so that the network's gradient is all there is.
fn photo_only(config: LuxenConfig) -> LuxenConfig {
    LuxenConfig {
        loss: luxedit::luxen::PhotoLoss {
            distortion_weight: 0.0,
            ..config.loss
        },
        ..config
    }
}

fn from(gpu: &Arc<Gpu>, state: &LuxenState) -> LuxenTrainer {
    LuxenTrainer::from_state(gpu.clone(), state).unwrap()
}

/// A network that happens to be the photo loss moves the field as the photo loss does: patches are the step's own rays,
/// chunk by chunk, and masked pixels ask for nothing.
#[test]
fn a_networks_gradient_of_patches_replaces_the_photo_loss() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let all = [0, 1, 2];
    for chunk_rays in [0, 64] {
        let config = photo_only(LuxenConfig {
            rays: 192,
            patch_side: 8,
            chunk_rays,
            ..tiny()
        });
        let mut plain = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
        let begin = plain.state().unwrap();
        plain.step(&views).unwrap();
        let mut taught = from(&gpu, &begin);
        let patches = taught.patches(&views, &all).unwrap();
        assert_eq!((patches.render.width, patches.render.height), (8, 24));
        let (render, target) = (
            patches.render.read(&gpu).unwrap(),
            patches.target.read(&gpu).unwrap(),
        );
        let mut planes = vec![0.0; 3 * 192];
        for (i, (r, t)) in render.rgb.iter().zip(&target.rgb).enumerate() {
            planes[i % 3 * 192 + i / 3] = 2.0 * (r - t) / (3.0 * 192.0);
        }
        let gradient = NetworkGradient::Patches(ImageGradient {
            width: 8,
            height: 24,
            planes: gpu.storage_from("planes", &planes),
            loss: 7.0,
            photo_weight: 0.0,
        });
        taught.step_on(&views, &all, Some(&gradient)).unwrap();
        assert_same_moments(&taught.state().unwrap(), &plain.state().unwrap(), 1e-4);
        let loss = taught.take_results()[0].loss;
        assert!((7.0..7.5).contains(&loss), "{loss}");
    }
}

/// The column of a step's patches of one pixel tells which pixels were drawn: photos that show their own coordinates.
#[test]
fn a_gradient_of_a_view_is_found_at_the_pixels_that_are_drawn() {
    let Some(gpu) = gpu() else { return };
    let mut views = views(&gpu);
    let (width, height) = (views[1].target.width, views[1].target.height);
    let rgb = (0..width * height).flat_map(|i| [(i % width) as u8, (i / width) as u8, 0]);
    let photo = Photo::new(width, height, rgb.collect());
    views[1] = TrainView {
        target: Target::upload(&gpu, &photo, None).unwrap(),
        ..views[1].clone()
    };
    let config = photo_only(tiny());
    let mut first = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
    let begin = first.state().unwrap();
    let plane = (width * height) as usize;
    let of_pixel = |c: usize, pixel: usize| (((7 * pixel + 31 * c) % 23) as f32 - 11.0) / 50.0;
    let planes: Vec<f32> = (0..3 * plane)
        .map(|i| of_pixel(i / plane, i % plane))
        .collect();
    let gradient = |planes: &[f32], width, height| ImageGradient {
        width,
        height,
        planes: gpu.storage_from("planes", planes),
        loss: 0.0,
        photo_weight: 0.0,
    };
    let whole = NetworkGradient::View(gradient(&planes, width, height));
    first.step_on(&views, &[1], Some(&whole)).unwrap();

    let mut second = from(&gpu, &begin);
    let drawn = second.patches(&views, &[1]).unwrap().target;
    let rays = drawn.pixels();
    assert_eq!((drawn.width, rays), (1, 64));
    let mut planes = vec![0.0; 3 * rays];
    for (ray, rgb) in drawn.read(&gpu).unwrap().rgb.chunks(3).enumerate() {
        let [x, y] = [rgb[0], rgb[1]].map(|v| (v * 255.0).round() as usize);
        for c in 0..3 {
            // Each ray stands for its share of the picture.
            let share = plane as f32 / rays as f32;
            planes[c * rays + ray] = share * of_pixel(c, y * width as usize + x);
        }
    }
    let by_ray = NetworkGradient::Patches(gradient(&planes, 1, rays as u32));
    second.step_on(&views, &[1], Some(&by_ray)).unwrap();
    assert_same_moments(&first.state().unwrap(), &second.state().unwrap(), 1e-4);

    // Only the view that was drawn is learned from.
    let state = first.state().unwrap();
    let appearances = state
        .tensors
        .iter()
        .find(|t| t.name == "adam.appearances.first")
        .unwrap();
    let moved: Vec<bool> = appearances
        .data
        .chunks(32)
        .map(|row| row.iter().any(|v| *v != 0.0))
        .collect();
    assert_eq!(moved, [false, true, false]);
    for (drawn, given) in [(&[0, 1][..], &whole), (&[0], &whole), (&[], &by_ray)] {
        assert!(first.step_on(&views, drawn, Some(given)).is_err());
    }
}

/// L1 + LPIPS on patches of 32 × 32: the mean over patches of what LPIPS says of each alone.
#[test]
fn lpips_of_patches_is_the_mean_of_each() {
    let Some(gpu) = gpu() else { return };
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("squeeze.safetensors");
    if !crate::formula::write_backbone(LpipsNet::Squeeze, &file) {
        return;
    }
    let settings = Settings {
        lpips_classifier: LpipsClassifier::Squeeze,
        lpips_weights: file.display().to_string(),
        edit_device: EditDevice::Cpu,
        ..Default::default()
    };
    let PerceptualSearch::Loaded(lpips) = PerceptualLoss::find(gpu.clone(), &settings).unwrap()
    else {
        panic!("the weights were not found");
    };
    let config = LuxenConfig {
        rays: 2048,
        patch_side: 32,
        ..tiny()
    };
    let mut trainer = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
    let patches = trainer.patches(&views(&gpu), &[0, 1, 2]).unwrap();
    let both = lpips.patch_gradient(&patches).unwrap();
    assert_eq!((both.width, both.height, both.photo_weight), (32, 64, 1.0));
    let got: Vec<f32> = gpu.read(&both.planes, 3 * 2048).unwrap();
    let mut losses = 0.0;
    for patch in 0..2 {
        let cut = |image: &luxedit::gpu::GpuImage| {
            let whole = image.read(&gpu).unwrap();
            luxedit::scene::FloatImage {
                width: 32,
                height: 32,
                rgb: whole.rgb[patch * 3072..][..3072].to_vec(),
            }
        };
        let (render, target) = (cut(&patches.render), cut(&patches.target));
        let render = luxedit::gpu::GpuImage::from_float(&gpu, &render);
        let one = luxedit::luxen::Patches {
            side: 32,
            render,
            target: luxedit::gpu::GpuImage::from_float(&gpu, &target),
        };
        let one = lpips.patch_gradient(&one).unwrap();
        losses += one.loss / 2.0;
        let alone: Vec<f32> = gpu.read(&one.planes, 3 * 1024).unwrap();
        for c in 0..3 {
            for i in 0..1024 {
                let (a, b) = (got[c * 2048 + patch * 1024 + i], alone[c * 1024 + i] / 2.0);
                assert!((a - b).abs() < 1e-6 + 1e-3 * b.abs(), "{a} {b}");
            }
        }
    }
    assert!(both.loss > 0.0 && (both.loss - losses).abs() < 1e-5 * losses);
    assert!(got.iter().any(|v| *v != 0.0));
}

struct Run {
    losses: Vec<(u32, f32)>,
    warnings: Vec<String>,
    finished: bool,
}

fn drive(
    settings: &Settings,
    before: Vec<Command>,
    job: Command,
    stop_after_step: Option<u32>,
) -> Run {
    let worker = WorkerHandle::spawn(Gpu::headless().unwrap(), || {}).unwrap();
    for command in before {
        worker.send(command).unwrap();
    }
    // An opened project brings its own settings.
    loop {
        match worker.events.recv_timeout(Duration::from_secs(60)) {
            Ok(Event::Done { job: Job::Open, .. }) => break,
            Ok(Event::Error(problem)) => panic!("{problem}"),
            Ok(_) => {}
            Err(e) => panic!("{e}"),
        }
    }
    worker
        .send(Command::Settings(Box::new(settings.clone())))
        .unwrap();
    worker.send(job).unwrap();
    let mut run = Run {
        losses: Vec::new(),
        warnings: Vec::new(),
        finished: false,
    };
    loop {
        let event = worker
            .events
            .recv_timeout(Duration::from_secs(300))
            .expect("the worker says something");
        match event {
            Event::Error(problem) => panic!("{problem}"),
            Event::Warning(text) => run.warnings.push(text),
            Event::Loss { step, loss } => {
                run.losses.push((step, loss));
                if stop_after_step.is_some_and(|at| step >= at) {
                    worker.send(Command::Stop).unwrap();
                }
            }
            Event::Done {
                job: Job::Edit | Job::Reconstruct,
                finished,
                ..
            } => {
                run.finished = finished;
                break;
            }
            _ => {}
        }
    }
    worker.shut_down();
    run
}

fn capture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(CAPTURE)
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

fn live(project: &Path) -> (StateRecord, SceneState) {
    let project = Project::open(project, Access::Read).unwrap();
    let record = project.manifest.live.clone().expect("a live state");
    let state = project.read_state(&record).unwrap();
    (record, state)
}

fn by_name(state: &SceneState) -> BTreeMap<&str, &[f32]> {
    let tensors = state.tensors().iter();
    tensors.map(|t| (t.name.as_str(), &t.data[..])).collect()
}

const SCENE_STEPS: u32 = 40;
const EDIT_STEPS: u32 = 60;

fn settings(method: Method, kind: SceneKind) -> Settings {
    Settings {
        prompt: "turn it into bronze".into(),
        model: PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(MODEL)
            .display()
            .to_string(),
        kind,
        reconstruct_steps: SCENE_STEPS,
        edit_steps: EDIT_STEPS,
        diffusion_steps: 2,
        sweep_interval: 30,
        sweep_views: 6,
        luxen_rays: 256,
        snapshot_interval: 1000,
        ..Settings::of(method, Speed::Published)
    }
}

/// A scene of `kind`, each of `methods` on a copy of it, one of them cut and gone on with.
fn every_method(kind: SceneKind) {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let photos = contents(&capture());
    let scene = dir.path().join("scene.luxedit");
    drive(
        &settings(Method::In2n, kind),
        vec![
            Command::Settings(Box::new(settings(Method::In2n, kind))),
            Command::Project(scene.clone()),
            Command::Open(capture()),
        ],
        Command::Reconstruct,
        None,
    );
    let scene_files = contents(&scene);
    let begin = live(&scene).1;
    assert_eq!((begin.kind(), begin.step()), (kind, SCENE_STEPS));
    let views = 22;
    for method in [
        Method::In2n,
        Method::In2nSmall,
        Method::In2nTiny,
        Method::Igs2gs,
        Method::Sds,
    ] {
        let settings = settings(method, kind);
        let to = dir.path().join(format!("{}.luxedit", method.as_str()));
        let open = |at: &Path| vec![Command::Open(at.to_owned())];
        let run = drive(&settings, open(&scene), Command::EditCopy(to.clone()), None);
        assert!(run.finished);
        let (first, last) = (SCENE_STEPS + 1, SCENE_STEPS + EDIT_STEPS);
        let steps: Vec<u32> = run.losses.iter().map(|l| l.0).collect();
        assert_eq!(steps, (first..=last).collect::<Vec<_>>(), "{method:?}");
        assert!(run.losses.iter().all(|l| l.1.is_finite()), "{method:?}");
        let (record, after) = live(&to);
        assert_eq!(after.step(), last);
        let moved = by_name(&after) != by_name(&begin);
        assert!(moved, "{method:?} moved nothing");
        let edits = Project::open(&to, Access::Read).unwrap().manifest.edits;
        let edited: Vec<u32> = edits.iter().map(|e| e.step - SCENE_STEPS).collect();
        let mut seen: Vec<&str> = edits.iter().map(|e| e.view.as_str()).collect();
        seen.sort_unstable();
        seen.dedup();
        match method {
            Method::In2n | Method::In2nSmall | Method::In2nTiny => {
                assert_eq!(edited, [0, 10, 20, 30, 40, 50]);
                assert_eq!(seen.len(), 6, "a view again before all were once");
                assert_eq!(record.edits.len(), 6);
            }
            Method::Igs2gs => {
                // 22 views by sixes: every fourth, the second sweep the next ones.
                let sweep = |at: u32, from: usize| {
                    (0..(views - from).div_ceil(4) as u32).map(move |i| at + i)
                };
                let expected: Vec<u32> = sweep(0, 0).chain(sweep(30, 1)).collect();
                assert_eq!(edited, expected);
                assert_eq!(seen.len(), edited.len());
            }
            Method::Sds => {
                assert_eq!(edited, [0, 10, 20, 30, 40, 50]);
                assert!(record.edits.is_empty(), "distillation replaces no photo");
            }
        }
        if matches!(method, Method::In2n | Method::Sds) {
            let cut = dir.path().join(format!("{}-cut.luxedit", method.as_str()));
            let stopped = drive(
                &settings,
                open(&scene),
                Command::EditCopy(cut.clone()),
                Some(SCENE_STEPS + 23),
            );
            let reached = live(&cut).1.step();
            assert!(!stopped.finished && (SCENE_STEPS + 23..last).contains(&reached));
            let resumed = drive(&settings, open(&cut), Command::ResumeJob, None);
            assert!(resumed.finished);
            assert_eq!(resumed.losses.first().map(|l| l.0), Some(reached + 1));
            let (_, again) = live(&cut);
            assert_eq!(again.step(), last);
            if kind == SceneKind::Luxen {
                assert!(
                    by_name(&again) == by_name(&after),
                    "{method:?}, cut at step {reached}, goes on otherwise than it would have"
                );
            }
        }
    }
    assert!(contents(&capture()) == photos, "the originals were touched");
    assert!(contents(&scene) == scene_files, "the scene was touched");
}

#[test]
fn every_method_edits_a_luxen() {
    every_method(SceneKind::Luxen);
}

#[test]
fn every_method_edits_splats() {
    every_method(SceneKind::Splat);
}

/// By the command line: LPIPS on patches where its weights are, and refusals that leave nothing behind.
#[test]
fn a_luxen_learns_from_lpips_and_refuses_ssim() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    json(
        &dir,
        &[
            "reconstruct",
            CAPTURE,
            "-o",
            &scene,
            "--kind",
            "luxen",
            "--steps",
            "20",
            "--json",
        ],
    );
    let to = path(&dir, "refused.luxedit");
    let rest = ["--method", "in2n", "--steps", "4", "--diffusion-steps", "2"];
    let mut ssim = rest.to_vec();
    ssim.extend(["--loss", "l1-ssim"]);
    let (ok, _, stderr) = luxedit(&dir, &edit_args(&scene, &to, &ssim));
    assert!(!ok && stderr.contains("--loss l1-lpips or l1"), "{stderr}");
    assert!(!Path::new(&to).exists(), "a refused edit left a project");
    let mut args = vec!["edit", CAPTURE, "-o", &to, "--kind", "luxen"];
    args.extend(["--prompt", "bronze", "--model", MODEL, "--loss", "l1-ssim"]);
    let (ok, _, stderr) = luxedit(&dir, &args);
    assert!(!ok && stderr.contains("--loss l1-lpips or l1"), "{stderr}");
    assert!(!Path::new(&to).exists(), "a refused edit left a project");

    let weights = dir.path().join("squeezenet1_1-b8a52dc0.safetensors");
    if !crate::formula::write_backbone(LpipsNet::Squeeze, &weights) {
        return;
    }
    let weights = weights.display().to_string();
    let mut lpips = rest.to_vec();
    lpips.extend(["--lpips-net", "squeeze", "--lpips-weights", &weights]);
    let to = path(&dir, "lpips.luxedit");
    let report = json(&dir, &edit_args(&scene, &to, &lpips));
    assert_eq!(report["warnings"], serde_json::json!([]));
    assert!(report["loss"].as_f64().unwrap() > 0.0);
    assert_eq!(
        report["project"].as_str().map(Path::new),
        Path::new(&to).canonicalize().ok().as_deref()
    );
    let SceneState::Luxen(state) = live(Path::new(&to)).1 else {
        panic!("no Luxen");
    };
    assert_eq!((state.config.patch_side, state.config.rays), (32, 4096));
    let mut plain = rest.to_vec();
    plain.extend(["--loss", "l1"]);
    let other = path(&dir, "l1.luxedit");
    json(&dir, &edit_args(&scene, &other, &plain));
    let SceneState::Luxen(state) = live(Path::new(&other)).1 else {
        panic!("no Luxen");
    };
    assert_eq!((state.config.patch_side, state.config.rays), (1, 1024));
    let untouched = &manifest(&scene)["settings"];
    assert_eq!(
        (&untouched["method"], &untouched["loss"]),
        (&"igs2gs".into(), &"auto".into())
    );
}
