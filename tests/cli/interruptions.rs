//! What is killed, stopped, opened twice or out of room loses nothing.

use crate::common::{
    CAPTURE, assert_says, edit_args, failure, json, kill_when, luxedit, path, ply, reconstruct,
    run, text,
};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

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
