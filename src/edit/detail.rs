//! Edits at a small size, detail from the photo. Denoising costs with the square of the side, and an edit model's
//! autoencoder loses what is finer than a few pixels; but most instructions change colors, light and material, and leave
//! things where they are. Then the edited picture is, around every pixel, nearly a linear map of the photo's colors. That
//! map is found on small pictures by a guided filter with the photo as its guide, and applied to the full photo: the
//! edit's colors with every detail of the photo, where enlarging would blur. Because the map is smooth, the autoencoder's
//! errors, which differ from view to view, stay out of the scene as well. What an edit adds or moves has no counterpart
//! in the photo and comes out soft; the strength mixes with the edited picture as it is.
//!
//! He, Sun and Tang, "Guided Image Filtering" (2013), eq. 14–16 for a color guide; He and Sun, "Fast Guided Filter" (2015)
//! for maps found at a smaller size.

use crate::{
    Error, Result,
    scene::{FloatImage, Photo},
};
use glam::{DMat3, DVec3};
use image::{ImageBuffer, Rgb, imageops};

/// Regularization: colors of the guide that vary by less than its root, within a window, count as flat.
const EPSILON: f64 = 1e-3;
/// The longer side of a picture, in window radii.
const RADII_A_SIDE: u32 = 16;
const MIN_RADIUS: usize = 2;
/// Channels of a map: a 3 × 3 matrix, rows first, and an offset.
const MAP: usize = 12;

/// The least side that a limit means: smaller pictures tell an edit model nothing.
pub const LEAST_SIDE: u32 = 32;

/// Size at which a picture of `width × height` pixels is edited: its longer side at most `limit`, which counts as
/// [`LEAST_SIDE`] where it is less; 0: no limit.
pub fn edited_size(width: u32, height: u32, limit: u32) -> (u32, u32) {
    let longer = width.max(height);
    let (is_limited, limit) = (limit > 0, limit.max(LEAST_SIDE));
    if !is_limited || longer <= limit {
        return (width, height);
    }
    let shrink = |side: u32| {
        let side = u64::from(side) * u64::from(limit);
        ((side + u64::from(longer) / 2) / u64::from(longer)).max(1) as u32
    };
    (shrink(width), shrink(height))
}

/// `edited` at the size of `photo`: `strength` of the photo's detail under the edit's colors, the rest enlarged.
/// `guide` is the photo at the size of `edited`.
///
/// # Errors
/// [`Error::Invalid`] when guide and edit differ in size, or a picture cannot be enlarged.
pub fn restore(
    edited: FloatImage,
    guide: &FloatImage,
    photo: &Photo,
    strength: f64,
) -> Result<FloatImage> {
    if (edited.width, edited.height) != (guide.width, guide.height) {
        return Err(Error::Invalid(format!(
            "an edit of {}×{} pixels does not go with a guide of {}×{}",
            edited.width, edited.height, guide.width, guide.height
        )));
    }
    let strength = strength.clamp(0.0, 1.0) as f32;
    let detailed = (strength > 0.0).then(|| apply(&maps(&edited, guide), guide, photo));
    let plain = if strength < 1.0 {
        Some(enlarged(edited, photo.width, photo.height)?)
    } else {
        None
    };
    Ok(match (detailed, plain) {
        (Some(mut detailed), Some(plain)) => {
            for (d, p) in detailed.rgb.iter_mut().zip(&plain.rgb) {
                *d = strength * *d + (1.0 - strength) * p;
            }
            detailed
        }
        (Some(picture), None) | (None, Some(picture)) => picture,
        (None, None) => photo.to_float(),
    })
}

fn enlarged(picture: FloatImage, width: u32, height: u32) -> Result<FloatImage> {
    if (picture.width, picture.height) == (width, height) {
        return Ok(picture);
    }
    let (w, h) = (picture.width, picture.height);
    let buffer: ImageBuffer<Rgb<f32>, _> = ImageBuffer::from_raw(w, h, picture.rgb)
        .ok_or_else(|| Error::Invalid(format!("a picture is not {w}×{h} pixels")))?;
    let large = imageops::resize(&buffer, width, height, imageops::FilterType::CatmullRom);
    let rgb = large.into_raw().iter().map(|v| v.clamp(0.0, 1.0)).collect();
    Ok(FloatImage::new(width, height, rgb))
}

/// The local maps from the guide's colors to the edit's, `[height, width, MAP]`.
fn maps(edited: &FloatImage, guide: &FloatImage) -> Vec<f32> {
    let (width, height) = (guide.width as usize, guide.height as usize);
    let longer = guide.width.max(guide.height);
    let radius = ((longer / RADII_A_SIDE) as usize).max(MIN_RADIUS);
    // Means of guide, edit, guide × guide (upper triangle) and guide × edit.
    const MOMENTS: usize = 3 + 3 + 6 + 9;
    let mut moments = Vec::with_capacity(width * height * MOMENTS);
    for (g, e) in guide.rgb.chunks_exact(3).zip(edited.rgb.chunks_exact(3)) {
        moments.extend_from_slice(g);
        moments.extend_from_slice(e);
        for i in 0..3 {
            moments.extend((i..3).map(|j| g[i] * g[j]));
        }
        for a in g {
            moments.extend(e.iter().map(|b| a * b));
        }
    }
    let means = box_means(&moments, width, height, MOMENTS, radius);
    let mut found = Vec::with_capacity(width * height * MAP);
    for m in means.chunks_exact(MOMENTS) {
        let m: Vec<f64> = m.iter().map(|&v| f64::from(v)).collect();
        let g = DVec3::from_slice(&m[0..3]);
        let e = DVec3::from_slice(&m[3..6]);
        let [xx, xy, xz, yy, yz, zz] = [m[6], m[7], m[8], m[9], m[10], m[11]];
        let second = DMat3::from_cols_array(&[xx, xy, xz, xy, yy, yz, xz, yz, zz]);
        let spread = second - outer(g, g) + DMat3::from_diagonal(DVec3::splat(EPSILON));
        // Column j: the row of the map that gives channel j of the edit.
        let cross = DMat3::from_cols_array(&[
            m[12], m[15], m[18], m[13], m[16], m[19], m[14], m[17], m[20],
        ]) - outer(g, e);
        let rows = spread.inverse() * cross;
        let offset = e - rows.transpose() * g;
        found.extend(rows.to_cols_array().map(|v| v as f32));
        found.extend(offset.to_array().map(|v| v as f32));
    }
    box_means(&found, width, height, MAP, radius)
}

/// `a bᵀ`.
fn outer(a: DVec3, b: DVec3) -> DMat3 {
    DMat3::from_cols(a * b.x, a * b.y, a * b.z)
}

/// Means over windows of `2 radius + 1` pixels a side, cut at the borders; `[height, width, channels]`.
fn box_means(
    values: &[f32],
    width: usize,
    height: usize,
    channels: usize,
    radius: usize,
) -> Vec<f32> {
    let row = width * channels;
    let across = line_means(values, channels, (height, row), (width, channels), radius);
    line_means(&across, channels, (width, channels), (height, row), radius)
}

/// Running means of each channel along lines: how many lines there are and how far apart they start; how many pixels a
/// line has and how far apart they lie.
fn line_means(
    values: &[f32],
    channels: usize,
    (lines, line_stride): (usize, usize),
    (length, stride): (usize, usize),
    radius: usize,
) -> Vec<f32> {
    let mut means = vec![0.0; values.len()];
    let mut sums = vec![0.0f64; channels];
    for line in 0..lines {
        let at = |i: usize| line * line_stride + i * stride;
        sums.fill(0.0);
        for i in 0..length.min(radius) {
            add(&mut sums, &values[at(i)..], 1.0);
        }
        for i in 0..length {
            if i + radius < length {
                add(&mut sums, &values[at(i + radius)..], 1.0);
            }
            if i > radius {
                add(&mut sums, &values[at(i - radius - 1)..], -1.0);
            }
            let count = (i + radius).min(length - 1) + 1 - i.saturating_sub(radius);
            for (mean, sum) in means[at(i)..].iter_mut().zip(&sums) {
                *mean = (sum / count as f64) as f32;
            }
        }
    }
    means
}

fn add(sums: &mut [f64], values: &[f32], sign: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += sign * f64::from(*value);
    }
}

/// Maps of the guide's size, interpolated between its pixels' centers, on every pixel of the photo.
fn apply(maps: &[f32], guide: &FloatImage, photo: &Photo) -> FloatImage {
    let (width, height) = (guide.width as usize, guide.height as usize);
    let columns = taps(photo.width as usize, width);
    let mut rgb = Vec::with_capacity(photo.rgb.len());
    let mut row = vec![0.0f32; width * MAP];
    let rows = taps(photo.height as usize, height);
    for (y, &(top, bottom, down)) in rows.iter().enumerate() {
        let line = |y: usize| &maps[y * width * MAP..][..width * MAP];
        for ((value, a), b) in row.iter_mut().zip(line(top)).zip(line(bottom)) {
            *value = a + (b - a) * down;
        }
        for (x, &(left, right, along)) in columns.iter().enumerate() {
            let (a, b) = (&row[left * MAP..][..MAP], &row[right * MAP..][..MAP]);
            let map: [f32; MAP] = std::array::from_fn(|i| a[i] + (b[i] - a[i]) * along);
            let pixel = (y * photo.width as usize + x) * 3;
            let color: [f32; 3] = std::array::from_fn(|c| f32::from(photo.rgb[pixel + c]) / 255.0);
            rgb.extend((0..3).map(|j| {
                let row = &map[j * 3..][..3];
                let value = row[0] * color[0] + row[1] * color[1] + row[2] * color[2] + map[9 + j];
                value.clamp(0.0, 1.0)
            }));
        }
    }
    FloatImage::new(photo.width, photo.height, rgb)
}

/// For each of `large` pixels, the two of `small` that it lies between, and how far it is on the way.
fn taps(large: usize, small: usize) -> Vec<(usize, usize, f32)> {
    (0..large)
        .map(|i| {
            let at = (i as f64 + 0.5) * small as f64 / large as f64 - 0.5;
            let at = at.clamp(0.0, (small - 1) as f64);
            let first = at as usize;
            (
                first,
                (first + 1).min(small - 1),
                (at - first as f64) as f32,
            )
        })
        .collect()
}
