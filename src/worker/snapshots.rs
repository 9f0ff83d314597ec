//! The timeline: whole states at intervals, each with a picture of what the artist saw. A snapshot is complete (parameters,
//! optimizer, edited pictures), so that going back to one loses nothing.

use super::{
    Event, SnapshotId, SnapshotInfo, control::Control, open::thumbnail_size,
    project::SnapshotRecord, session::Session,
};
use crate::{Error, Result, scene::Camera, settings::Settings};

/// Longer side of a timeline picture, pixels.
const THUMBNAIL_SIDE: u32 = 192;

impl Session {
    /// The artist's camera, or the first training view.
    fn thumbnail_camera(&self) -> Option<Camera> {
        let camera = self.camera.or_else(|| {
            let dataset = self.dataset.as_ref()?;
            let view = dataset.split.train.first().copied().unwrap_or(0);
            dataset.views.get(view).map(|v| v.camera)
        })?;
        let k = camera.intrinsics;
        let (width, height) = thumbnail_size(k.width, k.height, THUMBNAIL_SIDE);
        Some(Camera {
            intrinsics: k.resized(width, height),
            ..camera
        })
    }

    /// Keep the live state on the timeline.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses; the timeline then stays as it was.
    pub fn take_snapshot(
        &mut self,
        label: &str,
        settings: &Settings,
        model_hash: &str,
        control: &Control,
    ) -> Result<SnapshotId> {
        let camera = self
            .thumbnail_camera()
            .ok_or_else(|| Error::invalid("there is no camera to take a snapshot from"))?;
        let (_, thumbnail) = self.render(&camera)?;
        let state = self.trainer()?.state()?;
        let edits = self.edit_map();
        let step = state.progress.step as u32;
        let project = self
            .project
            .as_mut()
            .ok_or_else(|| Error::invalid("there is no project to keep a snapshot in"))?;
        let record = project.write_state(&state, edits)?;
        let thumbnail_file = project.write_thumbnail(&thumbnail)?;
        let id = SnapshotId(project.manifest.next_snapshot);
        let parent = project.manifest.current;
        project.manifest.next_snapshot += 1;
        project.manifest.live = Some(record.clone());
        project.manifest.current = Some(id);
        project.manifest.job = self.job.clone();
        project.manifest.snapshots.push(SnapshotRecord {
            id,
            parent,
            label: label.to_owned(),
            pinned: false,
            thumbnail: thumbnail_file,
            state: record,
            settings: settings.clone(),
            model_hash: model_hash.to_owned(),
        });
        let removed = project.thin_out(settings.snapshot_limit);
        project.commit()?;
        self.saved_step = Some(step);
        control.emit(Event::Snapshot(SnapshotInfo {
            id,
            parent,
            step,
            label: label.to_owned(),
            thumbnail,
            pinned: false,
        }));
        for id in removed {
            control.emit(Event::SnapshotRemoved(id));
        }
        Ok(id)
    }
}
