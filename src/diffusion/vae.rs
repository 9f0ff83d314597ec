//! The autoencoder (diffusers' `AutoencoderKL`) between pictures and latents. Encoding gives a Gaussian; callers take
//! its mode (the condition) or a sample with noise of their own (what is edited). Sides that the factor does not divide
//! are floored.

use super::config::Config;
use super::layers::{Conv2d, GroupNorm, Linear, attend, from_tokens, silu, to_tokens};
use super::resnet::{ResnetBlock, ResnetConfig, Upsample};
use super::unet::WEIGHTS;
use super::weights::{Precision, Scope, Weights};
use crate::Result;
use burn::tensor::{Device, Tensor};
use serde_json::json;
use std::path::Path;

const EPS: f64 = 1e-6;

/// The autoencoder of a model folder's `vae/`.
pub struct Vae {
    encoder: Encoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: Decoder,
    factor: usize,
    latent_channels: usize,
    scaling_factor: f64,
    hash: String,
}

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
            encoder: Encoder::load(&root.at("encoder"), &shape),
            quant_conv: conv("use_quant_conv", "quant_conv", 2 * latent_channels)?,
            post_quant_conv: conv("use_post_quant_conv", "post_quant_conv", latent_channels)?,
            decoder: Decoder::load(&root.at("decoder"), &shape),
            factor: 1 << (levels - 1),
            latent_channels,
            scaling_factor: config.f64_or("scaling_factor", 0.18215)?,
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

    /// Identifies the weights.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Picture `[batch, 3, H, W]` in [−1, 1] → Gaussian over `[batch, latent channels, H / factor, W / factor]`.
    /// Sides must be at least [`Self::factor`].
    pub fn encode(&self, picture: Tensor<4>) -> Posterior {
        self.encode_traced(picture, &mut |_, _| {})
    }

    /// [`Self::encode`], watched.
    pub fn encode_traced(&self, picture: Tensor<4>, trace: Trace) -> Posterior {
        let mut moments = self.encoder.forward(picture, trace);
        if let Some(conv) = &self.quant_conv {
            moments = conv.forward(moments);
            trace("quant_conv", &moments);
        }
        let n = self.latent_channels;
        Posterior {
            mean: moments.clone().narrow(1, 0, n),
            logvar: moments.narrow(1, n, n).clamp(-30.0, 20.0),
        }
    }

    /// Unscaled latents `[batch, latent channels, h, w]` → picture `[batch, 3, factor·h, factor·w]`, about [−1, 1].
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decode_traced(latents, &mut |_, _| {})
    }

    /// [`Self::decode`], watched.
    pub fn decode_traced(&self, latents: Tensor<4>, trace: Trace) -> Tensor<4> {
        let mut x = latents;
        if let Some(conv) = &self.post_quant_conv {
            x = conv.forward(x);
            trace("post_quant_conv", &x);
        }
        self.decoder.forward(x, trace)
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

struct Encoder {
    conv_in: Conv2d,
    blocks: Vec<(Vec<ResnetBlock>, Option<Conv2d>)>,
    mid: Mid,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    fn load(scope: &Scope, shape: &Shape) -> Self {
        let levels = shape.widths.len();
        let mut from = shape.widths[0];
        let blocks = shape.widths.iter().enumerate().map(|(level, &width)| {
            let scope = scope.at("down_blocks").at(level);
            let resnets = resnets(&scope, shape, shape.depth, from, width);
            from = width;
            let down = (level + 1 < levels)
                .then(|| Conv2d::load_downsample(&scope.at("downsamplers.0.conv"), width, 0));
            (resnets, down)
        });
        Self {
            conv_in: Conv2d::load(&scope.at("conv_in"), 3, shape.widths[0], 3),
            blocks: blocks.collect(),
            mid: Mid::load(&scope.at("mid_block"), shape),
            norm_out: shape.norm(&scope.at("conv_norm_out"), shape.last()),
            conv_out: Conv2d::load(
                &scope.at("conv_out"),
                shape.last(),
                2 * shape.latent_channels,
                3,
            ),
        }
    }

    fn forward(&self, picture: Tensor<4>, trace: Trace) -> Tensor<4> {
        let mut x = self.conv_in.forward(picture);
        trace("encoder.conv_in", &x);
        for (level, (resnets, down)) in self.blocks.iter().enumerate() {
            for resnet in resnets {
                x = resnet.forward(x, None);
            }
            if let Some(down) = down {
                x = down.forward(x);
            }
            trace(&format!("encoder.down_blocks.{level}"), &x);
        }
        x = self.mid.forward(x, "encoder", trace);
        x = self.norm_out.forward(x);
        trace("encoder.conv_norm_out", &x);
        x = self.conv_out.forward(silu(x));
        trace("encoder.conv_out", &x);
        x
    }
}

struct Decoder {
    conv_in: Conv2d,
    mid: Mid,
    blocks: Vec<(Vec<ResnetBlock>, Option<Upsample>)>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    fn load(scope: &Scope, shape: &Shape) -> Self {
        let levels = shape.widths.len();
        let mut from = shape.last();
        let blocks = shape
            .widths
            .iter()
            .rev()
            .enumerate()
            .map(|(level, &width)| {
                let scope = scope.at("up_blocks").at(level);
                let resnets = resnets(&scope, shape, shape.depth + 1, from, width);
                from = width;
                let up =
                    (level + 1 < levels).then(|| Upsample::load(&scope.at("upsamplers.0"), width));
                (resnets, up)
            });
        Self {
            conv_in: Conv2d::load(&scope.at("conv_in"), shape.latent_channels, shape.last(), 3),
            mid: Mid::load(&scope.at("mid_block"), shape),
            blocks: blocks.collect(),
            norm_out: shape.norm(&scope.at("conv_norm_out"), shape.widths[0]),
            conv_out: Conv2d::load(&scope.at("conv_out"), shape.widths[0], 3, 3),
        }
    }

    fn forward(&self, latents: Tensor<4>, trace: Trace) -> Tensor<4> {
        let mut x = self.conv_in.forward(latents);
        trace("decoder.conv_in", &x);
        x = self.mid.forward(x, "decoder", trace);
        for (level, (resnets, up)) in self.blocks.iter().enumerate() {
            for resnet in resnets {
                x = resnet.forward(x, None);
            }
            if let Some(up) = up {
                let [_, _, h, w] = x.dims();
                x = up.forward(x, [2 * h, 2 * w]);
            }
            trace(&format!("decoder.up_blocks.{level}"), &x);
        }
        x = self.norm_out.forward(x);
        trace("decoder.conv_norm_out", &x);
        self.conv_out.forward(silu(x))
    }
}

fn resnets(
    scope: &Scope,
    shape: &Shape,
    depth: usize,
    from: usize,
    width: usize,
) -> Vec<ResnetBlock> {
    (0..depth)
        .map(|i| {
            let channels_in = if i == 0 { from } else { width };
            ResnetBlock::load(
                &scope.at("resnets").at(i),
                channels_in,
                width,
                shape.resnet(),
            )
        })
        .collect()
}

struct Mid {
    first: ResnetBlock,
    attention: Option<PixelAttention>,
    second: ResnetBlock,
}

impl Mid {
    fn load(scope: &Scope, shape: &Shape) -> Self {
        let width = shape.last();
        let resnet =
            |i: usize| ResnetBlock::load(&scope.at("resnets").at(i), width, width, shape.resnet());
        Self {
            first: resnet(0),
            attention: shape
                .attention
                .then(|| PixelAttention::load(&scope.at("attentions.0"), shape)),
            second: resnet(1),
        }
    }

    fn forward(&self, x: Tensor<4>, part: &str, trace: Trace) -> Tensor<4> {
        let mut x = self.first.forward(x, None);
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
            trace(&format!("{part}.mid_block.attentions.0"), &x);
        }
        x = self.second.forward(x, None);
        trace(&format!("{part}.mid_block"), &x);
        x
    }
}

/// Single-head self-attention between pixels, with biases and residual.
struct PixelAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl PixelAttention {
    /// Checkpoints from before diffusers 0.18 name the four maps `query`, `key`, `value`, `proj_attn`.
    fn load(scope: &Scope, shape: &Shape) -> Self {
        let width = shape.last();
        let project = |name: &str, legacy: &str| {
            let name = if scope.has(&format!("{legacy}.weight")) {
                legacy
            } else {
                name
            };
            Linear::load_either(&scope.at(name), width, width)
        };
        Self {
            norm: shape.norm(&scope.at("group_norm"), width),
            query: project("to_q", "query"),
            key: project("to_k", "key"),
            value: project("to_v", "value"),
            out: project("to_out.0", "proj_attn"),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let tokens = to_tokens(self.norm.forward(x.clone()));
        let project = |layer: &Linear| layer.forward(tokens.clone());
        let (q, k, v) = (
            project(&self.query),
            project(&self.key),
            project(&self.value),
        );
        let attended = attend(q, k, v, 1, false);
        from_tokens(self.out.forward(attended), h, w) + x
    }
}
