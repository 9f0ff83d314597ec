//! Drives the worker for a script: sends commands, draws a progress bar on stderr, turns Ctrl-C into a stop that saves, and
//! gathers what the final JSON object says.

use super::out::{say, tell};
use crate::{
    Error, Result,
    error::Cancel,
    gpu::Gpu,
    settings::Settings,
    worker::{Command, Delivered, Event, Job, Metrics, SceneInfo, WorkerHandle},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Ctrl-C presses so far. The first stops and saves; the third ends the process at once.
static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

/// Count Ctrl-C presses, and call `react` at each.
fn on_interrupt(react: impl Fn() + Send + 'static) {
    let handler = ctrlc::set_handler(move || {
        if INTERRUPTS.fetch_add(1, Ordering::Relaxed) >= 2 {
            std::process::exit(130);
        }
        react();
    });
    if let Err(e) = handler {
        log::warn!("Ctrl-C will not save: {e}");
    }
}

/// For jobs that need no worker: Ctrl-C stops them.
pub fn cancel_on_interrupt(cancel: &Cancel) {
    let cancel = cancel.clone();
    on_interrupt(move || cancel.cancel());
}

/// A worker and what it has told.
pub struct Driver {
    worker: WorkerHandle,
    bar: ProgressBar,
    began: Instant,
    json: bool,
    interrupts_seen: usize,
    pub adapter: String,
    /// There is no graphics card.
    pub is_software: bool,
    pub scene: Option<SceneInfo>,
    pub metrics: Option<Metrics>,
    pub delivered: Option<Delivered>,
    pub exported: Vec<PathBuf>,
    pub project: Option<PathBuf>,
    warnings: Vec<String>,
    edits: u32,
    snapshots: u32,
    splats: u32,
    splat_cap: Option<u32>,
    last_loss: Option<f32>,
    steps_per_sec: f64,
    step: u32,
    was_stopped: bool,
    waits: bool,
}

impl Driver {
    /// # Errors
    /// When there is no graphics adapter.
    pub fn start(json: bool) -> Result<Self> {
        on_interrupt(|| {});
        let gpu = Gpu::headless()?;
        let adapter = format!("{} ({:?})", gpu.info.name, gpu.info.backend);
        let bar = ProgressBar::new(0).with_style(
            ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {msg}")
                .map_err(|e| Error::Invalid(e.to_string()))?,
        );
        Ok(Self {
            worker: WorkerHandle::spawn(Arc::clone(&gpu), || {})?,
            bar,
            began: Instant::now(),
            json,
            interrupts_seen: 0,
            adapter,
            is_software: gpu.is_software(),
            scene: None,
            metrics: None,
            delivered: None,
            exported: Vec::new(),
            project: None,
            warnings: Vec::new(),
            edits: 0,
            snapshots: 0,
            splats: 0,
            splat_cap: None,
            last_loss: None,
            steps_per_sec: 0.0,
            step: 0,
            was_stopped: false,
            waits: false,
        })
    }

    /// # Errors
    /// When the worker has ended.
    pub fn send(&self, command: Command) -> Result<()> {
        self.worker.send(command)
    }

    /// # Errors
    /// When the worker has ended.
    pub fn settings(&self, settings: &Settings) -> Result<()> {
        self.send(Command::Settings(Box::new(settings.clone())))
    }

    /// Send a command that begins a job and wait for the job's end. False when it was stopped by Ctrl-C.
    ///
    /// # Errors
    /// The worker's error.
    pub fn run(&mut self, command: Command) -> Result<bool> {
        if self.interrupts_seen > 0 {
            return Ok(false);
        }
        self.send(command)?;
        let mut failure = None;
        loop {
            self.pass_on_interrupts()?;
            self.draw_progress();
            let event = match self.worker.events.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => event,
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => continue,
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                    return Err(Error::invalid("the worker ended unexpectedly"));
                }
            };
            match event {
                Event::Error(problem) => failure = Some(problem),
                Event::Done { finished, step, .. } => {
                    self.draw_progress();
                    self.bar.finish_and_clear();
                    self.step = step;
                    self.was_stopped |= !finished && failure.is_none();
                    return match failure {
                        Some(problem) => Err(Error::Invalid(problem)),
                        None => Ok(finished),
                    };
                }
                other => self.note(other),
            }
        }
    }

    /// Copy the open project to `folder` and go on there.
    ///
    /// # Errors
    /// When the folder is taken or cannot be written; the project then stays where it was.
    pub fn move_project(&mut self, folder: PathBuf) -> Result<()> {
        self.send(Command::Project(folder.clone()))?;
        loop {
            match self.worker.events.recv() {
                Ok(Event::Error(problem)) => return Err(Error::Invalid(problem)),
                Ok(Event::Saved(saved)) if folder.canonicalize().is_ok_and(|f| f == saved) => {
                    self.project = Some(saved);
                    return Ok(());
                }
                Ok(other) => self.note(other),
                Err(_) => return Err(Error::invalid("the worker ended unexpectedly")),
            }
        }
    }

    /// Say something that is no failure, now and in the final JSON object.
    pub fn warn(&mut self, text: String) {
        self.bar.suspend(|| tell!("luxedit: {text}"));
        self.warnings.push(text);
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Warning(text) | Event::Note(text) => self.warn(text),
            Event::Opened(info) => {
                self.project.clone_from(&info.project);
                (self.edits, self.snapshots) = (0, 0);
                self.scene = Some(*info);
            }
            Event::Saved(folder) => self.project = Some(folder),
            Event::Exported(path) if !self.exported.contains(&path) => self.exported.push(path),
            Event::Metrics(metrics) => self.metrics = Some(metrics),
            Event::Delivered(delivered) => self.delivered = Some(delivered),
            Event::ViewEdited(_) => self.edits += 1,
            Event::Snapshot(_) => self.snapshots += 1,
            Event::SnapshotRemoved(_) => self.snapshots = self.snapshots.saturating_sub(1),
            Event::Loss { loss, .. } => self.last_loss = Some(loss),
            _ => {}
        }
    }

    fn pass_on_interrupts(&mut self) -> Result<()> {
        let pressed = INTERRUPTS.load(Ordering::Relaxed);
        if pressed > self.interrupts_seen {
            self.interrupts_seen = pressed;
            self.bar
                .suspend(|| tell!("luxedit: stopping after this step, and saving"));
            self.send(Command::Stop)?;
        }
        Ok(())
    }

    fn draw_progress(&mut self) {
        let Some(p) = self.worker.slots.progress.take() else {
            return;
        };
        if p.splats > 0 {
            self.splats = p.splats;
        }
        self.splat_cap = p.splat_cap.or(self.splat_cap);
        if p.steps_per_sec > 0.0 {
            self.steps_per_sec = p.steps_per_sec;
        }
        let what = match p.job {
            Some(Job::Open) => "opening",
            Some(Job::Reconstruct) => "reconstructing",
            Some(Job::Edit | Job::EditImage | Job::TryOut) => "editing",
            Some(Job::Render) => "rendering",
            Some(Job::Evaluate) => "measuring",
            Some(Job::Poses) => "finding poses",
            Some(Job::Convert) => "converting",
            None => "working",
        };
        self.bar.set_prefix(what);
        self.bar.set_length(u64::from(p.total));
        self.bar.set_position(u64::from(p.done));
        let mut message = String::new();
        if p.steps_per_sec > 0.0 {
            message = format!("{:.1} steps/s", p.steps_per_sec);
        }
        if let Some(eta) = p.eta_secs {
            message.push_str(&format!(
                ", {} left",
                indicatif::HumanDuration(Duration::from_secs_f64(eta.max(0.0)))
            ));
        }
        if let Some(loss) = p.loss {
            message.push_str(&format!(", loss {loss:.4}"));
        }
        if !p.detail.is_empty() {
            message = p.detail;
        }
        // Said once, and not only in a bar that a file of output does not show.
        if let Some(reason) = &p.waiting
            && !self.waits
        {
            self.bar.suspend(|| tell!("luxedit: {reason}"));
        }
        self.waits = p.waiting.is_some();
        if let Some(reason) = p.waiting {
            message = reason;
        }
        self.bar.set_message(message);
    }

    /// Shut the worker down, drain its last words, and print the result: JSON, or `lines`.
    ///
    /// # Errors
    /// When the worker's last save failed.
    pub fn finish(
        mut self,
        command: &str,
        settings: Option<&Settings>,
        extra: Value,
        lines: &[String],
    ) -> Result<()> {
        self.send(Command::ShutDown)?;
        let mut failure = None;
        while let Ok(event) = self.worker.events.recv() {
            match event {
                Event::Error(problem) => failure = Some(problem),
                Event::NotSaved(problem) => {
                    failure = Some(problem);
                    self.send(Command::ShutDown)?;
                }
                other => self.note(other),
            }
        }
        if let Some(problem) = failure {
            return Err(Error::Invalid(problem));
        }
        if self.json {
            let mut object = json!({
                "command": command,
                "adapter": self.adapter,
                "finished": !self.was_stopped,
                "step": self.step,
                "splats": self.splats,
                "splat_cap_reached": self.splat_cap,
                "edits": self.edits,
                "snapshots": self.snapshots,
                "steps_per_sec": self.steps_per_sec,
                "loss": self.last_loss,
                "metrics": self.metrics,
                "project": self.project,
                "written": self.exported,
                "warnings": self.warnings,
                "duration_secs": self.began.elapsed().as_secs_f64(),
                "peak_memory_bytes": peak_memory_bytes(),
            });
            if let Some(object) = object.as_object_mut() {
                if let Some(settings) = settings {
                    object.insert("settings".into(), json!(settings));
                }
                if let Value::Object(extra) = extra {
                    object.extend(extra);
                }
            }
            say!("{object}");
        } else {
            if self.was_stopped {
                say!("stopped at step {}; go on with --resume", self.step);
            }
            for line in lines {
                say!("{line}");
            }
            if let Some(m) = self.metrics {
                say!(
                    "held-out quality over {} views: PSNR {:.2} dB, SSIM {:.4}",
                    m.views,
                    m.psnr,
                    m.ssim
                );
                if let Some(lpips) = m.lpips {
                    say!("LPIPS {lpips:.4}");
                }
                let told = |what: &str, value: Option<f64>| {
                    if let Some(value) = value {
                        say!("CLIP {what} {value:.4}");
                    }
                };
                if let Some(clip) = m.clip {
                    told("text–image direction similarity", clip.text_direction);
                    told("direction consistency", clip.direction_consistency);
                    told("similarity of photo and render", clip.photo_similarity);
                }
            }
            if let Some(project) = &self.project {
                say!("project: {}", project.display());
            }
            for path in &self.exported {
                say!("written: {}", path.display());
            }
        }
        Ok(())
    }
}

/// High-water mark of resident memory; `None` where the system does not tell.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
