//! CLIP's text transformer (Radford et al. 2021): token ids to the embeddings that steer the UNet. Causal mask, no
//! padding mask: the padding tokens are part of what Stable Diffusion was trained on.

use super::config::Config;
use super::layers::{LayerNorm, Linear, attend};
use super::weights::{Precision, Scope, Weights};
use crate::{Error, Result};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use std::path::Path;

/// Name of the weights' file, without its ending.
pub(crate) const WEIGHTS: &str = "model";

/// The text transformer of a model folder's `text_encoder/`.
pub struct TextEncoder {
    /// `[vocabulary, width]`.
    tokens: Tensor<2>,
    /// `[positions, width]`.
    positions: Tensor<2>,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    vocabulary: usize,
    length: usize,
    width: usize,
    eos_id: u32,
    hash: String,
}

struct Layer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
    activation: Activation,
}

#[derive(Clone, Copy)]
enum Activation {
    /// x · σ(1.702 x).
    QuickGelu,
    Gelu,
    GeluTanh,
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
        let width = config.usize("hidden_size")?;
        let inner = config.usize("intermediate_size")?;
        let heads = config.usize("num_attention_heads")?;
        let depth = config.usize("num_hidden_layers")?;
        let vocabulary = config.usize("vocab_size")?;
        let length = config.usize("max_position_embeddings")?;
        let eps = config.f64_or("layer_norm_eps", 1e-5)?;
        let activation = match config.str_or("hidden_act", "quick_gelu")? {
            "quick_gelu" => Activation::QuickGelu,
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            _ => return Err(config.unsupported("hidden_act", "quick_gelu, gelu, gelu_new")),
        };
        if !width.is_multiple_of(heads) {
            return Err(config.unsupported("num_attention_heads", "a divisor of hidden_size"));
        }
        let eos_id = config.usize_or("eos_token_id", 49407)? as u32;

        let root = Scope::root(&weights);
        let model = root.at("text_model");
        model.ignore("embeddings.position_ids");
        let embeddings = model.at("embeddings");
        let encoder = Self {
            tokens: embeddings.tensor("token_embedding.weight", [vocabulary, width]),
            positions: embeddings.tensor("position_embedding.weight", [length, width]),
            layers: (0..depth)
                .map(|i| {
                    let scope = model.at("encoder.layers").at(i);
                    let attention = scope.at("self_attn");
                    let project = |name| Linear::load(&attention.at(name), width, width);
                    Layer {
                        norm1: LayerNorm::load(&scope.at("layer_norm1"), width, eps),
                        query: project("q_proj"),
                        key: project("k_proj"),
                        value: project("v_proj"),
                        out: project("out_proj"),
                        norm2: LayerNorm::load(&scope.at("layer_norm2"), width, eps),
                        up: Linear::load(&scope.at("mlp.fc1"), width, inner),
                        down: Linear::load(&scope.at("mlp.fc2"), inner, width),
                        heads,
                        activation,
                    }
                })
                .collect(),
            final_norm: LayerNorm::load(&model.at("final_layer_norm"), width, eps),
            vocabulary,
            length,
            width,
            eos_id,
            hash: String::new(),
        };
        let hash = weights.finish()?;
        Ok(Self { hash, ..encoder })
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
        let mut x = self.embed(ids)?;
        for layer in &self.layers {
            x = layer.forward(x);
        }
        Ok(self.final_norm.forward(x))
    }

    /// The embeddings, then the output of every layer, all before the final norm.
    ///
    /// # Errors
    /// Prompts of different lengths, longer than the model's positions, or with ids outside the vocabulary.
    pub fn hidden_states(&self, ids: &[Vec<u32>]) -> Result<Vec<Tensor<3>>> {
        let mut states = vec![self.embed(ids)?];
        for layer in &self.layers {
            let last = states[states.len() - 1].clone();
            states.push(layer.forward(last));
        }
        Ok(states)
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
        let flat: Vec<i32> = ids.iter().flatten().map(|&id| id as i32).collect();
        let indices = Tensor::<1, Int>::from_data(
            TensorData::new(flat, [ids.len() * length]),
            &self.tokens.device(),
        );
        let tokens =
            self.tokens
                .clone()
                .select(0, indices)
                .reshape([ids.len(), length, self.width]);
        Ok(tokens + self.positions.clone().narrow(0, 0, length).unsqueeze::<3>())
    }
}

impl Layer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let normed = self.norm1.forward(x.clone());
        let project = |layer: &Linear| layer.forward(normed.clone());
        let (q, k, v) = (
            project(&self.query),
            project(&self.key),
            project(&self.value),
        );
        let attended = attend(q, k, v, self.heads, true);
        let x = self.out.forward(attended) + x;
        let hidden = self.up.forward(self.norm2.forward(x.clone()));
        let hidden = match self.activation {
            Activation::QuickGelu => hidden.clone() * activation::sigmoid(hidden * 1.702),
            Activation::Gelu => activation::gelu(hidden),
            Activation::GeluTanh => activation::gelu_approximate(hidden),
        };
        self.down.forward(hidden) + x
    }
}
