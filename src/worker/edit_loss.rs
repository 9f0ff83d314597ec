//! Which loss an edit runs with. The documents' loss needs a classifier's weights, which are not everywhere; an edit must
//! neither fail for want of them nor change its loss in silence.

use super::{Event, control::Control, loaded_editor::LoadedEditor};
use crate::{
    Error, Result,
    edit::{PerceptualLoss, PerceptualSearch},
    gpu::Gpu,
    settings::{EditDevice, Loss, LpipsClassifier, Method, Settings},
};
use std::sync::Arc;

/// What LPIPS was loaded with.
pub(super) type PerceptualKey = (LpipsClassifier, String, EditDevice);

impl LoadedEditor {
    /// Load LPIPS where the settings ask for it, and say which loss runs. [`Loss::Auto`] falls back to the method's loss
    /// without LPIPS, and says so. `takes_gradients`: whether the scene learns from networks too.
    ///
    /// # Errors
    /// [`Error::Invalid`] when LPIPS was asked for by name and its weights are not there, and when the scene cannot learn
    /// what the settings ask for.
    pub(super) fn choose_loss(
        &mut self,
        gpu: &Arc<Gpu>,
        settings: &Settings,
        takes_gradients: bool,
        control: &Control,
    ) -> Result<Loss> {
        let asked = settings.loss;
        if !takes_gradients {
            return loss_of_rays(settings, control);
        }
        if settings.method == Method::Sds || matches!(asked, Loss::L1 | Loss::L1Ssim) {
            return Ok(asked);
        }
        let key = (
            settings.lpips_classifier,
            settings.lpips_weights.clone(),
            settings.edit_device.clone(),
        );
        if self.perceptual.as_ref().is_some_and(|(k, _)| *k == key) {
            return Ok(Loss::L1Lpips);
        }
        self.perceptual = None;
        match PerceptualLoss::find(gpu.clone(), settings)? {
            PerceptualSearch::Loaded(loss) => {
                self.perceptual = Some((key, *loss));
                Ok(Loss::L1Lpips)
            }
            PerceptualSearch::Without(why) if asked == Loss::Auto => {
                let (loss, name) = match settings.method {
                    Method::Igs2gs => (Loss::L1Ssim, "L1 + SSIM"),
                    _ => (Loss::L1, "L1"),
                };
                control.emit(Event::Note(format!(
                    "the edit goes without LPIPS, with {name} as loss: {why}"
                )));
                Ok(loss)
            }
            PerceptualSearch::Without(why) => Err(Error::Invalid(format!(
                "the loss L1 + LPIPS needs the weights of its classifier: {why}"
            ))),
        }
    }
}

/// The loss of a scene that learns from single rays of the photos.
fn loss_of_rays(settings: &Settings, control: &Control) -> Result<Loss> {
    if settings.method == Method::Sds {
        return Err(Error::invalid(
            "score distillation needs a scene of splats: choose another --method for a Luxen",
        ));
    }
    match settings.loss {
        Loss::L1 => {}
        Loss::Auto => control.emit(Event::Note(
            "the edit goes without LPIPS and SSIM, with L1 as loss: a Luxen learns from single rays".into(),
        )),
        Loss::L1Lpips | Loss::L1Ssim => {
            return Err(Error::invalid(
                "LPIPS and SSIM compare whole pictures, and a Luxen learns from single rays: take --loss l1",
            ));
        }
    }
    Ok(Loss::L1)
}
