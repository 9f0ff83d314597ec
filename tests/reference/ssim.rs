//! The image loss and the metrics against `fixtures/ssim`: the WGSL kernels, the host's metrics, and a plain f64 twin of
//! the gradient.

use super::fixture::{Array, Fixture};
use luxedit::{
    gpu::{Gpu, GpuImage},
    loss::{ImageLoss, LossOptions, LossValues, Padding},
    metric,
    scene::FloatImage,
};
use std::sync::Arc;

/// Image `index` of `[n, 3, h, w]`.
fn picture(images: &Array, index: usize) -> FloatImage {
    let &[_, channels, height, width] = images.shape.as_slice() else {
        panic!("images of shape {:?}", images.shape)
    };
    assert_eq!(channels, 3);
    let plane = height * width;
    let image = &images.data[index * 3 * plane..][..3 * plane];
    let rgb = (0..plane)
        .flat_map(|i| [image[i], image[plane + i], image[2 * plane + i]])
        .collect();
    FloatImage::new(width as u32, height as u32, rgb)
}

/// `[h, w, stride]`, the first three channels, to `[1, 3, h, w]`.
fn channels_first<T: Copy>(values: &[T], stride: usize) -> Vec<T> {
    (0..3)
        .flat_map(|c| values[c..].iter().step_by(stride).copied())
        .collect()
}

fn sets(fixture: &Fixture) -> Vec<String> {
    fixture
        .names()
        .iter()
        .filter_map(|name| name.strip_suffix(".a").map(str::to_owned))
        .collect()
}

/// dSSIM/da and SSIM by the definition, in f64, `[h, w, 3]`.
fn twin(a: &FloatImage, b: &FloatImage, padding: Padding) -> (f64, Vec<f64>) {
    let (width, height) = (a.width as i64, a.height as i64);
    let window: Vec<f64> = (-5..=5).map(|i| (-f64::from(i * i) / 4.5).exp()).collect();
    let sum: f64 = window.iter().sum();
    let weight =
        |dx: i64, dy: i64| window[(dx + 5) as usize] * window[(dy + 5) as usize] / (sum * sum);
    let margin = if padding == Padding::Valid { 5 } else { 0 };
    let count = (3 * (width - 2 * margin) * (height - 2 * margin)) as f64;
    let mut gradient = vec![0.0; a.rgb.len()];
    let mut total = 0.0;
    let at = |x: i64, y: i64, c: usize| ((y * width + x) * 3) as usize + c;
    for c in 0..3 {
        for y in margin..height - margin {
            for x in margin..width - margin {
                let neighbours: Vec<_> = (-5..=5)
                    .flat_map(|dy| (-5..=5).map(move |dx| (dx, dy)))
                    .filter(|(dx, dy)| {
                        (0..width).contains(&(x + dx)) && (0..height).contains(&(y + dy))
                    })
                    .map(|(dx, dy)| (at(x + dx, y + dy, c), weight(dx, dy)))
                    .collect();
                let mut moments = [0.0; 5];
                for &(i, w) in &neighbours {
                    let (a, b) = (f64::from(a.rgb[i]), f64::from(b.rgb[i]));
                    for (m, v) in moments.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                        *m += w * v;
                    }
                }
                let [ma, mb, aa, bb, ab] = moments;
                let (n1, n2) = (2.0 * ma * mb + 1e-4, 2.0 * (ab - ma * mb) + 9e-4);
                let (d1, d2) = (ma * ma + mb * mb + 1e-4, aa - ma * ma + bb - mb * mb + 9e-4);
                let ssim = n1 * n2 / (d1 * d2);
                total += ssim;
                for &(i, w) in &neighbours {
                    let (a, b) = (f64::from(a.rgb[i]), f64::from(b.rgb[i]));
                    // Derivatives of n1, n2, d1, d2 with respect to this pixel of a.
                    let (dn1, dn2) = (2.0 * w * mb, 2.0 * w * (b - mb));
                    let (dd1, dd2) = (2.0 * w * ma, 2.0 * w * (a - ma));
                    gradient[i] +=
                        ((dn1 * n2 + n1 * dn2) / (d1 * d2) - ssim * (dd1 / d1 + dd2 / d2)) / count;
                }
            }
        }
    }
    (total / count, gradient)
}

fn run(
    gpu: &Arc<Gpu>,
    a: &FloatImage,
    b: &FloatImage,
    options: LossOptions,
) -> (LossValues, Vec<f32>) {
    let loss = ImageLoss::new(gpu.clone());
    let render = GpuImage::from_float(gpu, a);
    let target = GpuImage::from_float(gpu, b);
    let noise = vec![7.5f32; render.pixels() * 4];
    let d_image = gpu.storage_from("d_image", &noise);
    let bound = loss
        .bind(&render, &target, &d_image, options)
        .expect("pictures that fit");
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    loss.record(&mut encoder, &bound);
    gpu.queue.submit([encoder.finish()]);
    let values = gpu.read::<LossValues>(bound.values(), 1).expect("values")[0];
    let gradient = gpu.read::<f32>(&d_image, noise.len()).expect("gradient");
    assert!(gradient.iter().skip(3).step_by(4).all(|v| *v == 0.0));
    (values, gradient)
}

#[test]
fn metrics_on_the_host() {
    let Some(fixture) = Fixture::open("fixtures/ssim.safetensors") else {
        return;
    };
    for set in sets(&fixture) {
        let (a, b) = (
            fixture.get(&format!("{set}.a")),
            fixture.get(&format!("{set}.b")),
        );
        let pairs: Vec<_> = (0..a.shape[0])
            .map(|i| (picture(&a, i), picture(&b, i)))
            .collect();
        let check = |name: &str, f: &dyn Fn(&FloatImage, &FloatImage) -> f64| {
            let tensor = format!("{set}.{name}");
            if fixture.has(&tensor) {
                let got: Vec<f32> = pairs.iter().map(|(a, b)| f(a, b) as f32).collect();
                fixture.check(&tensor, &got);
            }
        };
        check("ssim", &|a, b| {
            metric::ssim(a, b, Padding::Zero).expect("ssim")
        });
        check("ssim_valid", &|a, b| {
            metric::ssim(a, b, Padding::Valid).expect("ssim")
        });
        check("psnr", &|a, b| metric::psnr(a, b).expect("psnr"));
        check("l1", &|a, b| metric::l1(a, b).expect("l1"));
    }
}

#[test]
fn twin_on_the_host() {
    let Some(fixture) = Fixture::open("fixtures/ssim.safetensors") else {
        return;
    };
    for set in sets(&fixture) {
        let (a, b) = (
            fixture.get(&format!("{set}.a")),
            fixture.get(&format!("{set}.b")),
        );
        let (ssim, gradient) = twin(&picture(&a, 0), &picture(&b, 0), Padding::Zero);
        let host = metric::ssim(&picture(&a, 0), &picture(&b, 0), Padding::Zero).expect("ssim");
        assert!((ssim - host).abs() < 1e-9, "{set}: {ssim} or {host}");
        let gradient: Vec<f32> = gradient.iter().map(|v| *v as f32).collect();
        fixture.check(&format!("{set}.grad_a"), &channels_first(&gradient, 3));
    }
}

#[test]
fn kernels() {
    let Some(fixture) = Fixture::open("fixtures/ssim.safetensors") else {
        return;
    };
    let gpu = Gpu::headless().expect("an adapter");
    for set in sets(&fixture) {
        let (a, b) = (
            fixture.get(&format!("{set}.a")),
            fixture.get(&format!("{set}.b")),
        );
        let pairs = a.shape[0];
        let all = |options: LossOptions| -> Vec<(LossValues, Vec<f32>)> {
            (0..pairs)
                .map(|i| run(&gpu, &picture(&a, i), &picture(&b, i), options))
                .collect()
        };
        let default = all(LossOptions::default());
        let only_ssim = LossOptions {
            ssim_weight: 1.0,
            padding: Padding::Zero,
        };
        let zero = all(only_ssim);
        let valid = all(LossOptions {
            padding: Padding::Valid,
            ..only_ssim
        });
        let each = |runs: &[(LossValues, Vec<f32>)], f: fn(&LossValues) -> f32| -> Vec<f32> {
            runs.iter().map(|(values, _)| f(values)).collect()
        };
        fixture.check(&format!("{set}.l1"), &each(&default, |v| v.l1));
        fixture.check(&format!("{set}.ssim"), &each(&default, |v| v.ssim));
        fixture.check(&format!("{set}.ssim_valid"), &each(&valid, |v| v.ssim));
        for (values, _) in &default {
            let expected = 0.8 * values.l1 + 0.2 * (1.0 - values.ssim);
            assert!((values.loss - expected).abs() < 1e-6, "{values:?}");
        }
        // The loss is 1 - SSIM here, its gradient therefore -dSSIM/da.
        let negated: Vec<f32> = zero[0].1.iter().map(|v| -v).collect();
        fixture.check(&format!("{set}.grad_a"), &channels_first(&negated, 4));
        let tensor = format!("{set}.grad_loss");
        if fixture.has(&tensor) && pairs > 1 {
            fixture.check(&tensor, &channels_first(&default[1].1, 4));
        }
        let (_, expected) = twin(&picture(&a, 0), &picture(&b, 0), Padding::Valid);
        let got = channels_first(&valid[0].1, 4);
        let expected = channels_first(&expected, 3);
        let (mut difference, mut norm) = (0.0, 0.0);
        for (g, e) in got.iter().zip(&expected) {
            difference += (f64::from(-g) - e).powi(2);
            norm += e * e;
        }
        println!(
            "{set} valid gradient: relative L2 {:.1e}",
            (difference / norm).sqrt()
        );
        assert!(difference.sqrt() < 1e-3 * norm.sqrt());
        let again = run(
            &gpu,
            &picture(&a, 0),
            &picture(&b, 0),
            LossOptions::default(),
        );
        assert!(
            again == default[0],
            "{set}: the same pictures gave other bits"
        );
    }
}
