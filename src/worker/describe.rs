//! What a path holds, in words and as JSON, without a graphics adapter and without decoding photos.

use super::project::{Access, Project};
use crate::{Error, Result, formats, scene::Photo, settings::SceneKind};
use serde_json::{Value, json};
use std::path::Path;

/// The answer of `luxedit info`.
pub struct Description {
    pub json: Value,
    pub lines: Vec<String>,
}

/// # Errors
/// The reader's sentence when `path` is nothing that luxedit knows, or damaged.
pub fn describe(path: &Path) -> Result<Description> {
    if Project::is_project(path) {
        return describe_project(path);
    }
    let info = formats::inspect(path)?;
    let json = serde_json::to_value(&info).map_err(|e| Error::file(path, e.to_string()))?;
    let lines = info.to_string().lines().map(str::to_owned).collect();
    Ok(Description { json, lines })
}

/// What the scene of a project is made of; `None` for what is no project, or holds no scene yet.
///
/// # Errors
/// As [`Project::open`].
pub fn scene_kind(path: &Path) -> Result<Option<SceneKind>> {
    if !Project::is_project(path) {
        return Ok(None);
    }
    let project = Project::open(path, Access::Read)?;
    Ok(project.manifest.live.map(|live| live.kind))
}

/// One picture of the capture or the program, for the window.
///
/// # Errors
/// The file is missing or no picture.
pub fn picture(path: &Path) -> Result<Photo> {
    formats::picture::read_photo(path, [0.0; 3])
}

fn describe_project(path: &Path) -> Result<Description> {
    let project = Project::open(path, Access::Read)?;
    let m = &project.manifest;
    let mut lines = vec![
        format!("{}: luxedit project", project.folder().display()),
        format!("capture: {}", m.source.display()),
    ];
    if let Some(live) = &m.live {
        lines.push(format!(
            "scene: {}, step {}, {} edited views",
            live.kind.as_str(),
            live.step,
            live.edits.len()
        ));
    }
    for s in &m.snapshots {
        lines.push(format!(
            "snapshot {}: step {}, {}",
            s.id.0, s.state.step, s.label
        ));
    }
    if let Some(job) = &m.job {
        lines.push(format!(
            "interrupted: {:?}, {} of {} steps done",
            job.job,
            job.schedule.steps_done(),
            job.end_step - job.start_step
        ));
    }
    let json = json!({
        "type": "project",
        "path": project.folder(),
        "source": m.source,
        "kind": m.live.as_ref().map(|l| l.kind),
        "step": m.live.as_ref().map(|l| l.step),
        "edited_views": m.live.as_ref().map_or(0, |l| l.edits.len()),
        "edits": m.edits.len(),
        "snapshots": m.snapshots.iter().map(|s| json!({
            "id": s.id, "step": s.state.step, "label": s.label, "pinned": s.pinned,
        })).collect::<Vec<_>>(),
        "interrupted": m.job.as_ref().map(|j| json!({
            "job": j.job, "done": j.schedule.steps_done(), "steps": j.end_step - j.start_step,
        })),
        "settings": m.settings,
    });
    Ok(Description { json, lines })
}
