//! CLIP's text transformer (Radford et al. 2021): token ids to the embeddings that steer the UNet. Causal mask, no
//! padding mask: the padding tokens are part of what Stable Diffusion was trained on.

use super::clip_layer::ClipLayers;
use super::config::Config;
use super::host_simd::on_workers;
use super::layers::LayerNorm;
use super::weights::{Precision, Rows, Scope, Weights};
use crate::{Error, Result};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::path::Path;

/// Name of the weights' file, without its ending.
pub(crate) const WEIGHTS: &str = "model";

/// The text transformer of a model folder's `text_encoder/`.
pub struct TextEncoder {
    /// `[vocabulary, width]`, larger than some graphics cards take a buffer to be; a prompt needs 77 rows of it.
    tokens: Rows,
    /// `[positions, width]`.
    positions: Tensor<2>,
    layers: ClipLayers,
    final_norm: LayerNorm,
    vocabulary: usize,
    length: usize,
    width: usize,
    eos_id: u32,
    hash: String,
}

impl TextEncoder {
    /// # Errors
    /// An unreadable or unsupported `config.json`; missing, unknown or misshapen tensors.
    pub fn load(folder: &Path, precision: Precision, device: &Device) -> Result<Self> {
        let config = Config::read(&folder.join("config.json"))?;
        let weights = Weights::open(folder, WEIGHTS, precision, device)?;
        Self::build(&config, weights)
    }

    /// # Errors
    /// An unsupported config; missing, unknown or misshapen tensors.
    pub(crate) fn build(config: &Config, weights: Weights) -> Result<Self> {
        let encoder = Self::from_weights(config, &Scope::root(&weights))?;
        let hash = weights.finish()?;
        Ok(Self { hash, ..encoder })
    }

    /// The text tower of a file that may hold more, without a hash.
    ///
    /// # Errors
    /// An unsupported `config`.
    pub(crate) fn from_weights(config: &Config, root: &Scope) -> Result<Self> {
        let width = config.usize("hidden_size")?;
        let vocabulary = config.usize("vocab_size")?;
        let length = config.usize("max_position_embeddings")?;
        let eps = config.f64_or("layer_norm_eps", 1e-5)?;
        let eos_id = config.usize_or("eos_token_id", 49407)? as u32;
        // transformers 5 saves the same tensors without the prefix.
        let prefixed = root.at("text_model");
        let model = match root.has("embeddings.token_embedding.weight") {
            true => root,
            false => &prefixed,
        };
        model.ignore("embeddings.position_ids");
        let embeddings = model.at("embeddings");
        Ok(Self {
            tokens: embeddings.rows("token_embedding.weight", [vocabulary, width]),
            positions: embeddings.tensor("position_embedding.weight", [length, width]),
            layers: ClipLayers::load(config, &model.at("encoder.layers"), true)?,
            final_norm: LayerNorm::load(&model.at("final_layer_norm"), width, eps),
            vocabulary,
            length,
            width,
            eos_id,
            hash: String::new(),
        })
    }

    /// Width of the embeddings.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Tokens that a prompt may have at most.
    pub fn max_length(&self) -> usize {
        self.length
    }

    /// Identifies the weights.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Embeddings `[batch, tokens, width]` of prompts of equal length, final norm applied.
    ///
    /// # Errors
    /// See [`Self::hidden_states`].
    pub fn forward(&self, ids: &[Vec<u32>]) -> Result<Tensor<3>> {
        let x = self.embed(ids)?;
        let on_host = x.device() == Device::flex();
        Ok(on_workers(on_host, || {
            let x = self.layers.forward(x).cast(DType::F32);
            self.final_norm.forward(x)
        }))
    }

    /// The embeddings, then the output of every layer, all before the final norm.
    ///
    /// # Errors
    /// Prompts of different lengths, longer than the model's positions, or with ids outside the vocabulary.
    pub fn hidden_states(&self, ids: &[Vec<u32>]) -> Result<Vec<Tensor<3>>> {
        Ok(self.layers.hidden_states(self.embed(ids)?))
    }

    /// `[batch, width]`: what stands at the end-of-text token of [`Self::forward`]'s output. Files with
    /// `eos_token_id` 2 predate that key's meaning: there it is the highest id.
    pub fn pooled(&self, last_hidden_state: Tensor<3>, ids: &[Vec<u32>]) -> Tensor<2> {
        let rows = ids.iter().enumerate().map(|(row, ids)| {
            let highest = ids.iter().max().copied().unwrap_or(0);
            let wanted = if self.eos_id == 2 {
                highest
            } else {
                self.eos_id
            };
            let at = ids.iter().position(|&id| id == wanted).unwrap_or(0);
            last_hidden_state
                .clone()
                .narrow(0, row, 1)
                .narrow(1, at, 1)
                .reshape([1, self.width])
        });
        Tensor::cat(rows.collect(), 0)
    }

    fn embed(&self, ids: &[Vec<u32>]) -> Result<Tensor<3>> {
        let length = ids.first().map_or(0, Vec::len);
        if length == 0 || length > self.length || ids.iter().any(|row| row.len() != length) {
            return Err(Error::invalid(format!(
                "the text encoder takes prompts of equal length, 1 to {} tokens; got {:?}",
                self.length,
                ids.iter().map(Vec::len).collect::<Vec<_>>()
            )));
        }
        if let Some(id) = ids
            .iter()
            .flatten()
            .find(|&&id| id as usize >= self.vocabulary)
        {
            return Err(Error::invalid(format!(
                "token {id} is outside the text encoder's vocabulary of {}: tokenizer and text encoder do not belong together",
                self.vocabulary
            )));
        }
        let rows = ids.iter().flatten().map(|&id| id as usize);
        let data = TensorData::new(self.tokens.select(rows), [ids.len(), length, self.width]);
        let tokens = Tensor::<3>::from_data(data, &self.positions.device());
        let tokens = tokens.cast(self.positions.dtype());
        Ok(tokens + self.positions.clone().narrow(0, 0, length).unsqueeze::<3>())
    }
}
