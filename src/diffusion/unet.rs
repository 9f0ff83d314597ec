//! The denoiser (diffusers' `UNet2DConditionModel`), of any width, depth and head count that its `config.json` names.
//! InstructPix2Pix' own is Stable Diffusion 1.5's with eight input channels: noisy latents and the latents of the
//! picture to edit.

use super::budget::{Cut, Place, Walk};
use super::config::Config;
use super::conv::Conv2d;
use super::host_simd::on_workers;
use super::layers::{GroupNorm, Linear, silu};
use super::resnet::{ResnetBlock, ResnetConfig, Upsample};
use super::transformer::{PromptKeys, SpatialTransformer, TransformerConfig};
use super::vae::Trace;
use super::weights::{Precision, Scope, Weights};
use crate::{Error, Result};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::json;
use std::path::Path;

/// Name of the weights' file, without its ending.
pub(crate) const WEIGHTS: &str = "diffusion_pytorch_model";

/// The denoiser of a model folder's `unet/`.
pub struct UNet {
    time: TimeEmbedding,
    conv_in: Conv2d,
    down: Vec<DownBlock>,
    mid: MidBlock,
    up: Vec<UpBlock>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    in_channels: usize,
    out_channels: usize,
    prompt_features: usize,
    shape: UNetShape,
    stored: DType,
    on_host: bool,
    hash: String,
}

impl UNet {
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
        let shape = UNetShape::read(config)?;
        let root = Scope::root(&weights);
        let levels = shape.widths.len();
        let time_features = shape.time.features;
        let resnet = ResnetConfig {
            groups: shape.groups,
            eps: shape.eps,
            time_features: Some(time_features),
        };
        let mut loader = LayerLoader { resnet, next: 0 };
        let last = levels - 1;

        let mut from = shape.widths[0];
        let down = (0..levels)
            .map(|level| {
                let width = shape.widths[level];
                let scope = root.at("down_blocks").at(level);
                let block = DownBlock {
                    layers: (0..shape.depths[level])
                        .map(|i| {
                            let channels_in = if i == 0 { from } else { width };
                            let config = shape.transformer(level, shape.transformer_depths[level]);
                            loader.load(&scope, i, channels_in, config, shape.down_attends[level])
                        })
                        .collect(),
                    downsample: (level < last).then(|| {
                        let scope = scope.at("downsamplers.0.conv");
                        Conv2d::load_downsample(&scope, width, shape.downsample_padding)
                    }),
                };
                from = width;
                block
            })
            .collect();

        let scope = root.at("mid_block");
        let width = shape.widths[last];
        let mid = MidBlock {
            first: ResnetBlock::load(&scope.at("resnets.0"), width, width, resnet),
            transformer: SpatialTransformer::load(
                &scope.at("attentions.0"),
                shape.transformer(last, shape.transformer_depths[last]),
                &mut loader.next,
            ),
            second: ResnetBlock::load(&scope.at("resnets.1"), width, width, resnet),
        };

        let mut from = width;
        let up = (0..levels)
            .map(|i| {
                let level = last - i;
                let width = shape.widths[level];
                let below = shape.widths[level.saturating_sub(1)];
                let scope = root.at("up_blocks").at(i);
                let depth = shape.depths[level] + 1;
                let block = UpBlock {
                    layers: (0..depth)
                        .map(|j| {
                            let hidden = if j == 0 { from } else { width };
                            let skip = if j + 1 == depth { below } else { width };
                            let config = shape.transformer(level, shape.up_transformer_depths[i]);
                            loader.load(&scope, j, hidden + skip, config, shape.up_attends[i])
                        })
                        .collect(),
                    upsample: (i < last).then(|| Upsample::load(&scope.at("upsamplers.0"), width)),
                };
                from = width;
                block
            })
            .collect();

        let first = shape.widths[0];
        let unet = Self {
            time: TimeEmbedding::load(&root.at("time_embedding"), &shape.time),
            conv_in: Conv2d::load(
                &root.at("conv_in"),
                shape.in_channels,
                first,
                shape.kernel_in,
            ),
            down,
            mid,
            up,
            norm_out: GroupNorm::load(&root.at("conv_norm_out"), first, shape.groups, shape.eps),
            conv_out: Conv2d::load(
                &root.at("conv_out"),
                first,
                shape.out_channels,
                shape.kernel_out,
            ),
            in_channels: shape.in_channels,
            out_channels: shape.out_channels,
            prompt_features: shape.prompt_features[0],
            shape: UNetShape::read(config)?,
            stored: root.stored(),
            on_host: root.on_host(),
            hash: String::new(),
        };
        if shape
            .prompt_features
            .iter()
            .any(|&n| n != unet.prompt_features)
        {
            return Err(config.unsupported("cross_attention_dim", "the same width in all blocks"));
        }
        let hash = weights.finish()?;
        Ok(Self { hash, ..unet })
    }

    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Width of the text embeddings.
    pub fn prompt_features(&self) -> usize {
        self.prompt_features
    }

    /// Identifies the weights.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Bytes beside the weights of a [`Self::forward`] of `batch` latents of `size` (height, width), and of the keys of
    /// prompts of so many `tokens`.
    pub(crate) fn working_bytes(
        &self,
        batch: usize,
        size: [usize; 2],
        tokens: usize,
        place: Place,
        cut: Cut,
    ) -> u64 {
        let shape = &self.shape;
        let last = shape.widths.len() - 1;
        let area = |level: usize| (size[0] >> level).max(1) * (size[1] >> level).max(1);
        let mut walk = Walk::new(
            batch,
            place,
            Cut {
                band: usize::MAX,
                ..cut
            },
        );
        for (level, (&depth, &width)) in shape.depths.iter().zip(&shape.widths).enumerate() {
            let blocks = shape.transformer_depths[level];
            let below = if level == last { blocks } else { 0 };
            let down = if shape.down_attends[level] {
                depth * blocks
            } else {
                0
            };
            let up = match shape.up_attends[last - level] {
                true => (depth + 1) * shape.up_transformer_depths[last - level],
                false => 0,
            };
            walk.keep(2 * width * (down + below + up), tokens);
        }
        let mut skips = vec![(shape.widths[0], area(0))];
        walk.conv(shape.in_channels, shape.widths[0], area(0));
        walk.keep(shape.widths[0], area(0));
        let mut from = shape.widths[0];
        for (level, &width) in shape.widths.iter().enumerate() {
            let area_here = area(level);
            for _ in 0..shape.depths[level] {
                walk.resnet(from, width, area_here);
                if shape.down_attends[level] {
                    walk.transformer(width, shape.heads[level], area_here);
                }
                walk.keep(width, area_here);
                skips.push((width, area_here));
                from = width;
            }
            if level < last {
                walk.conv(width, width, area(level + 1));
                walk.keep(width, area(level + 1));
                skips.push((width, area(level + 1)));
            }
        }
        walk.resnet(from, from, area(last));
        walk.transformer(from, shape.heads[last], area(last));
        for (i, &attends) in shape.up_attends.iter().enumerate() {
            let level = last - i;
            let width = shape.widths[level];
            for _ in 0..=shape.depths[level] {
                let (skip, area_here) = skips.pop().unwrap_or((width, area(level)));
                // The picture so far, and both joined.
                walk.conv(from, from + skip, area_here);
                walk.release(skip, area_here);
                walk.resnet(from + skip, width, area_here);
                if attends {
                    walk.transformer(width, shape.heads[level], area_here);
                }
                from = width;
            }
            if level > 0 {
                walk.conv(width, 2 * width, area(level - 1));
            }
        }
        walk.finish()
    }

    /// Keys and values of text embeddings `[batch, tokens, features]`, for any number of [`Self::forward`] calls.
    pub fn prompt_keys(&self, prompt: &Tensor<3>) -> PromptKeys {
        let mut layers = Vec::new();
        let prompt = &prompt.clone().cast(self.stored);
        let down = self.down.iter().flat_map(|block| &block.layers);
        let up = self.up.iter().flat_map(|block| &block.layers);
        let transformers = down
            .filter_map(|layer| layer.transformer.as_ref())
            .chain([&self.mid.transformer])
            .chain(up.filter_map(|layer| layer.transformer.as_ref()));
        for transformer in transformers {
            transformer.prompt_keys(prompt, &mut layers);
        }
        PromptKeys { layers }
    }

    /// The sinusoids of `timesteps`, `[batch, first width]`.
    pub fn timestep_embedding(&self, timesteps: &[f32], device: &Device) -> Tensor<2> {
        self.time.sinusoids(timesteps, device)
    }

    /// The learned embedding of `timesteps`, `[batch, features]`.
    pub fn time_embedding(&self, timesteps: &[f32], device: &Device) -> Tensor<2> {
        self.time.forward(timesteps, device)
    }

    /// Prediction `[batch, out channels, h, w]` for `sample` `[batch, in channels, h, w]`. `timesteps`: one, or one a
    /// batch element; fractions are allowed.
    pub fn forward(&self, sample: Tensor<4>, timesteps: &[f32], prompt: &PromptKeys) -> Tensor<4> {
        let run = || self.forward_traced(sample, timesteps, prompt, &mut |_, _| {});
        on_workers(self.on_host, run)
    }

    /// [`Self::forward`], watched.
    pub fn forward_traced(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        prompt: &PromptKeys,
        trace: Trace,
    ) -> Tensor<4> {
        let time = silu(self.time.forward(timesteps, &sample.device()));
        let mut x = self.conv_in.forward(sample.cast(self.stored));
        trace("conv_in", &x);
        let mut skips = vec![x.clone()];
        for (i, block) in self.down.iter().enumerate() {
            for (j, layer) in block.layers.iter().enumerate() {
                x = layer.forward(x, &time, prompt, &format!("down_blocks.{i}"), j, trace);
                skips.push(x.clone());
            }
            if let Some(conv) = &block.downsample {
                x = conv.forward(x);
                trace(&format!("down_blocks.{i}.downsamplers.0"), &x);
                skips.push(x.clone());
            }
            trace(&format!("down_blocks.{i}"), &x);
        }
        x = self.mid.first.forward(x, Some(&time));
        x = self.mid.transformer.forward(x, prompt);
        x = self.mid.second.forward(x, Some(&time));
        trace("mid_block", &x);
        for (i, block) in self.up.iter().enumerate() {
            for (j, layer) in block.layers.iter().enumerate() {
                let joined = match skips.pop() {
                    Some(skip) => Tensor::cat(vec![x, skip], 1),
                    None => x,
                };
                x = layer.forward(joined, &time, prompt, &format!("up_blocks.{i}"), j, trace);
            }
            if let (Some(up), Some(skip)) = (&block.upsample, skips.last()) {
                let [_, _, h, w] = skip.dims();
                x = up.forward(x, [h, w]);
            }
            trace(&format!("up_blocks.{i}"), &x);
        }
        x = self.norm_out.forward(x.cast(DType::F32));
        trace("conv_norm_out", &x);
        self.conv_out.forward(silu(x))
    }
}

/// A residual block and the transformer after it.
struct UNetLayer {
    resnet: ResnetBlock,
    transformer: Option<SpatialTransformer>,
}

impl UNetLayer {
    fn forward(
        &self,
        x: Tensor<4>,
        time: &Tensor<2>,
        prompt: &PromptKeys,
        block: &str,
        index: usize,
        trace: Trace,
    ) -> Tensor<4> {
        let x = self.resnet.forward(x, Some(time));
        trace(&format!("{block}.resnets.{index}"), &x);
        match &self.transformer {
            Some(transformer) => {
                let x = transformer.forward(x, prompt);
                trace(&format!("{block}.attentions.{index}"), &x);
                x
            }
            None => x,
        }
    }
}

struct DownBlock {
    layers: Vec<UNetLayer>,
    downsample: Option<Conv2d>,
}

struct MidBlock {
    first: ResnetBlock,
    transformer: SpatialTransformer,
    second: ResnetBlock,
}

struct UpBlock {
    layers: Vec<UNetLayer>,
    upsample: Option<Upsample>,
}

struct TimeShape {
    /// Sinusoids.
    inputs: usize,
    features: usize,
    cos_first: bool,
    freq_shift: f64,
}

/// Sinusoids (Vaswani et al. 2017), linear, SiLU, linear.
struct TimeEmbedding {
    inputs: usize,
    cos_first: bool,
    freq_shift: f64,
    linear1: Linear,
    linear2: Linear,
}

impl TimeEmbedding {
    fn load(scope: &Scope, shape: &TimeShape) -> Self {
        Self {
            inputs: shape.inputs,
            cos_first: shape.cos_first,
            freq_shift: shape.freq_shift,
            linear1: Linear::load(&scope.at("linear_1"), shape.inputs, shape.features),
            linear2: Linear::load(&scope.at("linear_2"), shape.features, shape.features),
        }
    }

    /// Angles are rounded to f32 where the reference rounds them: at t ≈ 1000 that is visible in the sinusoids.
    fn sinusoids(&self, timesteps: &[f32], device: &Device) -> Tensor<2> {
        let half = self.inputs / 2;
        let mut values = Vec::with_capacity(timesteps.len() * self.inputs);
        for &t in timesteps {
            let angles: Vec<f64> = (0..half)
                .map(|i| {
                    let exponent =
                        -(10000f64.ln() as f32) * i as f32 / (half as f32 - self.freq_shift as f32);
                    f64::from(t * f64::from(exponent).exp() as f32)
                })
                .collect();
            let sin = angles.iter().map(|a| a.sin() as f32);
            let cos = angles.iter().map(|a| a.cos() as f32);
            if self.cos_first {
                values.extend(cos.chain(sin));
            } else {
                values.extend(sin.chain(cos));
            }
            // An odd width ends in a zero.
            values.resize(values.len().next_multiple_of(self.inputs), 0.0);
        }
        Tensor::from_data(
            TensorData::new(values, [timesteps.len(), self.inputs]),
            device,
        )
    }

    fn forward(&self, timesteps: &[f32], device: &Device) -> Tensor<2> {
        let hidden = self.linear1.forward(self.sinusoids(timesteps, device));
        self.linear2.forward(silu(hidden))
    }
}

/// What `config.json` says, block by block from the finest level down.
struct UNetShape {
    in_channels: usize,
    out_channels: usize,
    widths: Vec<usize>,
    depths: Vec<usize>,
    heads: Vec<usize>,
    prompt_features: Vec<usize>,
    transformer_depths: Vec<usize>,
    /// By up block, from the coarsest level up.
    up_transformer_depths: Vec<usize>,
    down_attends: Vec<bool>,
    /// By up block, from the coarsest level up.
    up_attends: Vec<bool>,
    linear_projection: bool,
    groups: usize,
    eps: f64,
    downsample_padding: usize,
    kernel_in: usize,
    kernel_out: usize,
    time: TimeShape,
}

impl UNetShape {
    fn read(config: &Config) -> Result<Self> {
        for (key, only) in [
            ("addition_embed_type", json!(null)),
            ("attention_type", json!("default")),
            ("center_input_sample", json!(false)),
            ("class_embed_type", json!(null)),
            ("class_embeddings_concat", json!(false)),
            ("cross_attention_norm", json!(null)),
            ("dual_cross_attention", json!(false)),
            ("encoder_hid_dim", json!(null)),
            ("encoder_hid_dim_type", json!(null)),
            ("mid_block_only_cross_attention", json!(false)),
            ("mid_block_scale_factor", json!(1)),
            ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
            ("num_attention_heads", json!(null)),
            ("num_class_embeds", json!(null)),
            ("only_cross_attention", json!(false)),
            ("resnet_out_scale_factor", json!(1)),
            ("resnet_skip_time_act", json!(false)),
            ("resnet_time_scale_shift", json!("default")),
            ("time_cond_proj_dim", json!(null)),
            ("time_embedding_act_fn", json!(null)),
            ("time_embedding_type", json!("positional")),
            ("timestep_post_act", json!(null)),
        ] {
            config.require(key, &only)?;
        }
        if !matches!(config.str_or("act_fn", "silu")?, "silu" | "swish") {
            return Err(config.unsupported("act_fn", "silu"));
        }
        let widths = config.usizes("block_out_channels")?;
        let levels = widths.len();
        let attends = |key: &str, plain: &str, cross: &str| -> Result<Vec<bool>> {
            let kinds = config.strings(key)?;
            let flags: Option<Vec<bool>> = kinds
                .iter()
                .map(|kind| match kind.as_str() {
                    k if k == plain => Some(false),
                    k if k == cross => Some(true),
                    _ => None,
                })
                .collect();
            flags
                .filter(|flags| flags.len() == levels)
                .ok_or_else(|| config.unsupported(key, &format!("{levels} of {plain}, {cross}")))
        };
        let down_attends = attends("down_block_types", "DownBlock2D", "CrossAttnDownBlock2D")?;
        let up_attends = attends("up_block_types", "UpBlock2D", "CrossAttnUpBlock2D")?;

        let heads = config.usize_per_level("attention_head_dim", levels, Some(8))?;
        if heads
            .iter()
            .zip(&widths)
            .any(|(heads, width)| heads > width)
        {
            return Err(config.unsupported("attention_head_dim", "at most block_out_channels"));
        }
        let groups = config.usize_or("norm_num_groups", 32)?;
        if widths.iter().any(|width| !width.is_multiple_of(groups)) {
            return Err(
                config.unsupported("norm_num_groups", "a divisor of all block_out_channels")
            );
        }
        let kernel = |key: &str| -> Result<usize> {
            let size = config.usize_or(key, 3)?;
            if size % 2 == 1 {
                Ok(size)
            } else {
                Err(config.unsupported(key, "odd sizes"))
            }
        };
        let downsample_padding = match config.get("downsample_padding") {
            Some(value) => match value.as_u64() {
                Some(n @ 0..=1) => n as usize,
                _ => return Err(config.unsupported("downsample_padding", "0 or 1")),
            },
            None => 1,
        };
        let transformer_depths =
            config.usize_per_level("transformer_layers_per_block", levels, Some(1))?;
        let up_transformer_depths = match config.get("reverse_transformer_layers_per_block") {
            Some(_) => {
                config.usize_per_level("reverse_transformer_layers_per_block", levels, None)?
            }
            None => transformer_depths.iter().rev().copied().collect(),
        };
        let features = config.usize_or("time_embedding_dim", 4 * widths[0])?;
        let time = TimeShape {
            inputs: widths[0],
            features,
            cos_first: config.bool_or("flip_sin_to_cos", true)?,
            freq_shift: config.f64_or("freq_shift", 0.0)?,
        };
        if widths[0] < 2 || time.freq_shift as usize >= widths[0] / 2 {
            return Err(Error::file(
                config.path(),
                "`block_out_channels` is too narrow for the time embedding",
            ));
        }
        Ok(Self {
            in_channels: config.usize_or("in_channels", 4)?,
            out_channels: config.usize_or("out_channels", 4)?,
            depths: config.usize_per_level("layers_per_block", levels, Some(2))?,
            heads,
            prompt_features: config.usize_per_level("cross_attention_dim", levels, Some(1280))?,
            transformer_depths,
            up_transformer_depths,
            down_attends,
            up_attends,
            linear_projection: config.bool_or("use_linear_projection", false)?,
            groups,
            eps: config.f64_or("norm_eps", 1e-5)?,
            downsample_padding,
            kernel_in: kernel("conv_in_kernel")?,
            kernel_out: kernel("conv_out_kernel")?,
            time,
            widths,
        })
    }

    fn transformer(&self, level: usize, depth: usize) -> TransformerConfig {
        TransformerConfig {
            channels: self.widths[level],
            heads: self.heads[level],
            depth,
            prompt_features: self.prompt_features[level],
            groups: self.groups,
            linear_projection: self.linear_projection,
        }
    }
}

/// Loads the layers of blocks, numbering the cross-attention layers as it goes.
struct LayerLoader {
    resnet: ResnetConfig,
    /// Running number of the next cross-attention layer.
    next: usize,
}

impl LayerLoader {
    fn load(
        &mut self,
        scope: &Scope,
        index: usize,
        channels_in: usize,
        config: TransformerConfig,
        attends: bool,
    ) -> UNetLayer {
        let width = config.channels;
        UNetLayer {
            resnet: ResnetBlock::load(
                &scope.at("resnets").at(index),
                channels_in,
                width,
                self.resnet,
            ),
            transformer: attends.then(|| {
                SpatialTransformer::load(&scope.at("attentions").at(index), config, &mut self.next)
            }),
        }
    }
}
