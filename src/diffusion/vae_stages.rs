//! The autoencoder as a chain of blocks, walked forward, or forward in bands, or backward. One list serves all three, so
//! that they cannot drift apart.

use super::conv::Conv2d;
use super::layers::{
    GroupNorm, Linear, add_tokens, attend, attend_backward, from_tokens, silu_backward, to_tokens,
};
use super::resnet::{ResnetBlock, Upsample, normed_conv};
use super::vae::Trace;
use super::weights::Scope;
use burn::tensor::Tensor;

/// One block.
pub(super) enum Stage {
    Conv(Conv2d),
    Resnet(ResnetBlock),
    Attention(PixelAttention),
    /// To twice the size.
    Double(Upsample),
    /// Norm, SiLU, convolution.
    NormedConv(GroupNorm, Conv2d),
}

impl Stage {
    fn forward(&self, x: Tensor<4>, pixels: usize) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let whole = h * w <= pixels;
        match self {
            Self::Conv(conv) if whole => conv.forward(x),
            Self::Conv(conv) => {
                let rows = |r: std::ops::Range<usize>| x.clone().narrow(2, r.start, r.len());
                conv.forward_banded([h, w], pixels, &rows)
            }
            Self::Resnet(block) if whole => block.forward(x, None),
            Self::Resnet(block) => block.forward_banded(x, pixels),
            Self::Attention(attention) => attention.forward(x),
            Self::Double(up) if 4 * h * w <= pixels => up.forward(x, [2 * h, 2 * w]),
            Self::Double(up) => up.double_banded(&x, pixels),
            Self::NormedConv(norm, conv) => normed_conv(norm, conv, &x, pixels),
        }
    }

    /// Gradient with respect to the input `x`, given that of the output.
    fn backward(&self, x: Tensor<4>, gradient: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let x = x.cast(gradient.dtype());
        match self {
            Self::Conv(conv) => conv.backward(gradient, [h, w]),
            Self::Resnet(block) => block.backward(x, gradient),
            Self::Attention(attention) => attention.backward(x, gradient),
            Self::Double(up) => up.double_backward(gradient, [h, w]),
            Self::NormedConv(norm, conv) => {
                let normed = norm.forward(x.clone());
                let inner = silu_backward(normed, conv.backward(gradient, [h, w]));
                norm.backward(x, inner)
            }
        }
    }
}

/// Blocks one after another, and after which of them a trace is told what.
pub(super) struct Chain {
    part: &'static str,
    stages: Vec<(Stage, Vec<String>)>,
}

impl Chain {
    pub fn new(part: &'static str) -> Self {
        Self {
            part,
            stages: Vec::new(),
        }
    }

    pub fn push(&mut self, stage: Stage) -> &mut Self {
        self.stages.push((stage, Vec::new()));
        self
    }

    /// Name the output of the last block.
    pub fn tell(&mut self, name: &str) {
        if let Some((_, names)) = self.stages.last_mut() {
            names.push(format!("{}.{name}", self.part));
        }
    }

    /// Convolutions run over at most `pixels` at a time.
    pub fn forward(&self, mut x: Tensor<4>, pixels: usize, mut trace: Option<Trace>) -> Tensor<4> {
        for (stage, names) in &self.stages {
            if let (Some(trace), Stage::NormedConv(norm, _)) = (&mut trace, stage) {
                let normed = norm.forward(x.clone());
                trace(&format!("{}.conv_norm_out", self.part), &normed);
            }
            x = stage.forward(x, pixels);
            if let Some(trace) = &mut trace {
                names.iter().for_each(|name| trace(name, &x));
            }
        }
        x
    }

    /// The output, and the input of every block.
    pub fn forward_kept(&self, mut x: Tensor<4>) -> (Tensor<4>, Vec<Tensor<4>>) {
        let mut inputs = Vec::with_capacity(self.stages.len());
        for (stage, _) in &self.stages {
            inputs.push(x.clone());
            x = stage.forward(x, usize::MAX);
        }
        (x, inputs)
    }

    /// Gradient with respect to the input, given [`Self::forward_kept`]'s block inputs and the gradient of its output.
    pub fn backward(&self, inputs: Vec<Tensor<4>>, mut gradient: Tensor<4>) -> Tensor<4> {
        for ((stage, _), input) in self.stages.iter().zip(inputs).rev() {
            gradient = stage.backward(input, gradient);
        }
        gradient
    }
}

/// Single-head self-attention between pixels, with biases and residual.
pub(super) struct PixelAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    scores: usize,
}

impl PixelAttention {
    /// Checkpoints from before diffusers 0.18 name the four maps `query`, `key`, `value`, `proj_attn`.
    pub fn load(scope: &Scope, norm: GroupNorm, width: usize) -> Self {
        let project = |name: &str, legacy: &str| {
            let name = if scope.has(&format!("{legacy}.weight")) {
                legacy
            } else {
                name
            };
            Linear::load_either(&scope.at(name), width, width)
        };
        Self {
            norm,
            query: project("to_q", "query"),
            key: project("to_k", "key"),
            value: project("to_v", "value"),
            out: project("to_out.0", "proj_attn"),
            scores: scope.cut().scores,
        }
    }

    fn project(&self, x: &Tensor<4>) -> [Tensor<3>; 3] {
        let tokens = self.norm.forward_tokens(x);
        [&self.query, &self.key, &self.value].map(|layer| layer.forward(tokens.clone()))
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [q, k, v] = self.project(&x);
        add_tokens(x, self.out.forward(attend(q, k, v, 1, false, self.scores)))
    }

    fn backward(&self, x: Tensor<4>, gradient: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let [q, k, v] = self.project(&x);
        let inner = self.out.backward(to_tokens(gradient.clone()));
        let [d_q, d_k, d_v] = attend_backward(q, k, v, inner);
        let tokens = self.query.backward(d_q) + self.key.backward(d_k) + self.value.backward(d_v);
        self.norm.backward(x, from_tokens(tokens, h, w)) + gradient
    }
}
