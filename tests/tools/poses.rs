//! From photos to a capture.

use super::scripts::{
    calls, failing, finding_nothing, hanging, hanging_below, signs_of_life, working,
};
use luxedit::error::Cancel;
use luxedit::formats::{LoadOptions, inspect, open_dataset, picture::write_png};
use luxedit::scene::{DatasetKind, Photo};
use luxedit::settings::{Matching, Settings};
use luxedit::tools::{FoundPoses, PoseOptions, Unposed, find_poses};
use luxedit::{Error, Result};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn photos(folder: &Path, names: &[&str], size: impl Fn(usize) -> (u32, u32)) {
    for (i, name) in names.iter().enumerate() {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (w, h) = size(i);
        write_png(
            &path,
            &Photo::new(w, h, vec![i as u8; (w * h * 3) as usize]),
        )
        .unwrap();
    }
}

const NAMES: [&str; 5] = ["a.png", "b.png", "c.PNG", "inner/a.png", "z.png"];

fn options(colmap: &Path) -> PoseOptions {
    PoseOptions {
        colmap: colmap.display().to_string(),
        ..PoseOptions::of(&Settings::default())
    }
}

fn find(source: &Path, folder: &Path, options: &PoseOptions) -> Result<FoundPoses> {
    find_poses(
        source,
        folder,
        options,
        &Cancel::default(),
        &mut |_, _, _| {},
    )
}

fn contents(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn photos_become_a_capture_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("photos");
    photos(&source, &NAMES, |_| (40, 30));
    std::fs::write(source.join("notes.txt"), "not a photo").unwrap();
    let before = contents(&source);
    assert_eq!(Unposed::of(&source).unwrap(), Some(Unposed::Photos(5)));
    let colmap = working(dir.path());
    let folder = dir.path().join("capture");
    let mut told = Vec::new();
    let found = find_poses(
        &source,
        &folder,
        &options(&colmap),
        &Cancel::default(),
        &mut |what, done, total| told.push(format!("{what} {done}/{total}")),
    )
    .unwrap();
    assert_eq!(
        found.to_string(),
        "4 of 5 photos found their place; these not: z.png"
    );
    for expected in [
        "gathering photos 5/5",
        "looking for features 3/5",
        "comparing photos 1/4",
        "comparing photos 4/4",
        "placing cameras 4/5",
    ] {
        assert!(told.iter().any(|t| t == expected), "{expected}: {told:?}");
    }
    let said = calls(&colmap);
    for part in [
        "--ImageReader.single_camera 1",
        "--SiftExtraction.use_gpu 0",
        "--SiftMatching.use_gpu 0",
        "exhaustive_matcher",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let dataset = open_dataset(
        &folder,
        &LoadOptions::default(),
        &|_, _| {},
        &Cancel::default(),
    )
    .unwrap();
    assert_eq!(dataset.kind, DatasetKind::Colmap);
    let names: Vec<&str> = dataset.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["a.png", "b.png", "c.PNG", "inner/a.png"]);
    assert!(!folder.join("database.db").exists());
    assert_eq!(contents(&source), before, "nothing of the photos changed");
    assert_eq!(Unposed::of(&folder).unwrap(), None, "it is a capture");
}

#[test]
fn what_is_compared_and_how_many_cameras_follow_the_photos() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("photos");
    photos(&source, &NAMES, |i| (40, 30 + 10 * (i as u32 % 2)));
    let colmap = working(dir.path());
    let sequential = PoseOptions {
        matching: Matching::Sequential,
        ..options(&colmap)
    };
    find(&source, &dir.path().join("capture"), &sequential).unwrap();
    let said = calls(&colmap);
    assert!(said.contains("--ImageReader.single_camera 0"), "{said}");
    assert!(said.contains("sequential_matcher"), "{said}");
}

#[test]
fn failures_say_why_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("photos");
    photos(&source, &NAMES, |_| (40, 30));
    let folder = dir.path().join("capture");
    let says = |colmap: &Path, parts: &[&str]| {
        let sentence = find(&source, &folder, &options(colmap))
            .unwrap_err()
            .to_string();
        for part in parts {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
        assert!(!folder.exists(), "what was written is gone");
    };
    says(
        &failing(dir.path()),
        &["COLMAP", "comparing photos", "the database is locked"],
    );
    says(&finding_nothing(dir.path()), &["no two photos"]);
    says(&dir.path().join("nowhere"), &["nowhere", "--colmap"]);
    // A folder that was there stays, empty.
    std::fs::create_dir(&folder).unwrap();
    find(&source, &folder, &options(&failing(dir.path()))).unwrap_err();
    assert!(contents(&folder).is_empty());
    // One that holds something is not touched.
    std::fs::write(folder.join("mine.txt"), "mine").unwrap();
    let error = find(&source, &folder, &options(&working(dir.path()))).unwrap_err();
    assert!(error.to_string().contains("holds something"), "{error}");
    assert_eq!(contents(&folder), ["mine.txt"]);
    let few = dir.path().join("few");
    photos(&few, &NAMES[..2], |_| (40, 30));
    let error = find(&few, &dir.path().join("x"), &options(&working(dir.path()))).unwrap_err();
    assert!(error.to_string().contains("holds 2 photos"), "{error}");
}

#[test]
fn a_stop_ends_the_program() {
    let dir = tempfile::tempdir().unwrap();
    stop(dir.path(), &hanging(dir.path()));
}

/// What is called COLMAP may be a script that runs it.
#[test]
fn a_stop_ends_what_the_program_has_started() {
    let dir = tempfile::tempdir().unwrap();
    let colmap = hanging_below(dir.path());
    stop(dir.path(), &colmap);
    let lived = signs_of_life(&colmap);
    assert!(lived > 0);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(signs_of_life(&colmap), lived, "it lives on");
}

/// Stop `colmap` at its first step.
fn stop(dir: &Path, colmap: &Path) {
    let source = dir.join("photos");
    photos(&source, &NAMES, |_| (40, 30));
    let folder = dir.join("capture");
    let cancel = Cancel::default();
    let began = Instant::now();
    let stopped = find_poses(
        &source,
        &folder,
        &options(colmap),
        &cancel,
        &mut |what, _, _| {
            if what == "looking for features" {
                cancel.cancel();
            }
        },
    );
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(!folder.exists());
}

#[test]
fn the_command_line_reports_what_found_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("photos");
    photos(&source, &NAMES, |_| (40, 30));
    let run = |folder: &str, colmap: &Path| {
        let out = Command::new(env!("CARGO_BIN_EXE_luxedit"))
            .arg("poses")
            .arg(&source)
            .arg("-o")
            .arg(dir.path().join(folder))
            .arg("--colmap")
            .arg(colmap)
            .arg("--json")
            .output()
            .unwrap();
        (
            out.status.code(),
            out.stdout,
            String::from_utf8(out.stderr).unwrap(),
        )
    };
    let (code, out, _) = run("capture", &working(dir.path()));
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&json["photos"], &json["registered"]),
        (&5.into(), &4.into())
    );
    assert_eq!(json["lost"][0], "z.png");
    inspect(&dir.path().join("capture")).unwrap();
    let (code, _, said) = run("other", &failing(dir.path()));
    assert_eq!(code, Some(1));
    assert!(said.contains("the database is locked"), "{said}");
    // Nowhere on the PATH.
    let out = Command::new(env!("CARGO_BIN_EXE_luxedit"))
        .env("PATH", dir.path())
        .arg("poses")
        .arg(&source)
        .arg("-o")
        .arg(dir.path().join("none"))
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        said.contains("apt install colmap") && said.contains("brew"),
        "{said}"
    );
}
