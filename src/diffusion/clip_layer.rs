//! The transformer layers that both towers of CLIP are made of (transformers' `CLIPEncoder`).

use super::budget::Cut;
use super::config::Config;
use super::layers::{LayerNorm, Linear, attend, in_single};
use super::weights::Scope;
use crate::Result;
use burn::tensor::{Tensor, activation};

/// A stack of layers.
pub(crate) struct ClipLayers(Vec<Layer>);

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
    causal: bool,
    activation: Activation,
}

#[derive(Clone, Copy)]
enum Activation {
    /// x · σ(1.702 x).
    QuickGelu,
    Gelu,
    GeluTanh,
}

impl ClipLayers {
    /// `config` is the tower's; `scope` holds the layers by number; `causal`: a token sees none after it.
    ///
    /// # Errors
    /// An unsupported value of the config.
    pub fn load(config: &Config, scope: &Scope, causal: bool) -> Result<Self> {
        let width = config.usize("hidden_size")?;
        let inner = config.usize("intermediate_size")?;
        let heads = config.usize("num_attention_heads")?;
        let depth = config.usize("num_hidden_layers")?;
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
        let layers = (0..depth).map(|i| {
            let scope = scope.at(i);
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
                causal,
                activation,
            }
        });
        Ok(Self(layers.collect()))
    }

    /// `[batch, tokens, width]`, shape kept.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.0.iter().fold(x, |x, layer| layer.forward(x))
    }

    /// `x`, then the output of every layer.
    pub fn hidden_states(&self, x: Tensor<3>) -> Vec<Tensor<3>> {
        let mut states = vec![x];
        for layer in &self.0 {
            let last = states[states.len() - 1].clone();
            states.push(layer.forward(last));
        }
        states
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
        let attended = attend(q, k, v, self.heads, self.causal, Cut::WHOLE.scores);
        let x = self.out.forward_onto(attended, x);
        let hidden = self.up.forward(self.norm2.forward(x.clone()));
        let hidden = in_single(hidden, |x| match self.activation {
            Activation::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
            Activation::Gelu => activation::gelu(x),
            Activation::GeluTanh => activation::gelu_approximate(x),
        });
        self.down.forward_onto(hidden, x)
    }
}
