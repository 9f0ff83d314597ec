//! From photos to an edited scene, its pictures and its quality; splats and a Luxen.

use crate::common::{
    CAPTURE, MODEL, assert_says, edit_args, failure, json, path, ply, reconstruct,
};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

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
    let other = path(&dir, "other.luxedit");
    let refused = failure(&[
        "edit", &project, "-o", &other, "--loss", "l1-ssim", "--model", MODEL, "--prompt", "bronze",
    ]);
    assert_says(&refused, &["SSIM", "take --loss l1"]);
    assert!(!Path::new(&other).exists(), "a copy is left behind");
}
