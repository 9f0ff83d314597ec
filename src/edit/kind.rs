//! The kinds of scene, where code must tell them apart: saved states and what the window draws.

use super::TrainableScene;
use crate::{
    Error, Result,
    gpu::Gpu,
    luxen::{self, FieldBuffers, LuxenState, LuxenTrainer},
    scene::{NamedTensor, Splats},
    settings::SceneKind,
    splat::{self, SplatBuffers, SplatTrainer, TrainState},
};
use std::sync::Arc;

/// What the window draws. Clones share the buffers.
#[derive(Clone)]
pub enum Drawable {
    Splats(splat::Drawable),
    Luxen(luxen::Drawable),
}

/// A trainer's whole state on the host.
#[derive(Clone, Debug, PartialEq)]
pub enum SceneState {
    Splats(TrainState),
    Luxen(LuxenState),
}

impl SceneState {
    pub fn kind(&self) -> SceneKind {
        match self {
            Self::Splats(_) => SceneKind::Splat,
            Self::Luxen(_) => SceneKind::Luxen,
        }
    }

    /// Optimizer steps over the scene's whole life.
    pub fn step(&self) -> u32 {
        let step = match self {
            Self::Splats(s) => s.progress.step,
            Self::Luxen(s) => s.progress.step,
        };
        u32::try_from(step).unwrap_or(u32::MAX)
    }

    pub fn tensors(&self) -> &[NamedTensor] {
        match self {
            Self::Splats(s) => &s.tensors,
            Self::Luxen(s) => &s.tensors,
        }
    }

    /// What is not a tensor, as a file's header keeps it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn header(&self) -> serde_json::Result<String> {
        match self {
            Self::Splats(s) => serde_json::to_string(&(s.config, s.progress)),
            Self::Luxen(s) => serde_json::to_string(&(s.config, s.progress)),
        }
    }

    /// Key of the header in a file's metadata: says what kind of scene it is.
    pub fn header_key(kind: SceneKind) -> &'static str {
        match kind {
            SceneKind::Splat => "train",
            SceneKind::Luxen => "luxen",
        }
    }

    /// # Errors
    /// When `header` is not what [`Self::header`] writes.
    pub fn from_parts(
        kind: SceneKind,
        header: &str,
        tensors: Vec<NamedTensor>,
    ) -> serde_json::Result<Self> {
        Ok(match kind {
            SceneKind::Splat => {
                let (config, progress) = serde_json::from_str(header)?;
                Self::Splats(TrainState {
                    config,
                    progress,
                    tensors,
                })
            }
            SceneKind::Luxen => {
                let (config, progress) = serde_json::from_str(header)?;
                Self::Luxen(LuxenState {
                    config,
                    progress,
                    tensors,
                })
            }
        })
    }

    /// # Errors
    /// [`Error::Invalid`] for a scene that is not made of splats, or a damaged state.
    pub fn splats(&self) -> Result<Splats> {
        match self {
            Self::Splats(state) => state.splats(),
            Self::Luxen(_) => Err(no_splats()),
        }
    }

    /// A trainer that goes on where the state was taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a damaged state, [`Error::Gpu`] when it does not fit the adapter.
    pub fn resume(&self, gpu: Arc<Gpu>) -> Result<Box<dyn TrainableScene>> {
        Ok(match self {
            Self::Splats(state) => Box::new(SplatTrainer::from_state(gpu, state)?),
            Self::Luxen(state) => Box::new(LuxenTrainer::from_state(gpu, state)?),
        })
    }

    /// The parameters alone, for drawing.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub fn drawable(&self, gpu: &Gpu, generation: u64) -> Result<Drawable> {
        Ok(match self {
            Self::Splats(state) => {
                let splats = state.splats()?;
                Drawable::Splats(splat::Drawable {
                    active_sh_degree: splats.sh_degree,
                    background: state.config.background,
                    splats: SplatBuffers::upload(gpu, &splats)?,
                    generation,
                })
            }
            Self::Luxen(state) => {
                let shape = state.shape();
                Drawable::Luxen(luxen::Drawable {
                    field: FieldBuffers::upload(
                        gpu,
                        &shape,
                        &state.parameters()?,
                        &state.cells()?,
                        state.config.tables,
                    )?,
                    shape: Arc::new(shape),
                    config: state.config,
                    crop: None,
                    generation,
                })
            }
        })
    }
}

/// Why a Luxen is not written as a splat file.
pub fn no_splats() -> Error {
    Error::invalid(
        "the scene is a Luxen and has no splats to write: its project folder keeps it whole",
    )
}
