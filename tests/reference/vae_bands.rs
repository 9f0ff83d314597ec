//! The autoencoder in bands against the autoencoder in one pass.

use crate::diffusion::{cpu, values};
use crate::fixture::path_or_skip;
use burn::tensor::{Tensor, TensorData};
use luxedit::diffusion::{Precision, Vae};

fn picture(height: usize, width: usize) -> Tensor<4> {
    let data: Vec<f32> = (0..3 * height * width)
        .map(|i| {
            let (c, y, x) = (i / (height * width), i / width % height, i % width);
            let (x, y) = (x as f32, y as f32);
            let detail = ((x * 0.9 + y * 0.31 + c as f32).sin() * 3.7).sin();
            0.6 * (x * 0.013 + c as f32).sin() * (y * 0.017).cos() + 0.3 * detail
        })
        .collect();
    Tensor::from_data(TensorData::new(data, [1, 3, height, width]), &cpu())
}

fn worst(a: &Tensor<4>, b: &Tensor<4>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    values(a)
        .iter()
        .zip(values(b))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// dB, for values of a range of 2.
fn psnr(a: &Tensor<4>, b: &Tensor<4>) -> f64 {
    let (a, b) = (values(a), values(b));
    let sum: f64 = a
        .iter()
        .zip(&b)
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum();
    -10.0 * (sum / a.len() as f64 / 4.0).log10()
}

#[test]
fn bands_give_the_result_of_one_pass() {
    let Some(folder) = path_or_skip("ip2p_tiny/vae") else {
        return;
    };
    let mut vae = Vae::load(&folder, Precision::Full, &cpu()).expect("an autoencoder");
    // Bands of many rows, of few, of one; sides that the factor does not divide.
    for (height, width, bands) in [
        (512, 768, vec![1 << 17, 30_000, 10_000]),
        (53, 70, vec![2000, 500, 1]),
        (8, 200, vec![300]),
    ] {
        let picture = picture(height, width);
        vae.set_band_pixels(usize::MAX);
        let posterior = vae.encode(picture.clone());
        let decoded = vae.decode(posterior.mean.clone());
        for pixels in bands {
            vae.set_band_pixels(pixels);
            let banded = vae.encode(picture.clone());
            let again = vae.decode(posterior.mean.clone());
            let off = [
                worst(&banded.mean, &posterior.mean),
                worst(&banded.logvar, &posterior.logvar),
                worst(&again, &decoded),
            ];
            let quality = psnr(&again, &decoded);
            println!(
                "{width}×{height}, {pixels} pixels a band: {:.0} dB, worst of mean {:.1e}, log-variance {:.1e}, picture {:.1e}",
                quality, off[0], off[1], off[2]
            );
            assert!(quality >= 45.0, "{quality:.1} dB");
            // Seams would stand out by far more than rounding.
            assert!(off.iter().all(|off| *off <= 2e-3), "{off:?}");
        }
    }
}

/// A seam is a difference that is larger beside a band's border than elsewhere.
#[test]
fn bands_leave_no_seams() {
    let Some(folder) = path_or_skip("ip2p_tiny/vae") else {
        return;
    };
    let mut vae = Vae::load(&folder, Precision::Full, &cpu()).expect("an autoencoder");
    let (height, width) = (256, 384);
    let latents = vae.encode(picture(height, width)).mode();
    vae.set_band_pixels(usize::MAX);
    let whole = values(&vae.decode(latents.clone()));
    let rows = 32;
    vae.set_band_pixels(rows * width);
    let banded = values(&vae.decode(latents));
    let row_error = |y: usize| -> f64 {
        (0..3)
            .flat_map(|c| (0..width).map(move |x| (c * height + y) * width + x))
            .map(|i| f64::from((whole[i] - banded[i]).abs()))
            .sum::<f64>()
            / (3 * width) as f64
    };
    let mean = (0..height).map(row_error).sum::<f64>() / height as f64;
    for border in (rows..height).step_by(rows) {
        for y in [border - 1, border] {
            let error = row_error(y);
            assert!(
                error <= 4.0 * mean + 1e-6,
                "row {y}: {error:.1e}, elsewhere {mean:.1e}"
            );
        }
    }
}
