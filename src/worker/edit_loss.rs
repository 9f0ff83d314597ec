//! Which loss an edit runs with. The documents' loss needs a classifier's weights, which are not everywhere; an edit must
//! neither fail for want of them nor change its loss in silence.

use super::{Event, control::Control, loaded_editor::LoadedEditor};
use crate::{
    Error, Result,
    edit::{PerceptualLoss, PerceptualSearch},
    gpu::Gpu,
    settings::{EditDevice, Loss, LpipsClassifier, Method, SceneKind, Settings},
};
use std::sync::Arc;

/// What LPIPS was loaded with.
pub(super) type PerceptualKey = (LpipsClassifier, String, EditDevice);

impl LoadedEditor {
    /// Load LPIPS where the settings ask for it, and say which loss runs. [`Loss::Auto`] falls back to the method's loss
    /// without LPIPS, with a warning.
    ///
    /// # Errors
    /// [`Error::Invalid`] when LPIPS was asked for by name and its weights are not there, and when the scene cannot learn
    /// what the settings ask for.
    pub(super) fn choose_loss(
        &mut self,
        gpu: &Arc<Gpu>,
        settings: &Settings,
        kind: SceneKind,
        control: &Control,
    ) -> Result<Loss> {
        let asked = settings.loss;
        if kind == SceneKind::Luxen && asked == Loss::L1Ssim && settings.method != Method::Sds {
            return Err(Error::invalid(
                "SSIM compares whole pictures, and a Luxen learns from rays and patches: take --loss l1-lpips or l1",
            ));
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
                let (loss, name) = match (settings.method, kind) {
                    (Method::Igs2gs, SceneKind::Splat) => (Loss::L1Ssim, "L1 + SSIM"),
                    _ => (Loss::L1, "L1"),
                };
                control.emit(Event::Warning(format!(
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
