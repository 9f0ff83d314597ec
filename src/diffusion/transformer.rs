//! Spatial transformers of the UNet (diffusers' `Transformer2DModel`): self-attention between the pixels of a feature
//! map, cross-attention to the prompt. The prompt does not change between denoising steps, so its keys and values are
//! computed once ([`PromptKeys`]) and handed to every step.

use super::layers::{GroupNorm, LayerNorm, Linear, add_tokens, attend, gated};
use super::weights::Scope;
use burn::tensor::Tensor;

/// Keys and values of a batch of prompts for every cross-attention layer of a UNet, in the order of its layers.
pub struct PromptKeys {
    /// `[batch, tokens, heads · width]` each.
    pub(crate) layers: Vec<(Tensor<3>, Tensor<3>)>,
}

/// The sizes of one spatial transformer.
#[derive(Clone, Copy)]
pub(crate) struct TransformerConfig {
    pub channels: usize,
    pub heads: usize,
    /// Blocks in a row.
    pub depth: usize,
    /// Width of the text embedding.
    pub prompt_features: usize,
    pub groups: usize,
    /// `proj_in` and `proj_out` are stored as matrices, not as 1×1 convolutions.
    pub linear_projection: bool,
}

pub(crate) struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

impl SpatialTransformer {
    /// `layer`: running number of the next cross-attention layer in the UNet.
    pub fn load(scope: &Scope, config: TransformerConfig, layer: &mut usize) -> Self {
        let TransformerConfig {
            channels,
            heads,
            depth,
            prompt_features,
            groups,
            linear_projection,
        } = config;
        let inner = heads * (channels / heads);
        let project = if linear_projection {
            Linear::load
        } else {
            Linear::load_pointwise
        };
        Self {
            norm: GroupNorm::load(&scope.at("norm"), channels, groups, 1e-6),
            proj_in: project(&scope.at("proj_in"), channels, inner),
            blocks: (0..depth)
                .map(|i| {
                    let scope = scope.at("transformer_blocks").at(i);
                    let block =
                        TransformerBlock::load(&scope, inner, heads, prompt_features, *layer);
                    *layer += 1;
                    block
                })
                .collect(),
            proj_out: project(&scope.at("proj_out"), inner, channels),
        }
    }

    pub fn prompt_keys(&self, prompt: &Tensor<3>, keys: &mut Vec<(Tensor<3>, Tensor<3>)>) {
        for block in &self.blocks {
            keys.push(block.cross.keys(prompt));
        }
    }

    /// `[batch, channels, h, w]` → the same.
    pub fn forward(&self, x: Tensor<4>, keys: &PromptKeys) -> Tensor<4> {
        let mut tokens = self.proj_in.forward(self.norm.forward_tokens(&x));
        for block in &self.blocks {
            tokens = block.forward(tokens, keys);
        }
        add_tokens(x, self.proj_out.forward(tokens))
    }
}

/// Self-attention, cross-attention, GEGLU, each normalized before and added to its input.
struct TransformerBlock {
    norm1: LayerNorm,
    own: Attention,
    norm2: LayerNorm,
    cross: Attention,
    /// Index into [`PromptKeys::layers`].
    layer: usize,
    norm3: LayerNorm,
    feed_forward: FeedForward,
}

impl TransformerBlock {
    fn load(
        scope: &Scope,
        inner: usize,
        heads: usize,
        prompt_features: usize,
        layer: usize,
    ) -> Self {
        let norm = |name| LayerNorm::load(&scope.at(name), inner, 1e-5);
        Self {
            norm1: norm("norm1"),
            own: Attention::load(&scope.at("attn1"), inner, inner, heads),
            norm2: norm("norm2"),
            cross: Attention::load(&scope.at("attn2"), inner, prompt_features, heads),
            layer,
            norm3: norm("norm3"),
            feed_forward: FeedForward::load(&scope.at("ff").at("net"), inner),
        }
    }

    fn forward(&self, x: Tensor<3>, keys: &PromptKeys) -> Tensor<3> {
        let normed = self.norm1.forward(x.clone());
        let own = self.own.keys(&normed);
        let x = self.own.forward_onto(normed, own, x);
        let keys = keys.layers[self.layer].clone();
        let x = self
            .cross
            .forward_onto(self.norm2.forward(x.clone()), keys, x);
        self.feed_forward
            .forward_onto(self.norm3.forward(x.clone()), x)
    }
}

struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
    scores: usize,
}

impl Attention {
    fn load(scope: &Scope, inner: usize, source: usize, heads: usize) -> Self {
        Self {
            query: Linear::load_without_bias(&scope.at("to_q"), inner, inner),
            key: Linear::load_without_bias(&scope.at("to_k"), source, inner),
            value: Linear::load_without_bias(&scope.at("to_v"), source, inner),
            out: Linear::load(&scope.at("to_out.0"), inner, inner),
            heads,
            scores: scope.cut().scores,
        }
    }

    fn keys(&self, source: &Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        (
            self.key.forward(source.clone()),
            self.value.forward(source.clone()),
        )
    }

    /// Of `x` to keys and values, plus `residual`.
    fn forward_onto(
        &self,
        x: Tensor<3>,
        (k, v): (Tensor<3>, Tensor<3>),
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let q = self.query.forward(x);
        let attended = attend(q, k, v, self.heads, false, self.scores);
        self.out.forward_onto(attended, residual)
    }
}

/// GEGLU (Shazeer 2020) with the exact GELU, four times as wide as its input.
struct FeedForward {
    hidden: Linear,
    gate: Linear,
    out: Linear,
}

impl FeedForward {
    fn load(scope: &Scope, features: usize) -> Self {
        let (hidden, gate) = Linear::load_halves(&scope.at("0.proj"), features, 4 * features);
        Self {
            hidden,
            gate,
            out: Linear::load(&scope.at("2"), 4 * features, features),
        }
    }

    fn forward_onto(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let gate = self.gate.forward(x.clone());
        self.out
            .forward_onto(gated(self.hidden.forward(x), gate), residual)
    }
}
