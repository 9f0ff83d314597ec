//! The real program on both ends.

use crate::common::{MODEL, gpu, root};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn luxedit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luxedit"));
    command.current_dir(root()).env_remove("LUXEDIT_TOKEN");
    command
}

/// A `serve-editor`, and what it said of itself.
struct Served {
    child: Child,
    address: String,
    said: Vec<String>,
}

impl Served {
    fn start(args: &[&str]) -> Self {
        let mut child = luxedit()
            .args(["serve-editor", "--model", MODEL, "--edit-device", "cpu"])
            .args(args)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let stderr = child.stderr.take().expect("piped");
        let (lines, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut served = Self {
            child,
            address: String::new(),
            said: Vec::new(),
        };
        loop {
            let line = heard
                .recv_timeout(Duration::from_secs(60))
                .unwrap_or_else(|e| panic!("{e}: {:?}", served.said));
            served.said.push(line.clone());
            if let Some((_, rest)) = line.split_once(" at ws://") {
                served.address = rest.split(';').next().expect("an address").to_owned();
                return served;
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(e) = ended {
            println!("a served editor was gone already: {e}");
        }
    }
}

fn run(args: &[&str]) -> Output {
    luxedit().args(args).output().expect("the binary starts")
}

#[track_caller]
fn json(args: &[&str]) -> serde_json::Value {
    let out = run(args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {stderr}");
    serde_json::from_slice(&out.stdout).expect("one JSON object")
}

#[test]
fn a_picture_is_edited_elsewhere_as_here() {
    if gpu().is_none() {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let served = Served::start(&["--listen", "127.0.0.1:0", "--token", "sesame"]);
    assert!(
        served.said.iter().all(|l| !l.contains("no --token")),
        "{:?}",
        served.said
    );
    let edit = |device: &str, name: &str| {
        let output = folder.path().join(name).display().to_string();
        let args = [
            "edit-image",
            "assets/tiny/images/view_05.png",
            "-o",
            &output,
            "--prompt",
            "make it a bronze bust",
            "--model",
            MODEL,
            "--diffusion-steps",
            "3",
            "--edit-device",
            device,
            "--json",
        ];
        (run(&args), output)
    };
    let (here, local) = edit("cpu", "local.png");
    let (there, remote) = edit(&format!("ws://sesame@{}", served.address), "remote.png");
    for out in [here, there] {
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let read = |path: &str| std::fs::read(path).expect("a picture");
    assert!(read(&local) == read(&remote), "another picture");

    for (device, says) in [
        (format!("ws://{}", served.address), "a token is needed"),
        (
            format!("ws://guess@{}", served.address),
            "the token is wrong",
        ),
        ("ws://nowhere".to_owned(), "it has no port"),
        ("gpu:99".to_owned(), "there is no gpu:99"),
        ("tpu".to_owned(), "--edit-device takes auto, gpu"),
    ] {
        let (out, _) = edit(&device, "refused.png");
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{device}: {stderr}");
        assert!(stderr.contains(says), "{device}: {stderr}");
        assert!(!stderr.contains("guess"), "a token is shown: {stderr}");
    }
}

#[test]
fn an_open_door_is_warned_of() {
    if gpu().is_none() {
        return;
    }
    let warned = |said: &[String]| said.iter().any(|l| l.contains("no --token is set"));
    let open = Served::start(&["--listen", "0.0.0.0:0"]);
    assert!(warned(&open.said), "{:?}", open.said);
    let locked = Served::start(&["--listen", "0.0.0.0:0", "--token", "sesame"]);
    assert!(!warned(&locked.said), "{:?}", locked.said);
    let inside = Served::start(&["--listen", "127.0.0.1:0"]);
    assert!(!warned(&inside.said), "{:?}", inside.said);
    let out = run(&[
        "serve-editor",
        "--model",
        MODEL,
        "--edit-device",
        "ws://127.0.0.1:1",
    ]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("edits here"));
}

#[test]
fn a_killed_program_loses_no_view() {
    if gpu().is_none() {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let scene = path("scene.luxedit");
    json(&[
        "reconstruct",
        "assets/tiny",
        "-o",
        &scene,
        "--steps",
        "30",
        "--json",
    ]);
    let edit = |device: &str, output: &str| {
        let mut command = luxedit();
        command.args([
            "edit",
            &scene,
            "-o",
            output,
            "--prompt",
            "make it a bronze bust",
            "--model",
            MODEL,
            "--sweep",
            "frozen",
            "--steps",
            "2",
            "--loss",
            "l1",
            "--edit-device",
            device,
            // Long enough that the kill falls into the sweep.
            "--diffusion-steps",
            "15",
            "--json",
        ]);
        command
    };
    let local = path("local.luxedit");
    let out = edit("cpu", &local).output().expect("the binary starts");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );

    let (a, b) = (
        Served::start(&["--listen", "127.0.0.1:0"]),
        Served::start(&["--listen", "127.0.0.1:0"]),
    );
    let remote = path("remote.luxedit");
    let device = format!("ws://{},ws://{}", a.address, b.address);
    let child = edit(&device, &remote)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let edits = folder.path().join("remote.luxedit/edits");
    let count = || std::fs::read_dir(&edits).map_or(0, Iterator::count);
    let began = Instant::now();
    while count() < 4 {
        assert!(began.elapsed() < Duration::from_secs(120), "no edits");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(a);
    let out = child.wait_with_output().expect("it ends");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
    assert_eq!(report["finished"], true);
    let pictures = |project: &str| {
        let text = std::fs::read_to_string(format!("{project}/project.json")).expect("a project");
        let project_json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let records = project_json["edits"].as_array().expect("records").clone();
        records
            .iter()
            .map(|record| {
                let file = record["edited"].as_str().expect("a file");
                let bytes = std::fs::read(format!("{project}/edits/{file}")).expect("a picture");
                (record["view"].clone(), bytes)
            })
            .collect::<Vec<_>>()
    };
    let (here, there) = (pictures(&local), pictures(&remote));
    assert_eq!(here.len(), there.len());
    assert!(here.len() >= 16, "{}", here.len());
    assert!(here == there, "another sweep");
}
