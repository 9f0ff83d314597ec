//! The binary and a small capture, and what every test asks of them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn luxedit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luxedit"));
    command.current_dir(root());
    command
}

pub fn run(args: &[&str]) -> Output {
    luxedit().args(args).output().expect("the binary starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The final JSON object of a run that succeeded.
pub fn json(args: &[&str]) -> Value {
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
pub fn failure(args: &[&str]) -> String {
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

pub fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "\"{word}\" is not in: {message}");
    }
}

pub const CAPTURE: &str = "assets/tiny";

pub const MODEL: &str = "tests/fixtures/ip2p_tiny";

pub fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

pub fn reconstruct(project: &str, steps: &str) -> Value {
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

pub const EDIT: &[&str] = &[
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

pub fn edit_args<'a>(data: &'a str, output: &'a str) -> Vec<&'a str> {
    let mut args = vec!["edit", data, "-o", output];
    args.extend_from_slice(EDIT);
    args
}

pub fn copy_folder(from: &Path, to: &Path) {
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

/// Kill `args` (which write the project `project`) once `is_time` says so of its manifest.
pub fn kill_when(args: &[&str], project: &str, is_time: impl Fn(&Value) -> bool) {
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

pub fn ply(project: &str) -> Vec<u8> {
    std::fs::read(Path::new(project).join("scene.ply")).unwrap()
}
