//! How good a render is, as papers report it. On the host and in f64: metrics are read by people and compared across
//! programs, so they must not depend on a graphics driver.

mod clip;

pub use clip::{Clip, ClipFeature};

use crate::{
    Error, Result,
    loss::{Padding, SSIM_WINDOW},
    scene::FloatImage,
};
use rayon::prelude::*;

/// Mean absolute difference over pixels and channels.
///
/// # Errors
/// [`Error::Invalid`] when the sizes differ.
pub fn l1(a: &FloatImage, b: &FloatImage) -> Result<f64> {
    same_size(a, b)?;
    let sum: f64 = a
        .rgb
        .iter()
        .zip(&b.rgb)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
        .sum();
    Ok(sum / a.rgb.len() as f64)
}

/// Peak signal-to-noise ratio in dB, peak 1; infinite for equal pictures.
///
/// # Errors
/// [`Error::Invalid`] when the sizes differ.
pub fn psnr(a: &FloatImage, b: &FloatImage) -> Result<f64> {
    same_size(a, b)?;
    let sum: f64 = a
        .rgb
        .iter()
        .zip(&b.rgb)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    Ok(-10.0 * (sum / a.rgb.len() as f64).log10())
}

/// Structural similarity (Wang et al. 2004): 11×11 Gaussian window, σ 1.5, C1 = 0.01², C2 = 0.03², each colour channel on
/// its own, averaged over all pixels that count.
///
/// # Errors
/// [`Error::Invalid`] when the sizes differ, or a picture is smaller than the window with [`Padding::Valid`].
pub fn ssim(a: &FloatImage, b: &FloatImage, padding: Padding) -> Result<f64> {
    same_size(a, b)?;
    let (width, height) = (a.width as usize, a.height as usize);
    let margin = match padding {
        Padding::Zero => 0,
        Padding::Valid => SSIM_WINDOW as usize / 2,
    };
    if width.min(height) <= 2 * margin {
        return Err(Error::invalid(format!(
            "SSIM without padding needs pictures of at least {SSIM_WINDOW}×{SSIM_WINDOW} pixels, not {width}×{height}"
        )));
    }
    let per_channel: Vec<f64> = (0..3usize)
        .into_par_iter()
        .map(|channel| {
            let plane = |image: &FloatImage| -> Vec<f64> {
                image.rgb[channel..]
                    .iter()
                    .step_by(3)
                    .map(|v| f64::from(*v))
                    .collect()
            };
            let (a, b) = (plane(a), plane(b));
            let product = |x: &[f64], y: &[f64]| -> Vec<f64> {
                x.iter().zip(y).map(|(x, y)| x * y).collect()
            };
            let mean_a = blur(&a, width, height);
            let mean_b = blur(&b, width, height);
            let mean_aa = blur(&product(&a, &a), width, height);
            let mean_bb = blur(&product(&b, &b), width, height);
            let mean_ab = blur(&product(&a, &b), width, height);
            let mut sum = 0.0;
            for y in margin..height - margin {
                for i in y * width + margin..(y + 1) * width - margin {
                    let (ma, mb) = (mean_a[i], mean_b[i]);
                    let variance_a = mean_aa[i] - ma * ma;
                    let variance_b = mean_bb[i] - mb * mb;
                    let covariance = mean_ab[i] - ma * mb;
                    sum += (2.0 * ma * mb + 1e-4) * (2.0 * covariance + 9e-4)
                        / ((ma * ma + mb * mb + 1e-4) * (variance_a + variance_b + 9e-4));
                }
            }
            sum
        })
        .collect();
    let count = 3 * (width - 2 * margin) * (height - 2 * margin);
    Ok(per_channel.iter().sum::<f64>() / count as f64)
}

fn same_size(a: &FloatImage, b: &FloatImage) -> Result<()> {
    if (a.width, a.height) == (b.width, b.height) && !a.rgb.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "cannot compare a {}×{} picture with one of {}×{}",
            a.width, a.height, b.width, b.height
        )))
    }
}

/// Gaussian blur of a `[height, width]` plane, zeros beyond the border.
fn blur(plane: &[f64], width: usize, height: usize) -> Vec<f64> {
    let radius = SSIM_WINDOW as usize / 2;
    let mut window: Vec<f64> = (0..SSIM_WINDOW as usize)
        .map(|i| (-(i as f64 - radius as f64).powi(2) / (2.0 * 1.5 * 1.5)).exp())
        .collect();
    let sum: f64 = window.iter().sum();
    window.iter_mut().for_each(|w| *w /= sum);

    let mut rows = vec![0.0; plane.len()];
    for (input, output) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for (x, out) in output.iter_mut().enumerate() {
            let first = x.saturating_sub(radius);
            let last = (x + radius).min(width - 1);
            *out = (first..=last)
                .map(|i| input[i] * window[i + radius - x])
                .sum();
        }
    }
    let mut blurred = vec![0.0; plane.len()];
    for (y, output) in blurred.chunks_exact_mut(width).enumerate() {
        for i in y.saturating_sub(radius)..=(y + radius).min(height - 1) {
            let weight = window[i + radius - y];
            for (out, input) in output.iter_mut().zip(&rows[i * width..(i + 1) * width]) {
                *out += weight * input;
            }
        }
    }
    blurred
}
