//! The background thread: owns dataset, trainer and editor, runs jobs, keeps snapshots, saves the project. The window
//! and the command line drive it through the same [`Command`]s and [`Event`]s.

mod messages;

pub use messages::*;
