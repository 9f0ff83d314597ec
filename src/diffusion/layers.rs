//! The layers that all networks here are made of: plain structs of tensors over burn's functional operations, so that
//! names, shapes and precision stay those of the checkpoint and one forward pass runs on any device. Weights are never
//! trained here, so a backward pass is only the gradient with respect to a layer's input; it is written out where one is
//! needed, without a graph of the whole network.

use super::host_attention;
use super::weights::Scope;
use burn::tensor::module::{attention, conv_transpose2d, conv2d, layer_norm, linear};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions, ConvTransposeOptions, PadMode};
use burn::tensor::{Device, Tensor, TensorData, activation};
use std::ops::Range;

/// Square convolution.
pub(crate) struct Conv2d {
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions<2>,
}

impl Conv2d {
    /// `[out, in, kernel, kernel]`, stride 1, the size kept (odd kernels).
    pub fn load(scope: &Scope, channels_in: usize, channels_out: usize, kernel: usize) -> Self {
        let padding = kernel / 2;
        Self::with_options(
            scope,
            channels_in,
            channels_out,
            kernel,
            ConvOptions::new([1, 1], [padding, padding], [1, 1], 1),
        )
    }

    /// 3×3, stride 2. `padding` 0 pads one row below and one column to the right instead (diffusers'
    /// `Downsample2D`).
    pub fn load_downsample(scope: &Scope, channels: usize, padding: usize) -> Self {
        let sides = if padding == 0 {
            (0, 1)
        } else {
            (padding, padding)
        };
        Self::with_options(
            scope,
            channels,
            channels,
            3,
            ConvOptions::new_with_padding([2, 2], [sides, sides], [1, 1], 1),
        )
    }

    pub fn with_options(
        scope: &Scope,
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        options: ConvOptions<2>,
    ) -> Self {
        Self {
            weight: scope.tensor("weight", [channels_out, channels_in, kernel, kernel]),
            bias: scope.tensor("bias", [channels_out]),
            options,
        }
    }

    /// `[batch, in, h, w]` → `[batch, out, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv2d(
            x,
            self.weight.clone(),
            Some(self.bias.clone()),
            self.options.clone(),
        )
    }

    /// [`Self::forward`] on an input of `height` rows, at most `pixels` of the result at a time. `rows` gives the asked
    /// rows of the input; each band asks for those that its windows reach, so that the result is that of one pass.
    pub fn forward_banded(
        &self,
        [height, width]: [usize; 2],
        pixels: usize,
        rows: &dyn Fn(Range<usize>) -> Tensor<4>,
    ) -> Tensor<4> {
        let kernel = self.weight.dims()[2];
        let [stride, _] = self.options.stride;
        let [(above, below), sides] = self.options.padding;
        let total = (height + above + below - kernel) / stride + 1;
        let band = (pixels / (width / self.options.stride[1]).max(1)).max(1);
        let bands = (0..total).step_by(band).map(|first| {
            let last = (first + band).min(total);
            let (start, end) = (first * stride, (last - 1) * stride + kernel);
            let inside = start.max(above) - above..(end - above).min(height);
            let beyond = (above.saturating_sub(start), end - above - inside.end);
            let options = ConvOptions {
                padding: [beyond, sides],
                ..self.options.clone()
            };
            conv2d(
                rows(inside),
                self.weight.clone(),
                Some(self.bias.clone()),
                options,
            )
        });
        Tensor::cat(bands.collect(), 2)
    }

    /// Gradient with respect to an input of `size` (height, width), given that of the output.
    pub fn backward(&self, gradient: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let [_, _, kernel, _] = self.weight.dims();
        let [rows, columns] = self.options.padding;
        if self.options.stride == [1, 1] && rows.0 == rows.1 && rows == columns {
            // A correlation with the mirrored kernel: the same quick path as forward.
            let mirrored = self.weight.clone().flip([2, 3]).swap_dims(0, 1);
            let padding = kernel - 1 - rows.0;
            return conv2d(
                gradient,
                mirrored,
                None,
                ConvOptions::new([1, 1], [padding, padding], [1, 1], 1),
            );
        }
        let whole = conv_transpose2d(
            gradient,
            self.weight.clone(),
            None,
            ConvTransposeOptions::new(self.options.stride, [0, 0], [0, 0], [1, 1], 1),
        );
        // The padded input, as far as the kernel reached.
        let fit = |x: Tensor<4>, axis: usize, before: usize, wanted: usize| {
            let reached = (x.dims()[axis] - before).min(wanted);
            let x = x.narrow(axis, before, reached);
            let mut padding = [(0, 0); 4];
            padding[axis].1 = wanted - reached;
            if wanted == reached {
                x
            } else {
                x.pad(padding, PadMode::Constant(0.0))
            }
        };
        fit(fit(whole, 2, rows.0, size[0]), 3, columns.0, size[1])
    }
}

/// Affine map of the last dimension.
pub(crate) struct Linear {
    /// `[in, out]`: a transposed view of the checkpoint's `[out, in]`.
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
}

impl Linear {
    pub fn load(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        Self::from_stored(
            scope.tensor("weight", [features_out, features_in]),
            Some(scope.tensor("bias", [features_out])),
        )
    }

    pub fn load_without_bias(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        Self::from_stored(scope.tensor("weight", [features_out, features_in]), None)
    }

    /// A 1×1 convolution of the checkpoint, applied to tokens.
    pub fn load_pointwise(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        let weight = scope.tensor_any(
            "weight",
            [features_out, features_in],
            &[&[features_out, features_in, 1, 1]],
        );
        Self::from_stored(weight, Some(scope.tensor("bias", [features_out])))
    }

    /// Stored as a matrix, or as a 1×1 convolution as in the original latent-diffusion files.
    pub fn load_either(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        let weight = scope.tensor_any(
            "weight",
            [features_out, features_in],
            &[
                &[features_out, features_in],
                &[features_out, features_in, 1, 1],
            ],
        );
        Self::from_stored(weight, Some(scope.tensor("bias", [features_out])))
    }

    /// One stored map split in two along its outputs: `(first half, second half)`.
    pub fn load_halves(scope: &Scope, features_in: usize, features_each: usize) -> (Self, Self) {
        let weight = scope.tensor("weight", [2 * features_each, features_in]);
        let bias = scope.tensor("bias", [2 * features_each]);
        // A stand-in for a missing tensor has nothing to split; the load fails later, with its name.
        let half = |i: usize| {
            let narrow = |n: usize| {
                if n == 2 * features_each {
                    (i * features_each, features_each)
                } else {
                    (0, n)
                }
            };
            let (w0, wn) = narrow(weight.dims()[0]);
            let (b0, bn) = narrow(bias.dims()[0]);
            Self::from_stored(
                weight.clone().narrow(0, w0, wn),
                Some(bias.clone().narrow(0, b0, bn)),
            )
        };
        (half(0), half(1))
    }

    fn from_stored(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        Self {
            weight: weight.transpose(),
            bias,
        }
    }

    /// `[…, in]` → `[…, out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight.clone(), self.bias.clone())
    }

    /// Gradient with respect to the input, given that of the output.
    pub fn backward<const D: usize>(&self, gradient: Tensor<D>) -> Tensor<D> {
        linear(gradient, self.weight.clone().transpose(), None)
    }
}

/// Group normalization over channels (Wu and He 2018).
pub(crate) struct GroupNorm {
    /// `[1, channels, 1, 1]`.
    gamma: Tensor<4>,
    beta: Tensor<4>,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    pub fn load(scope: &Scope, channels: usize, groups: usize, eps: f64) -> Self {
        let affine = |name| {
            let values: Tensor<1> = scope.tensor(name, [channels]);
            let n = values.dims()[0];
            values.reshape([1, n, 1, 1])
        };
        Self {
            gamma: affine("weight"),
            beta: affine("bias"),
            groups,
            eps,
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let row = c / self.groups * h * w;
        let rows = x.reshape([b * self.groups, row]);
        let ones = Tensor::ones([row], &rows.device());
        layer_norm(rows, ones, None, self.eps)
            .reshape([b, c, h, w])
            .mul(self.gamma.clone())
            .add(self.beta.clone())
    }

    /// Scale and shift of each picture and channel, `[batch, channels, 1, 1]`: `x · scale + shift` is [`Self::forward`],
    /// on any part of `x`.
    pub fn affine_of(&self, x: &Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [b, c, h, w] = x.dims();
        let rows = x
            .clone()
            .reshape([b * self.groups, c / self.groups * h * w]);
        let mean = rows.clone().mean_dim(1);
        let centered = rows - mean.clone();
        let variance = (centered.clone() * centered).mean_dim(1);
        let spread = |per_group: Tensor<2>| {
            per_group
                .reshape([b, self.groups, 1])
                .repeat_dim(2, c / self.groups)
                .reshape([b, c, 1, 1])
        };
        let scale = spread((variance + self.eps).sqrt().recip()) * self.gamma.clone();
        let shift = self.beta.clone() - spread(mean) * scale.clone();
        (scale, shift)
    }

    /// Gradient with respect to the input `x`, given that of the output.
    pub fn backward(&self, x: Tensor<4>, gradient: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let rows = [b * self.groups, c / self.groups * h * w];
        let x = x.reshape(rows);
        let centered = x.clone() - x.mean_dim(1);
        let inverse = ((centered.clone() * centered.clone()).mean_dim(1) + self.eps)
            .sqrt()
            .recip();
        let normed = centered * inverse.clone();
        let gradient = (gradient * self.gamma.clone()).reshape(rows);
        let along = (gradient.clone() * normed.clone()).mean_dim(1);
        ((gradient.clone() - gradient.mean_dim(1) - normed * along) * inverse).reshape([b, c, h, w])
    }
}

/// Normalization of the last dimension (Ba et al. 2016).
pub(crate) struct LayerNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
}

impl LayerNorm {
    pub fn load(scope: &Scope, features: usize, eps: f64) -> Self {
        Self {
            gamma: scope.tensor("weight", [features]),
            beta: scope.tensor("bias", [features]),
            eps,
        }
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.gamma.clone(), Some(self.beta.clone()), self.eps)
    }
}

/// Softmax(q kᵀ / √d) v. Heads lie beside each other: `q` is `[batch, tokens, heads · d]`, `k` and `v` likewise with
/// tokens of their own; the result is laid out as `q`. `causal`: a token sees none after it.
pub(crate) fn attend(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    causal: bool,
) -> Tensor<3> {
    let [batch, queries, inner] = q.dims();
    let width = inner / heads;
    let device = q.device();
    if !causal && device == Device::flex() {
        let shape = host_attention::Shape {
            batch,
            heads,
            width,
            queries,
            keys: k.dims()[1],
        };
        let [q, k, v] = [&q, &k, &v].map(Tensor::to_data);
        if let (Ok(q), Ok(k), Ok(v)) = (q.as_slice(), k.as_slice(), v.as_slice()) {
            let out = host_attention::attention(q, k, v, shape);
            return Tensor::from_data(TensorData::new(out, [batch, queries, inner]), &device);
        }
    }
    let options = AttentionModuleOptions {
        is_causal: causal,
        ..Default::default()
    };
    let split = |x: Tensor<3>| {
        let tokens = x.dims()[1];
        x.reshape([batch, tokens, heads, width]).swap_dims(1, 2)
    };
    attention(split(q), split(k), split(v), None, None, options)
        .swap_dims(1, 2)
        .reshape([batch, queries, inner])
}

/// Scores held at once by [`attend_banded`] and [`attend_backward`], elements.
const SCORES: usize = 1 << 24;

/// Single-head [`attend`] of every token with every token, so many queries at a time that scores never take more than
/// 64 MiB. All `[batch, tokens, d]`.
pub(crate) fn attend_banded(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
    let tokens = q.dims()[1];
    let band = (SCORES / tokens.max(1)).max(1);
    if band >= tokens {
        return attend(q, k, v, 1, false);
    }
    let bands = (0..tokens).step_by(band).map(|first| {
        let q = q.clone().narrow(1, first, band.min(tokens - first));
        attend(q, k.clone(), v.clone(), 1, false)
    });
    Tensor::cat(bands.collect(), 1)
}

/// Gradients of [`attend_banded`] with respect to `q`, `k` and `v`, given that of its output.
pub(crate) fn attend_backward(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    gradient: Tensor<3>,
) -> [Tensor<3>; 3] {
    let [_, tokens, width] = q.dims();
    let scale = 1.0 / (width as f64).sqrt();
    let band = (SCORES / tokens.max(1)).max(1);
    let (mut d_k, mut d_v) = (k.zeros_like(), v.zeros_like());
    let mut d_q = Vec::new();
    for first in (0..tokens).step_by(band) {
        let count = band.min(tokens - first);
        let q = q.clone().narrow(1, first, count);
        let g = gradient.clone().narrow(1, first, count);
        let scores = q.clone().matmul(k.clone().swap_dims(1, 2)) * scale;
        let weights = activation::softmax(scores, 2);
        d_v = d_v + weights.clone().swap_dims(1, 2).matmul(g.clone());
        let d_weights = g.matmul(v.clone().swap_dims(1, 2));
        let along = (d_weights.clone() * weights.clone()).sum_dim(2);
        let d_scores = weights * (d_weights - along) * scale;
        d_q.push(d_scores.clone().matmul(k.clone()));
        d_k = d_k + d_scores.swap_dims(1, 2).matmul(q);
    }
    [Tensor::cat(d_q, 1), d_k, d_v]
}

/// Picture to tokens: `[batch, c, h, w]` → `[batch, h·w, c]`.
pub(crate) fn to_tokens(x: Tensor<4>) -> Tensor<3> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h * w]).swap_dims(1, 2)
}

/// Tokens to picture, the inverse of [`to_tokens`].
pub(crate) fn from_tokens(x: Tensor<3>, h: usize, w: usize) -> Tensor<4> {
    let [b, _, c] = x.dims();
    x.swap_dims(1, 2).reshape([b, c, h, w])
}

pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::silu(x)
}

/// Gradient with respect to the input `x` of [`silu`], given that of its output.
pub(crate) fn silu_backward<const D: usize>(x: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
    let gate = activation::sigmoid(x.clone());
    let slope = gate.clone() * ((gate * -1.0 + 1.0) * x + 1.0);
    gradient * slope
}
