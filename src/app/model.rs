//! What the window knows, and how each event changes it: a plain state without egui, so that panels only read and the
//! worker's story is told in one place. Everything here is bounded: a run of days must not grow the window.

use super::get_model::Fetch;
use super::series::{RunningMean, Series};
use super::try_out::Trials;
use crate::{
    settings::{SETTINGS, Settings},
    worker::{
        Event, Job, Metrics, Progress, RunState, SceneInfo, SnapshotId, SnapshotInfo, ViewEdit,
    },
};
use std::collections::VecDeque;

/// Bytes of pictures that the strip of edited views keeps.
const REEL_BYTES: usize = 192 << 20;
/// Edits over which the convergence line averages.
const CONVERGENCE_WINDOW: usize = 20;
const WARNING_LIMIT: usize = 200;

/// One edited view in the strip, numbered from 0 in the order of arrival.
pub struct ReelItem {
    pub number: u64,
    pub edit: Box<ViewEdit>,
}

/// What was opened, what runs, and what has come of it.
pub struct Model {
    pub settings: Settings,
    pub scene: Option<SceneInfo>,
    pub has_splats: bool,
    pub run: RunState,
    pub progress: Progress,
    /// Of the live scene.
    pub step: Option<u32>,
    pub losses: Series,
    /// Mean change of recent edits by step.
    pub convergence: Series,
    pub reel: VecDeque<ReelItem>,
    /// In the order of the timeline.
    pub snapshots: Vec<SnapshotInfo>,
    /// `None`: the live scene.
    pub shown: Option<SnapshotId>,
    pub metrics: Option<Metrics>,
    pub warnings: VecDeque<String>,
    /// Warnings that came since the list was last looked at.
    pub unread_warnings: usize,
    pub error: Option<String>,
    pub fetch: Fetch,
    pub trials: Trials,
    /// The last good news, for the status line.
    pub notice: String,
    /// What is to be known of the last job.
    pub note: String,
    recent_changes: RunningMean,
    next_edit: u64,
}

/// What the window has to do after an event, beyond redrawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    None,
    /// Another scene: new camera, no pictures of the old one.
    SceneOpened,
    /// The scene is drawn from now on.
    SplatsReady,
    SnapshotGone(SnapshotId),
    /// The scene has a project folder from now on, or another one.
    ProjectChosen,
    /// A snapshot's drawable is on its way, or the live one.
    Shown,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            scene: None,
            has_splats: false,
            run: RunState::Idle,
            progress: Progress::default(),
            step: None,
            losses: Series::default(),
            convergence: Series::default(),
            reel: VecDeque::new(),
            snapshots: Vec::new(),
            shown: None,
            metrics: None,
            warnings: VecDeque::new(),
            unread_warnings: 0,
            error: None,
            fetch: Fetch::Idle,
            trials: Trials::default(),
            notice: String::new(),
            note: String::new(),
            recent_changes: RunningMean::new(CONVERGENCE_WINDOW),
            next_edit: 0,
        }
    }
}

impl Model {
    pub fn apply(&mut self, event: Event) -> Reaction {
        match event {
            Event::State(state) => {
                if matches!(state, RunState::Running(_)) && self.run == RunState::Idle {
                    self.error = None;
                    self.notice.clear();
                    self.note.clear();
                    self.progress = Progress::default();
                }
                self.run = state;
            }
            Event::Opened(scene) => {
                let model = Self {
                    settings: scene.settings.clone(),
                    has_splats: scene.has_splats,
                    step: scene.interrupted.map(|(_, step)| step),
                    run: self.run,
                    warnings: std::mem::take(&mut self.warnings),
                    unread_warnings: self.unread_warnings,
                    fetch: std::mem::take(&mut self.fetch),
                    ..Self::default()
                };
                *self = model;
                self.notice = format!("Opened {}", scene.title);
                if !scene.missing.is_empty() {
                    self.warn(missing_frames(&scene.missing));
                }
                self.scene = Some(*scene);
                return Reaction::SceneOpened;
            }
            Event::SplatsReady => {
                self.has_splats = true;
                return Reaction::SplatsReady;
            }
            Event::ViewEdited(edit) => self.view_edited(edit),
            Event::TryOutBegan { render, .. } => self.trials.began(render),
            Event::Tried(tried) => self.trials.tried(*tried),
            Event::Loss { step, loss } => {
                self.step = Some(step);
                self.losses.push(f64::from(step), f64::from(loss));
            }
            Event::Snapshot(info) => match self.snapshots.iter_mut().find(|s| s.id == info.id) {
                Some(known) => *known = info,
                None => {
                    self.step = self.step.max(Some(info.step));
                    self.snapshots.push(info);
                }
            },
            Event::SnapshotRemoved(id) => {
                self.snapshots.retain(|s| s.id != id);
                if self.shown == Some(id) {
                    self.shown = None;
                }
                return Reaction::SnapshotGone(id);
            }
            Event::SnapshotPinned(id, pinned) => {
                if let Some(snapshot) = self.snapshots.iter_mut().find(|s| s.id == id) {
                    snapshot.pinned = pinned;
                }
            }
            Event::Shown(id) => {
                self.shown = id;
                return Reaction::Shown;
            }
            Event::Restored(id) => {
                self.shown = None;
                if let Some(step) = self.snapshot(id).map(|s| s.step) {
                    self.step = Some(step);
                    self.losses.cut_after(f64::from(step));
                    self.convergence.cut_after(f64::from(step));
                    self.notice = format!("Restored the snapshot of step {}", thousands(step));
                }
                return Reaction::Shown;
            }
            Event::Metrics(metrics) => {
                self.notice = format!(
                    "Held-out views: PSNR {:.2} dB, SSIM {:.3} over {}",
                    metrics.psnr,
                    metrics.ssim,
                    count(metrics.views as usize, "view")
                );
                self.metrics = Some(metrics);
            }
            Event::Saved(path) => {
                if let Some(scene) = &mut self.scene
                    && scene.project.as_ref() != Some(&path)
                {
                    self.notice = format!("Kept in {}", path.display());
                    scene.project = Some(path);
                    return Reaction::ProjectChosen;
                }
            }
            Event::Exported(path) => self.notice = format!("Exported {}", path.display()),
            Event::Delivered(delivered) => {
                self.notice = format!("{}: {delivered}", self.notice);
            }
            Event::Interrupted(job) => {
                if let Some(scene) = &mut self.scene {
                    scene.interrupted = job;
                }
            }
            Event::ModelOffered(offer) => self.fetch = Fetch::Offered(offer),
            Event::ModelStopped => self.fetch = Fetch::Stopped,
            Event::ModelFailed(problem) => self.fetch = Fetch::Failed(problem),
            Event::ModelFetched { id, .. } => {
                self.notice = format!("{id} is here");
                if self.settings.model.trim().is_empty() {
                    self.settings.model.clone_from(&id);
                }
                self.fetch = Fetch::Done(id);
            }
            Event::Warning(text) => self.warn(text),
            Event::Note(text) => self.note = sentence(&text),
            Event::Error(text) | Event::NotSaved(text) => self.error = Some(sentence(&text)),
            Event::Done {
                job,
                finished,
                step,
            } => {
                if matches!(job, Job::Reconstruct | Job::Edit) {
                    self.step = Some(step);
                }
                let ended = if finished { "finished" } else { "stopped" };
                match job {
                    Job::Reconstruct => {
                        self.notice = format!("Reconstruction {ended} at step {}", thousands(step));
                    }
                    Job::Edit => self.notice = format!("Edit {ended} at step {}", thousands(step)),
                    Job::TryOut => self.trials.ended(),
                    Job::Open
                    | Job::Evaluate
                    | Job::EditImage
                    | Job::Render
                    | Job::Convert
                    | Job::Poses => {}
                }
            }
        }
        Reaction::None
    }

    fn view_edited(&mut self, edit: Box<ViewEdit>) {
        if let Some(change) = edit.change {
            let mean = self.recent_changes.push(f64::from(change));
            self.convergence.push(f64::from(edit.step), mean);
        }
        self.reel.push_back(ReelItem {
            number: self.next_edit,
            edit,
        });
        self.next_edit += 1;
        let size = |item: &ReelItem| item.edit.render.rgb.len() + item.edit.edited.rgb.len();
        let mut bytes: usize = self.reel.iter().map(size).sum();
        while bytes > REEL_BYTES && self.reel.len() > 1 {
            if let Some(oldest) = self.reel.pop_front() {
                bytes -= size(&oldest);
            }
        }
    }

    pub fn warn(&mut self, text: String) {
        if self.warnings.len() == WARNING_LIMIT {
            self.warnings.pop_front();
        }
        self.warnings.push_back(sentence(&text));
        self.unread_warnings += 1;
    }

    pub fn snapshot(&self, id: SnapshotId) -> Option<&SnapshotInfo> {
        self.snapshots.iter().find(|s| s.id == id)
    }

    pub fn is_running(&self) -> bool {
        matches!(self.run, RunState::Running(_))
    }

    /// The job that is running, paused or stopping.
    pub fn job(&self) -> Option<Job> {
        match self.run {
            RunState::Idle => None,
            RunState::Running(job) | RunState::Paused(job) | RunState::Stopping(job) => Some(job),
        }
    }

    /// Neighbour of the snapshot `shown`; going forward from the last one is going live (`Some(None)`).
    /// `None` when there is nowhere to go.
    pub fn neighbour(
        &self,
        shown: Option<SnapshotId>,
        forward: bool,
    ) -> Option<Option<SnapshotId>> {
        let at = match shown {
            Some(id) => self.snapshots.iter().position(|s| s.id == id)?,
            None => self.snapshots.len(),
        };
        if forward {
            (at < self.snapshots.len()).then(|| self.snapshots.get(at + 1).map(|s| s.id))
        } else {
            let before = at.checked_sub(1)?;
            Some(self.snapshots.get(before).map(|s| s.id))
        }
    }
}

fn missing_frames(missing: &[String]) -> String {
    const NAMED: usize = 5;
    let named = missing
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    let more = match missing.len().checked_sub(NAMED) {
        Some(rest) if rest > 0 => format!(" and {rest} more"),
        _ => String::new(),
    };
    format!(
        "{} listed by the capture {} not on the disk and left out: {named}{more}",
        count(missing.len(), "photo"),
        if missing.len() == 1 { "is" } else { "are" }
    )
}

/// "1 view", "12 views".
pub fn count(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(n as u32))
}

/// 12500 → "12 500", with thin non-breaking gaps left to the font: plain no-break spaces.
pub fn thousands(n: u32) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// An error message as a sentence on its own: first letter large, settings by their names here instead of their flags.
pub fn sentence(text: &str) -> String {
    let text = &with_labels(text);
    let mut chars = text.chars();
    match chars.next() {
        // A path stays as it is.
        Some(first) if !text.starts_with('/') => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// `--edited-side` is "Edited side" in the window.
fn with_labels(text: &str) -> String {
    let mut parts = text.split("--");
    let mut labeled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Within a word or a path it is no flag.
        let starts = labeled.chars().next_back();
        if !starts.is_none_or(|c| c.is_whitespace() || "(\"'`".contains(c)) {
            labeled.push_str(&format!("--{part}"));
            continue;
        }
        let end = part.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        let (flag, rest) = part.split_at(end.unwrap_or(part.len()));
        match SETTINGS.iter().find(|setting| setting.flag == flag) {
            Some(setting) => labeled.push_str(&format!("\"{}\"{rest}", setting.label)),
            None => labeled.push_str(&format!("--{part}")),
        }
    }
    labeled
}

/// A duration as people say it: "45 s", "12 min", "2 h 5 min".
pub fn duration(secs: f64) -> String {
    let secs = secs.max(0.0).round() as u64;
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min", secs.div_ceil(60)),
        _ => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
    }
}
