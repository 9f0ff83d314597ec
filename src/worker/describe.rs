//! What a path holds, in words and as JSON, without a graphics adapter and without decoding photos.

use super::project::Project;
use crate::{
    Error, Result,
    formats::{self, Bounds, CaptureInfo, Distortion, Info, LensGroup},
};
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
    let lines = match &info {
        Info::Capture(capture) => capture_lines(capture),
        Info::Splats(splats) => {
            let mut lines = vec![format!(
                "{}: {} splats, SH degree {}",
                splats.path.display(),
                splats.splats,
                splats.sh_degree
            )];
            lines.extend(bounds_line("splats", splats.bounds));
            lines
        }
        Info::PointCloud(points) => {
            let mut lines = vec![format!(
                "{}: a point cloud of {} points (no splats)",
                points.path.display(),
                points.points
            )];
            lines.extend(bounds_line("points", points.bounds));
            lines
        }
    };
    Ok(Description { json, lines })
}

fn capture_lines(capture: &CaptureInfo) -> Vec<String> {
    let kind = serde_json::to_value(capture.kind)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default();
    let mut lines = vec![
        format!("{}: {kind} capture", capture.path.display()),
        format!(
            "frames: {} usable of {} listed",
            capture.usable_frames, capture.listed_frames
        ),
    ];
    if !capture.missing.is_empty() {
        lines.push(format!("missing: {}", capture.missing.join(", ")));
    }
    lines.extend(capture.lenses.iter().map(lens_line));
    lines.extend(bounds_line("cameras", capture.camera_bounds));
    lines.push(format!("points: {}", capture.points));
    lines.extend(bounds_line("points", capture.point_bounds));
    if capture.masks > 0 {
        lines.push(format!("masks: {}", capture.masks));
    }
    if capture.downscale > 1 {
        lines.push(format!("photos are loaded {} times smaller", capture.downscale));
    }
    lines.extend(capture.warnings.iter().map(|w| format!("note: {w}")));
    lines
}

fn lens_line(group: &LensGroup) -> String {
    let k = &group.lens.intrinsics;
    format!(
        "intrinsics of {} frames: {}×{}, fx {:.3}, fy {:.3}, cx {:.3}, cy {:.3}, {}",
        group.frames,
        k.width,
        k.height,
        k.fx,
        k.fy,
        k.cx,
        k.cy,
        distortion_text(group.lens.distortion)
    )
}

fn distortion_text(distortion: Distortion) -> String {
    match distortion {
        Distortion::None => "no distortion".into(),
        Distortion::Brown { k, p } => format!("distortion k {k:?}, p {p:?}"),
        Distortion::Fisheye { k } => format!("fisheye distortion k {k:?}"),
    }
}

fn bounds_line(what: &str, bounds: Option<Bounds>) -> Option<String> {
    let b = bounds?;
    Some(format!(
        "bounds of the {what}: [{:.3}, {:.3}, {:.3}] to [{:.3}, {:.3}, {:.3}]",
        b.min.x, b.min.y, b.min.z, b.max.x, b.max.y, b.max.z
    ))
}

fn describe_project(path: &Path) -> Result<Description> {
    let project = Project::open(path)?;
    let m = &project.manifest;
    let mut lines = vec![
        format!("{}: luxedit project", project.folder().display()),
        format!("capture: {}", m.source.display()),
    ];
    if let Some(live) = &m.live {
        lines.push(format!(
            "scene: step {}, {} edited views",
            live.step,
            live.edits.len()
        ));
    }
    for s in &m.snapshots {
        lines.push(format!("snapshot {}: step {}, {}", s.id.0, s.state.step, s.label));
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
