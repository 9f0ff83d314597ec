//! The window: what an artist sees and does. It draws the newest parameters itself, with the trainer's own rasterizer,
//! and talks to the worker in messages only, so that no step of training or denoising can make it stutter, and no
//! hidden window can hold up the worker.

mod about;
mod bars;
mod camera;
mod canvas;
mod chooser;
mod commands;
mod crop;
mod dialogs;
mod examples;
mod frame_cost;
mod frusta;
mod get_model;
mod icon;
mod link;
mod looked;
mod model;
mod model_chooser;
mod models;
mod outbox;
mod plots;
mod poses;
mod present;
mod recents;
mod reel;
mod run_panel;
mod series;
mod settings_panel;
mod side_panel;
mod start_page;
mod theme;
mod thumbs;
mod timeline;
mod try_out;
mod viewport;
mod window;

pub use about::DEMO_CREDITS;
pub use canvas::{Canvas, Pace};
pub use chooser::Chooser;
pub use commands::{COMMANDS, CommandInfo, Menu, UiCommand};
pub use frame_cost::FrameCost;
pub use link::Worker;
pub use present::SHADERS;
pub use recents::Recents;
pub use theme::apply as apply_theme;
pub use window::{App, run};

use crate::{
    settings::Precision,
    worker::{SnapshotId, Trial},
};
use chooser::Purpose;
use std::path::PathBuf;

/// What a panel asks the window to do, after all panels are drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Run(UiCommand),
    Open(PathBuf),
    ForgetRecent(PathBuf),
    /// Find the poses of these photos, and open what comes of it.
    FindPoses(PathBuf),
    Choose(Purpose),
    /// Of a program: forget what was chosen.
    UseProgramOnPath(poses::Tool),
    Show(Option<SnapshotId>),
    Pin(SnapshotId, bool),
    LookThrough(usize),
    /// Enlarge an edit of the strip, by its number.
    Inspect(Option<u64>),
    DismissError,
    AskForModel {
        id: String,
        precision: Precision,
    },
    /// Fetch the model that was offered.
    GetModel,
    StopModel,
    /// Edit with the model of this id.
    UseModel(String),
    /// Try an instruction on one view.
    TryOut {
        view: usize,
        prompt: String,
        trials: Vec<Trial>,
    },
    /// What was tried becomes the settings of the scene.
    KeepTrial {
        prompt: String,
        trial: Trial,
    },
}
