//! What the two threads say to each other. Commands and events travel in order over bounded channels and are never
//! dropped; camera poses, progress and drawables are [`Latest`] slots, where only the newest value matters.

use super::try_out::{Grid, Trial, TrialPreview, Tried};
use crate::{
    edit::{Drawable, Look},
    hub::{FetchProgress, Offer},
    scene::{Camera, Photo, rig::Stance},
    settings::{Precision, Settings},
};
use glam::DVec3;
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
};

/// A snapshot's number within its project; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId(pub u32);

/// What the artist asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// A capture folder or file, a splat file, or a project: recognized from its content.
    Open(PathBuf),
    /// Open a capture whose scene is a splat file in the capture's frame: it can be edited right away.
    OpenWithScene {
        capture: PathBuf,
        scene: PathBuf,
    },
    /// Replace all settings. During an edit, prompt and guidance take effect with the next edited view.
    Settings(Box<Settings>),
    /// Keep the project in this folder from now on (created when absent).
    Project(PathBuf),
    /// As [`Command::Open`], but a project is neither locked nor ever written.
    OpenReadOnly(PathBuf),
    /// Make a splat file the scene of the open capture, in the capture's frame.
    AttachSplats(PathBuf),
    /// Photos → scene, with the current settings.
    Reconstruct,
    /// Edit the scene by instruction, with the current settings. A capture without splats is reconstructed first.
    Edit,
    /// As [`Command::Edit`], in a copy of the open project that is made once the edit can begin.
    EditCopy(PathBuf),
    /// Go on with the job that the opened project was interrupted in.
    ResumeJob,
    Pause,
    /// Go on after [`Command::Pause`].
    Resume,
    /// End the job, keep what it reached. Takes effect within one optimization or denoising step.
    Stop,
    /// Draw a snapshot instead of the live scene; `None` draws the live scene again.
    Show(Option<SnapshotId>),
    /// Make a snapshot the live scene (edited images included). The states after it stay on the timeline: what follows
    /// is a branch.
    Restore(SnapshotId),
    /// Keep a snapshot regardless of the limit, or no longer.
    Pin(SnapshotId, bool),
    /// Write the scene that is shown (live or snapshot) as PLY.
    Export(PathBuf),
    /// Measure the scene on the held-out views.
    Evaluate,
    /// Edit one picture, no scene, with the current settings.
    EditImage {
        image: PathBuf,
        output: PathBuf,
        /// Write a sheet of these settings instead.
        grid: Option<Grid>,
    },
    /// Edit one view by `prompt` with each of these settings, in order, and change nothing. Answered by
    /// [`Event::TryOutBegan`] and an [`Event::Tried`] for each; previews go to [`Slots::preview`].
    TryOut {
        view: usize,
        prompt: String,
        trials: Vec<Trial>,
    },
    /// Draw the scene from cameras, into `<output>/<view name>.<format>`, or as an animation into the file `output`.
    Render {
        /// A capture whose views are taken; `None`: the open capture's.
        cameras: Option<PathBuf>,
        /// This many cameras of a loop within what those cameras saw, instead of the cameras.
        orbit: Option<u32>,
        /// The cameras of a camera path of nerfstudio, instead of all of these.
        path: Option<PathBuf>,
        /// Pictures a second of a film; `None`: the path's, else what is usual.
        frames_per_sec: Option<f64>,
        /// Longer side of the pictures, pixels; `None`: the cameras' own.
        side: Option<u32>,
        output: PathBuf,
        format: RenderFormat,
        /// What the pictures show of it.
        look: Look,
    },
    /// Make a capture of the open splat file: pictures from a rig of cameras around `stance` (`None`: one that is found)
    /// in `folder` (`None`: beside the projects), then open it with the scene when `opens`.
    MakeViews {
        stance: Option<Stance>,
        folder: Option<PathBuf>,
        opens: bool,
    },
    /// Write the live scene as something else, see [`Delivery`].
    Deliver {
        output: PathBuf,
        delivery: Delivery,
    },
    /// Find where the photos of a folder or video were taken, and make a capture of them in `folder` (`None`: beside the
    /// projects), then open it when `opens`.
    FindPoses {
        photos: PathBuf,
        folder: Option<PathBuf>,
        opens: bool,
    },
    /// Ask what the Hub has of a model. Answered by [`Event::ModelOffered`] or [`Event::ModelFailed`], beside whatever
    /// job is under way.
    OfferModel {
        id: String,
        precision: Precision,
    },
    /// Fetch what was offered into the cache, beside whatever job is under way.
    GetModel(Box<Offer>),
    /// Stop asking or fetching; what arrived is kept.
    StopModel,
    /// Save the project now.
    Save,
    /// Stop, save, end the thread. When the save fails the thread stays, says so, and ends at the next shut-down.
    ShutDown,
}

/// What a scene is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A splat file of any format. A Luxen's splats are made first, with the current settings.
    Splats,
    /// The surface, with vertex colors: PLY, OBJ or GLB.
    Mesh,
    /// Points on the surface, with colors: PLY.
    Points,
}

/// Splats that were made of a Luxen, and how well they show it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Delivered {
    pub splats: u32,
    pub steps: u32,
    /// Held-out cameras from which both were drawn.
    pub views: u32,
    /// Of the splats' renders against the Luxen's own, dB, the mean over `views`; `None` where there are none.
    pub psnr: Option<f64>,
}

impl std::fmt::Display for Delivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} splats after {} steps", self.splats, self.steps)?;
        match self.psnr {
            Some(psnr) => write!(
                f,
                ", {psnr:.1} dB from the Luxen's own renders over {} held-out views",
                self.views
            ),
            None => Ok(()),
        }
    }
}

/// File format of rendered pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderFormat {
    /// Eight bits.
    Png,
    /// 32-bit float, unclamped.
    Exr,
    /// Depths alone, sixteen bits: thousandths of the capture's unit, as nerfstudio reads them.
    DepthPng,
    /// One animation of all pictures.
    Gif,
    /// One video of all pictures; the file's ending says of which kind.
    Video,
    /// No pictures: the cameras, as nerfstudio's camera path.
    CameraPath,
}

/// What the worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    Open,
    Reconstruct,
    Edit,
    Evaluate,
    EditImage,
    TryOut,
    Render,
    Convert,
    Poses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    Idle,
    Running(Job),
    Paused(Job),
    /// A stop was asked for and the current step is being finished.
    Stopping(Job),
}

/// A view of the capture, as the window needs it.
#[derive(Clone, Debug)]
pub struct ViewInfo {
    pub name: String,
    pub camera: Camera,
    pub photo: Photo,
    /// Held out: never trained on, never edited.
    pub is_eval: bool,
}

/// What was opened.
#[derive(Clone, Debug)]
pub struct SceneInfo {
    /// File or folder name for the title bar.
    pub title: String,
    pub source: PathBuf,
    /// `None` for an unsaved project.
    pub project: Option<PathBuf>,
    pub views: Arc<Vec<ViewInfo>>,
    /// Centre of interest in world space.
    pub center: DVec3,
    /// Distance from `center` from which the scene is well seen, world units.
    pub radius: f64,
    /// World up, unit length.
    pub up: DVec3,
    /// False until photos were reconstructed or a splat file was opened.
    pub has_splats: bool,
    /// A job that [`Command::ResumeJob`] would go on with, and the step it stands at.
    pub interrupted: Option<(Job, u32)>,
    /// Photos are at most 1/`downscale` of the size that they have on disk; 0 and 1: as they are.
    pub downscale: u32,
    /// Frames listed by the capture that do not exist.
    pub missing: Vec<String>,
    pub settings: Settings,
}

/// How far a job is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub job: Option<Job>,
    pub done: u32,
    pub total: u32,
    pub steps_per_sec: f64,
    pub eta_secs: Option<f64>,
    /// `(step, loss)` of the newest step.
    pub loss: Option<f32>,
    pub splats: u32,
    /// The most splats that this reconstruction may have, once it has reached them.
    pub splat_cap: Option<u32>,
    /// Why the job cannot go on for now: a sentence for the person.
    pub waiting: Option<String>,
    /// What is going on inside the step: "editing view 7 of 45, denoising 12 of 20".
    pub detail: String,
}

/// One edited view.
#[derive(Clone, Debug)]
pub struct ViewEdit {
    pub view: usize,
    /// Sweeps count from 0.
    pub sweep: u32,
    /// Global optimizer step.
    pub step: u32,
    pub prompt: String,
    pub guidance_scale: f64,
    pub image_guidance_scale: f64,
    /// The T that was drawn (before the spacing rounds it down).
    pub timestep: u32,
    pub render: Photo,
    pub edited: Photo,
    /// Mean absolute difference to this view's previous edit, [0, 1]; `None` for a view's first edit.
    pub change: Option<f32>,
    pub duration_secs: f64,
}

/// One point of the timeline.
#[derive(Clone, Debug)]
pub struct SnapshotInfo {
    pub id: SnapshotId,
    /// The snapshot that it grew from.
    pub parent: Option<SnapshotId>,
    pub step: u32,
    /// "Reconstruction", or the instruction.
    pub label: String,
    pub thumbnail: Photo,
    pub pinned: bool,
}

/// Held-out quality.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub views: u32,
    pub psnr: f64,
    pub ssim: f64,
    /// Version 0.1, the lpips package's epsilon; `None` without its weights.
    #[serde(default)]
    pub lpips: Option<f64>,
    #[serde(default)]
    pub clip: Option<ClipMetrics>,
}

/// What CLIP says of an edit: photos before, renders after. Formulas in [`crate::metric::Clip`]'s module.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipMetrics {
    /// Text–image direction similarity, averaged over views; `None` without captions.
    pub text_direction: Option<f64>,
    /// Direction consistency, averaged over neighbouring views; `None` for a single view.
    pub direction_consistency: Option<f64>,
    /// Similarity of photo and render, averaged over views.
    pub photo_similarity: Option<f64>,
}

/// What the worker tells.
#[derive(Clone, Debug)]
pub enum Event {
    State(RunState),
    Opened(Box<SceneInfo>),
    /// The scene now has splats, where before it had none.
    SplatsReady,
    ViewEdited(Box<ViewEdit>),
    /// A view is being tried, and how the scene looks from it.
    TryOutBegan {
        view: usize,
        render: Photo,
    },
    Tried(Box<Tried>),
    /// In step order.
    Loss {
        step: u32,
        loss: f32,
    },
    Snapshot(SnapshotInfo),
    SnapshotRemoved(SnapshotId),
    SnapshotPinned(SnapshotId, bool),
    /// The drawable now shows this snapshot (`None`: the live scene).
    Shown(Option<SnapshotId>),
    Restored(SnapshotId),
    Metrics(Metrics),
    /// The project folder, after a save.
    Saved(PathBuf),
    Exported(PathBuf),
    Delivered(Delivered),
    ModelOffered(Box<Offer>),
    /// The model is in the cache.
    ModelFetched {
        id: String,
        folder: PathBuf,
    },
    ModelStopped,
    ModelFailed(String),
    Warning(String),
    /// What the person should know of the job under way, and what is no fault: a sentence.
    Note(String),
    /// A shut-down did not happen, because the last save failed.
    NotSaved(String),
    /// The job failed; what it had reached is kept.
    Error(String),
    /// The job that [`Command::ResumeJob`] would go on with, and the step it stands at. Sent before [`Event::Done`].
    Interrupted(Option<(Job, u32)>),
    /// The job ended: all of it, or as far as the stop.
    Done {
        job: Job,
        finished: bool,
        step: u32,
    },
}

/// A slot that holds only the newest value.
pub struct Latest<T>(Arc<std::sync::Mutex<Option<T>>>);

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
impl<T> Latest<T> {
    pub fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The slots beside the channels.
#[derive(Clone, Default)]
pub struct Slots {
    /// Main → worker: the artist's camera, for thumbnails.
    pub camera: Latest<Camera>,
    /// Worker → main: what the viewport draws. Handles, no copy.
    pub drawable: Latest<Drawable>,
    /// Worker → main.
    pub progress: Latest<Progress>,
    /// Worker → main: the trial under way.
    pub preview: Latest<TrialPreview>,
    /// Worker → main: how far a model's transfer is.
    pub fetch: Latest<FetchProgress>,
}
