//! Convolution on any device: burn's, or on the CPU backend one of our own ([`super::host_conv`]), which takes a fraction
//! of the time, because weights are packed on load and nothing is rearranged in passes of its own.

use super::host_conv::{Input, Window, convolve};
use super::host_gemm::{Panels, ROWS};
use super::host_tensor::{self, HostTensor};
use super::layers::{GroupNorm, silu};
use super::weights::Scope;
use crate::gpu::has_matrix_units;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, PadMode};
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// Zeros before and after the rows, and the columns.
type Padding = [(usize, usize); 2];

/// Square convolution.
pub(crate) struct Conv2d {
    weight: Weight,
    bias: Tensor<1>,
    /// `[out, in, kernel, kernel]`.
    shape: [usize; 4],
    options: ConvOptions<2>,
    /// Half-precision factors for matrix units.
    on_units: bool,
}

/// Matrix units take blocks of this many channels; burn's kernels for fewer add up in the type of their input.
const BLOCK: usize = 32;

enum Weight {
    Device(Tensor<4>),
    /// `[out, in · kernel · kernel]`.
    Host(Panels<ROWS>),
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

    /// `options` of one group, without dilation.
    pub fn with_options(
        scope: &Scope,
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        options: ConvOptions<2>,
    ) -> Self {
        let shape = [channels_out, channels_in, kernel, kernel];
        let host = scope.on_host().then(|| {
            let size = [channels_out, channels_in * kernel * kernel];
            scope.matrix("weight", size, &[&shape])
        });
        let weight = match host {
            Some(matrix) => match matrix {
                Some(matrix) => Weight::Host(Panels::pack(matrix)),
                None => Weight::Device(Tensor::zeros([1; 4], &scope.device())),
            },
            None => Weight::Device(scope.tensor("weight", shape)),
        };
        let on_units = scope.stored() == DType::F16 && has_matrix_units(&scope.device());
        let weight = match weight {
            Weight::Device(weight) if on_units => Weight::Device(in_blocks(weight)),
            weight => weight,
        };
        Self {
            weight,
            bias: scope.tensor("bias", [channels_out]),
            on_units,
            shape,
            options,
        }
    }

    /// `[batch, in, h, w]` → `[batch, out, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_padded(x, self.options.padding)
    }

    /// [`Self::forward`] with other zeros around the picture.
    fn forward_padded(&self, x: Tensor<4>, padding: Padding) -> Tensor<4> {
        match &self.weight {
            Weight::Device(weight) => {
                let options = ConvOptions {
                    padding,
                    ..self.options.clone()
                };
                let kept = x.dtype();
                if self.on_units {
                    let bias = self.bias.clone().reshape([1, self.shape[0], 1, 1]);
                    let x = with_channels(x.cast(DType::F16), weight.dims()[1]);
                    let out = conv2d(x, weight.clone(), None, options);
                    return (out.narrow(1, 0, self.shape[0]).cast(DType::F32) + bias).cast(kept);
                }
                // burn's portable kernel adds up in the type of its input.
                let weight = weight.clone().cast(DType::F32);
                let bias = Some(self.bias.clone());
                conv2d(x.cast(DType::F32), weight, bias, options).cast(kept)
            }
            Weight::Host(weight) => self.forward_on_host(weight, &x, padding, None, None),
        }
    }

    /// [`Self::forward`] of SiLU of `norm` of `x`, plus `added`: a tensor like the result, or of one pixel a channel,
    /// `[batch or 1, out, 1, 1]`.
    pub fn forward_normed(
        &self,
        norm: &GroupNorm,
        x: &Tensor<4>,
        added: Option<Tensor<4>>,
    ) -> Tensor<4> {
        if let Weight::Host(weight) = &self.weight {
            let padding = self.options.padding;
            return self.forward_on_host(weight, x, padding, Some(norm), added.as_ref());
        }
        let kept = x.dtype();
        let out = self.forward(silu(norm.forward(x.clone().cast(DType::F32))));
        match added {
            Some(added) => (out + added.cast(DType::F32)).cast(kept),
            None => out.cast(kept),
        }
    }

    fn forward_on_host(
        &self,
        weight: &Panels<ROWS>,
        x: &Tensor<4>,
        padding: Padding,
        norm: Option<&GroupNorm>,
        added: Option<&Tensor<4>>,
    ) -> Tensor<4> {
        let window = Window {
            side: self.shape[2],
            stride: self.options.stride,
            padding,
        };
        let shape = x.dims();
        let [batch, _, h, w] = shape;
        let [rows, columns] = window.output([h, w]);
        let channels = self.shape[0];
        let bias = HostTensor::of(&self.bias);
        let out_shape = [batch, channels, rows, columns];
        let whole = added.is_some_and(|added| added.dims() == out_shape);
        let added = added.map(HostTensor::of);
        let added = added.as_ref().map(HostTensor::values);
        let mut out = vec![0.0; batch * channels * rows * columns];
        out.par_chunks_mut((rows * columns).max(1))
            .enumerate()
            .for_each(|(plane, out)| {
                let bias = bias.values()[plane % channels];
                match added {
                    Some(added) if whole => {
                        let added = &added[plane * out.len()..][..out.len()];
                        for (to, added) in out.iter_mut().zip(added) {
                            *to = added + bias;
                        }
                    }
                    Some(added) => out.fill(bias + added[plane % added.len()]),
                    None => out.fill(bias),
                }
            });
        let affine = norm.map(|norm| norm.host_affine_of(x));
        let values = HostTensor::of(x);
        let input = Input {
            values: values.values(),
            shape,
            normed: affine
                .as_ref()
                .map(|(scale, shift)| (scale.as_slice(), shift.as_slice())),
        };
        convolve(weight, window, input, &mut out);
        host_tensor::tensor(out, out_shape)
    }

    /// [`Self::forward`] on an input of `height` rows, at most `pixels` of the result at a time. `rows` gives the asked
    /// rows of the input; each band asks for those that its windows reach, so that the result is that of one pass.
    pub fn forward_banded(
        &self,
        [height, width]: [usize; 2],
        pixels: usize,
        rows: &dyn Fn(Range<usize>) -> Tensor<4>,
    ) -> Tensor<4> {
        let kernel = self.shape[2];
        let [stride, _] = self.options.stride;
        let [(above, below), sides] = self.options.padding;
        let total = (height + above + below - kernel) / stride + 1;
        let band = (pixels / (width / self.options.stride[1]).max(1)).max(1);
        let bands = (0..total).step_by(band).map(|first| {
            let last = (first + band).min(total);
            let (start, end) = (first * stride, (last - 1) * stride + kernel);
            let inside = start.max(above) - above..(end - above).min(height);
            let beyond = (above.saturating_sub(start), end - above - inside.end);
            self.forward_padded(rows(inside), [beyond, sides])
        });
        Tensor::cat(bands.collect(), 2)
    }

    /// Gradient with respect to an input of `size` (height, width), given that of the output.
    pub fn backward(&self, gradient: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let kernel = self.shape[2];
        let [rows, columns] = self.options.padding;
        let weight = match &self.weight {
            Weight::Device(weight) => weight
                .clone()
                .narrow(0, 0, self.shape[0])
                .narrow(1, 0, self.shape[1])
                .cast(gradient.dtype()),
            Weight::Host(weight) => host_tensor::tensor(weight.unpack(), self.shape),
        };
        if self.options.stride == [1, 1] && rows.0 == rows.1 && rows == columns {
            // A correlation with the mirrored kernel: the same quick path as forward.
            let mirrored = weight.flip([2, 3]).swap_dims(0, 1);
            let padding = kernel - 1 - rows.0;
            let Weight::Host(_) = &self.weight else {
                return conv2d(
                    gradient,
                    mirrored,
                    None,
                    ConvOptions::new([1, 1], [padding, padding], [1, 1], 1),
                );
            };
            let [channels, depth, _, _] = mirrored.dims();
            let mirrored = HostTensor::of(&mirrored);
            let panels = Panels::from_f32(mirrored.values(), channels, depth * kernel * kernel);
            let window = Window {
                side: kernel,
                stride: [1, 1],
                padding: [(padding, padding); 2],
            };
            let shape = gradient.dims();
            let [h, w] = window.output([shape[2], shape[3]]);
            let mut out = vec![0.0; shape[0] * channels * h * w];
            let values = HostTensor::of(&gradient);
            let input = Input {
                values: values.values(),
                shape,
                normed: None,
            };
            convolve(&panels, window, input, &mut out);
            return host_tensor::tensor(out, [shape[0], channels, h, w]);
        }
        let whole = conv_transpose2d(
            gradient,
            weight,
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

/// A kernel with zeros in place of the channels that a block of matrix units has beyond its own.
fn in_blocks(weight: Tensor<4>) -> Tensor<4> {
    let [out, channels, rows, columns] = weight.dims();
    let whole = with_channels(weight, channels.next_multiple_of(BLOCK));
    let missing = out.next_multiple_of(BLOCK) - out;
    if missing == 0 {
        return whole;
    }
    let shape = [missing, channels.next_multiple_of(BLOCK), rows, columns];
    let zeros = Tensor::zeros(shape, (&whole.device(), whole.dtype()));
    Tensor::cat(vec![whole, zeros], 0)
}

/// `x` with zeros up to so many channels.
fn with_channels(x: Tensor<4>, channels: usize) -> Tensor<4> {
    let [batch, given, rows, columns] = x.dims();
    if given == channels {
        return x;
    }
    let shape = [batch, channels - given, rows, columns];
    let zeros = Tensor::zeros(shape, (&x.device(), x.dtype()));
    Tensor::cat(vec![x, zeros], 1)
}
