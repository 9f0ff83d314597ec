//! Opening: whatever was dropped on the window or named on the command line is recognized by its content, read, and
//! announced as one [`SceneInfo`].

use super::{
    EditRecord, Event, Job, Progress, SceneInfo, SnapshotInfo, ViewEdit, ViewInfo,
    attach::attach_splats,
    control::Control,
    project::{Access, Project},
    session::Session,
};
use crate::{
    Error, Result,
    formats::{self, LoadOptions, nerfstudio},
    loss::Target,
    scene::{Dataset, Photo, Splats, WorldFromFile, orbit::Gaze},
    settings::Settings,
};
use glam::DVec3;
use std::{path::Path, sync::Arc};

/// Open anything; a capture together with the splat file `scene`, where one is given. Returns the new session and its
/// settings; the old ones stay as they are on failure.
///
/// # Errors
/// The reader's sentence, [`Error::Cancelled`], or [`Error::Invalid`] when `path` is no capture and has `scene` to go with
/// it.
pub fn open(
    path: &Path,
    scene: Option<&Path>,
    access: Access,
    old: &Session,
    control: &Control,
) -> Result<(Session, Settings)> {
    if !path.exists() {
        return Err(Error::Invalid(format!("{} does not exist", path.display())));
    }
    let mut session = Session::new(old.gpu.clone());
    session.wanted_folder = old.wanted_folder.clone();
    session.camera = old.camera;
    let mut settings = control.settings.clone();
    let is_project = Project::is_project(path);
    let is_splats = !is_project && formats::is_splat_scene(path)?;
    if scene.is_some() && (is_project || is_splats) {
        let what = if is_project { "project" } else { "scene" };
        return Err(Error::Invalid(format!(
            "{} is a {what} already: a splat file can be given to a capture only",
            path.display()
        )));
    }
    if is_project {
        settings = open_project(path, access, &mut session, control)?;
    } else if is_splats {
        session.source = Some(path.to_owned());
        attach_splats(path, &mut session, control)?;
    } else {
        session.source = Some(path.to_owned());
        let downscale = match (settings.downscale, settings.view_side) {
            (0, side) if side > 0 => formats::divisor_for_side(path, side)?,
            (downscale, _) => downscale,
        };
        let frame = match scene {
            Some(scene) => nerfstudio::frame_of(scene)?,
            None => None,
        };
        Placed::load(path, downscale, frame, &session, control)?.replace(&mut session);
        if let Some(scene) = scene {
            attach_splats(scene, &mut session, control)?;
        }
    }
    Ok((session, settings))
}

/// A capture in a frame, read and uploaded, that can take the place of the open one.
pub struct Placed {
    pub dataset: Dataset,
    targets: Vec<Target>,
    downscale: u32,
    /// See [`super::Manifest::frame`].
    frame: Option<WorldFromFile>,
}

impl Placed {
    /// # Errors
    /// The reader's sentence, or [`Error::Cancelled`].
    pub fn load(
        path: &Path,
        downscale: u32,
        frame: Option<WorldFromFile>,
        session: &Session,
        control: &Control,
    ) -> Result<Self> {
        let dataset = read_dataset(path, downscale, frame, control)?;
        Ok(Self {
            targets: session.upload(&dataset)?,
            dataset,
            downscale,
            frame,
        })
    }

    /// Its views have their photos.
    pub fn replace(self, session: &mut Session) {
        session.edited = self.targets.iter().map(|_| None).collect();
        session.targets = self.targets;
        session.dataset = Some(self.dataset);
        session.downscale = self.downscale;
        session.frame = self.frame;
    }
}

fn read_dataset(
    path: &Path,
    downscale: u32,
    frame: Option<WorldFromFile>,
    control: &Control,
) -> Result<Dataset> {
    let options = LoadOptions {
        downscale: Some(downscale).filter(|&d| d > 0),
        frame,
        ..Default::default()
    };
    let slots = control.slots.clone();
    let notify = control.notifier();
    let dataset = formats::open_dataset(
        path,
        &options,
        &move |done, total| {
            slots.progress.put(Progress {
                job: Some(Job::Open),
                done: done as u32,
                total: total as u32,
                detail: "reading photos".into(),
                ..Default::default()
            });
            notify();
        },
        &control.cancel,
    )?;
    for warning in &dataset.warnings {
        control.emit(Event::Warning(warning.clone()));
    }
    if !dataset.missing.is_empty() {
        control.emit(Event::Warning(format!(
            "{} of {} listed photos do not exist and are left out: {}",
            dataset.missing.len(),
            dataset.listed,
            abbreviated(&dataset.missing, 8)
        )));
    }
    Ok(dataset)
}

fn abbreviated(names: &[String], limit: usize) -> String {
    let mut text = names
        .iter()
        .take(limit)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > limit {
        text.push_str(&format!(" and {} more", names.len() - limit));
    }
    text
}

fn open_project(
    path: &Path,
    access: Access,
    session: &mut Session,
    control: &Control,
) -> Result<Settings> {
    let project = Project::open(path, access)?;
    let manifest = project.manifest.clone();
    let mut settings = manifest.settings.clone();
    settings.downscale = manifest.downscale;
    session.source = Some(manifest.source.clone());
    session.scene_file = manifest.scene_file.clone();
    session.frame = manifest.frame;
    session.job = manifest.job.clone();
    if !manifest.source.exists() {
        return Err(Error::file(
            path.join("project.json"),
            format!(
                "the capture {} does not exist any more; put it back, or change \"source\" in this file",
                manifest.source.display()
            ),
        ));
    }
    if !formats::is_splat_scene(&manifest.source)? {
        let (source, frame) = (&manifest.source, manifest.frame);
        Placed::load(source, manifest.downscale, frame, session, control)?.replace(session);
    }
    session.project = Some(project);
    if let Some(live) = &manifest.live {
        restore_state(session, live)?;
        session.is_kept = manifest.snapshots.iter().any(|s| s.state.file == live.file);
    } else if let Some(file) = &manifest.scene_file {
        attach_splats(&file.clone(), session, control)?;
    }
    Ok(settings)
}

/// Make a saved state the live one. Everything is read before anything is replaced.
///
/// # Errors
/// When the state or an edited picture is damaged.
pub fn restore_state(session: &mut Session, record: &super::StateRecord) -> Result<()> {
    let project = session
        .project
        .as_ref()
        .ok_or_else(|| Error::invalid("there is no project"))?;
    let edits = session.load_edits(project, &record.edits)?;
    let state = project.read_state(record)?;
    let trainer = state.resume(session.gpu.clone())?;
    session.touch();
    session.replace_edits(edits)?;
    session.trainer = Some(trainer);
    session.is_saved = true;
    session.is_kept = true;
    Ok(())
}

/// Tell the window everything about a session.
///
/// # Errors
/// When the scene cannot be read back from the graphics device.
pub fn announce(session: &mut Session, settings: &Settings, control: &Control) -> Result<()> {
    let info = scene_info(session, settings)?;
    control.emit(Event::Opened(Box::new(info)));
    if let Some(project) = &session.project {
        for s in &project.manifest.snapshots {
            let thumbnail = project.read_thumbnail(s).unwrap_or_else(|e| {
                control.emit(Event::Warning(format!(
                    "a timeline picture is missing: {e}"
                )));
                Photo::new(1, 1, vec![0; 3])
            });
            control.emit(Event::Snapshot(SnapshotInfo {
                id: s.id,
                parent: s.parent,
                step: s.state.step,
                label: s.label.clone(),
                thumbnail,
                pinned: s.pinned,
            }));
        }
        for edit in newest_edits(&project.manifest.edits) {
            match edit_event(edit, session, project) {
                Ok(Some(event)) => control.emit(event),
                Ok(None) => {}
                Err(e) => control.emit(Event::Warning(format!("an edited view is left out: {e}"))),
            }
        }
    }
    session.draw_live(control);
    Ok(())
}

/// The last edit of each view, in the order they were made.
fn newest_edits(edits: &[EditRecord]) -> Vec<&EditRecord> {
    let mut seen = std::collections::HashSet::new();
    let mut newest: Vec<&EditRecord> = edits
        .iter()
        .rev()
        .filter(|e| seen.insert(&e.view))
        .collect();
    newest.reverse();
    newest
}

fn edit_event(record: &EditRecord, session: &Session, project: &Project) -> Result<Option<Event>> {
    let view = session
        .dataset
        .as_ref()
        .and_then(|d| d.views.iter().position(|v| v.name == record.view));
    let Some(view) = view else { return Ok(None) };
    Ok(Some(Event::ViewEdited(Box::new(ViewEdit {
        view,
        sweep: record.sweep,
        step: record.step,
        prompt: record.prompt.clone(),
        guidance_scale: record.guidance_scale,
        image_guidance_scale: record.image_guidance_scale,
        timestep: record.timestep,
        render: project.read_edit(&record.render)?,
        edited: project.read_edit(&record.edited)?,
        change: record.change,
        duration_secs: record.duration_secs,
    }))))
}

fn scene_info(session: &mut Session, settings: &Settings) -> Result<SceneInfo> {
    let source = session.source.clone().unwrap_or_default();
    let (views, (center, radius, up), missing) = match &session.dataset {
        Some(d) => {
            let cameras: Vec<_> = d.views.iter().map(|v| v.camera).collect();
            let Gaze { center, radius, up } = Gaze::upright(&cameras, d.up);
            (view_infos(d), (center, radius, up), d.missing.clone())
        }
        None => {
            let gpu = session.gpu.clone();
            let bounds = match session.trainer()?.splats() {
                Some(splats) => splat_bounds(&splats.download(&gpu)?),
                // nerfstudio's frame: the cameras within a cube of side 2, up along z.
                None => (DVec3::ZERO, 1.0, DVec3::Z),
            };
            session.center = bounds.0;
            (Vec::new(), bounds, Vec::new())
        }
    };
    let title = session
        .project
        .as_ref()
        .map_or(source.as_path(), Project::folder)
        .file_name()
        .map_or_else(
            || source.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
    Ok(SceneInfo {
        title,
        source,
        project: session.project.as_ref().map(|p| p.folder().to_owned()),
        views: Arc::new(views),
        center,
        radius,
        up,
        has_splats: session.trainer.is_some(),
        interrupted: session.interrupted(),
        downscale: session.downscale,
        missing,
        settings: settings.clone(),
    })
}

fn view_infos(dataset: &Dataset) -> Vec<ViewInfo> {
    dataset
        .views
        .iter()
        .enumerate()
        .map(|(i, v)| ViewInfo {
            name: v.name.clone(),
            camera: v.camera,
            photo: v.photo.clone(),
            is_eval: dataset.split.eval.contains(&i),
        })
        .collect()
}

fn splat_bounds(splats: &Splats) -> (DVec3, f64, DVec3) {
    let median = |axis: usize| {
        let mut values: Vec<f32> = splats.means.iter().skip(axis).step_by(3).copied().collect();
        if values.is_empty() {
            return (0.0, 1.0);
        }
        values.sort_by(f32::total_cmp);
        let at = |q: f64| f64::from(values[((values.len() - 1) as f64 * q) as usize]);
        (at(0.5), (at(0.9) - at(0.1)).abs())
    };
    let [x, y, z] = [0, 1, 2].map(median);
    let radius = x.1.max(y.1).max(z.1).max(1e-3) * 1.5;
    (DVec3::new(x.0, y.0, z.0), radius, DVec3::Z)
}

/// A picture no larger than `side`, for the timeline.
pub fn thumbnail_size(width: u32, height: u32, side: u32) -> (u32, u32) {
    let scale = f64::from(side) / f64::from(width.max(height)).max(1.0);
    let scale = scale.min(1.0);
    (
        ((f64::from(width) * scale).round() as u32).max(1),
        ((f64::from(height) * scale).round() as u32).max(1),
    )
}

/// Mean absolute difference of two pictures of one size, [0, 1]; 1 when the sizes differ.
pub fn mean_difference(a: &Photo, b: &Photo) -> f32 {
    if (a.width, a.height) != (b.width, b.height) || a.rgb.is_empty() {
        return 1.0;
    }
    let sum: u64 = a
        .rgb
        .iter()
        .zip(b.rgb.iter())
        .map(|(x, y)| u64::from(x.abs_diff(*y)))
        .sum();
    (sum as f64 / a.rgb.len() as f64 / 255.0) as f32
}
