//! The mission: turn a scene by editing its training pictures while it trains on them (Instruct-NeRF2NeRF, Haque et al.
//! 2023; Instruct-GS2GS, Vachha & Haque 2024). Here scene and diffusion meet, and only through two traits: what can be
//! rendered and optimized ([`TrainableScene`]), and what edits a picture by an instruction ([`ImageEditor`]). A schedule
//! ([`Schedule`]) decides which view is edited when; it is plain data, so that a saved project resumes in the middle of
//! a sweep with the very view, noise level and noise that come next.

pub mod convert;
pub mod detail;
mod editor;
mod kind;
mod look;
mod nerfacto;
mod networks;
mod preparation;
mod remote;
mod scene;
mod schedule;

pub use editor::{Ip2pEditor, USUAL_SIDE, memory_limit, weights_of};
pub use kind::{Drawable, SceneState, no_splats};
pub use look::{Look, LookKernel, SHADERS, Scale};
pub use nerfacto::luxen_of;
pub use networks::{
    IDLE, PerceptualLoss, PerceptualSearch, choose_device, cpu_device, leave_card,
    reopen_other_cards, runs_on_processor,
};
pub use remote::{
    ClientMessage, EditKind, EditRequest, Host, HostOptions, MOST_PIXELS, Message, ModelIdentity,
    RemoteEditor, RemoteOptions, Rest, ServerMessage, VERSION as PROTOCOL_VERSION,
};
pub use scene::{Depths, StepLoss, TrainableScene, Turn};
pub use schedule::{EditDraw, Schedule, StepPlan};

use crate::{
    Result,
    diffusion::{EditSolver, GuidanceRange},
    error::Cancel,
    gpu::GpuImage,
    loss::ImageGradient,
    scene::{FloatImage, Photo},
};
use burn::tensor::Device;

/// One edit of one view.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub prompt: String,
    pub guidance_scale: f64,
    pub image_guidance_scale: f64,
    pub diffusion_steps: u32,
    pub solver: EditSolver,
    pub guidance_range: GuidanceRange,
    /// Longer side of the pictures that the model sees, pixels; 0: as large as the render.
    pub edited_side: u32,
    /// Share of the photo's own detail in the result, see [`detail`].
    pub photo_detail: f64,
    /// T of `[0, 1000]`: the diffusion range that the edit starts from, before the spacing rounds it down. For a
    /// distillation, the timestep itself; a picture of no scene starts from the whole range.
    pub timestep: u32,
    pub seed: u64,
    /// Stream of the seed's generator that the noises come from; one a view edit.
    pub noise_stream: u64,
}

/// A denoising step that was done.
#[derive(Clone, Debug)]
pub struct Denoised {
    /// From 1.
    pub done: usize,
    pub steps: usize,
    /// Edits that are denoised together, this one among them.
    pub views: usize,
    /// The picture that the run is heading for, of the size that the model sees and without the photo's detail; where
    /// [`Watch::wants_previews`].
    pub preview: Option<Photo>,
}

/// What is told of an edit under way.
#[derive(Clone, Debug)]
pub enum EditUpdate {
    Denoised(Denoised),
    /// It cannot go on, and why: a sentence for the person. Told again and again while it lasts.
    Waiting(String),
    /// It goes on.
    Resumed,
    /// Something is done once, before the first edit: what, for the person.
    Preparing(String),
}

/// Who watches an edit, and may stop it.
pub struct Watch<'a> {
    pub cancel: &'a Cancel,
    /// Each preview costs a decoding.
    pub wants_previews: bool,
    /// Called after every denoising step, and while an edit waits.
    pub on_update: &'a mut dyn FnMut(EditUpdate),
}

/// What one look at a render says of it.
pub struct Distilled {
    /// To be taken in place of the photo loss.
    pub gradient: ImageGradient,
    /// Where the model would take the render in one step, of the render's size.
    pub estimate: Option<FloatImage>,
}

/// Something that edits a picture by an instruction.
pub trait ImageEditor: Send {
    /// Edit `render`, on the condition of the `original` photo of the same view. `view` keys what can be kept between
    /// edits of one view. The result has the render's size.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] within one denoising step of the request.
    fn edit(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<FloatImage>;

    /// Edit a picture that belongs to no scene, from pure noise, with the model's own scheduler. What can be kept of the
    /// picture and the prompt is kept until another comes.
    ///
    /// # Errors
    /// As [`Self::edit`].
    fn edit_photo(
        &mut self,
        photo: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<Photo>;

    /// The gradient that moves `render` towards the instruction without an edited picture in between (score distillation),
    /// and what the model takes for the goal, if asked.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] within one prediction of the request.
    fn distill(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        with_estimate: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Distilled>;

    /// Take so many views at once where no step comes between, no more than there is memory for; 0: a few on a graphics
    /// card within a limit of memory, else one.
    fn set_views_at_once(&mut self, _views: usize) {}

    /// View edits beyond the present one that it would begin at once; 0 where edits run one after the other.
    fn foresight(&self) -> usize {
        0
    }

    /// Whether [`Self::prepare`] was called for this edit.
    fn is_prepared(&self, _view: usize, _instruction: &Instruction) -> bool {
        false
    }

    /// Begin an edit that [`Self::edit`] will be asked for with the same arguments; [`Self::foresight`] says how many.
    ///
    /// # Errors
    /// As [`Self::edit`].
    fn prepare(
        &mut self,
        _view: usize,
        _render: &GpuImage,
        _original: &Photo,
        _instruction: &Instruction,
    ) -> Result<()> {
        Ok(())
    }

    /// The device here that its networks lie on.
    fn device(&self) -> Option<Device> {
        None
    }

    /// That device, where it is a graphics card.
    fn card(&self) -> Option<Device> {
        self.device().filter(|device| *device != Device::flex())
    }

    /// Identifies the weights, for the record.
    fn model_hash(&self) -> &str;

    /// Forget what was kept of views: another capture was opened.
    fn forget_views(&mut self);
}
