//! Every method on the small capture, by the command line and by the worker's messages.

use luxedit::{
    gpu::Gpu,
    loss::lpips::LpipsNet,
    settings::{Method, Settings, Speed},
    worker::{Command as WorkerCommand, Event, Job, WorkerHandle},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

pub const CAPTURE: &str = "assets/tiny";
pub const MODEL: &str = "tests/fixtures/ip2p_tiny";
const VIEWS: usize = 22;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The binary, with no weights of torch's to be found.
pub fn luxedit(dir: &TempDir, args: &[&str]) -> (bool, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_luxedit"))
        .current_dir(root())
        .env("TORCH_HOME", dir.path().join("torch"))
        .args(args)
        .output()
        .expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

pub fn json(dir: &TempDir, args: &[&str]) -> Value {
    let (ok, stdout, stderr) = luxedit(dir, args);
    assert!(ok, "{args:?}\n{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {stdout}"))
}

pub fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

pub fn has_adapter() -> bool {
    match Gpu::headless() {
        Ok(_) => true,
        Err(e) => {
            println!("SKIPPED: {e}");
            false
        }
    }
}

pub fn reconstruct(dir: &TempDir) -> String {
    let scene = path(dir, "scene.luxedit");
    let steps = [
        "reconstruct",
        CAPTURE,
        "-o",
        &scene,
        "--steps",
        "100",
        "--json",
    ];
    json(dir, &steps);
    scene
}

pub fn edit_args<'a>(scene: &'a str, to: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "edit",
        scene,
        "-o",
        to,
        "--prompt",
        "turn it into bronze",
        "--model",
        MODEL,
        "--json",
    ];
    args.extend_from_slice(rest);
    args
}

pub fn manifest(project: &str) -> Value {
    let bytes = std::fs::read(Path::new(project).join("project.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn in2n_by_the_command_line() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let scene = reconstruct(&dir);
    let to = path(&dir, "tiny.luxedit");
    let rest = [
        "--method",
        "in2n-tiny",
        "--steps",
        "60",
        "--edit-rate",
        "10",
        "--diffusion-steps",
        "3",
    ];
    let report = json(&dir, &edit_args(&scene, &to, &rest));
    assert_eq!(
        (&report["edits"], &report["step"]),
        (&6.into(), &160.into())
    );
    assert_eq!(report["settings"]["guidance_scale"], 7.5);
    assert_eq!(report["settings"]["loss"], "l1");
    assert_eq!(report["warnings"], serde_json::json!([]));
    let project = manifest(&to);
    let edits = project["edits"].as_array().unwrap();
    let steps: Vec<u64> = edits.iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [100, 110, 120, 130, 140, 150]);
    let mut views: Vec<&str> = edits.iter().map(|e| e["view"].as_str().unwrap()).collect();
    views.sort_unstable();
    views.dedup();
    assert_eq!(
        views.len(),
        6,
        "a view was edited twice before all were once"
    );

    // Without weights, in2n says that it goes without LPIPS; asked for by name, it refuses.
    let to = path(&dir, "full.luxedit");
    let rest = ["--method", "in2n", "--steps", "5", "--diffusion-steps", "2"];
    let report = json(&dir, &edit_args(&scene, &to, &rest));
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("without LPIPS, with L1 as loss"),
        "{warnings}"
    );
    assert!(warnings.contains("alexnet-owt-7be5be79"), "{warnings}");
    let to = path(&dir, "refused.luxedit");
    let mut rest = rest.to_vec();
    rest.extend(["--loss", "l1-lpips"]);
    let (ok, _, stderr) = luxedit(&dir, &edit_args(&scene, &to, &rest));
    assert!(
        !ok && stderr.contains("LPIPS") && !stderr.contains("panicked"),
        "{stderr}"
    );
}

#[test]
fn lpips_weights_are_found_and_used() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let scene = reconstruct(&dir);
    let cache = dir.path().join("torch/hub/checkpoints");
    std::fs::create_dir_all(&cache).unwrap();
    let file = cache.join("squeezenet1_1-b8a52dc0.safetensors");
    if !crate::formula::write_backbone(LpipsNet::Squeeze, &file) {
        return;
    }
    let to = path(&dir, "lpips.luxedit");
    let rest = [
        "--steps",
        "12",
        "--sweep-interval",
        "100",
        "--diffusion-steps",
        "2",
        "--lpips-net",
        "squeeze",
    ];
    let report = json(&dir, &edit_args(&scene, &to, &rest));
    assert_eq!(
        report["warnings"],
        serde_json::json!([]),
        "LPIPS was not found"
    );
    // The job's own record says which loss ran: L1 + LPIPS is not what L1 + SSIM leaves.
    let other = path(&dir, "ssim.luxedit");
    let mut rest = rest.to_vec();
    rest.extend(["--loss", "l1-ssim"]);
    json(&dir, &edit_args(&scene, &other, &rest));
    let ply = |project: &str| std::fs::read(Path::new(project).join("scene.ply")).unwrap();
    assert!(ply(&to) != ply(&other), "the loss made no difference");

    let measured = json(&dir, &["eval", &to, "--lpips-net", "squeeze", "--json"]);
    let lpips = measured["metrics"]["lpips"].as_f64().unwrap();
    assert!(lpips > 0.0, "{measured}");
    let without = json(&dir, &["eval", &to, "--lpips-net", "vgg", "--json"]);
    assert!(without["metrics"]["lpips"].is_null(), "{without}");
}

#[test]
fn sds_by_the_command_line_and_clip_in_eval() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let scene = reconstruct(&dir);
    let to = path(&dir, "sds.luxedit");
    let rest = [
        "--method",
        "sds",
        "--steps",
        "24",
        "--edit-rate",
        "8",
        "--snapshot-interval",
        "8",
    ];
    let report = json(&dir, &edit_args(&scene, &to, &rest));
    assert_eq!(
        (&report["edits"], &report["step"]),
        (&3.into(), &124.into())
    );
    assert!(report["loss"].as_f64().unwrap() > 0.0);
    let project = manifest(&to);
    for edit in project["edits"].as_array().unwrap() {
        for picture in ["edited", "render"] {
            let file = Path::new(&to)
                .join("edits")
                .join(edit[picture].as_str().unwrap());
            assert!(file.is_file(), "{file:?}");
        }
    }
    assert!(project["snapshots"].as_array().unwrap().len() >= 3);
    assert_eq!(
        project["live"]["edits"],
        serde_json::json!({}),
        "distillation replaces no photo"
    );
    measure_with_clip(&dir, &to);
}

/// With a model that has a tokenizer of a few words.
fn measure_with_clip(dir: &TempDir, project: &str) {
    let folder = dir.path().join("clip");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "model.safetensors"] {
        let fixture = root().join("tests/fixtures/clip_tiny").join(name);
        std::fs::write(folder.join(name), std::fs::read(fixture).unwrap()).unwrap();
    }
    let clip = folder.display().to_string();
    let args = |rest: &[&'static str]| -> Vec<String> {
        let mut args: Vec<String> = ["eval", project, "--clip", &clip, "--json"]
            .map(String::from)
            .into();
        args.extend(rest.iter().map(|s| (*s).to_owned()));
        args
    };
    let measure = |rest: &[&'static str]| {
        let args = args(rest);
        json(dir, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refuse = |rest: &[&'static str], word: &str| {
        let args = args(rest);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (ok, _, stderr) = luxedit(dir, &args);
        assert!(!ok && stderr.contains(word), "{stderr}");
    };
    let measured = measure(&[]);
    let found = &measured["metrics"]["clip"];
    assert!(found["text_direction"].is_null(), "{measured}");
    for key in ["direction_consistency", "photo_similarity"] {
        let value = found[key].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&value), "{key} {value}");
    }
    let both = ["--caption-before", "a b", "--caption-after", "b a"];
    refuse(&both[..2], "--caption-after");
    refuse(&both, "vocab.json");
    let words = ["a", "b", "a</w>", "b</w>"];
    let mut vocabulary = serde_json::Map::new();
    for (id, word) in words.iter().enumerate() {
        vocabulary.insert((*word).into(), id.into());
    }
    vocabulary.insert("<|startoftext|>".into(), 598.into());
    vocabulary.insert("<|endoftext|>".into(), 599.into());
    let vocabulary = Value::Object(vocabulary).to_string();
    std::fs::write(folder.join("vocab.json"), vocabulary).unwrap();
    std::fs::write(folder.join("merges.txt"), "#version: 0.2\n").unwrap();
    let measured = measure(&both);
    let direction = measured["metrics"]["clip"]["text_direction"]
        .as_f64()
        .unwrap();
    assert!(direction != 0.0 && direction.abs() <= 1.0, "{measured}");
    // The same way backwards.
    let back = measure(&["--caption-before", "b a", "--caption-after", "a b"]);
    let back = back["metrics"]["clip"]["text_direction"].as_f64().unwrap();
    assert!((direction + back).abs() < 1e-9, "{direction} {back}");
}

#[test]
fn fast_denoising_of_one_picture() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let photo = root().join(CAPTURE).join("images");
    let photo = std::fs::read_dir(photo).unwrap().next().unwrap().unwrap();
    let photo = photo.path().display().to_string();
    let edit = |name: &str, rest: &[&str]| {
        let to = path(&dir, name);
        let mut args = vec![
            "edit-image",
            &photo,
            "-o",
            &to,
            "--prompt",
            "bronze",
            "--model",
            MODEL,
            "--json",
        ];
        args.extend_from_slice(rest);
        let report = json(&dir, &args);
        (report, std::fs::read(&to).unwrap())
    };
    let (report, fast) = edit("fast.png", &["--speed", "fast"]);
    assert_eq!(report["settings"]["scheduler"], "dpm++");
    assert_eq!(report["settings"]["diffusion_steps"], 10);
    let (_, again) = edit("again.png", &["--speed", "fast"]);
    assert!(fast == again, "the same seed gave another picture");
    let (_, own) = edit("own.png", &["--diffusion-steps", "10"]);
    assert!(fast != own, "the solver made no difference");
}

/// The worker alone: losses of `steps` of distillation at one noise level. Guidance scales of 1 leave the model's own
/// prediction: with more, a step follows a direction that is no loss's slope.
fn sds_losses(steps: u32) -> Option<Vec<f32>> {
    let gpu = match Gpu::headless() {
        Ok(gpu) => gpu,
        Err(e) => {
            println!("SKIPPED: {e}");
            return None;
        }
    };
    let dir = TempDir::new().unwrap();
    let settings = Settings {
        prompt: "turn it into bronze".into(),
        model: root().join(MODEL).display().to_string(),
        reconstruct_steps: 60,
        edit_steps: steps,
        guidance_scale: 1.0,
        image_guidance_scale: 1.0,
        lower_bound: 0.4,
        upper_bound: 0.4,
        snapshot_interval: 1000,
        ..Settings::of(Method::Sds, Speed::Published)
    };
    let worker = WorkerHandle::spawn(gpu, || {}).unwrap();
    worker
        .send(WorkerCommand::Settings(Box::new(settings)))
        .unwrap();
    worker
        .send(WorkerCommand::Project(dir.path().join("test.luxedit")))
        .unwrap();
    worker
        .send(WorkerCommand::Open(root().join(CAPTURE)))
        .unwrap();
    worker.send(WorkerCommand::Edit).unwrap();
    let mut losses = Vec::new();
    loop {
        let event = worker
            .events
            .recv_timeout(Duration::from_secs(300))
            .expect("the worker says something");
        match event {
            Event::Error(problem) => panic!("{problem}"),
            Event::Loss { step, loss } if step > 60 => losses.push(loss),
            Event::Done { job: Job::Edit, .. } => break,
            _ => {}
        }
    }
    worker.shut_down();
    Some(losses)
}

#[test]
fn distillation_lowers_its_loss() {
    let rounds = 6;
    let steps = VIEWS * rounds;
    let Some(losses) = sds_losses(steps as u32) else {
        return;
    };
    assert_eq!(losses.len(), steps);
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    // Whole rounds over the views, so that views weigh alike.
    let (first, last) = (
        mean(&losses[..2 * VIEWS]),
        mean(&losses[steps - 2 * VIEWS..]),
    );
    println!("loss of the first two rounds {first:.4}, of the last two {last:.4}");
    assert!(last < 0.95 * first, "{first} → {last}");
}
