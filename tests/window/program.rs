//! The real program under a virtual X server: it opens, draws something, and ends cleanly when it is asked to.

use std::{
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

struct Server {
    child: Child,
    display: String,
}

impl Server {
    /// On a display number that nobody has taken.
    fn start() -> Option<Self> {
        for number in 120..160 {
            if Path::new(&format!("/tmp/.X{number}-lock")).exists() {
                continue;
            }
            let display = format!(":{number}");
            let mut child = Command::new("Xvfb")
                .args([&display, "-screen", "0", "1280x800x24", "-nolisten", "tcp"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let socket = format!("/tmp/.X11-unix/X{number}");
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(10) {
                if UnixStream::connect(&socket).is_ok() {
                    return Some(Self { child, display });
                }
                if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            child.kill().ok();
            child.wait().ok();
        }
        None
    }

    fn run(&self, program: &str, args: &[&str]) -> Option<String> {
        let out = Command::new(program)
            .env("DISPLAY", &self.display)
            .args(args)
            .output()
            .ok()?;
        out.status
            .success()
            .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

#[test]
fn opens_a_window_and_ends_cleanly() {
    for program in ["Xvfb", "xdotool"] {
        if !is_installed(program) {
            println!("SKIPPED: {program} is not installed");
            return;
        }
    }
    if let Err(e) = luxedit::gpu::Gpu::headless() {
        println!("SKIPPED: {e}");
        return;
    }
    let Some(server) = Server::start() else {
        println!("SKIPPED: Xvfb does not start");
        return;
    };
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut program = Command::new(env!("CARGO_BIN_EXE_luxedit"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny"))
        .env("DISPLAY", &server.display)
        .env_remove("WAYLAND_DISPLAY")
        .env("XDG_CONFIG_HOME", home.path())
        .env("XDG_DATA_HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .stdin(Stdio::null())
        .spawn()
        .expect("the program starts");

    // The title names what is open once the worker has opened it.
    let start = Instant::now();
    let mut window = None;
    while window.is_none() && start.elapsed() < Duration::from_secs(120) {
        assert!(
            wait(&mut program, Duration::from_millis(100)).is_none(),
            "it ended by itself"
        );
        window = server
            .run("xdotool", &["search", "--name", "^tiny .*luxedit$"])
            .and_then(|ids| ids.lines().last().map(str::to_owned));
    }
    let Some(window) = window else {
        program.kill().ok();
        panic!("no window with the capture's name appeared");
    };
    server.run("xdotool", &["windowfocus", "--sync", &window]);
    server.run("xdotool", &["key", "ctrl+q"]);
    let status = wait(&mut program, Duration::from_secs(60));
    if status.is_none() {
        program.kill().ok();
    }
    let status = status.expect("Ctrl+Q ends it");
    assert!(status.success(), "{status}");
    let recents = home.path().join("luxedit/recents.json");
    let text = std::fs::read_to_string(&recents).expect("recent files are remembered");
    assert!(text.contains("assets/tiny"), "{text}");
}

#[test]
fn without_a_display_it_says_what_to_do() {
    let out = Command::new(env!("CARGO_BIN_EXE_luxedit"))
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let message = String::from_utf8_lossy(&out.stderr);
    if cfg!(target_os = "linux") {
        assert_eq!(out.status.code(), Some(1), "{message}");
        assert!(
            message.contains("no window can be opened here"),
            "{message}"
        );
        assert!(message.contains("command line"), "{message}");
    }
}
