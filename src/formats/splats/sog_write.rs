//! Writing SOG version 2 as one bundle. Codebooks come from one-dimensional Lloyd iterations on a histogram, the palette of
//! SH from k-means in two levels: one level alone would take n · 65536 distances a round.

use super::codec::{self, SmallestThree};
use super::sog::{FIRST_TAG, META, PALETTE_ROW, fold};
use super::zip;
use crate::scene::Splats;
use crate::{Error, Result};
use image_webp::{ColorType, WebPEncoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::json;
use std::path::Path;

/// Labels are 16 bits.
const MAX_PALETTE: usize = 1 << 16;
/// Up to here each splat keeps its own set of SH.
const WHOLE_PALETTE: usize = 1024;
/// WebP's largest side.
const MAX_SIDE: usize = 16383;

/// The file's bytes. Splats are ordered along a space-filling curve ([`codec::morton_order`]).
///
/// # Errors
/// More splats than a picture has pixels.
pub fn encode(path: &Path, splats: &Splats) -> Result<Vec<u8>> {
    let n = splats.len();
    let width = (n as f64).sqrt().ceil() as usize;
    let width = width.next_multiple_of(4).max(4);
    let height = n.div_ceil(width).next_multiple_of(4).max(4);
    if width > MAX_SIDE {
        return Err(Error::file(
            path,
            format!("cannot hold {n} splats as SOG: at most 268 million fit"),
        ));
    }
    let splats = &codec::picked(splats, &codec::morton_order(splats));
    let picture = |pixel: &dyn Fn(usize) -> [u8; 4]| -> Result<Vec<u8>> {
        let mut rgba: Vec<u8> = (0..n).flat_map(pixel).collect();
        rgba.resize(width * height * 4, 0);
        webp(path, &rgba, width, height)
    };
    let (mins, maxs) = folded_bounds(&splats.means);
    let place = |i: usize| {
        [0, 1, 2].map(|k| {
            let extent = (maxs[k] - mins[k]).max(f64::MIN_POSITIVE);
            let t = (fold(f64::from(splats.means[i * 3 + k])) - mins[k]) / extent;
            ((t * 65535.0).round().clamp(0.0, 65535.0) as u16).to_le_bytes()
        })
    };
    let means = |byte: usize| {
        picture(&|i| {
            let [x, y, z] = place(i).map(|bytes| bytes[byte]);
            [x, y, z, 255]
        })
    };
    let scales = Codebook::of(&splats.log_scales);
    let colors = Codebook::of(&splats.sh_dc);
    let bytes_of = |codebook: &Codebook, values: &[f32], i: usize| {
        [0, 1, 2].map(|k| codebook.byte(values[i * 3 + k]))
    };
    let mut files = vec![
        ("means_l.webp", means(0)?),
        ("means_u.webp", means(1)?),
        (
            "scales.webp",
            picture(&|i| {
                let [x, y, z] = bytes_of(&scales, &splats.log_scales, i);
                [x, y, z, 255]
            })?,
        ),
        (
            "quats.webp",
            picture(&|i| quat_pixel(&splats.quats[i * 4..][..4]))?,
        ),
        (
            "sh0.webp",
            picture(&|i| {
                let [r, g, b] = bytes_of(&colors, &splats.sh_dc, i);
                [
                    r,
                    g,
                    b,
                    codec::unorm8(codec::sigmoid(splats.logit_opacities[i])),
                ]
            })?,
        ),
    ];
    let mut meta = json!({
        "version": 2,
        "asset": { "generator": concat!("luxedit ", env!("CARGO_PKG_VERSION")) },
        "count": n,
        "means": { "mins": mins, "maxs": maxs, "files": ["means_l.webp", "means_u.webp"] },
        "scales": { "codebook": scales.entries, "files": ["scales.webp"] },
        "quats": { "files": ["quats.webp"] },
        "sh0": { "codebook": colors.entries, "files": ["sh0.webp"] },
    });
    if splats.sh_degree > 0 {
        let coefficients = splats.rest_count();
        let Palette { sets, labels } = Palette::of(&splats.sh_rest, coefficients * 3);
        let codebook = Codebook::of(&sets);
        let count = sets.len() / (coefficients * 3);
        let rows = count.div_ceil(PALETTE_ROW);
        let mut rgba: Vec<u8> = sets
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&[r, g, b]| [codebook.byte(r), codebook.byte(g), codebook.byte(b), 255])
            .collect();
        rgba.resize(PALETTE_ROW * coefficients * rows * 4, 0);
        files.push((
            "shN_centroids.webp",
            webp(path, &rgba, PALETTE_ROW * coefficients, rows)?,
        ));
        let label = |i: usize| {
            let [low, high] = (labels[i] as u16).to_le_bytes();
            [low, high, 0, 255]
        };
        files.push(("shN_labels.webp", picture(&label)?));
        meta["shN"] = json!({
            "count": count,
            "bands": splats.sh_degree,
            "codebook": codebook.entries,
            "files": ["shN_centroids.webp", "shN_labels.webp"],
        });
    }
    files.push((META, meta.to_string().into_bytes()));
    let packed: usize = files.iter().map(|(_, content)| content.len()).sum();
    if packed > u32::MAX as usize / 2 {
        return Err(Error::file(
            path,
            "would be too large for a SOG bundle; choose another format",
        ));
    }
    Ok(zip::encode(&files))
}

fn webp(path: &Path, rgba: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    WebPEncoder::new(&mut out)
        .encode(rgba, width as u32, height as u32, ColorType::Rgba8)
        .map_err(|e| Error::file(path, format!("could not be encoded: {e}")))?;
    Ok(out)
}

fn folded_bounds(means: &[f32]) -> ([f64; 3], [f64; 3]) {
    let mut bounds = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for mean in means.as_chunks::<3>().0 {
        for (k, &v) in mean.iter().enumerate() {
            // As a reader gets them.
            let v = f64::from(fold(f64::from(v)) as f32);
            bounds.0[k] = bounds.0[k].min(v);
            bounds.1[k] = bounds.1[k].max(v);
        }
    }
    bounds
}

fn quat_pixel(quat: &[f32]) -> [u8; 4] {
    let SmallestThree { largest, others } = SmallestThree::of([quat[0], quat[1], quat[2], quat[3]]);
    let [a, b, c] = others.map(|v| codec::unorm8(v * 0.5 + 0.5));
    [a, b, c, FIRST_TAG + largest as u8]
}

/// 256 values, ascending, that stand for many.
struct Codebook {
    entries: Vec<f32>,
}

impl Codebook {
    fn of(values: &[f32]) -> Self {
        const BINS: usize = 1 << 16;
        const ENTRIES: usize = 256;
        const ROUNDS: usize = 24;
        let finite = || {
            values
                .iter()
                .filter(|v| v.is_finite())
                .map(|&v| f64::from(v))
        };
        let min = finite().fold(f64::INFINITY, f64::min);
        let max = finite().fold(f64::NEG_INFINITY, f64::max);
        let entry = |v: f64| v as f32;
        // Without a finite value, the least is infinite.
        if min >= max {
            let only = if min.is_finite() { entry(min) } else { 0.0 };
            return Self {
                entries: vec![only; ENTRIES],
            };
        }
        let mut bins = vec![(0.0f64, 0.0f64); BINS];
        for v in finite() {
            let bin = &mut bins[((v - min) / (max - min) * (BINS - 1) as f64) as usize];
            bin.0 += 1.0;
            bin.1 += v;
        }
        // Best for many entries: as dense as the cube root of the values' density (Panter and Dite 1951).
        let coarse = BINS / 1024;
        let density: Vec<f64> = bins
            .chunks(coarse)
            .map(|chunk| chunk.iter().map(|bin| bin.0).sum::<f64>().cbrt())
            .collect();
        let total: f64 = density.iter().sum();
        let mut entries = Vec::with_capacity(ENTRIES);
        let mut sum = 0.0;
        for (i, d) in density.iter().enumerate() {
            while *d > 0.0
                && entries.len() < ENTRIES
                && (entries.len() as f64 + 0.5) / ENTRIES as f64 * total <= sum + d
            {
                let t = ((entries.len() as f64 + 0.5) / ENTRIES as f64 * total - sum) / d;
                entries.push(min + (i as f64 + t) / density.len() as f64 * (max - min));
            }
            sum += d;
        }
        entries.resize(ENTRIES, max);
        for _ in 0..ROUNDS {
            let mut sums = vec![(0.0, 0.0); ENTRIES];
            let mut k = 0;
            for &(count, sum) in &bins {
                if count == 0.0 {
                    continue;
                }
                let mean = sum / count;
                while k + 1 < ENTRIES && (entries[k + 1] - mean).abs() <= (entries[k] - mean).abs()
                {
                    k += 1;
                }
                sums[k].0 += count;
                sums[k].1 += sum;
            }
            for (entry, (count, sum)) in entries.iter_mut().zip(sums) {
                if count > 0.0 {
                    *entry = sum / count;
                }
            }
        }
        entries.sort_by(f64::total_cmp);
        Self {
            entries: entries.into_iter().map(entry).collect(),
        }
    }

    fn byte(&self, v: f32) -> u8 {
        let above = self.entries.partition_point(|&entry| entry < v).min(255);
        let below = above.saturating_sub(1);
        let nearest = if (self.entries[above] - v).abs() < (v - self.entries[below]).abs() {
            above
        } else {
            below
        };
        nearest as u8
    }
}

/// Sets of SH that stand for many.
struct Palette {
    /// `[k, width]`.
    sets: Vec<f32>,
    labels: Vec<u32>,
}

impl Palette {
    fn of(rest: &[f32], width: usize) -> Self {
        let n = rest.len() / width;
        if n <= WHOLE_PALETTE {
            return Self {
                sets: rest.to_vec(),
                labels: (0..n as u32).collect(),
            };
        }
        let size = (n / 2)
            .next_power_of_two()
            .clamp(WHOLE_PALETTE, MAX_PALETTE)
            .min(n);
        let all: Vec<u32> = (0..n as u32).collect();
        let top = kmeans(rest, width, &all, (size as f64).sqrt().ceil() as usize, 0);
        let mut groups = vec![Vec::new(); top.sets.len() / width];
        for &i in &all {
            groups[top.labels[i as usize] as usize].push(i);
        }
        groups.retain(|group| !group.is_empty());
        let parts: Vec<Self> = groups
            .par_iter()
            .enumerate()
            .map(|(k, group)| {
                // Rounded down, so that the parts never exceed the whole; none is empty.
                let share = (size - groups.len()) * group.len() / n + 1;
                kmeans(rest, width, group, share.min(group.len()), k as u64 + 1)
            })
            .collect();
        let mut palette = Self {
            sets: Vec::new(),
            labels: vec![0; n],
        };
        for (group, part) in groups.iter().zip(parts) {
            let first = (palette.sets.len() / width) as u32;
            for (&i, label) in group.iter().zip(part.labels) {
                palette.labels[i as usize] = first + label;
            }
            palette.sets.extend(part.sets);
        }
        palette
    }
}

/// Numbers compared at a time.
const LANES: usize = 8;

/// Lloyd's algorithm on the sets at `indices`; labels in their order.
fn kmeans(rest: &[f32], width: usize, indices: &[u32], k: usize, seed: u64) -> Palette {
    const ROUNDS: usize = 6;
    // Padded with zeros, for whole lanes.
    let stride = width.next_multiple_of(LANES);
    let mut points = vec![0.0; indices.len() * stride];
    for (to, &i) in points.chunks_exact_mut(stride).zip(indices) {
        to[..width].copy_from_slice(&rest[i as usize * width..][..width]);
    }
    let point = |j: usize| &points[j * stride..][..stride];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sets: Vec<f32> = Vec::with_capacity(k * stride);
    // One random member of each of k equal stretches: neighbours in the list are neighbours in space.
    for j in 0..k {
        let (from, to) = (j * indices.len() / k, (j + 1) * indices.len() / k);
        if from < to {
            sets.extend(point(rng.random_range(from..to)));
        }
    }
    let mut labels = Vec::new();
    for round in 0..=ROUNDS {
        labels = points
            .par_chunks_exact(stride)
            .map(|point| nearest(point, &sets))
            .collect();
        if round == ROUNDS {
            break;
        }
        let mut counts = vec![0.0f32; sets.len() / stride];
        let mut sums = vec![0.0f32; sets.len()];
        for (point, &label) in points.chunks_exact(stride).zip(&labels) {
            counts[label as usize] += 1.0;
            for (sum, v) in sums[label as usize * stride..].iter_mut().zip(point) {
                *sum += v;
            }
        }
        for ((to, sum), count) in sets
            .chunks_exact_mut(stride)
            .zip(sums.chunks_exact(stride))
            .zip(counts)
        {
            if count > 0.0 {
                to.iter_mut()
                    .zip(sum)
                    .for_each(|(to, sum)| *to = sum / count);
            }
        }
    }
    Palette {
        sets: sets
            .chunks_exact(stride)
            .flat_map(|set| &set[..width])
            .copied()
            .collect(),
        labels,
    }
}

/// Which of `sets` is nearest to `point`.
fn nearest(point: &[f32], sets: &[f32]) -> u32 {
    let lanes = point.as_chunks::<LANES>().0;
    let mut best = (f32::INFINITY, 0);
    for (j, set) in sets.chunks_exact(point.len()).enumerate() {
        let mut sums = [0.0f32; LANES];
        for (a, b) in lanes.iter().zip(set.as_chunks::<LANES>().0) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        let distance = sums.iter().sum();
        if distance < best.0 {
            best = (distance, j as u32);
        }
    }
    best.1
}
