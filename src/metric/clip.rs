//! How well an edit did what its words say, in CLIP's eyes (Radford et al. 2021): Instruct-NeRF2NeRF's measures, with
//! features normalized before they are subtracted. Papers re-measure with definitions that differ, so these are fixed
//! here, by formula:
//!
//! - text–image direction similarity of a view: cos(I₁ − I₀, T₁ − T₀), 0 before and 1 after the edit;
//! - direction consistency of neighbouring views: cos(I₁ᵏ⁺¹ − I₀ᵏ⁺¹, I₁ᵏ − I₀ᵏ).
//!
//! Pictures are resized whole to the model's square (bicubic, a = −0.75, neither cropped nor smoothed nor clamped), as
//! the published script does.

use crate::diffusion::{
    Precision, TextEncoder, Tokenizer,
    clip_layer::ClipLayers,
    config::Config,
    image_to_tensor,
    layers::{LayerNorm, Linear},
    read,
    weights::{Scope, Weights},
};
use crate::scene::FloatImage;
use crate::{Error, Result};
use burn::tensor::module::{conv2d, interpolate};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};
use std::path::Path;

const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// A feature of unit length.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFeature(Vec<f64>);

impl ClipFeature {
    fn normalized(values: &[f32]) -> Self {
        let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        let norm = dot(&values, &values).sqrt().max(1e-12);
        Self(values.into_iter().map(|v| v / norm).collect())
    }

    /// Cosine.
    pub fn similarity(&self, other: &Self) -> f64 {
        cosine(&self.0, &other.0)
    }

    /// Cosine of the way from `before` to `after` with the way from `other_before` to `other_after`; 0 when one of them
    /// leads nowhere.
    pub fn direction_similarity(
        before: &Self,
        after: &Self,
        other_before: &Self,
        other_after: &Self,
    ) -> f64 {
        let way =
            |a: &Self, b: &Self| -> Vec<f64> { a.0.iter().zip(&b.0).map(|(a, b)| b - a).collect() };
        cosine(&way(before, after), &way(other_before, other_after))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

/// A CLIP model in transformers' layout: `config.json`, `model.safetensors`, and the tokenizer's files.
pub struct Clip {
    text: TextEncoder,
    text_projection: Linear,
    vision: Vision,
    tokenizer: Option<Tokenizer>,
    device: Device,
}

impl Clip {
    /// A folder without a tokenizer gives a model that takes token ids only.
    ///
    /// # Errors
    /// An unreadable or unsupported config or tokenizer; missing, unknown or misshapen tensors.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let config = Config::read(&folder.join("config.json"))?;
        let text_config = config.section("text_config")?;
        let vision_config = config.section("vision_config")?;
        let features = config.usize_or("projection_dim", 512)?;
        let weights = Weights::open(folder, "model", Precision::Full, device)?;
        let root = Scope::root(&weights);
        root.ignore("logit_scale");
        let text = TextEncoder::from_weights(&text_config, &root)?;
        let projection = root.at("text_projection");
        let text_projection = Linear::load_without_bias(&projection, text.width(), features);
        let vision = Vision::load(&vision_config, &root, features)?;
        let has = |name: &str| folder.join(name).is_file();
        let tokenizer = if has("vocab.json") || has("tokenizer.json") {
            Some(Tokenizer::load(folder, text.max_length())?)
        } else {
            None
        };
        weights.finish()?;
        Ok(Self {
            text,
            text_projection,
            vision,
            tokenizer,
            device: device.clone(),
        })
    }

    /// The feature of a picture.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub fn picture(&self, picture: &FloatImage) -> Result<ClipFeature> {
        let features = self.image_features(image_to_tensor(picture, &self.device));
        Ok(ClipFeature::normalized(&read(features)?))
    }

    /// The feature of a sentence.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the folder has no tokenizer.
    pub fn sentence(&self, text: &str) -> Result<ClipFeature> {
        let tokenizer = self.tokenizer.as_ref().ok_or_else(|| {
            Error::invalid("the CLIP folder has no tokenizer: vocab.json and merges.txt, or tokenizer.json, are needed to read captions")
        })?;
        let features = self.text_features(&[tokenizer.encode_zero_padded(text)])?;
        Ok(ClipFeature::normalized(&read(features)?))
    }

    /// Projected features `[batch, features]` of token ids, not normalized.
    ///
    /// # Errors
    /// See [`TextEncoder::forward`].
    pub fn text_features(&self, ids: &[Vec<u32>]) -> Result<Tensor<2>> {
        let last = self.text.forward(ids)?;
        Ok(self.text_projection.forward(self.text.pooled(last, ids)))
    }

    /// Projected features `[batch, features]` of pictures `[batch, 3, H, W]` in [0, 1], not normalized.
    pub fn image_features(&self, pictures: Tensor<4>) -> Tensor<2> {
        self.vision.forward(self.preprocess(pictures))
    }

    /// What the vision tower sees, `[batch, 3, size, size]`.
    pub fn preprocess(&self, pictures: Tensor<4>) -> Tensor<4> {
        let side = self.vision.image_size;
        let options = InterpolateOptions::new(InterpolateMode::Bicubic)
            .with_align_corners(false)
            .with_output_size([side, side]);
        let channel = |values: [f32; 3]| {
            let data = TensorData::new(values.to_vec(), [1, 3, 1, 1]);
            Tensor::<4>::from_data(data, &self.device)
        };
        (interpolate(pictures, options) - channel(MEAN)) / channel(STD)
    }

    /// Features of unit length from rows of projected ones.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub fn normalized(features: Tensor<2>) -> Result<Vec<ClipFeature>> {
        let width = features.dims()[1];
        let rows = read(features)?;
        Ok(rows.chunks(width).map(ClipFeature::normalized).collect())
    }
}

/// The vision transformer.
struct Vision {
    /// `[width, 3, patch, patch]`.
    patches: Tensor<4>,
    /// `[width]`.
    class: Tensor<1>,
    /// `[1 + patches, width]`.
    positions: Tensor<2>,
    norm_in: LayerNorm,
    layers: ClipLayers,
    norm_out: LayerNorm,
    projection: Linear,
    image_size: usize,
    patch: usize,
}

impl Vision {
    fn load(config: &Config, root: &Scope, features: usize) -> Result<Self> {
        let width = config.usize("hidden_size")?;
        let patch = config.usize("patch_size")?;
        let image_size = config.usize("image_size")?;
        let eps = config.f64_or("layer_norm_eps", 1e-5)?;
        config.require("num_channels", &serde_json::json!(3))?;
        if patch > image_size {
            return Err(config.unsupported("patch_size", "at most image_size"));
        }
        let model = root.at("vision_model");
        model.ignore("embeddings.position_ids");
        let embeddings = model.at("embeddings");
        let count = (image_size / patch).pow(2);
        Ok(Self {
            patches: embeddings.tensor("patch_embedding.weight", [width, 3, patch, patch]),
            class: embeddings.tensor("class_embedding", [width]),
            positions: embeddings.tensor("position_embedding.weight", [1 + count, width]),
            // Misspelt in the checkpoints.
            norm_in: LayerNorm::load(&model.at("pre_layrnorm"), width, eps),
            layers: ClipLayers::load(config, &model.at("encoder.layers"), false)?,
            norm_out: LayerNorm::load(&model.at("post_layernorm"), width, eps),
            projection: Linear::load_without_bias(&root.at("visual_projection"), width, features),
            image_size,
            patch,
        })
    }

    /// `[batch, 3, size, size]`, preprocessed → `[batch, features]`.
    fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let [batch, _, _, _] = pictures.dims();
        let options = ConvOptions::new([self.patch, self.patch], [0, 0], [1, 1], 1);
        let patches = conv2d(pictures, self.patches.clone(), None, options);
        let [_, width, h, w] = patches.dims();
        let tokens = patches.reshape([batch, width, h * w]).swap_dims(1, 2);
        let class = self
            .class
            .clone()
            .reshape([1, 1, width])
            .repeat_dim(0, batch);
        let x = Tensor::cat(vec![class, tokens], 1) + self.positions.clone().unsqueeze::<3>();
        let x = self.layers.forward(self.norm_in.forward(x));
        let pooled = x.narrow(1, 0, 1).reshape([batch, width]);
        self.projection.forward(self.norm_out.forward(pooled))
    }
}
