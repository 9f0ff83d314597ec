//! The convolutional blocks that UNet and autoencoder share (diffusers' `ResnetBlock2D`, `Upsample2D`).

use super::conv::Conv2d;
use super::layers::{GroupNorm, Linear, silu, silu_backward};
use super::weights::Scope;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{DType, Tensor};
use std::ops::Range;

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
        let time = match (&self.time, time) {
            (Some(layer), Some(time)) => Some(layer.forward(time.clone()).unsqueeze_dims(&[2, 3])),
            _ => None,
        };
        let hidden = self.conv1.forward_normed(&self.norm1, &x, time);
        let residual = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        self.conv2
            .forward_normed(&self.norm2, &hidden, Some(residual))
    }

    /// [`Self::forward`] without time, convolutions at most `pixels` at a time.
    pub fn forward_banded(&self, x: Tensor<4>, pixels: usize) -> Tensor<4> {
        let hidden = normed_conv(&self.norm1, &self.conv1, &x, pixels);
        let hidden = normed_conv(&self.norm2, &self.conv2, &hidden, pixels);
        match &self.shortcut {
            Some(shortcut) => {
                let [_, _, h, w] = x.dims();
                let rows = |r: Range<usize>| x.clone().narrow(2, r.start, r.len());
                shortcut.forward_banded([h, w], pixels, &rows) + hidden
            }
            None => x + hidden,
        }
    }

    /// Gradient with respect to the input `x` of [`Self::forward`] without time, given that of the output. What lies
    /// between is computed anew, so that only block inputs need be kept.
    pub fn backward(&self, x: Tensor<4>, gradient: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let normed1 = self.norm1.forward(x.clone());
        let hidden = self.conv1.forward(silu(normed1.clone()));
        let normed2 = self.norm2.forward(hidden.clone());
        let inner = self.conv2.backward(gradient.clone(), [h, w]);
        let inner = self.norm2.backward(hidden, silu_backward(normed2, inner));
        let inner = self.conv1.backward(inner, [h, w]);
        let inner = self.norm1.backward(x, silu_backward(normed1, inner));
        match &self.shortcut {
            Some(shortcut) => shortcut.backward(gradient, [h, w]) + inner,
            None => gradient + inner,
        }
    }
}

/// `conv(silu(norm(x)))`, at most `pixels` at a time; the norm's statistics are those of all of `x`.
pub(crate) fn normed_conv(
    norm: &GroupNorm,
    conv: &Conv2d,
    x: &Tensor<4>,
    pixels: usize,
) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    if h * w <= pixels {
        return conv.forward_normed(norm, x, None);
    }
    let (scale, shift) = norm.affine_of(x);
    conv.forward_banded([h, w], pixels, &|r| {
        let band = x.clone().narrow(2, r.start, r.len());
        silu(band.cast(DType::F32) * scale.clone() + shift.clone()).cast(x.dtype())
    })
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

    /// [`Self::forward`] to twice the size, at most `pixels` of the result at a time.
    pub fn double_banded(&self, x: &Tensor<4>, pixels: usize) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        self.conv.forward_banded([2 * h, 2 * w], pixels, &|r| {
            let (first, last) = (r.start / 2, r.end.div_ceil(2));
            let options = InterpolateOptions::new(InterpolateMode::Nearest)
                .with_align_corners(false)
                .with_output_size([2 * (last - first), 2 * w]);
            interpolate(x.clone().narrow(2, first, last - first), options).narrow(
                2,
                r.start - 2 * first,
                r.len(),
            )
        })
    }

    /// Gradient with respect to an input of `size`, given that of [`Self::forward`] to twice the size.
    pub fn double_backward(&self, gradient: Tensor<4>, [h, w]: [usize; 2]) -> Tensor<4> {
        let enlarged = self.conv.backward(gradient, [2 * h, 2 * w]);
        let [b, c, _, _] = enlarged.dims();
        enlarged
            .reshape([b, c, h, 2, w, 2])
            .sum_dim(3)
            .sum_dim(5)
            .reshape([b, c, h, w])
    }
}
