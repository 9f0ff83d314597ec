//! Finding a program, and running it while its words are read and a stop is listened for.

use crate::error::Cancel;
use crate::{Error, Result};
use crossbeam_channel::{RecvTimeoutError, Sender, unbounded};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Between two looks at the stop flag.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of a program's last words that its error quotes.
const LAST_WORDS: usize = 6;

/// A program that luxedit can use.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// As people know it.
    pub name: &'static str,
    /// Of its file, without an ending.
    file: &'static str,
    /// Flag that says where it is.
    flag: &'static str,
    how_to_get: &'static str,
}

impl Program {
    pub const COLMAP: Self = Self {
        name: "COLMAP",
        file: "colmap",
        flag: "colmap",
        how_to_get: "Debian, Ubuntu: sudo apt install colmap; macOS: brew install colmap; Windows: the archive of \
                     https://github.com/colmap/colmap/releases, whose COLMAP.bat is the program",
    };
    pub const FFMPEG: Self = Self {
        name: "ffmpeg",
        file: "ffmpeg",
        flag: "ffmpeg",
        how_to_get: "Debian, Ubuntu: sudo apt install ffmpeg; macOS: brew install ffmpeg; Windows: winget install ffmpeg",
    };

    /// [`Program::look`], for the command line.
    ///
    /// # Errors
    /// It is not there; how to get it, and the flag that says where it is.
    pub fn find(&self, chosen: &str) -> Result<PathBuf> {
        self.look(chosen).map_err(|missing| match missing.chosen {
            Some(path) => Error::file(
                &path,
                format!(
                    "is not there: --{} names the program {}",
                    self.flag, self.name
                ),
            ),
            None => Error::Invalid(format!(
                "{} is not on the PATH. To get it: {}. Elsewhere it is found with --{}",
                self.name, self.how_to_get, self.flag
            )),
        })
    }

    /// Where it is: `chosen`, or on the PATH when that is empty.
    ///
    /// # Errors
    /// It is not there.
    pub fn look(&self, chosen: &str) -> Result<PathBuf, Missing> {
        let missing = |chosen| Missing {
            program: *self,
            chosen,
        };
        let chosen = chosen.trim();
        if !chosen.is_empty() {
            // A bare name is the file here that was looked at, not another one on the PATH.
            return match std::path::absolute(chosen) {
                Ok(path) if path.is_file() => Ok(path),
                Ok(path) => Err(missing(Some(path))),
                Err(_) => Err(missing(Some(chosen.into()))),
            };
        }
        let endings: &[&str] = if cfg!(windows) {
            &[".exe", ".bat", ".cmd"]
        } else {
            &[""]
        };
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders)
            .flat_map(|folder| {
                endings
                    .iter()
                    .map(move |e| folder.join(format!("{}{e}", self.file)))
            })
            .find(|path| path.is_file())
            .ok_or_else(|| missing(None))
    }
}

/// A program that is not there. As text it is a sentence for the window, where it can be chosen.
#[derive(Clone, Debug)]
pub struct Missing {
    program: Program,
    /// `None`: looked for on the PATH.
    chosen: Option<PathBuf>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program {
            name, how_to_get, ..
        } = self.program;
        match &self.chosen {
            Some(path) => write!(f, "{} is not there; choose where {name} is", path.display()),
            None => write!(
                f,
                "{name} is not on the PATH. To get it: {how_to_get}. If it is elsewhere, choose it"
            ),
        }
    }
}

/// A command that does not hear the terminal's Ctrl-C: who runs it decides when it ends. On Unix it leads a group of its
/// own, which its children are in, too ([`Running`]).
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// What a program did.
pub struct Ended {
    pub status: ExitStatus,
    /// Its last lines.
    pub words: String,
}

impl Ended {
    /// # Errors
    /// It failed: `what` it was to do, and its last words.
    pub fn check(self, what: &str) -> Result<()> {
        if self.status.success() {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{what} failed ({}): {}",
            self.status,
            if self.words.is_empty() {
                "it said nothing"
            } else {
                &self.words
            }
        )))
    }
}

/// Run `command` to its end; `on_line` hears what it says. A stop kills it.
///
/// # Errors
/// It cannot be started; [`Error::Cancelled`].
pub fn run(command: &mut Command, cancel: &Cancel, on_line: &mut dyn FnMut(&str)) -> Result<Ended> {
    cancel.check()?;
    let program = PathBuf::from(command.get_program());
    let mut child = Running::spawn(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )
    .map_err(Error::io(&program))?;
    let (sender, lines) = unbounded();
    let child_streams = (child.child.stdout.take(), child.child.stderr.take());
    if let Some(out) = child_streams.0 {
        listen(out, sender.clone())?;
    }
    if let Some(out) = child_streams.1 {
        listen(out, sender)?;
    }
    let mut last = VecDeque::new();
    loop {
        cancel.check()?;
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                on_line(&line);
                if !line.trim().is_empty() {
                    last.push_back(line.trim().to_owned());
                }
                if last.len() > LAST_WORDS {
                    last.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    loop {
        cancel.check()?;
        if let Some(status) = child.try_wait().map_err(Error::io(&program))? {
            let words = last.into_iter().collect::<Vec<_>>().join(" / ");
            return Ok(Ended { status, words });
        }
        std::thread::sleep(LOOK);
    }
}

/// A program that ends with its owner; on Unix its children end, too: what is called COLMAP or ffmpeg may be a script
/// that runs the real one.
pub struct Running {
    pub child: Child,
    /// Its number is another program's from then on.
    has_ended: bool,
}

impl Running {
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Ok(Self {
            child: command.spawn()?,
            has_ended: false,
        })
    }

    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.has_ended |= status.is_some();
        Ok(status)
    }

    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.has_ended = true;
        Ok(status)
    }

    /// End it, unless it has ended.
    pub fn stop(&mut self) {
        if !self.has_ended
            && let Err(problem) = self.kill().and_then(|()| self.wait().map(|_| ()))
        {
            log::warn!("a program could not be stopped: {problem}");
        }
    }

    #[cfg(unix)]
    fn kill(&mut self) -> io::Result<()> {
        use nix::{
            errno::Errno,
            sys::signal::{Signal, killpg},
            unistd::Pid,
        };
        let group = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        match killpg(Pid::from_raw(group), Signal::SIGKILL) {
            Ok(()) => Ok(()),
            // It has ended, or has left for another group.
            Err(Errno::ESRCH) => self.child.kill(),
            // macOS says so of a group whose last member has ended.
            Err(Errno::EPERM) if cfg!(target_os = "macos") => Ok(()),
            Err(problem) => Err(problem.into()),
        }
    }

    #[cfg(not(unix))]
    fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Send the lines of `out`, which end with a line feed or, where a counter is written over, a carriage return.
fn listen(out: impl Read + Send + 'static, to: Sender<String>) -> Result<()> {
    let read = move || {
        let mut reader = BufReader::new(out);
        let mut line = Vec::new();
        while let Ok(bytes) = reader.fill_buf() {
            let len = bytes.len();
            if len == 0 {
                break;
            }
            for &byte in bytes {
                if byte == b'\n' || byte == b'\r' {
                    // Nobody listens any more after a stop.
                    if to
                        .send(String::from_utf8_lossy(&line).into_owned())
                        .is_err()
                    {
                        return;
                    }
                    line.clear();
                } else if line.len() < 4096 {
                    line.push(byte);
                }
            }
            reader.consume(len);
        }
        if !line.is_empty()
            && to
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
        {
            log::debug!("last words went unheard");
        }
    };
    std::thread::Builder::new()
        .name("luxedit listens".into())
        .spawn(read)
        .map(|_| ())
        .map_err(|e| Error::Invalid(format!("no thread to read a program's words with: {e}")))
}
