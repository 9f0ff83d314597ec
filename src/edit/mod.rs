//! The mission: turn a scene by editing its training pictures while it trains on them (Instruct-NeRF2NeRF, Haque et al.
//! 2023; Instruct-GS2GS, Vachha & Haque 2024). Here scene and diffusion meet, and only through two traits: what can be
//! rendered and optimized ([`TrainableScene`]), and what edits a picture by an instruction ([`ImageEditor`]). A schedule
//! ([`Schedule`]) decides which view is edited when; it is plain data, so that a saved project resumes in the middle of
//! a sweep with the very view, noise level and noise that come next.

mod editor;
mod kind;
mod scene;
mod schedule;

pub use editor::{Ip2pEditor, choose_device, cpu_device, weights_of};
pub use kind::{Drawable, SceneState, no_splats};
pub use scene::{StepLoss, TrainableScene};
pub use schedule::{EditDraw, Schedule, StepPlan};

use crate::{
    Result,
    error::Cancel,
    gpu::GpuImage,
    scene::{FloatImage, Photo},
};

/// One edit of one view.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub prompt: String,
    pub guidance_scale: f64,
    pub image_guidance_scale: f64,
    pub diffusion_steps: u32,
    /// T of `[0, 1000]`: the diffusion range that the edit starts from, before the spacing rounds it down.
    pub timestep: u32,
    pub seed: u64,
    /// Stream of the seed's generator that the noises come from; one a view edit.
    pub noise_stream: u64,
}

/// Something that edits a picture by an instruction.
pub trait ImageEditor {
    /// Edit `render`, on the condition of the `original` photo of the same view. `view` keys what can be kept between
    /// edits of one view. `on_step(done, total)` is called after every denoising step. The result has the render's
    /// size.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] within one denoising step of `cancel`.
    fn edit(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(usize, usize),
    ) -> Result<FloatImage>;

    /// Identifies the weights, for the record.
    fn model_hash(&self) -> &str;
}
