//! The real binary, as a script would run it: on a small capture, and on everything that can be wrong.

#[path = "support/bundle.rs"]
mod bundle;
#[path = "cli/growing.rs"]
mod growing;

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn luxedit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luxedit"));
    command.current_dir(root());
    command
}

fn run(args: &[&str]) -> Output {
    luxedit().args(args).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The final JSON object of a run that succeeded.
fn json(args: &[&str]) -> Value {
    let out = run(args);
    assert!(
        out.status.success(),
        "{args:?}: {:?}\n{}",
        out.status,
        text(&out.stderr)
    );
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&out.stdout)))
}

/// The error of a run that failed with exit code 1.
fn failure(args: &[&str]) -> String {
    let out = run(args);
    assert_eq!(
        out.status.code(),
        Some(1),
        "{args:?} should fail\nstdout {}\nstderr {}",
        text(&out.stdout),
        text(&out.stderr)
    );
    let stderr = text(&out.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "\"{word}\" is not in: {message}");
    }
}

const CAPTURE: &str = "assets/tiny";
const MODEL: &str = "tests/fixtures/ip2p_tiny";

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

fn reconstruct(project: &str, steps: &str) -> Value {
    json(&[
        "reconstruct",
        CAPTURE,
        "-o",
        project,
        "--steps",
        steps,
        "--snapshot-interval",
        "20",
        "--json",
    ])
}

const EDIT: &[&str] = &[
    "--model",
    MODEL,
    "--prompt",
    "turn it into bronze",
    "--diffusion-steps",
    "3",
    "--steps",
    "50",
    "--sweep-interval",
    "30",
    "--snapshot-interval",
    "10",
    "--seed",
    "5",
    "--json",
];

fn edit_args<'a>(data: &'a str, output: &'a str) -> Vec<&'a str> {
    let mut args = vec!["edit", data, "-o", output];
    args.extend_from_slice(EDIT);
    args
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn reconstruct_edit_render_and_measure() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    let report = reconstruct(&scene, "120");
    assert_eq!(report["step"], 120);
    assert_eq!(report["finished"], true);
    let psnr = report["metrics"]["psnr"].as_f64().unwrap();
    assert!(psnr > 17.0, "held-out PSNR {psnr} after 120 steps");
    for key in [
        "settings",
        "duration_secs",
        "steps_per_sec",
        "peak_memory_bytes",
        "splats",
        "adapter",
    ] {
        assert!(!report[key].is_null(), "no {key} in {report}");
    }

    // Twice with one seed: the same scene, bit by bit.
    let [a, b] = ["a.luxedit", "b.luxedit"].map(|name| path(&dir, name));
    let first = json(&edit_args(&scene, &a));
    assert_eq!(first["step"], 170);
    let views = 22;
    assert_eq!(
        first["edits"],
        views + 20,
        "two sweeps: one whole, one of the 20 steps left"
    );
    let second = json(&edit_args(&scene, &b));
    assert_eq!(second["edits"], first["edits"]);
    let drawn = |project: &str| -> Vec<Value> {
        let manifest = std::fs::read(Path::new(project).join("project.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let edits = manifest["edits"].as_array().unwrap().iter();
        edits
            .map(|e| serde_json::json!([e["view"], e["step"], e["timestep"], e["noise_stream"]]))
            .collect()
    };
    assert_eq!(
        drawn(&a),
        drawn(&b),
        "the same seed drew other views, noise levels or noises"
    );
    assert!(ply(&a) == ply(&b), "the same seed gave another scene");
    assert!(ply(&a) != ply(&scene), "the edit changed nothing");
    assert!(Path::new(&a).join("before-after.png").is_file());
    let info = json(&["info", &a, "--json"]);
    assert_eq!(info["edits"], views + 20);
    assert!(info["snapshots"].as_array().unwrap().len() >= 5, "{info}");
    assert!(info["interrupted"].is_null());

    // The PLY renders as the scene did before it was written.
    let [live, exported] = ["live", "exported"].map(|name| path(&dir, name));
    json(&["render", &a, "-o", &live, "--format", "exr", "--json"]);
    let file = format!("{a}/scene.ply");
    json(&[
        "render",
        &file,
        "--cameras",
        CAPTURE,
        "-o",
        &exported,
        "--format",
        "exr",
        "--json",
    ]);
    let mut compared = 0;
    for entry in std::fs::read_dir(Path::new(&live).join("images")).unwrap() {
        let name = entry.unwrap().file_name();
        let [x, y] = [&live, &exported]
            .map(|folder| std::fs::read(Path::new(folder).join("images").join(&name)).unwrap());
        assert!(x == y, "{name:?} differs after export");
        compared += 1;
    }
    assert_eq!(compared, 24);

    let quality = json(&["eval", &file, CAPTURE, "--json"]);
    assert!(quality["metrics"]["ssim"].as_f64().unwrap().is_finite());
}

/// Kill `args` (which write the project `project`) once `is_time` says so of its manifest.
fn kill_when(args: &[&str], project: &str, is_time: impl Fn(&Value) -> bool) {
    let mut child = luxedit()
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let manifest = Path::new(project).join("project.json");
    loop {
        assert!(began.elapsed() < Duration::from_secs(300), "no progress");
        let now = std::fs::read(&manifest)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        if now.is_some_and(|m| is_time(&m)) {
            break;
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it was killed"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn ply(project: &str) -> Vec<u8> {
    std::fs::read(Path::new(project).join("scene.ply")).unwrap()
}

#[test]
fn killed_and_resumed_ends_where_an_uninterrupted_run_ends() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "60");
    let whole = path(&dir, "whole.luxedit");
    json(&edit_args(&scene, &whole));
    // Before the first step, in the first sweep, between sweeps, in the second sweep.
    for (kill, step) in [60, 70, 85, 95].into_iter().enumerate() {
        let broken = path(&dir, &format!("broken{kill}.luxedit"));
        let mut args = edit_args(&scene, &broken);
        args.extend(["--autosave", "1"]);
        kill_when(&args, &broken, |m| {
            m["job"]["job"] == "edit" && m["live"]["step"].as_u64().is_some_and(|s| s >= step)
        });
        let info = json(&["info", &broken, "--json"]);
        assert!(info["interrupted"]["done"].as_u64().unwrap() < 50, "{info}");
        let resumed = json(&["edit", &broken, "--resume", "--json"]);
        assert_eq!(resumed["step"], 110, "killed at {step}");
        assert!(
            ply(&whole) == ply(&broken),
            "killed at {step}, it ended elsewhere"
        );
        assert_says(
            &failure(&["edit", &broken, "--resume"]),
            &["nothing to resume"],
        );
    }
}

#[test]
fn killed_while_reconstructing_for_an_edit_the_resumed_run_edits() {
    let dir = TempDir::new().unwrap();
    let [whole, broken] = ["whole.luxedit", "broken.luxedit"].map(|name| path(&dir, name));
    let args = |output| {
        let mut args = edit_args(CAPTURE, output);
        args.extend(["--reconstruct-steps", "40"]);
        args
    };
    let report = json(&args(&whole));
    assert_eq!(report["step"], 90);
    kill_when(&args(&broken), &broken, |m| {
        m["job"]["job"] == "reconstruct" && m["live"]["step"].as_u64().is_some_and(|s| s >= 10)
    });
    let resumed = json(&["edit", &broken, "--resume", "--json"]);
    assert_eq!(resumed["step"], 90);
    assert!(
        ply(&whole) == ply(&broken),
        "the resumed run ended elsewhere"
    );
    assert_says(
        &failure(&["edit", &broken, "--resume", "--seed", "7"]),
        &["--seed", "cannot change"],
    );
}

#[test]
fn a_project_is_open_in_one_process_at_a_time_and_only_reading_shares_it() {
    let dir = TempDir::new().unwrap();
    let project = path(&dir, "busy.luxedit");
    let mut child = luxedit()
        .args([
            "reconstruct",
            CAPTURE,
            "-o",
            &project,
            "--steps",
            "100000",
            "--snapshot-interval",
            "10",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !std::fs::read_to_string(Path::new(&project).join("project.json"))
        .is_ok_and(|m| m.contains("step10."))
    {
        assert!(began.elapsed() < Duration::from_secs(120), "no progress");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_says(
        &failure(&["edit", &project, "--resume"]),
        &["open in another luxedit"],
    );
    let pictures = path(&dir, "pictures");
    json(&["render", &project, "-o", &pictures, "--json"]);
    assert_says(
        &failure(&["render", &project, "-o", &pictures]),
        &["exists already"],
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let done = json(&["info", &project, "--json"])["interrupted"]["done"].clone();
    assert!(
        done.as_u64().is_some_and(|d| d >= 10),
        "reading changed the project: {done}"
    );
}

#[test]
fn measuring_and_reconstructing_leave_a_project_alone() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "1");
    let manifest = || std::fs::read(Path::new(&scene).join("project.json")).unwrap();
    let before = manifest();
    let file = format!("{scene}/scene.ply");
    json(&["eval", &file, &scene, "--json"]);
    json(&["eval", &scene, "--json"]);
    let out = path(&dir, "out.luxedit");
    assert_says(
        &failure(&["reconstruct", &scene, "-o", &out]),
        &["is a project"],
    );
    assert!(before == manifest());
}

#[test]
fn a_copy_that_cannot_be_made_leaves_the_project_unedited() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "1");
    std::fs::write(dir.path().join("file"), "mine").unwrap();
    let blocked = path(&dir, "file/copy.luxedit");
    let before = std::fs::read(Path::new(&scene).join("project.json")).unwrap();
    assert_says(&failure(&edit_args(&scene, &blocked)), &["file"]);
    let after = std::fs::read(Path::new(&scene).join("project.json")).unwrap();
    assert!(before == after, "the original was edited instead");
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_and_saves() {
    let dir = TempDir::new().unwrap();
    let project = path(&dir, "stopped.luxedit");
    let child = luxedit()
        .args([
            "reconstruct",
            CAPTURE,
            "-o",
            &project,
            "--steps",
            "100000",
            "--snapshot-interval",
            "10",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !std::fs::read_to_string(Path::new(&project).join("project.json"))
        .is_ok_and(|m| m.contains("step10."))
    {
        assert!(began.elapsed() < Duration::from_secs(120), "no progress");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["finished"], false);
    let step = report["step"].as_u64().unwrap();
    let info = json(&["info", &project, "--json"]);
    assert_eq!(info["step"], step, "the last step was saved");
    assert_eq!(info["interrupted"]["done"], step);
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_is_expected() {
    for args in [
        &["reconstruct"][..],
        &["edit", "x", "--sweep", "sideways"],
        &["info"],
    ] {
        let out = run(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
    }
    let help = text(&run(&["edit", "--help"]).stdout);
    assert_says(
        &help,
        &[
            "--guidance-scale",
            "12.5",
            "--sweep-interval",
            "2500",
            "--resume",
        ],
    );
}

#[test]
fn bad_settings_are_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let out = path(&dir, "out.luxedit");
    assert_says(
        &failure(&["edit", CAPTURE, "-o", &out, "--model", MODEL]),
        &["instruction"],
    );
    assert_says(
        &failure(&[
            "edit", CAPTURE, "-o", &out, "--prompt", "   ", "--model", MODEL,
        ]),
        &["instruction"],
    );
    assert_says(
        &failure(&[
            "edit",
            CAPTURE,
            "-o",
            &out,
            "--prompt",
            "x",
            "--model",
            MODEL,
            "--guidance-scale",
            "99",
        ]),
        &["--guidance-scale", "1 to 30", "99"],
    );
    assert_says(
        &failure(&[
            "edit",
            CAPTURE,
            "-o",
            &out,
            "--prompt",
            "x",
            "--model",
            MODEL,
            "--lower-bound",
            "0.01",
        ]),
        &["0.02"],
    );
    assert_says(
        &failure(&["edit", CAPTURE, "--prompt", "x", "--model", MODEL]),
        &["-o"],
    );
    assert!(!Path::new(&out).exists());
}

/// A copy of the small capture with `transforms.json` changed.
fn broken_capture(dir: &TempDir, change: impl FnOnce(&mut Value)) -> String {
    let folder = dir.path().join("capture");
    copy_folder(&root().join(CAPTURE), &folder);
    let file = folder.join("transforms.json");
    let mut transforms: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut transforms);
    std::fs::write(&file, transforms.to_string().replace("\"NaN\"", "NaN")).unwrap();
    folder.display().to_string()
}

#[test]
fn broken_captures_are_named_and_leave_no_project() {
    let dir = TempDir::new().unwrap();
    let out = path(&dir, "out.luxedit");
    let try_it = |capture: &str| {
        let message = failure(&["reconstruct", capture, "-o", &out, "--steps", "1"]);
        assert!(!Path::new(&out).join("project.json").exists(), "{message}");
        message
    };
    let case = TempDir::new().unwrap();
    let nan = broken_capture(&case, |t| {
        t["frames"][3]["transform_matrix"][0][0] = "NaN".into()
    });
    assert_says(&try_it(&nan), &["transforms.json"]);

    let case = TempDir::new().unwrap();
    let none = broken_capture(&case, |t| t["frames"] = Value::Array(Vec::new()));
    assert_says(&try_it(&none), &["transforms.json", "frames"]);

    let case = TempDir::new().unwrap();
    let unreadable = broken_capture(&case, |_| {});
    std::fs::write(
        Path::new(&unreadable).join("images/view_03.png"),
        b"not a picture",
    )
    .unwrap();
    assert_says(&try_it(&unreadable), &["view_03.png"]);

    let missing = path(&dir, "nowhere");
    assert_says(&try_it(&missing), &["nowhere", "does not exist"]);

    let case = TempDir::new().unwrap();
    let capture = case.path().join("capture");
    copy_folder(&root().join("tests/fixtures/colmap"), &capture);
    let cameras = capture.join("sparse/0/cameras.bin");
    let bytes = std::fs::read(&cameras).unwrap();
    std::fs::write(&cameras, &bytes[..bytes.len() / 2]).unwrap();
    assert_says(&try_it(&capture.display().to_string()), &["cameras.bin"]);
}

#[test]
fn a_ply_cut_in_the_middle_is_refused() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "1");
    let bytes = std::fs::read(Path::new(&scene).join("scene.ply")).unwrap();
    let cut = path(&dir, "cut.ply");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let out = path(&dir, "pictures");
    assert_says(
        &failure(&["render", &cut, "--cameras", CAPTURE, "-o", &out]),
        &["cut.ply"],
    );
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_model_with_a_missing_tensor_is_named_and_the_scene_is_kept() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "1");
    let model = dir.path().join("model");
    copy_folder(&root().join(MODEL), &model);
    let file = model.join("unet/diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kept: Vec<_> = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| name != "conv_in.weight")
        .collect();
    std::fs::write(&file, safetensors::serialize(kept, None).unwrap()).unwrap();
    let model = model.display().to_string();
    let before = std::fs::read(Path::new(&scene).join("scene.ply")).unwrap();
    let message = failure(&[
        "edit", &scene, "--prompt", "bronze", "--model", &model, "--steps", "2",
    ]);
    assert_says(&message, &["conv_in.weight", "unet"]);
    assert!(before == std::fs::read(Path::new(&scene).join("scene.ply")).unwrap());
    json(&["info", &scene, "--json"]);
}

#[test]
fn a_project_is_never_written_over() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "1");
    assert_says(
        &failure(&["reconstruct", CAPTURE, "-o", &scene, "--steps", "1"]),
        &["already holds a project"],
    );
    let other = path(&dir, "holiday");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(Path::new(&other).join("photo.txt"), "mine").unwrap();
    assert_says(
        &failure(&["reconstruct", CAPTURE, "-o", &other, "--steps", "1"]),
        &["not empty"],
    );
    let below_a_file = path(&dir, "holiday/photo.txt/out.luxedit");
    assert_says(
        &failure(&["reconstruct", CAPTURE, "-o", &below_a_file, "--steps", "1"]),
        &["photo.txt"],
    );
    assert_eq!(
        std::fs::read(Path::new(&other).join("photo.txt")).unwrap(),
        b"mine"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_corrupts_nothing() {
    let dir = TempDir::new().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !mounted {
        println!("SKIPPED: a small disk needs the right to mount one");
        return;
    }
    let project = disk.join("scene.luxedit").display().to_string();
    let out = run(&[
        "reconstruct",
        CAPTURE,
        "-o",
        &project,
        "--steps",
        "60",
        "--snapshot-interval",
        "10",
    ]);
    let stderr = text(&out.stderr);
    let info = run(&["info", &project, "--json"]);
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_says(&stderr, &["No space left", "scene.luxedit"]);
    assert!(
        info.status.success(),
        "the project is corrupt: {}",
        text(&info.stderr)
    );
}

/// The program with the tests' bundled assets.
fn run_bundled(assets: &Path, args: &[&str]) -> Output {
    luxedit()
        .args(args)
        .env("LUXEDIT_ASSETS", assets)
        .output()
        .expect("the binary starts")
}

#[test]
fn a_capture_is_edited_with_an_existing_scene_and_the_bundled_model() {
    let dir = TempDir::new().unwrap();
    let assets = bundle::make(&dir.path().join("assets"));
    let first = path(&dir, "first.luxedit");
    reconstruct(&first, "60");
    let [scene, edited] = [format!("{first}/scene.ply"), path(&dir, "edited.luxedit")];
    let out = run_bundled(
        &assets,
        &[
            "edit",
            CAPTURE,
            "--scene",
            &scene,
            "-o",
            &edited,
            "--prompt",
            "turn the Grizzly into marble",
            "--steps",
            "40",
            "--diffusion-steps",
            "2",
            "--snapshot-interval",
            "20",
            "--json",
        ],
    );
    let stderr = text(&out.stderr);
    assert!(out.status.success(), "{stderr}");
    assert_says(
        &stderr,
        &["The bundled model doesn't know 'grizzly'. InstructPix2Pix does."],
    );
    assert!(!stderr.contains("reconstructing"), "{stderr}");
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let settings = &report["settings"];
    assert_eq!(settings["model"], "bundled");
    assert_eq!(settings["guidance_scale"], 3.0, "the model's own");
    assert_eq!(settings["diffusion_steps"], 2, "a flag wins");
    assert_eq!(report["step"], 40);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(format!("{edited}/project.json")).unwrap()).unwrap();
    let named = PathBuf::from(manifest["scene_file"].as_str().unwrap());
    assert_eq!(named, PathBuf::from(&scene).canonicalize().unwrap());
    if settings["view_side"] == 48 {
        // No graphics card: 96-pixel photos at half size, a sweep over every 4th of 22 views.
        assert_says(
            &stderr,
            &[
                "No graphics card found: sweep every 12 steps, views a sweep 6, largest photo side 48 pixels",
            ],
        );
        assert_eq!(manifest["downscale"], 2);
        let views: Vec<&str> = manifest["edits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["view"].as_str().unwrap())
            .collect();
        let distinct: std::collections::HashSet<_> = views.iter().collect();
        assert_eq!(
            distinct.len(),
            views.len(),
            "each sweep takes other views: {views:?}"
        );
        assert!(views.len() > 12 && views.len() < 22, "{views:?}");
    }

    // The scene was not optimized before: what is edited is the file.
    assert!(ply(&edited) != std::fs::read(&scene).unwrap());
    let refused = failure(&[
        "edit",
        &scene,
        "--scene",
        &scene,
        "-o",
        &path(&dir, "x.luxedit"),
        "--prompt",
        "a",
        "--model",
        MODEL,
    ]);
    assert_says(&refused, &["is a scene already"]);
}

#[test]
fn a_bundled_model_that_is_missing_is_said_in_words() {
    let dir = TempDir::new().unwrap();
    let out = run_bundled(
        dir.path(),
        &[
            "edit-image",
            "assets/tiny/images/view_00.png",
            "-o",
            &path(&dir, "x.png"),
            "--prompt",
            "make it snow",
        ],
    );
    assert_eq!(out.status.code(), Some(1));
    assert_says(
        &text(&out.stderr),
        &["the bundled edit model is not installed", "LUXEDIT_ASSETS"],
    );
}

#[test]
fn a_grid_is_one_sheet_of_the_single_results() {
    let dir = TempDir::new().unwrap();
    let photo = "assets/tiny/images/view_00.png";
    let (sheet, single) = (path(&dir, "sheet.png"), path(&dir, "single.png"));
    let common = |output: &str| {
        vec![
            "edit-image".to_owned(),
            photo.to_owned(),
            "-o".to_owned(),
            output.to_owned(),
            "--prompt".to_owned(),
            "make it a bronze bust".to_owned(),
            "--model".to_owned(),
            MODEL.to_owned(),
            "--diffusion-steps".to_owned(),
            "3".to_owned(),
            "--json".to_owned(),
        ]
    };
    let mut with_grid = common(&sheet);
    with_grid.extend(
        [
            "--grid=guidance-scale=3,9",
            "--grid=image-guidance-scale=1.2,2",
            "--grid=seed=4,7",
        ]
        .map(str::to_owned),
    );
    let with_grid: Vec<&str> = with_grid.iter().map(String::as_str).collect();
    let report = json(&with_grid);
    assert_eq!(report["written"][0], sheet.as_str());
    let mut alone = common(&single);
    alone.extend(
        [
            "--guidance-scale",
            "9",
            "--image-guidance-scale",
            "2",
            "--seed",
            "7",
        ]
        .map(str::to_owned),
    );
    let alone: Vec<&str> = alone.iter().map(String::as_str).collect();
    json(&alone);
    let sheet = image::open(&sheet).unwrap().to_rgb8();
    let single = image::open(&single).unwrap().to_rgb8();
    let original = image::open(photo).unwrap().to_rgb8();
    let (width, height) = single.dimensions();
    // The last cell is the single result, the first picture the original.
    let last = image::imageops::crop_imm(
        &sheet,
        sheet.width() - 16 - 88.max(width),
        sheet.height() - 16 - height,
        width,
        height,
    )
    .to_image();
    assert!(last == single, "the last cell is another picture");
    let found = (0..sheet.height() - height)
        .any(|y| image::imageops::crop_imm(&sheet, 16, y, width, height).to_image() == original);
    assert!(found, "the original is not on the sheet");
    // Names: pixels that are nearly white above the pictures.
    let inked = sheet
        .enumerate_pixels()
        .filter(|(_, y, p)| *y < 60 && p.0.iter().all(|&v| v > 200))
        .count();
    assert!(inked > 200, "the sheet is not labelled: {inked}");

    for (grid, says) in [
        ("--grid=strength=3", "--grid takes"),
        ("--grid=guidance-scale=99", "a number from 1 to 30"),
        ("--grid=seed=1.5", "a whole number"),
    ] {
        let mut wrong = common("x.png");
        wrong.push(grid.to_owned());
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        assert_says(&failure(&wrong), &[says]);
    }
}

#[test]
fn an_orbit_becomes_an_animation_within_the_captured_arc() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "40");
    let gif = path(&dir, "turn.gif");
    let report = json(&[
        "render", &scene, "-o", &gif, "--orbit", "6", "--size", "40", "--json",
    ]);
    assert_eq!(report["written"][0], gif.as_str());
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options
        .read_info(std::fs::File::open(&gif).unwrap())
        .unwrap();
    assert_eq!((decoder.width(), decoder.height()), (40, 40));
    assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        frames.push(frame.buffer.to_vec());
    }
    assert_eq!(frames.len(), 6);

    // The same pictures as PNG, up to the palette.
    let folder = path(&dir, "turn");
    json(&[
        "render", &scene, "-o", &folder, "--orbit", "6", "--size", "40", "--json",
    ]);
    for (i, frame) in frames.iter().enumerate() {
        let png = image::open(format!("{folder}/orbit_{i:04}.png"))
            .unwrap()
            .to_rgba8();
        let apart: u64 = png
            .as_raw()
            .iter()
            .zip(frame)
            .map(|(a, b)| u64::from(a.abs_diff(*b)))
            .sum();
        let mean = apart as f64 / frame.len() as f64;
        assert!(mean < 4.0, "frame {i} is {mean:.2} of 255 from its picture");
        let next = &frames[(i + 1) % frames.len()];
        let moved: u64 = frame
            .iter()
            .zip(next)
            .map(|(a, b)| u64::from(a.abs_diff(*b)))
            .sum();
        assert!(moved > 0, "frame {i} is its successor");
    }
    assert_says(
        &failure(&["render", &scene, "-o", &gif, "--orbit", "6"]),
        &["exists already"],
    );
}

#[test]
fn a_luxen_is_reconstructed_kept_drawn_measured_and_edited() {
    let dir = TempDir::new().unwrap();
    let project = path(&dir, "luxen.luxedit");
    let made = json(&[
        "reconstruct",
        CAPTURE,
        "-o",
        &project,
        "--kind",
        "luxen",
        "--luxen-size",
        "small",
        "--luxen-rays",
        "128",
        "--luxen-grid",
        "10",
        "--steps",
        "30",
        "--snapshot-interval",
        "20",
        "--json",
    ]);
    assert_eq!(made["step"], 30);
    let psnr = made["metrics"]["psnr"].as_f64().expect("a PSNR");
    assert!(psnr.is_finite() && psnr > 3.0, "{psnr}");
    let known = json(&["info", &project, "--json"]);
    assert_eq!(known["kind"], "luxen");
    assert_eq!(known["step"], 30);
    // What is drawn from the saved project is what was measured when it was made.
    let measured = json(&["eval", &project, "--json"]);
    assert_eq!(measured["metrics"]["psnr"], made["metrics"]["psnr"]);
    let pictures = path(&dir, "pictures");
    json(&["render", &project, "-o", &pictures, "--json"]);
    assert!(std::fs::read_dir(Path::new(&pictures).join("images")).is_ok_and(|d| d.count() > 0));
    let refused = failure(&["convert", &project, &path(&dir, "out.ply"), "--turn", "x"]);
    assert_says(&refused, &["--turn"]);

    let edited = path(&dir, "edited.luxedit");
    let args = [
        "edit",
        &project,
        "-o",
        &edited,
        "--method",
        "in2n",
        "--model",
        MODEL,
        "--prompt",
        "turn it into bronze",
        "--diffusion-steps",
        "3",
        "--steps",
        "25",
        "--json",
    ];
    let done = json(&args);
    assert_eq!(done["step"], 55);
    assert_eq!(done["edits"], 3, "before steps 0, 10 and 20");
    assert_eq!(done["settings"]["guidance_scale"], 7.5);
    assert!(Path::new(&edited).join("before-after.png").is_file());
    for (flag, value, reason) in [
        ("--method", "sds", "needs a scene of splats"),
        ("--loss", "l1-ssim", "take --loss l1"),
    ] {
        let other = path(&dir, &format!("{value}.luxedit"));
        let refused = failure(&[
            "edit", &project, "-o", &other, flag, value, "--model", MODEL, "--prompt", "bronze",
        ]);
        assert_says(&refused, &[reason]);
    }
}
