//! Videos in and out, by ffmpeg: pictures of a video evenly over its length; renders as H.264, or what the file's ending
//! asks for. Encoders in Rust were weighed: rav1e writes AV1 only and compiles for minutes, openh264 builds a C++ library
//! or fetches a binary, and neither reads the videos that cameras write. Where there is no ffmpeg, an animated GIF or the
//! single pictures need nothing.

use super::process::{self, Program, Running, command};
use crate::error::Cancel;
use crate::scene::Photo;
use crate::{Error, Result};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ENDINGS: [&str; 10] = [
    "mp4", "mov", "m4v", "mkv", "webm", "avi", "mts", "m2ts", "3gp", "mpg",
];

/// Whether a file is called as videos are.
pub fn is_video(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e)))
}

/// Write about `count` pictures of `video`, evenly spread, as `frame_00001.jpg`, … into `folder`. `on_progress` hears how
/// many are done, of how many.
///
/// # Errors
/// ffmpeg cannot read the video; [`Error::Cancelled`].
pub fn extract_frames(
    ffmpeg: &Path,
    video: &Path,
    folder: &Path,
    count: usize,
    cancel: &Cancel,
    on_progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let mut duration_secs = None;
    // Without an output it says what the file is, and then that there is no output.
    let mut ask = command(ffmpeg);
    // Of a relative name, a leading dash would be an option, and what is before a colon a protocol.
    let input = std::path::absolute(video).map_err(Error::io(video))?;
    ask.args(["-nostdin", "-hide_banner", "-i"]).arg(&input);
    let said = process::run(&mut ask, cancel, &mut |line| {
        duration_secs = duration_secs.or_else(|| duration(line));
    })?;
    let duration_secs = duration_secs.filter(|&secs| secs > 0.0).ok_or_else(|| {
        Error::file(
            video,
            format!("is not a video that ffmpeg reads: {}", said.words),
        )
    })?;
    let rate = count as f64 / duration_secs;
    let mut extract = command(ffmpeg);
    extract
        .args([
            "-nostdin",
            "-hide_banner",
            "-loglevel",
            "error",
            "-progress",
            "pipe:1",
            "-i",
        ])
        .arg(&input)
        .args(["-vf", &format!("fps={rate:.6}:round=near")])
        .args(["-qscale:v", "2"])
        .arg(pattern(folder)?);
    process::run(&mut extract, cancel, &mut |line| {
        if let Some(done) = line
            .strip_prefix("frame=")
            .and_then(|n| n.trim().parse::<usize>().ok())
        {
            on_progress(done.min(count), count);
        }
    })?
    .check(&format!("ffmpeg, reading {},", video.display()))
}

/// The names of pictures in a folder, as ffmpeg counts them: a percent sign of the folder's own is written twice.
fn pattern(folder: &Path) -> Result<PathBuf> {
    let folder = std::path::absolute(folder).map_err(Error::io(folder))?;
    let escaped = match folder.to_str() {
        Some(name) => PathBuf::from(name.replace('%', "%%")),
        None => folder,
    };
    Ok(escaped.join("frame_%05d.jpg"))
}

/// `Duration: 00:01:02.50, start: …`, in seconds.
fn duration(line: &str) -> Option<f64> {
    let text = line.split_once("Duration: ")?.1.split(',').next()?;
    let mut parts = text.trim().split(':').map(str::parse::<f64>);
    let [hours, minutes, seconds] = [
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    ];
    Some((hours * 60.0 + minutes) * 60.0 + seconds)
}

/// A video that is being written, picture by picture. It appears under its name when it is whole.
pub struct VideoWriter {
    path: PathBuf,
    beside: PathBuf,
    child: Running,
    pixels: Option<ChildStdin>,
    words: Option<JoinHandle<String>>,
    size: (u32, u32),
}

impl VideoWriter {
    /// Begin a video of pictures of `size` (width, height), `frames_per_sec` of them. An odd row or column is cut off, which
    /// H.264 as players take it does not have. `ffmpeg`: see [`Program::find`].
    ///
    /// # Errors
    /// No ffmpeg; the picture is smaller than 2 × 2.
    pub fn begin(ffmpeg: &str, path: &Path, size: (u32, u32), frames_per_sec: f64) -> Result<Self> {
        let program = Program::FFMPEG.find(ffmpeg).map_err(|e| {
            Error::Invalid(format!(
                "{e}. Without it: NAME.gif for an animation, or a folder for the pictures"
            ))
        })?;
        let (width, height) = size;
        if width < 2 || height < 2 {
            return Err(Error::file(
                path,
                "a video's pictures have at least 2 x 2 pixels",
            ));
        }
        let beside = beside(&std::path::absolute(path).map_err(Error::io(path))?);
        let mut encode = command(&program);
        encode
            .args(["-hide_banner", "-loglevel", "error", "-n"])
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24"])
            .args(["-video_size", &format!("{width}x{height}")])
            .args(["-framerate", &frames_per_sec.to_string(), "-i", "pipe:0"])
            .args([
                "-vf",
                "crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0,scale=out_color_matrix=bt709",
            ])
            .args(["-pix_fmt", "yuv420p", "-colorspace", "bt709"])
            .args(["-color_primaries", "bt709", "-color_trc", "iec61966-2-1"]);
        let has_ending = |e: &str| path.extension().is_some_and(|p| p.eq_ignore_ascii_case(e));
        if has_ending("mp4") || has_ending("m4v") || has_ending("mov") {
            // Of H.264's scale: hardly to be told from the pictures.
            encode.args(["-crf", "18", "-movflags", "+faststart"]);
        }
        encode
            .arg(&beside)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = Running::spawn(&mut encode).map_err(Error::io(&program))?;
        let words = child.child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut words = Vec::new();
                match stderr.read_to_end(&mut words) {
                    Ok(_) => String::from_utf8_lossy(&words).trim().replace('\n', " / "),
                    Err(problem) => problem.to_string(),
                }
            })
        });
        Ok(Self {
            path: path.to_owned(),
            beside,
            pixels: child.child.stdin.take(),
            child,
            words,
            size,
        })
    }

    /// # Errors
    /// The picture has another size; ffmpeg gave up, with its last words.
    pub fn add(&mut self, photo: &Photo) -> Result<()> {
        if (photo.width, photo.height) != self.size {
            return Err(Error::file(
                &self.path,
                "the pictures of a video must have one size",
            ));
        }
        let written = self
            .pixels
            .as_mut()
            .map(|pixels| pixels.write_all(&photo.rgb));
        match written {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Close the file and give it its name.
    ///
    /// # Errors
    /// ffmpeg failed, or the file cannot be renamed.
    pub fn finish(mut self) -> Result<()> {
        drop(self.pixels.take());
        let status = self.child.wait().map_err(Error::io(&self.path))?;
        if !status.success() {
            return Err(self.failure());
        }
        std::fs::rename(&self.beside, &self.path).map_err(Error::io(&self.path))
    }

    fn failure(&mut self) -> Error {
        drop(self.pixels.take());
        // It has a moment to end by itself, having said why.
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.stop();
        let words = self.words.take().and_then(|words| words.join().ok());
        let words = words.filter(|words| !words.is_empty());
        Error::file(
            &self.path,
            format!(
                "ffmpeg could not write it: {}",
                words.as_deref().unwrap_or("it ended early")
            ),
        )
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        drop(self.pixels.take());
        self.child.stop();
        if let Err(problem) = std::fs::remove_file(&self.beside)
            && problem.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("{}: could not be removed: {problem}", self.beside.display());
        }
    }
}

/// How long a program that failed may take to say why.
const PATIENCE: Duration = Duration::from_secs(2);

/// A name beside `path` with its ending, by which ffmpeg tells the format.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(format!(".part-{}-", std::process::id()));
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}
