//! The three classifiers whose features LPIPS compares, as torchvision defines and names them: AlexNet ("one weird trick"),
//! VGG16, SqueezeNet 1.1. Only `features` is run. The backward pass is that of the input alone.

use crate::diffusion::{conv::Conv2d, weights::Scope};
use burn::tensor::module::{max_pool2d_with_indices, max_pool2d_with_indices_backward};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Int, Tensor};

/// Which classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LpipsNet {
    Alex,
    Vgg,
    Squeeze,
}

impl LpipsNet {
    /// Prefix of the linear heads' names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alex => "alex",
            Self::Vgg => "vgg",
            Self::Squeeze => "squeeze",
        }
    }

    /// File that torchvision downloads, without its ending.
    pub fn file_stem(self) -> &'static str {
        match self {
            Self::Alex => "alexnet-owt-7be5be79",
            Self::Vgg => "vgg16-397923af",
            Self::Squeeze => "squeezenet1_1-b8a52dc0",
        }
    }

    /// Channels of the compared features.
    pub fn channels(self) -> &'static [usize] {
        match self {
            Self::Alex => &[64, 192, 384, 256, 256],
            Self::Vgg => &[64, 128, 256, 512, 512],
            Self::Squeeze => &[64, 128, 256, 384, 384, 512, 512],
        }
    }

    /// Shortest side of a picture that leaves a pixel of every feature.
    pub fn least_side(self) -> usize {
        match self {
            Self::Alex => 31,
            Self::Vgg => 16,
            Self::Squeeze => 17,
        }
    }

    /// Tensors of the classifier behind the features, which are not read.
    pub fn unused(self) -> &'static [&'static str] {
        match self {
            Self::Alex => &["classifier.1", "classifier.4", "classifier.6"],
            Self::Vgg => &["classifier.0", "classifier.3", "classifier.6"],
            Self::Squeeze => &["classifier.1"],
        }
    }
}

/// Convolution and ReLU.
struct Conv(Conv2d);

impl Conv {
    fn load(scope: &Scope, channels: [usize; 2], kernel: usize, stride: usize, pad: usize) -> Self {
        let options = ConvOptions::new([stride, stride], [pad, pad], [1, 1], 1);
        Self(Conv2d::with_options(
            scope,
            channels[0],
            channels[1],
            kernel,
            options,
        ))
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        burn::tensor::activation::relu(self.0.forward(x))
    }

    /// `output`: of [`Self::forward`], for an input of `size`.
    fn backward(&self, output: Tensor<4>, gradient: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let blocked = output.lower_equal_elem(0.0);
        self.0.backward(gradient.mask_fill(blocked, 0.0), size)
    }
}

enum Layer {
    Conv(Conv),
    /// SqueezeNet's: 1×1, then 1×1 and 3×3 beside each other.
    Fire {
        squeeze: Conv,
        expand1: Conv,
        expand3: Conv,
    },
    Pool {
        kernel: usize,
        ceil: bool,
    },
    /// The features here are compared.
    Tap,
}

/// What a layer leaves for its backward pass.
enum Kept {
    Conv {
        size: [usize; 2],
        output: Tensor<4>,
    },
    Fire {
        squeezed: Tensor<4>,
        output: Tensor<4>,
    },
    Pool {
        input: Tensor<4>,
        indices: Tensor<4, Int>,
    },
    Tap,
}

/// A classifier's features.
pub(super) struct Backbone {
    layers: Vec<Layer>,
}

/// Features of one batch, and what their backward pass needs.
pub(super) struct Features {
    pub taps: Vec<Tensor<4>>,
    kept: Vec<Kept>,
}

fn size(x: &Tensor<4>) -> [usize; 2] {
    let [_, _, h, w] = x.dims();
    [h, w]
}

impl Backbone {
    pub fn load(net: LpipsNet, root: &Scope) -> Self {
        let scope = |index: usize| root.at("features").at(index);
        let conv = |index: usize, from: usize, to: usize| {
            Layer::Conv(Conv::load(&scope(index), [from, to], 3, 1, 1))
        };
        let layers = match net {
            LpipsNet::Alex => {
                let pool = || Layer::Pool {
                    kernel: 3,
                    ceil: false,
                };
                vec![
                    Layer::Conv(Conv::load(&scope(0), [3, 64], 11, 4, 2)),
                    Layer::Tap,
                    pool(),
                    Layer::Conv(Conv::load(&scope(3), [64, 192], 5, 1, 2)),
                    Layer::Tap,
                    pool(),
                    conv(6, 192, 384),
                    Layer::Tap,
                    conv(8, 384, 256),
                    Layer::Tap,
                    conv(10, 256, 256),
                    Layer::Tap,
                ]
            }
            LpipsNet::Vgg => {
                let mut layers = Vec::new();
                let (mut index, mut from) = (0, 3);
                for (block, &(width, count)) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]
                    .iter()
                    .enumerate()
                {
                    if block > 0 {
                        layers.push(Layer::Pool {
                            kernel: 2,
                            ceil: false,
                        });
                        index += 1;
                    }
                    for _ in 0..count {
                        layers.push(conv(index, from, width));
                        from = width;
                        index += 2;
                    }
                    layers.push(Layer::Tap);
                }
                layers
            }
            LpipsNet::Squeeze => {
                let pool = || Layer::Pool {
                    kernel: 3,
                    ceil: true,
                };
                let fire = |index: usize, from: usize, inner: usize, half: usize| {
                    let scope = scope(index);
                    let load = |name: &str, channels: [usize; 2], kernel: usize| {
                        Conv::load(&scope.at(name), channels, kernel, 1, kernel / 2)
                    };
                    Layer::Fire {
                        squeeze: load("squeeze", [from, inner], 1),
                        expand1: load("expand1x1", [inner, half], 1),
                        expand3: load("expand3x3", [inner, half], 3),
                    }
                };
                vec![
                    Layer::Conv(Conv::load(&scope(0), [3, 64], 3, 2, 0)),
                    Layer::Tap,
                    pool(),
                    fire(3, 64, 16, 64),
                    fire(4, 128, 16, 64),
                    Layer::Tap,
                    pool(),
                    fire(6, 128, 32, 128),
                    fire(7, 256, 32, 128),
                    Layer::Tap,
                    pool(),
                    fire(9, 256, 48, 192),
                    Layer::Tap,
                    fire(10, 384, 48, 192),
                    Layer::Tap,
                    fire(11, 384, 64, 256),
                    Layer::Tap,
                    fire(12, 512, 64, 256),
                    Layer::Tap,
                ]
            }
        };
        Self { layers }
    }

    /// `keep` what a backward pass needs.
    pub fn forward(&self, mut x: Tensor<4>, keep: bool) -> Features {
        let (mut taps, mut kept) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let left = match layer {
                Layer::Conv(conv) => {
                    let size = size(&x);
                    x = conv.forward(x);
                    Kept::Conv {
                        size,
                        output: x.clone(),
                    }
                }
                Layer::Fire {
                    squeeze,
                    expand1,
                    expand3,
                } => {
                    let squeezed = squeeze.forward(x);
                    let halves = [expand1, expand3].map(|conv| conv.forward(squeezed.clone()));
                    x = Tensor::cat(halves.to_vec(), 1);
                    Kept::Fire {
                        squeezed,
                        output: x.clone(),
                    }
                }
                Layer::Pool { kernel, ceil } => {
                    let options = MaxPoolOptions::new([*kernel, *kernel])
                        .with_stride([2, 2])
                        .with_ceil_mode(*ceil);
                    let (pooled, indices) = max_pool2d_with_indices(x.clone(), options);
                    let input = std::mem::replace(&mut x, pooled);
                    Kept::Pool { input, indices }
                }
                Layer::Tap => {
                    taps.push(x.clone());
                    Kept::Tap
                }
            };
            if keep {
                kept.push(left);
            }
        }
        Features { taps, kept }
    }

    /// Gradient with respect to the input, given that of every tap. `features` were kept.
    pub fn backward(&self, features: Features, mut d_taps: Vec<Tensor<4>>) -> Option<Tensor<4>> {
        let mut gradient: Option<Tensor<4>> = None;
        for (layer, kept) in self.layers.iter().zip(features.kept).rev() {
            gradient = match (layer, kept, gradient) {
                (Layer::Tap, Kept::Tap, None) => d_taps.pop(),
                (Layer::Tap, Kept::Tap, Some(later)) => d_taps.pop().map(|here| here + later),
                (Layer::Conv(conv), Kept::Conv { size, output }, Some(gradient)) => {
                    Some(conv.backward(output, gradient, size))
                }
                (
                    Layer::Fire {
                        squeeze,
                        expand1,
                        expand3,
                    },
                    Kept::Fire { squeezed, output },
                    Some(gradient),
                ) => {
                    let inner = size(&squeezed);
                    let half = output.dims()[1] / 2;
                    let part = |conv: &Conv, first: usize| {
                        conv.backward(
                            output.clone().narrow(1, first, half),
                            gradient.clone().narrow(1, first, half),
                            inner,
                        )
                    };
                    let d_squeezed = part(expand1, 0) + part(expand3, half);
                    Some(squeeze.backward(squeezed, d_squeezed, inner))
                }
                (Layer::Pool { kernel, ceil }, Kept::Pool { input, indices }, Some(gradient)) => {
                    Some(max_pool2d_with_indices_backward(
                        input,
                        [*kernel, *kernel],
                        [2, 2],
                        [0, 0],
                        [1, 1],
                        *ceil,
                        gradient,
                        indices,
                    ))
                }
                _ => None,
            };
        }
        gradient
    }
}
