//! The layers that all networks here are made of: plain structs of tensors over burn's functional operations, so that
//! names, shapes and precision stay those of the checkpoint and one forward pass runs on any device. Weights are never
//! trained here, so a backward pass is only the gradient with respect to a layer's input; it is written out where one is
//! needed, without a graph of the whole network.
//!
//! A layer's result has the type of its input. Where that is half precision, it is what is stored: products of matrices
//! add up in single precision, and norms, softmax, activations and residual sums are computed in it. Convolutions and
//! attention take single-precision copies where the device has no matrix units, because burn's portable kernels for them
//! add up in the type of their input. Attention writes its scores down, as many heads at a time as a limit allows: burn's
//! fused kernel has no place for the head widths of these models in the workgroup memory that Vulkan promises, and what
//! stands in for it there computes a hundred small bands.

use super::host_gemm::{COLUMNS, Panels, Places, Rows, StoredMatrix, multiply};
use super::host_tensor::{self, HostTensor};
use super::weights::Scope;
use super::{host_attention, host_norm};
use crate::gpu::has_matrix_units;
use burn::tensor::module::{layer_norm, linear};
use burn::tensor::{Bool, DType, Device, Tensor, activation};
use std::ops::Range;

/// Affine map of the last dimension.
pub(crate) struct Linear {
    weight: Matrix,
    bias: Option<Tensor<1>>,
}

enum Matrix {
    /// `[in, out]`: a transposed view of the checkpoint's `[out, in]`.
    Device(Tensor<2>),
    /// `[out, in]`.
    Host(Panels<COLUMNS>),
}

impl Linear {
    pub fn load(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        let size = [features_out, features_in];
        Self::from_stored(scope, size, &[&size], true)
    }

    pub fn load_without_bias(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        let size = [features_out, features_in];
        Self::from_stored(scope, size, &[&size], false)
    }

    /// A 1×1 convolution of the checkpoint, applied to tokens.
    pub fn load_pointwise(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        let size = [features_out, features_in];
        Self::from_stored(scope, size, &[&[features_out, features_in, 1, 1]], true)
    }

    /// Stored as a matrix, or as a 1×1 convolution as in the original latent-diffusion files.
    pub fn load_either(scope: &Scope, features_in: usize, features_out: usize) -> Self {
        let size = [features_out, features_in];
        let shapes: [&[usize]; 2] = [&size, &[features_out, features_in, 1, 1]];
        Self::from_stored(scope, size, &shapes, true)
    }

    fn from_stored(scope: &Scope, size: [usize; 2], stored: &[&[usize]], bias: bool) -> Self {
        let host = scope
            .on_host()
            .then(|| scope.matrix("weight", size, stored));
        Self {
            weight: match host {
                Some(matrix) => Matrix::packed(matrix, &scope.device()),
                None => Matrix::Device(scope.tensor_any("weight", size, stored).transpose()),
            },
            bias: bias.then(|| scope.tensor("bias", [size[0]])),
        }
    }

    /// One stored map split in two along its outputs: `(first half, second half)`.
    pub fn load_halves(scope: &Scope, features_in: usize, features_each: usize) -> (Self, Self) {
        let size = [2 * features_each, features_in];
        let bias: Tensor<1> = scope.tensor("bias", [size[0]]);
        // A stand-in for a missing tensor has nothing to split; the load fails later, with its name.
        let range = |i: usize, n: usize| {
            if n == size[0] {
                i * features_each..(i + 1) * features_each
            } else {
                0..n
            }
        };
        let bias = |i: usize| Some(bias.clone().slice(range(i, bias.dims()[0])));
        if scope.on_host() {
            let matrix = scope.matrix("weight", size, &[&size]);
            let half = |i: usize| Self {
                weight: Matrix::packed(
                    matrix.map(|matrix| matrix.narrow(range(i, size[0]))),
                    &scope.device(),
                ),
                bias: bias(i),
            };
            return (half(0), half(1));
        }
        let weight = scope.tensor("weight", size);
        let half = |i: usize| Self {
            weight: Matrix::Device(weight.clone().slice(range(i, weight.dims()[0])).transpose()),
            bias: bias(i),
        };
        (half(0), half(1))
    }

    /// `[…, in]` → `[…, out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.weight {
            Matrix::Device(weight) => self.forward_on_device(weight, x, None),
            Matrix::Host(weight) => self.forward_on_host(weight, &x, None),
        }
    }

    /// [`Self::forward`] plus `residual`.
    pub fn forward_onto<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        match &self.weight {
            Matrix::Device(weight) => self.forward_on_device(weight, x, Some(residual)),
            Matrix::Host(weight) => self.forward_on_host(weight, &x, Some(&residual)),
        }
    }

    fn forward_on_device<const D: usize>(
        &self,
        weight: &Tensor<2>,
        x: Tensor<D>,
        residual: Option<Tensor<D>>,
    ) -> Tensor<D> {
        let kept = x.dtype();
        let product = linear(x.cast(weight.dtype()), weight.clone(), None).cast(DType::F32);
        let out = match &self.bias {
            Some(bias) => product + bias.clone().unsqueeze(),
            None => product,
        };
        match residual {
            Some(residual) => (out + residual.cast(DType::F32)).cast(kept),
            None => out.cast(kept),
        }
    }

    fn forward_on_host<const D: usize>(
        &self,
        weight: &Panels<COLUMNS>,
        x: &Tensor<D>,
        residual: Option<&Tensor<D>>,
    ) -> Tensor<D> {
        let mut shape = x.dims();
        let (features, depth) = (weight.rows, weight.depth);
        let rows = shape.iter().product::<usize>() / depth.max(1);
        shape[D - 1] = features;
        let bias = self.bias.as_ref().map(HostTensor::of);
        let residual = residual.map(HostTensor::of);
        let mut out = vec![0.0; rows * features];
        host_norm::start(
            &mut out,
            features,
            bias.as_ref().map(HostTensor::values),
            residual.as_ref().map(HostTensor::values),
        );
        let values = HostTensor::of(x);
        let left = Rows {
            values: values.values(),
            depth,
        };
        let places = Places {
            first: 0,
            run: features,
            jump: 0,
            row: features,
        };
        multiply(&left, weight, [rows, features, depth], &mut out, places);
        host_tensor::tensor(out, shape)
    }

    /// Gradient with respect to the input, given that of the output.
    pub fn backward<const D: usize>(&self, gradient: Tensor<D>) -> Tensor<D> {
        let weight = match &self.weight {
            Matrix::Device(weight) => weight.clone().transpose().cast(gradient.dtype()),
            Matrix::Host(weight) => {
                host_tensor::tensor(weight.unpack(), [weight.rows, weight.depth])
            }
        };
        linear(gradient, weight, None)
    }
}

impl Matrix {
    /// A stand-in where there is no matrix to load.
    fn packed(matrix: Option<StoredMatrix>, device: &Device) -> Self {
        match matrix {
            Some(matrix) => Self::Host(Panels::pack(matrix)),
            None => Self::Device(Tensor::zeros([1, 1], device)),
        }
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
        if on_host(&x) {
            let (scale, shift) = self.host_affine_of(&x);
            let values = HostTensor::of(&x);
            let out = host_norm::scaled(values.values(), h * w, &scale, &shift);
            return host_tensor::tensor(out, [b, c, h, w]);
        }
        let kept = x.dtype();
        let (scale, shift) = self.affine_of(&x);
        (x.cast(DType::F32) * scale + shift).cast(kept)
    }

    /// Scale and shift of each picture and channel, `[batch, channels, 1, 1]`, single precision: `x · scale + shift` is [`Self::forward`],
    /// on any part of `x`.
    pub fn affine_of(&self, x: &Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [b, c, h, w] = x.dims();
        let rows = x
            .clone()
            .cast(DType::F32)
            .reshape([b * self.groups, c / self.groups * h, w]);
        let mean = mean_of_rows(rows.clone());
        let centered = rows - mean.clone();
        let variance = mean_of_rows(centered.clone() * centered);
        let spread = |per_group: Tensor<3>| {
            per_group
                .reshape([b, self.groups, 1])
                .repeat_dim(2, c / self.groups)
                .reshape([b, c, 1, 1])
        };
        let scale = spread((variance + self.eps).sqrt().recip()) * self.gamma.clone();
        let shift = self.beta.clone() - spread(mean) * scale.clone();
        (scale, shift)
    }

    /// [`Self::affine_of`] for a tensor of the CPU backend, `[batch · channels]` each.
    pub fn host_affine_of(&self, x: &Tensor<4>) -> (Vec<f32>, Vec<f32>) {
        let [_, c, h, w] = x.dims();
        let channels = c / self.groups;
        let values = HostTensor::of(x);
        let (gamma, beta) = (HostTensor::of(&self.gamma), HostTensor::of(&self.beta));
        let moments = host_norm::moments(values.values(), channels * h * w, self.eps);
        let affine = gamma.values().iter().zip(beta.values());
        let affine = moments.iter().enumerate().flat_map(|(group, moments)| {
            let first = group % self.groups * channels;
            let channels = affine.clone().skip(first).take(channels);
            channels.map(|(gamma, beta)| {
                let scale = gamma * moments.1;
                (scale, beta - moments.0 * scale)
            })
        });
        affine.unzip()
    }

    /// [`to_tokens`] of [`Self::forward`].
    pub fn forward_tokens(&self, x: &Tensor<4>) -> Tensor<3> {
        if !on_host(x) {
            return to_tokens(self.forward(x.clone()));
        }
        let [b, c, h, w] = x.dims();
        let (scale, shift) = self.host_affine_of(x);
        let values = HostTensor::of(x);
        let tokens = host_norm::tokens(values.values(), [c, h * w], &scale, &shift);
        host_tensor::tensor(tokens, [b, h * w, c])
    }

    /// Gradient with respect to the input `x`, given that of the output.
    pub fn backward(&self, x: Tensor<4>, gradient: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let rows = [b * self.groups, c / self.groups * h, w];
        let x = x.reshape(rows);
        let centered = x.clone() - mean_of_rows(x);
        let inverse = (mean_of_rows(centered.clone() * centered.clone()) + self.eps)
            .sqrt()
            .recip();
        let normed = centered * inverse.clone();
        let gradient = (gradient * self.gamma.clone()).reshape(rows);
        let along = mean_of_rows(gradient.clone() * normed.clone());
        let mean = mean_of_rows(gradient.clone());
        ((gradient - mean - normed * along) * inverse).reshape([b, c, h, w])
    }
}

/// Means of `[rows, …, …]`, `[rows, 1, 1]`. One dimension after the other: Mesa's software adapter ends a kernel's loop after
/// 65535 turns, and a group of a picture's channels has more pixels.
fn mean_of_rows(x: Tensor<3>) -> Tensor<3> {
    x.mean_dim(2).mean_dim(1)
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
        if on_host(&x) {
            let [values, beta] = [HostTensor::of(&x), HostTensor::of(&self.beta)];
            let gamma = HostTensor::of(&self.gamma);
            let (gamma, beta) = (gamma.values(), beta.values());
            let out = host_norm::layer_norm(values.values(), gamma, beta, self.eps);
            return host_tensor::tensor(out, x.dims());
        }
        let kept = x.dtype();
        let x = x.cast(DType::F32);
        layer_norm(x, self.gamma.clone(), Some(self.beta.clone()), self.eps).cast(kept)
    }
}

/// Softmax(q kᵀ / √d) v. Heads lie beside each other: `q` is `[batch, tokens, heads · d]`, `k` and `v` likewise with
/// tokens of their own; the result is laid out as `q`. `causal`: a token sees none after it. Where a device writes `scores`
/// down, no more than so many at a time: of several heads, or where one has more, of a part of its queries.
pub(crate) fn attend(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    causal: bool,
    scores: usize,
) -> Tensor<3> {
    let [batch, queries, inner] = q.dims();
    let width = inner / heads;
    if !causal && on_host(&q) {
        let shape = host_attention::Shape {
            batch,
            heads,
            width,
            queries,
            keys: k.dims()[1],
        };
        let [q, k, v] = [&q, &k, &v].map(HostTensor::of);
        let out = host_attention::attention(q.values(), k.values(), v.values(), shape);
        return host_tensor::tensor(out, [batch, queries, inner]);
    }
    let kept = q.dtype();
    // burn's portable kernels add up in the type that they are given.
    let factors = match has_matrix_units(&q.device()) {
        true => kept,
        false => DType::F32,
    };
    // `[batch · heads, tokens, width]`.
    let by_head = |x: Tensor<3>| {
        let tokens = x.dims()[1];
        x.cast(factors)
            .reshape([batch, tokens, heads, width])
            .swap_dims(1, 2)
            .reshape([batch * heads, tokens, width])
    };
    let scale = 1.0 / (width as f64).sqrt();
    let (q, k, v) = (by_head(q) * scale, by_head(k), by_head(v));
    let keys = k.dims()[1];
    let of = |which: Range<usize>, rows: Range<usize>| {
        let [k, v] = [&k, &v].map(|x| x.clone().slice([which.clone()]));
        let q = q.clone().slice([which, rows]);
        let mut scores = q.matmul(k.swap_dims(1, 2)).cast(DType::F32);
        if causal {
            let unseen = Tensor::<2, Bool>::tril_mask([queries, keys], 0, &scores.device());
            let unseen = unseen.unsqueeze::<3>().expand(scores.dims());
            scores = scores.mask_fill(unseen, f32::NEG_INFINITY);
        }
        activation::softmax(scores, 2).cast(factors).matmul(v)
    };
    let all = batch * heads;
    let at_once = (scores / (queries * keys).max(1)).min(all);
    let rows = if causal {
        queries
    } else {
        scores / keys.max(1)
    };
    let parts: Vec<Tensor<3>> = if at_once >= all {
        vec![of(0..all, 0..queries)]
    } else if at_once > 0 {
        let bands = bands(all, at_once).map(|which| of(which, 0..queries));
        bands.collect()
    } else {
        let of_one = |head| {
            let bands = bands(queries, rows).map(|rows| of(head..head + 1, rows));
            Tensor::cat(bands.collect(), 1)
        };
        (0..all).map(of_one).collect()
    };
    Tensor::cat(parts, 0)
        .reshape([batch, heads, queries, width])
        .swap_dims(1, 2)
        .reshape([batch, queries, inner])
        .cast(kept)
}

/// `0..count` in parts of `size`, at least 1.
fn bands(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let size = size.max(1);
    (0..count)
        .step_by(size)
        .map(move |first| first..(first + size).min(count))
}

/// Scores that [`attend_backward`] holds at once, elements.
const BACKWARD_SCORES: usize = 1 << 24;

/// Gradients of single-head [`attend`] with respect to `q`, `k` and `v`, given that of its output.
pub(crate) fn attend_backward(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    gradient: Tensor<3>,
) -> [Tensor<3>; 3] {
    let [_, tokens, width] = q.dims();
    let scale = 1.0 / (width as f64).sqrt();
    let band = (BACKWARD_SCORES / tokens.max(1)).max(1);
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

/// [`from_tokens`], plus the picture `x`.
pub(crate) fn add_tokens(x: Tensor<4>, tokens: Tensor<3>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    if !on_host(&x) {
        return from_tokens(tokens, h, w) + x;
    }
    let [values, tokens] = [HostTensor::of(&x), HostTensor::of(&tokens)];
    let out = host_norm::add_tokens(values.values(), tokens.values(), [c, h * w]);
    host_tensor::tensor(out, [b, c, h, w])
}

/// `hidden` · GELU(`gate`).
pub(crate) fn gated(hidden: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    if !on_host(&hidden) {
        return in_single(gate, |gate| {
            hidden.cast(DType::F32) * activation::gelu(gate)
        });
    }
    let shape = hidden.dims();
    let [hidden, gate] = [HostTensor::of(&hidden), HostTensor::of(&gate)];
    host_tensor::tensor(host_norm::gated(hidden.values(), gate.values()), shape)
}

/// Whether `x` lives on the CPU backend.
fn on_host<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == Device::flex()
}

/// `f` computed in single precision; the result has the type of `x`.
pub(crate) fn in_single<const D: usize>(
    x: Tensor<D>,
    f: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    let kept = x.dtype();
    f(x.cast(DType::F32)).cast(kept)
}

pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    in_single(x, activation::silu)
}

/// Gradient with respect to the input `x` of [`silu`], given that of its output.
pub(crate) fn silu_backward<const D: usize>(x: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
    let gate = activation::sigmoid(x.clone());
    let slope = gate.clone() * ((gate * -1.0 + 1.0) * x + 1.0);
    gradient * slope
}
