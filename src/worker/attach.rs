//! Another scene for the open capture. A run of nerfstudio's had the capture in a frame of its own, so that the capture may
//! have to be opened again, there. All that can fail is done beside what is open, which is replaced at the end, or stays.

use super::{Event, control::Control, open::Placed, session::Session};
use crate::{
    Error, Result,
    edit::{SceneState, TrainableScene, luxen_of},
    formats::{
        self,
        nerfstudio::{self, ModelKind},
        splats,
    },
    luxen::LuxenState,
    scene::{Dataset, Splats},
    settings::Antialias,
    splat::{SplatTrainer, TrainConfig, scene_extent},
};
use std::path::{Path, PathBuf};

/// The open capture where the nerfstudio run at `scene` had it, if that is elsewhere: where its dataparser_transforms.json says,
/// else where captures are opened. Any other scene is where the capture is.
///
/// # Errors
/// The run or the capture cannot be read; a project is open, whose snapshots and edits are in its frame.
fn follow_run(scene: &Path, session: &Session, control: &Control) -> Result<Option<Placed>> {
    let (Some(dataset), Some(source)) = (&session.dataset, &session.source) else {
        return Ok(None);
    };
    if nerfstudio::find(scene)?.is_none() {
        return Ok(None);
    }
    let frame = nerfstudio::frame_of(scene)?;
    if frame.is_none() && session.frame.is_none() {
        return Ok(None);
    }
    let downscale = Some(session.downscale).filter(|&d| d > 0);
    let capture = formats::read_capture(&dataset.source, downscale)?;
    let there = capture.world_from_file(frame.as_ref())?;
    if there.is_near(&dataset.world_from_file) {
        return Ok(None);
    }
    if session.project.is_some() {
        return Err(Error::file(
            scene,
            "was trained in another frame than the one that this project is in (its dataparser_transforms.json, or that \
             it has none, says so): open the capture anew, and this scene before a project is made",
        ));
    }
    Placed::load(source, session.downscale, frame, session, control).map(Some)
}

/// Make a splat file or run the scene, and open the capture again where a run had it, if that is elsewhere. True when it
/// was. All is read before anything is replaced.
///
/// # Errors
/// The reader's sentence, or why the capture cannot be where the run had it; everything is as it was.
pub fn attach_following(path: &Path, session: &mut Session, control: &Control) -> Result<bool> {
    let scene = read_scene(path, control)?;
    let moved = follow_run(path, session, control)?;
    let has_moved = moved.is_some();
    attach(path, scene, moved, session, control)?;
    Ok(has_moved)
}

/// Make a splat file or run the scene of the capture as it is open.
///
/// # Errors
/// The reader's sentence.
pub fn attach_splats(path: &Path, session: &mut Session, control: &Control) -> Result<()> {
    attach(path, read_scene(path, control)?, None, session, control)
}

enum SceneFile {
    Splats(Splats),
    /// With what was assumed, for the person.
    Nerfacto(PathBuf, LuxenState, Vec<String>),
}

fn read_scene(path: &Path, control: &Control) -> Result<SceneFile> {
    if let Some((file, ModelKind::Nerfacto)) = nerfstudio::find(path)? {
        let (state, warnings) = luxen_of(&nerfstudio::read(&file)?)?;
        return Ok(SceneFile::Nerfacto(file, state, warnings));
    }
    let mut splats = splats::read_splats(path)?;
    match control.settings.antialias {
        Antialias::Auto => {}
        Antialias::On => splats.antialiased = true,
        Antialias::Off => splats.antialiased = false,
    }
    Ok(SceneFile::Splats(splats))
}

/// `moved`: what the capture is replaced by.
fn attach(
    path: &Path,
    scene: SceneFile,
    moved: Option<Placed>,
    session: &mut Session,
    control: &Control,
) -> Result<()> {
    let dataset = match &moved {
        Some(placed) => Some(&placed.dataset),
        None => session.dataset.as_ref(),
    };
    let frame = match dataset {
        Some(_) => session.frame,
        None => nerfstudio::frame_of(path)?,
    };
    let (file, trainer) = match scene {
        SceneFile::Splats(splats) => {
            let trainer = splat_trainer(splats, dataset, session, control)?;
            (path.to_owned(), trainer)
        }
        SceneFile::Nerfacto(file, state, warnings) => {
            check_views(&file, &state, dataset)?;
            for warning in warnings {
                control.emit(Event::Warning(warning));
            }
            (file, SceneState::Luxen(state).resume(session.gpu.clone())?)
        }
    };
    let scene_file = file.canonicalize().map_err(Error::io(&file))?;
    session.touch();
    match moved {
        Some(placed) => placed.replace(session),
        None => {
            session.forget_edits()?;
            session.frame = frame;
        }
    }
    session.trainer = Some(trainer);
    session.scene_file = Some(scene_file);
    Ok(())
}

fn splat_trainer(
    splats: Splats,
    dataset: Option<&Dataset>,
    session: &Session,
    control: &Control,
) -> Result<Box<dyn TrainableScene>> {
    let (background, extent) = match dataset {
        Some(d) => (
            d.background,
            scene_extent(d.views.iter().map(|v| &v.camera)),
        ),
        None => ([0.0; 3], 1.0),
    };
    let config = TrainConfig {
        seed: control.settings.seed,
        ..TrainConfig::refine(extent, background)
    };
    let trainer = SplatTrainer::new(session.gpu.clone(), splats, config)?;
    Ok(Box::new(trainer))
}

/// A nerfacto has an embedding for each of its photos.
fn check_views(file: &Path, state: &LuxenState, dataset: Option<&Dataset>) -> Result<()> {
    let made_from = state.progress.views as usize;
    match dataset.map(|d| d.split.train.len()) {
        Some(photos) if photos != made_from => Err(Error::file(
            file,
            format!(
                "was trained on {made_from} photos and the capture has {photos} to train on: it is of another capture"
            ),
        )),
        _ => Ok(()),
    }
}
