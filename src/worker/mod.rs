//! The background thread: owns dataset, trainer and editor, runs jobs, keeps snapshots, saves the project. The window
//! and the command line drive it through the same [`Command`]s and [`Event`]s, so that what a script does and what an
//! artist sees cannot drift apart.

mod attach;
mod contact_sheet;
mod control;
mod convert;
mod deliver;
mod describe;
mod edit_loss;
mod fetch;
mod films;
mod handle;
mod jobs;
mod judges;
mod loaded_editor;
mod messages;
mod open;
mod pace;
mod pictures;
mod poses;
mod project;
mod rig;
mod run;
mod session;
mod snapshots;
mod try_out;
mod view_edit;

pub use convert::{Conversion, convert};
pub use describe::{Description, describe, picture, scene_kind};
pub use films::LOOP_PICTURES;
pub use handle::WorkerHandle;
pub use messages::*;
pub use project::{Access, EditRecord, Manifest, Project, SnapshotRecord, StateRecord};
pub use try_out::{Grid, Trial, TrialPreview, Tried};
