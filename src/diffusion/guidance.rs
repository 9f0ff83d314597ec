//! Classifier-free guidance with two conditions (Brooks et al. 2023, equation 3). A batch of three rows runs through
//! the network, in the order text, image, unconditional.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How strongly an edit follows the prompt and keeps to the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guidance {
    /// s_T: weight of the prompt.
    pub guidance_scale: f64,
    /// s_I: weight of the original picture.
    pub image_guidance_scale: f64,
}

/// Where guidance acts, in shares of the diffusion range. Elsewhere the text row alone decides, at a third of the work: much
/// guidance at the noisiest and the last steps does little for a picture (Kynkäänniemi et al. 2024).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuidanceRange {
    pub low: f64,
    pub high: f64,
}

impl GuidanceRange {
    pub const ALL: Self = Self {
        low: 0.0,
        high: 1.0,
    };

    /// Whether guidance acts at `timestep` of `train`.
    pub fn contains(self, timestep: f64, train: usize) -> bool {
        (self.low..=self.high).contains(&(timestep / train as f64))
    }
}

impl Guidance {
    /// diffusers guides only from these scales on; below, the text row alone decides.
    pub fn is_on(&self) -> bool {
        self.guidance_scale > 1.0 && self.image_guidance_scale >= 1.0
    }

    /// uncond + s_T (text − image) + s_I (image − uncond) of predictions `[3 · n, …]`, n rows of each kind.
    pub fn combine(&self, predictions: Tensor<4>) -> Tensor<4> {
        let n = predictions.dims()[0] / 3;
        let row = |i: usize| predictions.clone().narrow(0, i * n, n);
        let (text, image, uncond) = (row(0), row(1), row(2));
        uncond.clone()
            + (text - image.clone()) * self.guidance_scale
            + (image - uncond) * self.image_guidance_scale
    }
}
