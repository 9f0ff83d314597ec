//! Poses for photos that have none, as a job: COLMAP's progress becomes the worker's.

use super::{Job, Progress, control::Control};
use crate::{
    Result,
    tools::{FoundPoses, PoseOptions, find_poses},
};
use std::path::Path;

/// # Errors
/// As [`find_poses`].
pub fn find(photos: &Path, folder: &Path, control: &Control) -> Result<FoundPoses> {
    let options = PoseOptions::of(&control.settings);
    let notify = control.notifier();
    let mut tell = |what: &str, done: usize, total: usize| {
        control.slots.progress.put(Progress {
            job: Some(Job::Poses),
            done: done as u32,
            total: total as u32,
            detail: what.to_owned(),
            ..Default::default()
        });
        notify();
    };
    find_poses(photos, folder, &options, &control.cancel, &mut tell)
}
