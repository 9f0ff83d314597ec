//! What client and server say, and its bytes.

use crate::{
    Error, Result,
    diffusion::{EditSolver, GuidanceRange},
    edit::Instruction,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub const VERSION: u32 = 1;
/// Largest picture, pixels.
pub const MOST_PIXELS: u64 = 1 << 24;
/// Longest header, bytes.
const MOST_HEADER: usize = 1 << 16;
/// Longest message, bytes: the two f32 pictures of a distillation.
pub(super) const MOST_BYTES: usize = 24 * MOST_PIXELS as usize + MOST_HEADER + 4;
/// Longest message before the handshake is done.
pub(super) const MOST_GREETING: usize = MOST_HEADER + 4;

/// A header's type, with the bytes that follow it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<H> {
    pub header: H,
    pub payload: Vec<u8>,
}

/// From the one who has the scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// No payload.
    Hello {
        protocol: u32,
        /// Of luxedit, for messages.
        version: String,
        token: Option<String>,
    },
    /// Payload: the render (f32) unless a picture of no scene is edited, then the original (u8).
    Edit(EditRequest),
    /// Stop this edit within one denoising step. No payload.
    Cancel { id: u64 },
}

/// From the one who has the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ServerMessage {
    /// No payload.
    Welcome {
        protocol: u32,
        version: String,
        /// The model's name on that machine.
        model: String,
        /// Hash of its configs; see [`super::ModelIdentity`].
        config: Option<String>,
        /// Hash of its weights.
        weights: String,
        /// What it runs on, for the person.
        device: String,
    },
    /// To a hello, or to an edit that cannot be made here now and may be asked for again, here or elsewhere. The connection
    /// is closed after it. No payload.
    Refused { problem: String },
    /// A denoising step. Payload: the preview (u8), if it `has_preview`.
    Step {
        id: u64,
        done: u32,
        steps: u32,
        has_preview: bool,
    },
    /// Payload: the edited picture (f32).
    Edited { id: u64 },
    /// Payload: d loss / d render of `[3, height, width]`, then the estimate (f32), if it `has_estimate`.
    Distilled {
        id: u64,
        loss: f32,
        has_estimate: bool,
    },
    /// It was stopped as asked. No payload.
    Cancelled { id: u64 },
    /// No payload.
    Failed { id: u64, problem: String },
}

/// What is edited, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditKind {
    /// A render of a view.
    View,
    /// A picture of no scene.
    Picture,
    /// The gradient of a render.
    Distill,
    /// [`Self::Distill`], with the estimate.
    DistillAndEstimate,
}

impl EditKind {
    fn has_render(self) -> bool {
        self != Self::Picture
    }
}

/// One edit. JSON numbers do not hold every float: those that the result depends on are decimal strings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditRequest {
    /// Of the client's choice; answers name it.
    pub id: u64,
    pub kind: EditKind,
    /// Pixels.
    pub width: u32,
    pub height: u32,
    pub prompt: String,
    #[serde(with = "exact")]
    pub guidance_scale: f64,
    #[serde(with = "exact")]
    pub image_guidance_scale: f64,
    pub diffusion_steps: u32,
    pub solver: EditSolver,
    #[serde(with = "exact")]
    pub guidance_low: f64,
    #[serde(with = "exact")]
    pub guidance_high: f64,
    /// See [`Instruction::edited_side`].
    pub edited_side: u32,
    #[serde(with = "exact")]
    pub photo_detail: f64,
    /// T: see [`Instruction::timestep`].
    pub timestep: u32,
    pub seed: u64,
    /// Stream of the seed's generator: numbers the view edits of a run.
    pub noise_stream: u64,
    /// A preview with each step.
    pub wants_previews: bool,
}

impl EditRequest {
    pub fn new(
        id: u64,
        kind: EditKind,
        [width, height]: [u32; 2],
        instruction: &Instruction,
        wants_previews: bool,
    ) -> Self {
        Self {
            id,
            kind,
            width,
            height,
            prompt: instruction.prompt.clone(),
            guidance_scale: instruction.guidance_scale,
            image_guidance_scale: instruction.image_guidance_scale,
            diffusion_steps: instruction.diffusion_steps,
            solver: instruction.solver,
            guidance_low: instruction.guidance_range.low,
            guidance_high: instruction.guidance_range.high,
            edited_side: instruction.edited_side,
            photo_detail: instruction.photo_detail,
            timestep: instruction.timestep,
            seed: instruction.seed,
            noise_stream: instruction.noise_stream,
            wants_previews,
        }
    }

    pub fn instruction(&self) -> Instruction {
        Instruction {
            prompt: self.prompt.clone(),
            guidance_scale: self.guidance_scale,
            image_guidance_scale: self.image_guidance_scale,
            diffusion_steps: self.diffusion_steps,
            solver: self.solver,
            guidance_range: GuidanceRange {
                low: self.guidance_low,
                high: self.guidance_high,
            },
            edited_side: self.edited_side,
            photo_detail: self.photo_detail,
            timestep: self.timestep,
            seed: self.seed,
            noise_stream: self.noise_stream,
        }
    }

    /// The render (empty for a picture of no scene) and the original of a payload.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a number is beyond what is served, or the payload has another length.
    pub fn pictures(&self, payload: &[u8]) -> Result<(Vec<f32>, Vec<u8>)> {
        let pixels = u64::from(self.width) * u64::from(self.height);
        if pixels == 0 || pixels > MOST_PIXELS {
            return Err(Error::Invalid(format!(
                "a picture of {}×{} pixels: 1 to {MOST_PIXELS} pixels are served",
                self.width, self.height
            )));
        }
        if !(1..=1000).contains(&self.diffusion_steps) {
            return Err(Error::Invalid(format!(
                "{} denoising steps: 1 to 1000 are served",
                self.diffusion_steps
            )));
        }
        let numbers = [
            self.guidance_scale,
            self.image_guidance_scale,
            self.guidance_low,
            self.guidance_high,
            self.photo_detail,
        ];
        if numbers.iter().any(|v| !v.is_finite()) {
            return Err(Error::invalid("a guidance that is no number"));
        }
        let values = 3 * pixels as usize;
        let render_bytes = if self.kind.has_render() {
            4 * values
        } else {
            0
        };
        if payload.len() != render_bytes + values {
            return Err(Error::Invalid(format!(
                "{} bytes of pictures where {}×{} pixels take {}",
                payload.len(),
                self.width,
                self.height,
                render_bytes + values
            )));
        }
        let (render, original) = payload.split_at(render_bytes);
        Ok((floats(render), original.to_vec()))
    }
}

/// Bytes of f32, little endian.
pub(super) fn float_bytes(values: &[f32]) -> impl Iterator<Item = u8> + '_ {
    values.iter().flat_map(|v| v.to_le_bytes())
}

/// The inverse of [`float_bytes`].
pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    let whole = bytes.as_chunks::<4>().0;
    whole.iter().map(|&v| f32::from_le_bytes(v)).collect()
}

impl<H: Serialize + DeserializeOwned> Message<H> {
    pub fn new(header: H) -> Self {
        Self {
            header,
            payload: Vec::new(),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] when the header is too long: a prompt of a book.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = serde_json::to_vec(&self.header).map_err(|e| Error::Invalid(e.to_string()))?;
        if header.len() > MOST_HEADER {
            return Err(Error::Invalid(format!(
                "a request whose header has {} bytes; {MOST_HEADER} is the most: shorten the instruction",
                header.len()
            )));
        }
        let mut bytes = Vec::with_capacity(4 + header.len() + self.payload.len());
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(&header);
        bytes.extend(&self.payload);
        Ok(bytes)
    }

    /// # Errors
    /// [`Error::Invalid`] says what is not as it should be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (length, rest) = bytes
            .split_first_chunk::<4>()
            .ok_or_else(|| Error::invalid("a message of less than four bytes"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > MOST_HEADER || length > rest.len() {
            return Err(Error::Invalid(format!(
                "a message whose header is said to have {length} bytes; {} follow, and {MOST_HEADER} is the most",
                rest.len()
            )));
        }
        let (header, payload) = rest.split_at(length);
        let header = serde_json::from_slice(header).map_err(|e| {
            Error::Invalid(format!("a message whose header is not understood: {e}"))
        })?;
        Ok(Self {
            header,
            payload: payload.to_vec(),
        })
    }
}

/// A float as the shortest decimal string that gives it back.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
