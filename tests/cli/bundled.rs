//! What comes with the program: an edit of an existing scene, several settings on one sheet.

use crate::common::{
    CAPTURE, MODEL, assert_says, failure, json, luxedit, path, ply, reconstruct, text,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

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
    let assets = crate::bundle::make(&dir.path().join("assets"));
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
