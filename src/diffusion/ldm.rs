//! The original checkpoint of InstructPix2Pix (`instruct-pix2pix-00-22000`), one file in the layout of latent diffusion
//! (Rombach et al. 2022): its names told as diffusers' names, part by part. Only names differ; the numbers stay where
//! they are. Which residual block of the UNet is whose follows from where the file has convolutions that halve or double,
//! so that no width or depth is assumed.
//!
//! The averaged weights (EMA), which the authors and diffusers' copy use, are taken where the file has them.

use super::weights::Table;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const UNET: &str = "model.diffusion_model.";
/// Followed by the UNet's names without their dots.
const AVERAGED_UNET: &str = "model_ema.diffusion_model";
const VAE: &str = "first_stage_model.";
const TEXT_ENCODER: &str = "cond_stage_model.transformer.";

/// The three networks of one file.
pub(crate) struct Parts {
    pub unet: Table,
    pub vae: Table,
    pub text_encoder: Table,
}

/// Tell the parts of the file at `path`.
///
/// # Errors
/// A file that is no such checkpoint; averaged weights that are incomplete.
pub(crate) fn split(path: &Path, table: &Table) -> Result<Parts> {
    let with = |prefix: &'static str| {
        table
            .iter()
            .filter_map(move |(name, stored)| Some((name.strip_prefix(prefix)?, stored)))
    };
    for (prefix, part) in [
        (UNET, "denoiser"),
        (VAE, "autoencoder"),
        (TEXT_ENCODER, "text encoder"),
    ] {
        if with(prefix).next().is_none() {
            return Err(Error::file(
                path,
                format!(
                    "is no original InstructPix2Pix checkpoint: it has no {part} (`{prefix}…`); a model is such a \
                     file, or a folder in diffusers layout"
                ),
            ));
        }
    }
    let is_averaged = table.keys().any(|name| name.starts_with(AVERAGED_UNET));
    let blocks = UNetBlocks::of(with(UNET).map(|(name, _)| name));
    let mut unet = Table::new();
    for (name, stored) in with(UNET) {
        let stored = if is_averaged {
            let averaged = format!("{AVERAGED_UNET}{}", name.replace('.', ""));
            table.get(&averaged).ok_or_else(|| {
                Error::file(path, format!("has averaged weights, but not `{averaged}`"))
            })?
        } else {
            stored
        };
        let name = blocks.rename(name).unwrap_or_else(|| name.to_owned());
        unet.insert(name, stored.clone());
    }
    let levels = with(VAE)
        .filter_map(|(name, _)| numbers::<1>(name, "decoder.up.").map(|([level], _)| level + 1))
        .max()
        .unwrap_or(0);
    let vae = with(VAE)
        // What only training needs.
        .filter(|(name, _)| !name.starts_with("loss."))
        .map(|(name, stored)| {
            let renamed = rename_vae(name, levels).unwrap_or_else(|| name.to_owned());
            (renamed, stored.clone())
        });
    let text_encoder = with(TEXT_ENCODER).map(|(name, stored)| (name.to_owned(), stored.clone()));
    Ok(Parts {
        vae: vae.collect(),
        text_encoder: text_encoder.collect(),
        unet,
    })
}

/// `prefix`, then `N` numbers with a dot behind each, then the rest.
fn numbers<'a, const N: usize>(name: &'a str, prefix: &str) -> Option<([usize; N], &'a str)> {
    let mut rest = name.strip_prefix(prefix)?;
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (digits, tail) = rest.split_once('.')?;
        *number = digits.parse().ok().filter(|&n: &usize| n < 1 << 16)?;
        rest = tail;
    }
    Some((numbers, rest))
}

/// Block and layer in diffusers' numbering, by latent diffusion's running number.
struct UNetBlocks {
    inputs: BTreeMap<usize, (usize, usize)>,
    outputs: BTreeMap<usize, (usize, usize)>,
}

impl UNetBlocks {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new());
        let (mut halving, mut doubling) = (BTreeSet::new(), BTreeSet::new());
        for name in names {
            if let Some(([index, _], rest)) = numbers(name, "input_blocks.") {
                inputs.insert(index);
                if rest.starts_with("op.") {
                    halving.insert(index);
                }
            } else if let Some(([index, _], rest)) = numbers(name, "output_blocks.") {
                outputs.insert(index);
                if rest.starts_with("conv.") {
                    doubling.insert(index);
                }
            }
        }
        // The first is the convolution that the UNet begins with.
        inputs.remove(&0);
        let count = |indices: BTreeSet<usize>, ends: BTreeSet<usize>| {
            let (mut block, mut layer) = (0, 0);
            indices
                .into_iter()
                .map(|index| {
                    let place = (index, (block, layer));
                    if ends.contains(&index) {
                        (block, layer) = (block + 1, 0);
                    } else {
                        layer += 1;
                    }
                    place
                })
                .collect()
        };
        Self {
            inputs: count(inputs, halving),
            outputs: count(outputs, doubling),
        }
    }

    fn rename(&self, name: &str) -> Option<String> {
        if let Some(([index, part], rest)) = numbers(name, "input_blocks.") {
            if (index, part) == (0, 0) {
                return Some(format!("conv_in.{rest}"));
            }
            let (block, layer) = self.inputs.get(&index)?;
            if let Some(rest) = rest.strip_prefix("op.") {
                return Some(format!("down_blocks.{block}.downsamplers.0.conv.{rest}"));
            }
            return layer_name(&format!("down_blocks.{block}"), *layer, part, rest);
        }
        if let Some(([index, part], rest)) = numbers(name, "output_blocks.") {
            let (block, layer) = self.outputs.get(&index)?;
            if rest.starts_with("conv.") {
                return Some(format!("up_blocks.{block}.upsamplers.0.{rest}"));
            }
            return layer_name(&format!("up_blocks.{block}"), *layer, part, rest);
        }
        if let Some(([part], rest)) = numbers(name, "middle_block.") {
            return match part {
                1 => layer_name("mid_block", 0, 1, rest),
                _ => layer_name("mid_block", part / 2, 0, rest),
            };
        }
        replace_start(
            name,
            &[
                ("time_embed.0.", "time_embedding.linear_1."),
                ("time_embed.2.", "time_embedding.linear_2."),
                ("out.0.", "conv_norm_out."),
                ("out.2.", "conv_out."),
            ],
        )
    }
}

/// Part 0 of a layer is its residual block, part 1 its transformer.
fn layer_name(block: &str, layer: usize, part: usize, rest: &str) -> Option<String> {
    if part == 1 {
        return Some(format!("{block}.attentions.{layer}.{rest}"));
    }
    let rest = replace_start(
        rest,
        &[
            ("in_layers.0.", "norm1."),
            ("in_layers.2.", "conv1."),
            ("emb_layers.1.", "time_emb_proj."),
            ("out_layers.0.", "norm2."),
            ("out_layers.3.", "conv2."),
            ("skip_connection.", "conv_shortcut."),
        ],
    )?;
    Some(format!("{block}.resnets.{layer}.{rest}"))
}

/// `levels`: resolutions of the decoder, which diffusers numbers from the coarsest.
fn rename_vae(name: &str, levels: usize) -> Option<String> {
    let resnet = |rest: &str| match rest.strip_prefix("nin_shortcut.") {
        Some(rest) => format!("conv_shortcut.{rest}"),
        None => rest.to_owned(),
    };
    if let Some(([level], rest)) = numbers(name, "encoder.down.") {
        if let Some(([block], rest)) = numbers(rest, "block.") {
            let rest = resnet(rest);
            return Some(format!(
                "encoder.down_blocks.{level}.resnets.{block}.{rest}"
            ));
        }
        let rest = rest.strip_prefix("downsample.")?;
        return Some(format!("encoder.down_blocks.{level}.downsamplers.0.{rest}"));
    }
    if let Some(([level], rest)) = numbers(name, "decoder.up.") {
        let level = levels.checked_sub(level + 1)?;
        if let Some(([block], rest)) = numbers(rest, "block.") {
            let rest = resnet(rest);
            return Some(format!("decoder.up_blocks.{level}.resnets.{block}.{rest}"));
        }
        let rest = rest.strip_prefix("upsample.")?;
        return Some(format!("decoder.up_blocks.{level}.upsamplers.0.{rest}"));
    }
    let (half, rest) = name.split_once('.')?;
    if !matches!(half, "encoder" | "decoder") {
        return None;
    }
    let rest = replace_start(
        rest,
        &[
            ("norm_out.", "conv_norm_out."),
            ("mid.block_1.", "mid_block.resnets.0."),
            ("mid.block_2.", "mid_block.resnets.1."),
            ("mid.attn_1.norm.", "mid_block.attentions.0.group_norm."),
            ("mid.attn_1.q.", "mid_block.attentions.0.to_q."),
            ("mid.attn_1.k.", "mid_block.attentions.0.to_k."),
            ("mid.attn_1.v.", "mid_block.attentions.0.to_v."),
            ("mid.attn_1.proj_out.", "mid_block.attentions.0.to_out.0."),
        ],
    )?;
    Some(format!("{half}.{rest}"))
}

fn replace_start(name: &str, pairs: &[(&str, &str)]) -> Option<String> {
    pairs
        .iter()
        .find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}
