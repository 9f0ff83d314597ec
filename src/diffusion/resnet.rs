//! The convolutional blocks that UNet and autoencoder share (diffusers' `ResnetBlock2D`, `Upsample2D`).

use super::layers::{Conv2d, GroupNorm, Linear, silu};
use super::weights::Scope;
use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

/// What a block needs to know beyond its channels.
#[derive(Clone, Copy)]
pub(crate) struct ResnetConfig {
    pub groups: usize,
    pub eps: f64,
    /// Width of the time embedding; `None` in the autoencoder.
    pub time_features: Option<usize>,
}

/// Norm, SiLU, convolution (+ time), norm, SiLU, convolution, plus the input.
pub(crate) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    pub fn load(
        scope: &Scope,
        channels_in: usize,
        channels_out: usize,
        config: ResnetConfig,
    ) -> Self {
        let ResnetConfig {
            groups,
            eps,
            time_features,
        } = config;
        Self {
            norm1: GroupNorm::load(&scope.at("norm1"), channels_in, groups, eps),
            conv1: Conv2d::load(&scope.at("conv1"), channels_in, channels_out, 3),
            time: time_features
                .map(|width| Linear::load(&scope.at("time_emb_proj"), width, channels_out)),
            norm2: GroupNorm::load(&scope.at("norm2"), channels_out, groups, eps),
            conv2: Conv2d::load(&scope.at("conv2"), channels_out, channels_out, 3),
            shortcut: (channels_in != channels_out)
                .then(|| Conv2d::load(&scope.at("conv_shortcut"), channels_in, channels_out, 1)),
        }
    }

    /// `time`: SiLU of the time embedding, `[batch or 1, features]`.
    pub fn forward(&self, x: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        let mut hidden = self.conv1.forward(silu(self.norm1.forward(x.clone())));
        if let (Some(layer), Some(time)) = (&self.time, time) {
            hidden = hidden + layer.forward(time.clone()).unsqueeze_dims(&[2, 3]);
        }
        let hidden = self.conv2.forward(silu(self.norm2.forward(hidden)));
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x) + hidden,
            None => x + hidden,
        }
    }
}

/// Nearest-neighbour enlargement to `size` (height, width), then a 3×3 convolution.
pub(crate) struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    pub fn load(scope: &Scope, channels: usize) -> Self {
        Self {
            conv: Conv2d::load(&scope.at("conv"), channels, channels, 3),
        }
    }

    pub fn forward(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let options = InterpolateOptions::new(InterpolateMode::Nearest)
            .with_align_corners(false)
            .with_output_size(size);
        self.conv.forward(interpolate(x, options))
    }
}
