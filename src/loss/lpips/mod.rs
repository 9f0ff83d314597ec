//! LPIPS (Zhang et al. 2018, version 0.1): how alike two pictures look to a classifier. Features of five to seven depths
//! are normalized over channels, their squared differences weighted by learned heads, averaged over the picture and summed.
//! As a loss it pulls a render towards an edited picture without punishing the small shifts in which two edits of one
//! thing differ. One implementation serves training (with the gradient) and measurement.
//!
//! The heads (20 KB, BSD-2-Clause) are bundled. The classifiers are torchvision's files, hundreds of megabytes under terms
//! of their own: they are found where torch keeps them, or named by the person, never bundled.

mod backbone;
mod find;

pub use backbone::LpipsNet;
pub use find::{Found, find_backbone};

use crate::diffusion::weights::{Scope, Weights};
use crate::{Error, Result};
use backbone::Backbone;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use std::path::Path;

static HEADS: &[u8] = include_bytes!("../../../assets/lpips/heads_v0.1.safetensors");

/// What keeps the normalization of features from dividing by zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Epsilon {
    /// f / √(1e-8 + Σ f²): torchmetrics, and so Instruct-NeRF2NeRF. Smooth at features that are all zero.
    #[default]
    Inside,
    /// f / (√(Σ f²) + 1e-10): the lpips package, and so published numbers.
    Outside,
}

/// Per channel, of inputs in [−1, 1].
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// A loaded LPIPS network.
pub struct Lpips {
    net: LpipsNet,
    backbone: Backbone,
    /// `[1, channels, 1, 1]` of each tap.
    heads: Vec<Tensor<4>>,
    /// `[1, 3, 1, 1]`.
    shift: Tensor<4>,
    scale: Tensor<4>,
    hash: String,
}

impl Lpips {
    /// # Errors
    /// When `backbone` is no weight file of that classifier, naming what is wrong.
    pub fn load(net: LpipsNet, backbone: &Path, device: &Device) -> Result<Self> {
        let weights = Weights::open_file(backbone, device)?;
        let root = Scope::root(&weights);
        for name in net.unused() {
            root.ignore(&format!("{name}.weight"));
            root.ignore(&format!("{name}.bias"));
        }
        let features = Backbone::load(net, &root);
        let hash = weights.finish()?;
        let channel = |values: [f32; 3]| {
            Tensor::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), device)
        };
        Ok(Self {
            net,
            backbone: features,
            heads: heads(net, device)?,
            shift: channel(SHIFT),
            scale: channel(SCALE),
            hash,
        })
    }

    pub fn net(&self) -> LpipsNet {
        self.net
    }

    /// Identifies the classifier's weights.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Distance of each pair of pictures, `[batch, 3, H, W]` in [−1, 1] → `[batch]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when shapes differ or a side is shorter than [`LpipsNet::least_side`].
    pub fn distance(&self, a: Tensor<4>, b: Tensor<4>, epsilon: Epsilon) -> Result<Tensor<1>> {
        Ok(self.per_tap(a, b, epsilon)?.sum_dim(1).squeeze_dim(1))
    }

    /// What each tap adds to [`Self::distance`], `[batch, taps]`.
    ///
    /// # Errors
    /// As [`Self::distance`].
    pub fn per_tap(&self, a: Tensor<4>, b: Tensor<4>, epsilon: Epsilon) -> Result<Tensor<2>> {
        self.check(&a, &b)?;
        let features = |x| self.backbone.forward(self.whiten(x), false).taps;
        let taps = features(a).into_iter().zip(features(b)).zip(&self.heads);
        let parts = taps.map(|((a, b), head)| {
            let difference = normalize(&a, epsilon).0 - normalize(&b, epsilon).0;
            weighted_mean(difference, head)
        });
        Ok(Tensor::cat(parts.collect(), 1))
    }

    /// The features that are compared, `[batch, channels, h, w]` each.
    ///
    /// # Errors
    /// As [`Self::distance`].
    pub fn features(&self, picture: Tensor<4>) -> Result<Vec<Tensor<4>>> {
        self.check(&picture, &picture)?;
        Ok(self.backbone.forward(self.whiten(picture), false).taps)
    }

    /// [`Self::distance`], and the gradient of its sum with respect to `a`.
    ///
    /// # Errors
    /// As [`Self::distance`].
    pub fn distance_and_gradient(
        &self,
        a: Tensor<4>,
        b: Tensor<4>,
        epsilon: Epsilon,
    ) -> Result<(Tensor<1>, Tensor<4>)> {
        self.check(&a, &b)?;
        let target = self.backbone.forward(self.whiten(b), false).taps;
        let features = self.backbone.forward(self.whiten(a), true);
        let (mut parts, mut d_taps) = (Vec::new(), Vec::new());
        for ((f, t), head) in features.taps.iter().zip(target).zip(&self.heads) {
            let [_, _, h, w] = f.dims();
            let (unit, norm) = normalize(f, epsilon);
            let difference = unit - normalize(&t, epsilon).0;
            let d_unit = difference.clone() * head.clone() * (2.0 / (h * w) as f64);
            parts.push(weighted_mean(difference, head));
            d_taps.push(normalize_backward(f, norm, d_unit, epsilon));
        }
        let d_white = self
            .backbone
            .backward(features, d_taps)
            .ok_or_else(|| Error::invalid("the classifier has no layers"))?;
        let distance = Tensor::cat(parts, 1).sum_dim(1).squeeze_dim(1);
        Ok((distance, d_white / self.scale.clone()))
    }

    fn whiten(&self, picture: Tensor<4>) -> Tensor<4> {
        (picture - self.shift.clone()) / self.scale.clone()
    }

    fn check(&self, a: &Tensor<4>, b: &Tensor<4>) -> Result<()> {
        let least = self.net.least_side();
        let [_, channels, h, w] = a.dims();
        if a.dims() != b.dims() || channels != 3 {
            return Err(Error::invalid(format!(
                "LPIPS compares RGB pictures of one size, not {:?} and {:?}",
                a.dims(),
                b.dims()
            )));
        }
        if h.min(w) < least {
            return Err(Error::invalid(format!(
                "LPIPS ({}) needs pictures of at least {least}×{least} pixels, not {w}×{h}",
                self.net.as_str()
            )));
        }
        Ok(())
    }
}

/// Unit features, and the norm they were divided by (`[batch, 1, h, w]`).
fn normalize(f: &Tensor<4>, epsilon: Epsilon) -> (Tensor<4>, Tensor<4>) {
    let squares = (f.clone() * f.clone()).sum_dim(1);
    let norm = match epsilon {
        Epsilon::Inside => (squares + 1e-8).sqrt(),
        Epsilon::Outside => squares.sqrt() + 1e-10,
    };
    (f.clone() / norm.clone(), norm)
}

/// Gradient with respect to `f` of [`normalize`], given that of the unit features. Where all features are zero, the norm's
/// own slope is taken for zero.
fn normalize_backward(
    f: &Tensor<4>,
    norm: Tensor<4>,
    d_unit: Tensor<4>,
    epsilon: Epsilon,
) -> Tensor<4> {
    let along = (f.clone() * d_unit.clone()).sum_dim(1);
    let length = match epsilon {
        Epsilon::Inside => norm.clone(),
        Epsilon::Outside => (norm.clone() - 1e-10).clamp_min(1e-20),
    };
    let unit_along = f.clone() / norm.clone() * (along / (norm.clone() * length));
    d_unit / norm - unit_along
}

/// Weighted by channel, averaged over the picture: `[batch, channels, h, w]` → `[batch, 1]`.
fn weighted_mean(difference: Tensor<4>, head: &Tensor<4>) -> Tensor<2> {
    let batch = difference.dims()[0];
    let weighted = (difference.clone() * difference * head.clone()).sum_dim(1);
    // One dimension after the other: Mesa's software adapter ends a kernel's loop after 65535 turns.
    weighted.mean_dim(3).mean_dim(2).reshape([batch, 1])
}

fn heads(net: LpipsNet, device: &Device) -> Result<Vec<Tensor<4>>> {
    let damaged = |e: &dyn std::fmt::Display| {
        Error::Invalid(format!("the bundled LPIPS heads are damaged: {e}"))
    };
    let file = SafeTensors::deserialize(HEADS).map_err(|e| damaged(&e))?;
    net.channels()
        .iter()
        .enumerate()
        .map(|(tap, &channels)| {
            let name = format!("{}.lin{tap}.weight", net.as_str());
            let view = file.tensor(&name).map_err(|e| damaged(&e))?;
            let values: Vec<f32> = view
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            if values.len() != channels {
                return Err(damaged(&format!("{name} has {} values", values.len())));
            }
            let data = TensorData::new(values, [1, channels, 1, 1]);
            Ok(Tensor::from_data(data, device))
        })
        .collect()
}
