//! SOG of PlayCanvas: attributes as pixels of WebP pictures, described by `meta.json`, in one ZIP (`.sog`) or side by side
//! in a folder. Version 2 looks values up in codebooks of 256; version 1 spreads bytes between a minimum and a maximum.
//! SH above the DC term are a palette of whole sets and a label a splat. The frame is that of the PLY it was made from.

use super::bytes::{Budget, Bytes};
use super::codec::{self, SmallestThree};
use super::zip::Archive;
use crate::scene::Splats;
use crate::{Error, Result};
use image_webp::WebPDecoder;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Cursor;
use std::path::{Path, PathBuf};

pub const META: &str = "meta.json";

/// Sets of SH in a row of the palette's picture.
pub const PALETTE_ROW: usize = 64;

/// The largest component of a rotation is said by alpha values from here on.
pub const FIRST_TAG: u8 = 252;

#[derive(Deserialize)]
struct Meta {
    version: Option<u32>,
    /// Version 2.
    count: Option<u64>,
    means: Means,
    scales: Channel,
    quats: Named,
    sh0: Channel,
    #[serde(rename = "shN")]
    rest: Option<Rest>,
}

#[derive(Deserialize)]
struct Means {
    /// Version 1: the count, and 3.
    shape: Option<Vec<u64>>,
    mins: [f32; 3],
    maxs: [f32; 3],
    files: Vec<String>,
}

#[derive(Deserialize)]
struct Named {
    files: Vec<String>,
}

#[derive(Deserialize)]
struct Channel {
    codebook: Option<Vec<f32>>,
    mins: Option<Vec<f32>>,
    maxs: Option<Vec<f32>>,
    files: Vec<String>,
}

#[derive(Deserialize)]
struct Rest {
    bands: Option<u32>,
    codebook: Option<Vec<f32>>,
    mins: Option<f32>,
    maxs: Option<f32>,
    files: Vec<String>,
}

/// What a byte of a channel stands for.
enum Scale<'a> {
    Codebook(&'a [f32]),
    Linear(f32, f32),
}

impl Scale<'_> {
    /// NaN for a byte without an entry: such a splat cannot be drawn.
    fn value(&self, byte: u8) -> f32 {
        match self {
            Self::Codebook(entries) => entries.get(usize::from(byte)).copied().unwrap_or(f32::NAN),
            Self::Linear(min, max) => min + (max - min) * (f32::from(byte) / 255.0),
        }
    }
}

impl Channel {
    fn scale(&self, channel: usize, from: &Bytes<'_>, name: &str) -> Result<Scale<'_>> {
        let at =
            |list: &Option<Vec<f32>>| list.as_ref().and_then(|list| list.get(channel)).copied();
        match (&self.codebook, at(&self.mins), at(&self.maxs)) {
            (Some(codebook), ..) => Ok(Scale::Codebook(codebook)),
            (None, Some(min), Some(max)) => Ok(Scale::Linear(min, max)),
            _ => Err(from.error(format!(
                "whose meta.json has neither a codebook nor mins and maxs of {name}"
            ))),
        }
    }
}

/// Where the pictures are.
enum Files<'a> {
    Zip(Archive<'a>),
    Folder(PathBuf),
}

struct Reader<'a> {
    from: Bytes<'a>,
    files: Files<'a>,
    budget: Budget,
    count: usize,
}

/// A picture's pixels; three or four bytes each.
struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl Picture {
    fn pixel(&self, index: usize) -> [u8; 4] {
        let pixel = &self.bytes[index * self.channels..][..self.channels];
        [
            pixel[0],
            pixel[1],
            pixel[2],
            pixel.get(3).copied().unwrap_or(255),
        ]
    }
    fn pixels(&self) -> usize {
        self.width * self.height
    }
}

impl<'a> Reader<'a> {
    fn content(&mut self, name: &str) -> Result<Cow<'a, [u8]>> {
        let from = &self.from;
        match &self.files {
            Files::Zip(archive) => archive.read(name, &mut self.budget),
            Files::Folder(folder) => {
                // A description that was downloaded must not reach outside of its folder.
                if name.is_empty() || name.contains(['/', '\\', ':']) || name.starts_with("..") {
                    return Err(from.error(format!(
                        "whose meta.json names \"{name}\", which is no plain file name"
                    )));
                }
                let path = folder.join(name);
                let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
                self.budget = Budget::of(bytes.len());
                Ok(Cow::Owned(bytes))
            }
        }
    }

    fn picture(&mut self, files: &[String], index: usize) -> Result<Picture> {
        let name = files
            .get(index)
            .ok_or_else(|| self.from.error("whose meta.json names too few pictures"))?;
        let content = self.content(name)?;
        let from = self.from;
        let damaged = |e: image_webp::DecodingError| {
            from.error(format!("whose picture {name} cannot be decoded: {e}"))
        };
        let mut decoder = WebPDecoder::new(Cursor::new(content.as_ref())).map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        let channels = if decoder.has_alpha() { 4 } else { 3 };
        let len = decoder.output_buffer_size().unwrap_or(usize::MAX);
        // Decoders need the pixels once more.
        self.budget.take(&from, len.saturating_mul(2))?;
        let mut bytes = vec![0; len];
        decoder.read_image(&mut bytes).map_err(damaged)?;
        Ok(Picture {
            width: width as usize,
            height: height as usize,
            channels,
            bytes,
        })
    }

    /// A picture with a pixel for each splat.
    fn attribute(&mut self, files: &[String], index: usize) -> Result<Picture> {
        let picture = self.picture(files, index)?;
        if picture.pixels() < self.count {
            return Err(self.from.error(format!(
                "whose picture {} has {} pixels for {} splats",
                files[index],
                picture.pixels(),
                self.count
            )));
        }
        Ok(picture)
    }
}

/// A bundle: a ZIP with everything in it.
///
/// # Errors
/// No `meta.json` of version 1 or 2 in it; a picture that is missing, damaged or too small.
pub fn read_bundle(path: &Path, bytes: &[u8]) -> Result<Splats> {
    let from = Bytes {
        path,
        what: "a SOG file",
        bytes,
    };
    let archive = Archive::new(from)?;
    let mut budget = Budget::of(bytes.len());
    let meta = archive.read(META, &mut budget)?;
    read(from, Files::Zip(archive), &meta, budget)
}

/// A `meta.json` with its pictures beside it.
///
/// # Errors
/// As [`read_bundle`].
pub fn read_folder(path: &Path, meta: &[u8]) -> Result<Splats> {
    let from = Bytes {
        path,
        what: "a SOG scene",
        bytes: meta,
    };
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    read(from, Files::Folder(folder), meta, Budget::of(meta.len()))
}

fn read(from: Bytes<'_>, files: Files<'_>, meta: &[u8], budget: Budget) -> Result<Splats> {
    let meta: Meta = serde_json::from_slice(meta)
        .map_err(|e| from.error(format!("whose meta.json cannot be understood: {e}")))?;
    let count = match meta.version {
        None | Some(1) => meta
            .means
            .shape
            .as_ref()
            .and_then(|shape| shape.first().copied()),
        Some(2) => meta.count,
        Some(version) => return Err(from.error(format!("of version {version}; 1 and 2 are known"))),
    };
    let count = count
        .ok_or_else(|| from.error("whose meta.json does not say how many splats there are"))?;
    let mut reader = Reader {
        from,
        files,
        budget,
        count: usize::try_from(count).unwrap_or(usize::MAX),
    };
    let low = reader.attribute(&meta.means.files, 0)?;
    let high = reader.attribute(&meta.means.files, 1)?;
    let quats = reader.attribute(&meta.quats.files, 0)?;
    let scales = reader.attribute(&meta.scales.files, 0)?;
    let colors = reader.attribute(&meta.sh0.files, 0)?;
    let from = &reader.from;
    let count = reader.count;
    let scale_of = [0, 1, 2].map(|k| meta.scales.scale(k, from, "scales"));
    let [sx, sy, sz] = scale_of;
    let scale_of = [sx?, sy?, sz?];
    let [r, g, b] = [0, 1, 2].map(|k| meta.sh0.scale(k, from, "sh0"));
    let color_of = [r?, g?, b?];
    // Version 2 stores opacity as it is, version 1 before the sigmoid.
    let opacity_of = match meta.sh0.codebook {
        Some(_) => None,
        None => Some(meta.sh0.scale(3, from, "sh0")?),
    };
    let mut splats = codec::with_capacity(count, 0);
    for i in 0..count {
        let (low, high) = (low.pixel(i), high.pixel(i));
        splats.means.extend([0, 1, 2].map(|k| {
            let t = f64::from(u16::from_le_bytes([low[k], high[k]])) / 65535.0;
            let (min, max) = (f64::from(meta.means.mins[k]), f64::from(meta.means.maxs[k]));
            unfold(min + (max - min) * t) as f32
        }));
        let quat = quats.pixel(i);
        splats.quats.extend(match quat[3].checked_sub(FIRST_TAG) {
            Some(largest) => SmallestThree {
                largest: usize::from(largest),
                others: [0, 1, 2].map(|k| f32::from(quat[k]) / 127.5 - 1.0),
            }
            .quat(),
            None => [1.0, 0.0, 0.0, 0.0],
        });
        let scale = scales.pixel(i);
        splats
            .log_scales
            .extend([0, 1, 2].map(|k| scale_of[k].value(scale[k])));
        let color = colors.pixel(i);
        splats
            .sh_dc
            .extend([0, 1, 2].map(|k| color_of[k].value(color[k])));
        splats.logit_opacities.push(match &opacity_of {
            Some(scale) => scale.value(color[3]),
            None => codec::logit(f32::from(color[3]) / 255.0),
        });
    }
    if let Some(rest) = &meta.rest {
        read_rest(&mut reader, rest, &mut splats)?;
    }
    codec::usable(reader.from.path, splats)
}

fn read_rest(reader: &mut Reader<'_>, rest: &Rest, splats: &mut Splats) -> Result<()> {
    let palette = reader.picture(&rest.files, 0)?;
    let labels = reader.attribute(&rest.files, 1)?;
    let degree =
        (1..=3).find(|&degree| palette.width == PALETTE_ROW * Splats::rest_count_of(degree));
    let Some(degree) = degree.filter(|&degree| rest.bands.is_none_or(|bands| bands == degree))
    else {
        return Err(reader.from.error(format!(
            "whose palette of spherical harmonics is {} pixels wide, which fits none of 1 to 3 bands{}",
            palette.width,
            rest.bands.map_or_else(String::new, |bands| format!(", or not the {bands} that it claims")),
        )));
    };
    let scale = match (&rest.codebook, rest.mins, rest.maxs) {
        (Some(codebook), ..) => Scale::Codebook(codebook),
        (None, Some(min), Some(max)) => Scale::Linear(min, max),
        _ => {
            return Err(reader
                .from
                .error("whose meta.json has neither a codebook nor mins and maxs of shN"));
        }
    };
    let coefficients = Splats::rest_count_of(degree);
    let sets = PALETTE_ROW * palette.height;
    splats.sh_degree = degree;
    splats
        .sh_rest
        .reserve_exact(reader.count * coefficients * 3);
    for i in 0..reader.count {
        let [a, b, ..] = labels.pixel(i);
        let label = usize::from(u16::from_le_bytes([a, b]));
        if label >= sets {
            return Err(reader.from.error(format!(
                "whose splat {i} names set {label} of a palette of {sets}"
            )));
        }
        // Row and column in one: a row of the picture is a row of sets.
        for pixel in (0..coefficients).map(|k| palette.pixel(label * coefficients + k)) {
            splats
                .sh_rest
                .extend([0, 1, 2].map(|channel| scale.value(pixel[channel])));
        }
    }
    Ok(())
}

/// Positions are stored as sign(x) ln(1 + |x|): finer near the centre.
pub fn fold(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}

fn unfold(x: f64) -> f64 {
    x.abs().exp_m1().copysign(x)
}
