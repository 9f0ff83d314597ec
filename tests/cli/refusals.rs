//! What is wrong is said, before anything is written.

use crate::common::{
    CAPTURE, MODEL, assert_says, copy_folder, failure, json, luxedit, path, reconstruct, root, run,
    text,
};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

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
    let file = model.join("unet/diffusion_pytorch_model.fp16.safetensors");
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

/// Who reads a result may leave before it comes; a disk that is full fails the command.
#[cfg(unix)]
#[test]
fn output_that_nobody_takes() {
    let scene = root().join("assets/tiny/points.ply");
    let command = || {
        let mut command = luxedit();
        command.arg("info").arg(&scene).stderr(Stdio::piped());
        command
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        writer
    };
    let out = command().stdout(closed()).output().expect("an end");
    assert_eq!(text(&out.stderr), "");
    assert_eq!(out.status.code(), Some(0));
    // Nor does an error panic where nobody takes it.
    let mut missing = luxedit();
    missing.args(["info", "no such file"]);
    let out = missing.stderr(closed()).output().expect("an end");
    assert_eq!(out.status.code(), Some(1));
    let Ok(full) = std::fs::File::create("/dev/full") else {
        println!("skipped: this system has no /dev/full");
        return;
    };
    let out = command().stdout(full).output().expect("an end");
    assert_eq!(out.status.code(), Some(1));
    assert_says(&text(&out.stderr), &["standard output", "space"]);
}
