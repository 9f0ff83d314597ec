//! The autoencoder (diffusers' `AutoencoderKL`) between pictures and latents. Encoding gives a Gaussian; callers take
//! its mode (the condition) or a sample with noise of their own (what is edited). Sides that the factor does not divide
//! are floored.
//!
//! A large picture is worked on in bands: convolutions, which need many times their input's memory, run over some rows at
//! a time, with the neighbouring rows that their windows reach, while normalization sees the whole picture. Unlike tiles
//! that run through the whole network by themselves, bands give the result of one pass: there are no seams to blend.

use super::budget::{Cut, Place, Walk};
use super::config::Config;
use super::conv::Conv2d;
use super::host_simd::on_workers;
use super::layers::GroupNorm;
use super::resnet::{ResnetBlock, ResnetConfig, Upsample};
use super::unet::WEIGHTS;
use super::vae_stages::{Chain, PixelAttention, Stage};
use super::weights::{Precision, Scope, Weights};
use crate::Result;
use burn::tensor::{DType, Device, Tensor};
use serde_json::json;
use std::path::Path;

const EPS: f64 = 1e-6;

/// The autoencoder of a model folder's `vae/`.
pub struct Vae {
    encoder: Chain,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: Chain,
    band_pixels: usize,
    factor: usize,
    latent_channels: usize,
    scaling_factor: f64,
    shape: Shape,
    stored: DType,
    on_host: bool,
    hash: String,
}

/// Bounds of the logarithm of the posterior's variance.
const LOGVAR_RANGE: (f64, f64) = (-30.0, 20.0);

/// Diagonal Gaussian over latents, `[batch, latent channels, h, w]`.
pub struct Posterior {
    pub mean: Tensor<4>,
    /// Clamped to [−30, 20].
    pub logvar: Tensor<4>,
}

impl Posterior {
    pub fn mode(self) -> Tensor<4> {
        self.mean
    }

    /// mean + std · `noise`, for standard normal `noise`.
    pub fn sample(self, noise: Tensor<4>) -> Tensor<4> {
        self.mean + (self.logvar * 0.5).exp() * noise
    }
}

/// Told the output of each block by its checkpoint name.
pub type Trace<'a> = &'a mut dyn FnMut(&str, &Tensor<4>);

impl Vae {
    /// # Errors
    /// An unreadable or unsupported `config.json`; missing, unknown or misshapen tensors.
    pub fn load(folder: &Path, precision: Precision, device: &Device) -> Result<Self> {
        let config = Config::read(&folder.join("config.json"))?;
        let weights = Weights::open(folder, WEIGHTS, precision, device)?;
        Self::build(&config, weights)
    }

    /// # Errors
    /// An unsupported config; missing, unknown or misshapen tensors.
    pub(crate) fn build(config: &Config, weights: Weights) -> Result<Self> {
        let widths = config.usizes("block_out_channels")?;
        let levels = widths.len();
        for (key, block) in [
            ("down_block_types", "DownEncoderBlock2D"),
            ("up_block_types", "UpDecoderBlock2D"),
        ] {
            let kinds = config.strings(key)?;
            if kinds.len() != levels || kinds.iter().any(|kind| kind != block) {
                return Err(config.unsupported(key, &format!("{levels} × {block}")));
            }
        }
        if !matches!(config.str_or("act_fn", "silu")?, "silu" | "swish") {
            return Err(config.unsupported("act_fn", "silu"));
        }
        config.require("shift_factor", &json!(0))?;
        config.require("latents_mean", &json!(null))?;
        config.require("latents_std", &json!(null))?;
        config.require("in_channels", &json!(3))?;
        config.require("out_channels", &json!(3))?;
        let depth = config.usize_or("layers_per_block", 1)?;
        let groups = config.usize_or("norm_num_groups", 32)?;
        if widths.iter().any(|width| !width.is_multiple_of(groups)) {
            return Err(
                config.unsupported("norm_num_groups", "a divisor of all block_out_channels")
            );
        }
        let latent_channels = config.usize_or("latent_channels", 4)?;
        let attention = config.bool_or("mid_block_add_attention", true)?;
        let shape = Shape {
            widths,
            depth,
            groups,
            latent_channels,
            attention,
        };

        let root = Scope::root(&weights);
        let conv = |key: &str, name: &str, channels: usize| -> Result<Option<Conv2d>> {
            Ok(config
                .bool_or(key, true)?
                .then(|| Conv2d::load(&root.at(name), channels, channels, 1)))
        };
        let vae = Self {
            encoder: encoder(&root.at("encoder"), &shape),
            quant_conv: conv("use_quant_conv", "quant_conv", 2 * latent_channels)?,
            post_quant_conv: conv("use_post_quant_conv", "post_quant_conv", latent_channels)?,
            decoder: decoder(&root.at("decoder"), &shape),
            // Convolutions of the CPU backend work in bands of their own.
            band_pixels: if root.on_host() {
                usize::MAX
            } else {
                root.cut().band
            },
            factor: 1 << (levels - 1),
            latent_channels,
            scaling_factor: config.f64_or("scaling_factor", 0.18215)?,
            shape,
            stored: root.stored(),
            on_host: root.on_host(),
            hash: String::new(),
        };
        let hash = weights.finish()?;
        Ok(Self { hash, ..vae })
    }

    /// Picture pixels a latent pixel, along each side.
    pub fn factor(&self) -> usize {
        self.factor
    }

    pub fn latent_channels(&self) -> usize {
        self.latent_channels
    }

    /// What latents are multiplied with before the UNet sees them.
    pub fn scaling_factor(&self) -> f64 {
        self.scaling_factor
    }

    /// Convolve at most this many pixels at a time: less memory, the same result.
    pub fn set_band_pixels(&mut self, pixels: usize) {
        self.band_pixels = pixels.max(1);
    }

    /// Bytes beside the weights of [`Self::encode`] or [`Self::decode`] of one picture of `size` (height, width).
    pub(crate) fn working_bytes(&self, size: [usize; 2], place: Place, cut: Cut) -> u64 {
        let widths = &self.shape.widths;
        let area = |level: usize| (size[0] >> level).max(1) * (size[1] >> level).max(1);
        let mut walk = Walk::new(1, place, cut);
        walk.conv(3, widths[0], area(0));
        // The decoder is the larger half: it passes every level with the width of the one below.
        let last = widths.len() - 1;
        if self.shape.attention {
            walk.attention(1, widths[last], 1, area(last));
        }
        let mut from = widths[last];
        for level in (0..=last).rev() {
            let width = widths[level];
            walk.resnet(from, width, area(level));
            walk.resnet(width, width, area(level));
            if level > 0 {
                // Enlarged, then convolved.
                walk.conv(width + width / 4, width, area(level - 1));
            }
            from = width;
        }
        walk.finish()
    }

    /// Identifies the weights.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Picture `[batch, 3, H, W]` in [−1, 1] → Gaussian over `[batch, latent channels, H / factor, W / factor]`.
    /// Sides must be at least [`Self::factor`].
    pub fn encode(&self, picture: Tensor<4>) -> Posterior {
        on_workers(self.on_host, || self.encode_with(picture, None))
    }

    /// [`Self::encode`], watched.
    pub fn encode_traced(&self, picture: Tensor<4>, trace: Trace) -> Posterior {
        self.encode_with(picture, Some(trace))
    }

    fn encode_with(&self, picture: Tensor<4>, mut trace: Option<Trace>) -> Posterior {
        let mut moments = self.encoder.forward(
            picture.cast(self.stored),
            self.band_pixels,
            trace.as_mut().map(|trace| &mut **trace as Trace),
        );
        if let Some(conv) = &self.quant_conv {
            moments = conv.forward(moments);
            if let Some(trace) = trace {
                trace("quant_conv", &moments);
            }
        }
        self.posterior(moments)
    }

    fn posterior(&self, moments: Tensor<4>) -> Posterior {
        let n = self.latent_channels;
        let moments = moments.cast(DType::F32);
        Posterior {
            mean: moments.clone().narrow(1, 0, n),
            logvar: moments
                .narrow(1, n, n)
                .clamp(LOGVAR_RANGE.0, LOGVAR_RANGE.1),
        }
    }

    /// [`Self::encode`], kept so that a gradient can be taken back to the picture.
    pub fn encode_kept(&self, picture: Tensor<4>) -> (Posterior, KeptEncoding<'_>) {
        let (hidden, inputs) = self.encoder.forward_kept(picture.cast(self.stored));
        let size = [hidden.dims()[2], hidden.dims()[3]];
        let moments = match &self.quant_conv {
            Some(conv) => conv.forward(hidden),
            None => hidden,
        };
        let kept = KeptEncoding {
            vae: self,
            inputs,
            raw_logvar: moments.clone().cast(DType::F32).narrow(
                1,
                self.latent_channels,
                self.latent_channels,
            ),
            size,
        };
        (self.posterior(moments), kept)
    }

    /// Unscaled latents `[batch, latent channels, h, w]` → picture `[batch, 3, factor·h, factor·w]`, about [−1, 1].
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        on_workers(self.on_host, || self.decode_with(latents, None))
    }

    /// [`Self::decode`], watched.
    pub fn decode_traced(&self, latents: Tensor<4>, trace: Trace) -> Tensor<4> {
        self.decode_with(latents, Some(trace))
    }

    fn decode_with(&self, latents: Tensor<4>, mut trace: Option<Trace>) -> Tensor<4> {
        let mut x = latents.cast(self.stored);
        if let Some(conv) = &self.post_quant_conv {
            x = conv.forward(x);
            if let Some(trace) = &mut trace {
                trace("post_quant_conv", &x);
            }
        }
        let picture = self.decoder.forward(x, self.band_pixels, trace);
        picture.cast(DType::F32)
    }
}

/// What an encoding leaves for its backward pass: the input of every block.
pub struct KeptEncoding<'a> {
    vae: &'a Vae,
    inputs: Vec<Tensor<4>>,
    /// `[batch, latent channels, h, w]`, before clamping.
    raw_logvar: Tensor<4>,
    size: [usize; 2],
}

impl KeptEncoding<'_> {
    /// Gradient with respect to the picture (`[batch, 3, H, W]`, of values in [−1, 1]), given that of
    /// [`Posterior::sample`] with `noise`.
    pub fn backward(self, d_sample: Tensor<4>, noise: Tensor<4>) -> Tensor<4> {
        let Self {
            vae,
            inputs,
            raw_logvar,
            size,
        } = self;
        let (low, high) = LOGVAR_RANGE;
        let std = (raw_logvar.clone().clamp(low, high) * 0.5).exp();
        let beyond = raw_logvar
            .clone()
            .lower_elem(low)
            .bool_or(raw_logvar.greater_elem(high));
        let d_logvar = (d_sample.clone() * noise * std * 0.5).mask_fill(beyond, 0.0);
        let mut gradient = Tensor::cat(vec![d_sample, d_logvar], 1);
        if let Some(conv) = &vae.quant_conv {
            gradient = conv.backward(gradient, size);
        }
        vae.encoder.backward(inputs, gradient)
    }
}

struct Shape {
    widths: Vec<usize>,
    depth: usize,
    groups: usize,
    latent_channels: usize,
    attention: bool,
}

impl Shape {
    fn resnet(&self) -> ResnetConfig {
        ResnetConfig {
            groups: self.groups,
            eps: EPS,
            time_features: None,
        }
    }

    fn norm(&self, scope: &Scope, channels: usize) -> GroupNorm {
        GroupNorm::load(scope, channels, self.groups, EPS)
    }

    fn last(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }
}

fn encoder(scope: &Scope, shape: &Shape) -> Chain {
    let levels = shape.widths.len();
    let mut chain = Chain::new("encoder");
    let conv_in = Conv2d::load(&scope.at("conv_in"), 3, shape.widths[0], 3);
    chain.push(Stage::Conv(conv_in)).tell("conv_in");
    let mut from = shape.widths[0];
    for (level, &width) in shape.widths.iter().enumerate() {
        let scope = scope.at("down_blocks").at(level);
        resnets(&mut chain, &scope, shape, shape.depth, from, width);
        from = width;
        if level + 1 < levels {
            let down = Conv2d::load_downsample(&scope.at("downsamplers.0.conv"), width, 0);
            chain.push(Stage::Conv(down));
        }
        chain.tell(&format!("down_blocks.{level}"));
    }
    mid(&mut chain, &scope.at("mid_block"), shape);
    let norm = shape.norm(&scope.at("conv_norm_out"), shape.last());
    let channels = 2 * shape.latent_channels;
    let conv = Conv2d::load(&scope.at("conv_out"), shape.last(), channels, 3);
    chain.push(Stage::NormedConv(norm, conv)).tell("conv_out");
    chain
}

fn decoder(scope: &Scope, shape: &Shape) -> Chain {
    let levels = shape.widths.len();
    let mut chain = Chain::new("decoder");
    let conv_in = Conv2d::load(&scope.at("conv_in"), shape.latent_channels, shape.last(), 3);
    chain.push(Stage::Conv(conv_in)).tell("conv_in");
    mid(&mut chain, &scope.at("mid_block"), shape);
    let mut from = shape.last();
    for (level, &width) in shape.widths.iter().rev().enumerate() {
        let scope = scope.at("up_blocks").at(level);
        resnets(&mut chain, &scope, shape, shape.depth + 1, from, width);
        from = width;
        if level + 1 < levels {
            let up = Upsample::load(&scope.at("upsamplers.0"), width);
            chain.push(Stage::Double(up));
        }
        chain.tell(&format!("up_blocks.{level}"));
    }
    let norm = shape.norm(&scope.at("conv_norm_out"), shape.widths[0]);
    let conv = Conv2d::load(&scope.at("conv_out"), shape.widths[0], 3, 3);
    chain.push(Stage::NormedConv(norm, conv)).tell("conv_out");
    chain
}

fn resnets(
    chain: &mut Chain,
    scope: &Scope,
    shape: &Shape,
    depth: usize,
    from: usize,
    width: usize,
) {
    for i in 0..depth {
        let channels_in = if i == 0 { from } else { width };
        let scope = scope.at("resnets").at(i);
        let block = ResnetBlock::load(&scope, channels_in, width, shape.resnet());
        chain.push(Stage::Resnet(block));
    }
}

fn mid(chain: &mut Chain, scope: &Scope, shape: &Shape) {
    let width = shape.last();
    let resnet =
        |i: usize| ResnetBlock::load(&scope.at("resnets").at(i), width, width, shape.resnet());
    chain.push(Stage::Resnet(resnet(0)));
    if shape.attention {
        let scope = scope.at("attentions.0");
        let norm = shape.norm(&scope.at("group_norm"), width);
        let attention = PixelAttention::load(&scope, norm, width);
        chain
            .push(Stage::Attention(attention))
            .tell("mid_block.attentions.0");
    }
    chain.push(Stage::Resnet(resnet(1))).tell("mid_block");
}
