//! The layers that all networks here are made of: plain structs of tensors over burn's functional operations, so that
//! names, shapes and precision stay those of the checkpoint and one forward pass runs on any device.

use super::host_attention;
use super::weights::Scope;
use burn::tensor::module::{attention, conv2d, layer_norm, linear};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Tensor, TensorData, activation};

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

    fn with_options(
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
