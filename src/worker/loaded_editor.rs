//! The edit model of a worker: loaded here or called elsewhere, once for all jobs that want the same.

use super::{Event, Progress, control::Control, edit_loss::PerceptualKey};
use crate::{
    Error, Result,
    bundle::Bundle,
    edit::{ImageEditor, Ip2pEditor, ModelIdentity, PerceptualLoss, RemoteEditor, RemoteOptions},
    gpu::Gpu,
    settings::{EditDevice, Precision, Settings},
};
use std::sync::Arc;

/// The loaded edit model, and what it was loaded with.
pub struct LoadedEditor {
    key: (String, EditDevice, Precision),
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
    );
    if slot.as_ref().is_some_and(|e| e.key != key) {
        *slot = None;
    }
    if let Some(loaded) = slot {
        return Ok(loaded);
    }
    let addresses = settings.edit_device.addresses()?;
    let editor: Box<dyn ImageEditor> = if addresses.is_empty() {
        control.progress(Progress {
            job: control.running,
            detail: "loading the edit model".into(),
            ..Default::default()
        });
        let editor = Ip2pEditor::load(
            gpu.clone(),
            &Bundle::find().model_path(&settings.model)?,
            &settings.edit_device,
            settings.precision,
        )?;
        if let Some(notice) = editor.precision_notice() {
            control.emit(Event::Warning(notice.into()));
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
    Ok(slot.insert(LoadedEditor {
        key,
        editor,
        perceptual: None,
    }))
}

/// What a remote editor must run. A model that is not here goes by its name.
fn expected_model(model: &str) -> Result<ModelIdentity> {
    match Bundle::find().model_path(model) {
        Ok(path) => ModelIdentity::of(model, &path),
        Err(_) => Ok(ModelIdentity::named(model)),
    }
}

/// # Errors
/// [`Error::Invalid`] when there is none.
pub(super) fn loaded(editor: &mut Option<LoadedEditor>) -> Result<&mut LoadedEditor> {
    editor
        .as_mut()
        .ok_or_else(|| Error::invalid("the edit model is not loaded"))
}
