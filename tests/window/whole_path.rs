//! Open, reconstruct, instruct, watch, pause, change, stop, scrub, export, close: on the real worker and trainer and a
//! tiny edit model, with the pixels of the viewport as the judge.

use crate::harness::{Window, difference, open_window};
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use luxedit::worker::WorkerHandle;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn choose(window: &mut Window, path: &Path, confirm: &str) {
    window.until_label(confirm);
    window.type_into("Path", &path.display().to_string());
    window.click(confirm);
}

/// Label of the newest edit's card, "Edit n of view i".
fn newest_edit(window: &Window) -> Option<(usize, String)> {
    window
        .controls()
        .into_iter()
        .filter_map(|(_, name, _)| {
            let number = name
                .strip_prefix("Edit ")?
                .split(' ')
                .next()?
                .parse()
                .ok()?;
            Some((number, name))
        })
        .max()
}

#[test]
fn from_photos_to_an_edited_scene_and_back() {
    let model = root().join("tests/fixtures/ip2p_tiny");
    if !model.is_dir() {
        println!("SKIPPED: {} does not exist", model.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(mut window) = open_window([1280.0, 800.0], |gpu| {
        Box::new(WorkerHandle::spawn(gpu, || {}).expect("the worker starts"))
    }) else {
        return;
    };

    // Open.
    window.click("Open capture folder…");
    choose(&mut window, &root().join("assets/tiny"), "Open this path");
    window.until_label("held out to measure quality");
    window.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::S);
    choose(
        &mut window,
        &folder.path().join("tiny.luxedit"),
        "Save here",
    );

    // Reconstruct.
    window.set_number("Reconstruction steps", 60.0);
    window.click("Advanced");
    window.set_number("Snapshot every", 30.0);
    window.click("Reconstruct");
    window.until_label("Reconstruction finished at step 60");
    let reconstructed = window.viewport_pixels();

    // An empty instruction is refused, next to where it is typed, with a reason.
    assert!(window.is_disabled("Start edit"));
    assert!(window.has("Type an instruction first"));
    window.press(Modifiers::COMMAND, Key::Enter);
    assert!(
        !window.has("Editing…"),
        "an empty instruction starts nothing"
    );

    window.type_into("Instruction", "make it a bronze bust");
    assert!(!window.has("Type an instruction first"));
    window.click("Edit model");
    window.click("Local folder…");
    choose(&mut window, &model, "Use this model");
    assert!(!window.is_disabled("Start edit"));

    // Edit, long enough that only the stop ends it.
    window.set_number("Steps", 100_000.0);
    window.set_number("Denoising steps", 3.0);
    window.click("Start edit");
    window.until("a first edited view", |h| {
        h.query_all_by_label_contains("Edit 1 of view")
            .next()
            .is_some()
    });

    // Pause, change the instruction, go on: the next edits follow the new one.
    window.click("Pause");
    window.until_label("Resume");
    let (before_pause, _) = newest_edit(&window).expect("an edit is in the strip");
    window.type_into("Instruction", "make it a snow bust");
    window.click("Resume");
    window.until("an edit after the pause", |h| {
        let wanted = format!("Edit {} of view", before_pause + 2);
        h.query_all_by_label_contains(&wanted).next().is_some()
    });
    let (_, card) = newest_edit(&window).expect("an edit is in the strip");
    window.click(&card);
    window.until_label("make it a snow bust”");
    assert!(window.has("Edited picture"), "the edit is shown large");
    window.keep_picture("inspect");
    window.click("Close");

    // Stop.
    window.click("Stop");
    window.until_label("Edit stopped at step");
    assert!(!window.has("Dismiss"), "nothing went wrong");
    window.keep_picture("stopped");
    window.press(Modifiers::NONE, Key::V);
    let edited = window.viewport_pixels();
    let change = difference(&reconstructed, &edited);
    assert!(change > 0.5, "the edit changed the scene: {change:.3}");

    // Scrub to the snapshot before the edit: the pixels change back.
    window.click("Snapshot 2 of step 60");
    window.until_label("Snapshot of step 60");
    let scrubbed = window.viewport_pixels();
    let rest = difference(&reconstructed, &scrubbed);
    assert!(
        rest < 0.05,
        "the snapshot looks as the scene did then: {rest:.4}"
    );
    window.press(Modifiers::NONE, Key::ArrowLeft);
    window.until_label("Snapshot of step 30");
    let earlier = window.viewport_pixels();
    assert!(
        difference(&reconstructed, &earlier) > 0.05,
        "an earlier state looks different"
    );

    // Export what is shown, then go back to live.
    let ply = folder.path().join("earlier.ply");
    window.press(Modifiers::COMMAND, Key::E);
    choose(&mut window, &ply, "Export here");
    window.until_label("Exported");
    let bytes = std::fs::read(&ply).expect("the PLY was written");
    assert!(
        bytes.starts_with(b"ply\n") && bytes.len() > 10_000,
        "{} bytes",
        bytes.len()
    );
    window.click("Back to live");
    window.until("the live scene", |h| {
        h.query_by_label("Snapshot of step 30").is_none()
    });
    let live = window.viewport_pixels();
    let rest = difference(&edited, &live);
    assert!(rest < 0.05, "the live scene is where it was: {rest:.4}");

    // Restore it: the live scene is what it was before the edit.
    window.click("Snapshot 2 of step 60");
    window.until_label("Snapshot of step 60");
    window.click("Restore");
    window.until_label("Restored the snapshot of step 60");
    let restored = window.viewport_pixels();
    let rest = difference(&reconstructed, &restored);
    assert!(
        rest < 0.05,
        "the restored scene is the reconstructed one: {rest:.4}"
    );

    // Close: the worker saves and ends.
    window.press(Modifiers::COMMAND, Key::Q);
    window.until("the worker to end", |h| h.state().has_closed());
    assert!(folder.path().join("tiny.luxedit/project.json").is_file());
}
