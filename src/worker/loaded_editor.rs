//! The edit model of a worker: loaded here or called elsewhere, once for all jobs that want the same.

use super::{Event, Progress, control::Control, edit_loss::PerceptualKey};
use crate::{
    Error, Result,
    bundle::Bundle,
    diffusion::{MemoryLimit, MemoryNeed, Place, memory_need},
    edit::{
        ImageEditor, Ip2pEditor, ModelIdentity, PerceptualLoss, RemoteEditor, RemoteOptions,
        USUAL_SIDE, leave_card, memory_limit, reopen_other_cards, runs_on_processor, weights_of,
    },
    gpu::Gpu,
    settings::{EditDevice, Precision, Settings},
};
use std::sync::Arc;

/// The loaded edit model, and what it was loaded with.
pub struct LoadedEditor {
    key: (String, EditDevice, Precision, Option<MemoryLimit>),
    pub editor: Box<dyn ImageEditor>,
    pub(super) perceptual: Option<(PerceptualKey, PerceptualLoss)>,
}

/// Load the edit model unless it is loaded.
///
/// # Errors
/// When the folder is not a complete model, naming what is wrong.
pub fn load_editor<'a>(
    gpu: &Arc<Gpu>,
    slot: &'a mut Option<LoadedEditor>,
    settings: &Settings,
    control: &Control,
) -> Result<&'a mut LoadedEditor> {
    let key = (
        settings.model.clone(),
        settings.edit_device.clone(),
        settings.precision,
        memory_limit(settings),
    );
    if slot.as_ref().is_some_and(|e| e.key != key) {
        drop_editor(slot);
    }
    let views_at_once = settings.views_at_once as usize;
    if let Some(loaded) = slot {
        loaded.editor.set_views_at_once(views_at_once);
        return Ok(loaded);
    }
    let addresses = settings.edit_device.addresses()?;
    let mut editor: Box<dyn ImageEditor> = if addresses.is_empty() {
        control.progress(Progress {
            job: control.running,
            detail: loading(gpu, settings),
            ..Default::default()
        });
        let editor = Ip2pEditor::load(
            gpu.clone(),
            &Bundle::find().model_path(&settings.model)?,
            &settings.edit_device,
            settings.precision,
            memory_limit(settings),
        )?;
        for notice in editor.notices() {
            control.emit(Event::Warning(notice.clone()));
        }
        Box::new(editor)
    } else {
        control.progress(Progress {
            job: control.running,
            detail: "calling the remote editors".into(),
            ..Default::default()
        });
        let (editor, warnings) = RemoteEditor::connect(
            gpu.clone(),
            &addresses,
            &expected_model(&settings.model)?,
            &RemoteOptions::from_environment(),
            &control.cancel,
        )?;
        for warning in warnings {
            control.emit(Event::Warning(warning));
        }
        Box::new(editor)
    };
    editor.set_views_at_once(views_at_once);
    Ok(slot.insert(LoadedEditor {
        key,
        editor,
        perceptual: None,
    }))
}

/// What is told while the edit model loads: how much memory edits will take.
fn loading(gpu: &Gpu, settings: &Settings) -> String {
    let side = match settings.edited_side {
        0 => USUAL_SIDE,
        side => side as usize,
    };
    let precision = weights_of(settings.precision);
    let place = match runs_on_processor(&settings.edit_device, gpu) {
        true => Place::Processor,
        false => Place::Card(precision),
    };
    let path = Bundle::find().model_path(&settings.model);
    // Where there is no such model, loading it says so.
    let need = path.and_then(|path| memory_need(&path, precision, [side, side], place));
    match need.as_ref().map(MemoryNeed::total) {
        Ok(bytes) => format!(
            "loading the edit model; a picture of {side} × {side} takes {:.1} GiB of memory",
            bytes as f64 / f64::from(1 << 30)
        ),
        Err(_) => "loading the edit model".into(),
    }
}

/// What a remote editor must run. A model that is not here goes by its name.
fn expected_model(model: &str) -> Result<ModelIdentity> {
    match Bundle::find().model_path(model) {
        Ok(path) => ModelIdentity::of(model, &path),
        Err(_) => Ok(ModelIdentity::named(model)),
    }
}

/// Wait for a command. An edit model that lies on a graphics card while nobody is there leaves the card to other programs.
pub(super) fn wait_beside(editor: &mut Option<LoadedEditor>, control: &mut Control) {
    let is_on_card = |loaded: &LoadedEditor| loaded.editor.card().is_some();
    if !editor.as_ref().is_some_and(is_on_card) {
        control.wait();
    } else if control.is_left_alone() {
        drop_editor(editor);
    }
}

/// The edit model is loaded anew by what wants it next; until then its card is free.
pub(super) fn drop_editor(editor: &mut Option<LoadedEditor>) {
    if let Some(loaded) = editor.take() {
        let card = loaded.editor.card();
        leave_card(loaded, card);
    }
}

/// After a failure of a graphics device: what lies on one may be lost.
pub(super) fn drop_what_is_on_cards(editor: &mut Option<LoadedEditor>) {
    reopen_other_cards();
    match editor {
        // The networks are elsewhere, but for the loss.
        Some(loaded) if loaded.editor.device().is_none() => loaded.perceptual = None,
        _ => drop_editor(editor),
    }
}

/// # Errors
/// [`Error::Invalid`] when there is none.
pub(super) fn loaded(editor: &mut Option<LoadedEditor>) -> Result<&mut LoadedEditor> {
    editor
        .as_mut()
        .ok_or_else(|| Error::invalid("the edit model is not loaded"))
}
