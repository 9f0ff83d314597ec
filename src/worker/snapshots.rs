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

    /// Keep the live state on the timeline. Thinning it out spares `keep`.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses; the timeline then stays as it was.
    pub fn take_snapshot(
        &mut self,
        label: &str,
        settings: &Settings,
        model_hash: &str,
        keep: &[SnapshotId],
        control: &Control,
    ) -> Result<SnapshotId> {
        let camera = self
            .thumbnail_camera()
            .ok_or_else(|| Error::invalid("there is no camera to take a snapshot from"))?;
        let (_, thumbnail) = self.render(&camera)?;
        let state = self.trainer()?.state()?;
        let edits = self.edit_map();
        let step = state.step();
        let shown = self.shown;
        let project = self
            .project
            .as_mut()
            .ok_or_else(|| Error::invalid("there is no project to keep a snapshot in"))?;
        let mut manifest = project.manifest.clone();
        let id = SnapshotId(manifest.next_snapshot);
        let parent = manifest.current;
        let record = project.write_state(&state, edits)?;
        let state_file = format!("states/{}", record.file);
        let thumbnail_file = match project.write_thumbnail(&thumbnail) {
            Ok(name) => name,
            Err(e) => {
                project.discard(&state_file);
                return Err(e);
            }
        };
        manifest.next_snapshot += 1;
        manifest.live = Some(record.clone());
        manifest.current = Some(id);
        manifest.job = self.job.clone();
        manifest.snapshots.push(SnapshotRecord {
            id,
            parent,
            label: label.to_owned(),
            pinned: false,
            thumbnail: thumbnail_file.clone(),
            state: record,
            settings: settings.clone(),
            model_hash: model_hash.to_owned(),
        });
        let keep: Vec<SnapshotId> = keep.iter().copied().chain(shown).collect();
        let budget_bytes = u64::from(settings.snapshot_budget_mib) << 20;
        let removed = project.thin_out(&mut manifest, settings.snapshot_limit, budget_bytes, &keep);
        if let Err(e) = project.commit(manifest) {
            project.discard(&state_file);
            project.discard(&format!("thumbnails/{thumbnail_file}"));
            return Err(e);
        }
        self.is_saved = true;
        self.is_kept = true;
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

    /// Before something replaces the live scene: put it on the timeline unless it is there. Room for it is not made at
    /// the cost of `keep`.
    ///
    /// # Errors
    /// As [`Self::take_snapshot`]; the caller must then leave the live scene alone.
    pub fn keep_live(&mut self, label: &str, keep: &[SnapshotId], control: &Control) -> Result<()> {
        let has_project = self.project.as_ref().is_some_and(|p| !p.is_read_only());
        if self.is_kept || self.trainer.is_none() || !has_project {
            return Ok(());
        }
        let settings = control.settings.clone();
        self.take_snapshot(label, &settings, "", keep, control)
            .map(|_| ())
    }
}
