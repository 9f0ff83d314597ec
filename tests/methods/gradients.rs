//! Networks' gradients in the trainer.

use crate::adapter::gpu;
use burn::tensor::{Device, Tensor, TensorData};
use glam::DVec3;
use luxedit::{
    edit::{PerceptualLoss, PerceptualSearch},
    gpu::{Gpu, GpuImage, tensor_to_storage},
    loss::{ImageGradient, Target, lpips::LpipsNet},
    scene::{Camera, Intrinsics, Photo, Splats},
    settings::{EditDevice, LpipsClassifier, Settings},
    splat::{SplatTrainer, TrainConfig},
};
use std::sync::Arc;

/// Numbers between −1 and 1 that look random and never change.
fn wave(n: usize, phase: f32) -> Vec<f32> {
    (0..n)
        .map(|i| ((i as f32 * 12.9898 + phase).sin() * 43_758.547).fract())
        .collect()
}

fn splats(count: usize) -> Splats {
    let scaled = |n: usize, phase: f32, low: f32, high: f32| -> Vec<f32> {
        let spread = |v: f32| low + (high - low) * (v * 0.5 + 0.5);
        wave(n, phase).into_iter().map(spread).collect()
    };
    Splats {
        sh_degree: 0,
        antialiased: false,
        means: scaled(count * 3, 0.1, -1.0, 1.0),
        quats: scaled(count * 4, 0.2, -1.0, 1.0),
        log_scales: scaled(count * 3, 0.3, -2.5, -1.2),
        logit_opacities: scaled(count, 0.4, 0.0, 3.0),
        sh_dc: scaled(count * 3, 0.5, -1.0, 1.0),
        sh_rest: Vec::new(),
    }
}

const SIZE: (u32, u32) = (53, 41);

fn camera() -> Camera {
    let intrinsics = Intrinsics {
        fx: 50.0,
        fy: 50.0,
        cx: 26.0,
        cy: 20.0,
        width: SIZE.0,
        height: SIZE.1,
    };
    Camera::look_at(DVec3::new(4.0, 0.5, 1.0), DVec3::ZERO, DVec3::Z, intrinsics)
}

fn photo() -> Photo {
    let n = (SIZE.0 * SIZE.1 * 3) as usize;
    let bytes = wave(n, 0.9).into_iter().map(|v| (v.abs() * 255.0) as u8);
    Photo::new(SIZE.0, SIZE.1, bytes.collect())
}

fn trainer(gpu: &Arc<Gpu>, ssim_weight: f32) -> SplatTrainer {
    let config = TrainConfig {
        ssim_weight,
        ..TrainConfig::refine(4.0, [0.2, 0.3, 0.4])
    };
    SplatTrainer::new(gpu.clone(), splats(400), config).unwrap()
}

/// The L1 loss as if a network had found it: its gradient in planes, its value.
fn l1_as_a_network(
    gpu: &Arc<Gpu>,
    trainer: &mut SplatTrainer,
    photo: &Photo,
    mask: Option<&[u8]>,
    photo_weight: f32,
) -> ImageGradient {
    let image = GpuImage::new(gpu, SIZE.0, SIZE.1);
    trainer.render(&camera(), &image).unwrap();
    let (render, target) = (image.read(gpu).unwrap(), photo.to_float());
    let pixels = (SIZE.0 * SIZE.1) as usize;
    let mut planes = vec![0.0; 3 * pixels];
    let mut loss = 0.0;
    for (i, (r, t)) in render.rgb.iter().zip(&target.rgb).enumerate() {
        let counts = mask.is_none_or(|m| m[i / 3] > 0);
        let sign = if r > t { 1.0 } else { -1.0 };
        planes[i % 3 * pixels + i / 3] = sign / (3 * pixels) as f32;
        if counts {
            loss += (r - t).abs() / (3 * pixels) as f32;
        }
    }
    ImageGradient {
        width: SIZE.0,
        height: SIZE.1,
        planes: gpu.storage_from("planes", &planes),
        loss,
        photo_weight,
    }
}

fn assert_near(a: &mut SplatTrainer, b: &mut SplatTrainer) {
    let (a, b) = (a.state().unwrap(), b.state().unwrap());
    for (a, b) in a.tensors.iter().zip(&b.tensors) {
        let norm: f64 = b.data.iter().map(|v| f64::from(*v).powi(2)).sum();
        let difference: f64 = a
            .data
            .iter()
            .zip(&b.data)
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum();
        assert!(
            difference.sqrt() <= 1e-4 * norm.sqrt() + 1e-12,
            "{}: {:.2e} of {:.2e}",
            a.name,
            difference.sqrt(),
            norm.sqrt()
        );
    }
}

/// A network that happens to be the L1 loss moves the scene as the L1 loss does: alone, and where pixels do not count.
#[test]
fn a_networks_gradient_replaces_the_photo_loss() {
    let Some(gpu) = gpu() else { return };
    let photo = photo();
    let mask: Vec<u8> = (0..SIZE.0 * SIZE.1)
        .map(|i| if i % SIZE.0 < 20 { 0 } else { 255 })
        .collect();
    for mask in [None, Some(mask.as_slice())] {
        let target = Target::upload(&gpu, &photo, mask).unwrap();
        let (mut plain, mut guided) = (trainer(&gpu, 0.0), trainer(&gpu, 0.2));
        for _ in 0..3 {
            let found = l1_as_a_network(&gpu, &mut guided, &photo, mask, 0.0);
            plain.step(&camera(), &target).unwrap();
            guided
                .step_with(None, &camera(), &target, Some(&found))
                .unwrap();
        }
        assert_near(&mut guided, &mut plain);
        let (plain, guided) = (plain.take_results(), guided.take_results());
        assert_eq!((plain.len(), guided.len()), (3, 3));
        for (p, g) in plain.iter().zip(&guided) {
            assert!((p.loss - g.loss).abs() < 1e-4, "{} {}", p.loss, g.loss);
        }
    }
}

/// Beside the photo loss, gradients and values add up: twice L1 is L1 twice as strong, which Adam does not tell apart.
#[test]
fn a_networks_gradient_adds_to_the_photo_loss() {
    let Some(gpu) = gpu() else { return };
    let photo = photo();
    let target = Target::upload(&gpu, &photo, None).unwrap();
    let (mut plain, mut guided) = (trainer(&gpu, 0.0), trainer(&gpu, 0.0));
    let found = l1_as_a_network(&gpu, &mut guided, &photo, None, 1.0);
    plain.step(&camera(), &target).unwrap();
    guided
        .step_with(None, &camera(), &target, Some(&found))
        .unwrap();
    plain.finish().unwrap();
    guided.finish().unwrap();
    let (plain_loss, guided_loss) = (plain.take_results()[0].loss, guided.take_results()[0].loss);
    assert!((guided_loss - 2.0 * plain_loss).abs() < 1e-4);
    let moments = |t: &mut SplatTrainer| -> Vec<f32> {
        let state = t.state().unwrap();
        let first = state.tensors.iter().filter(|t| t.name.contains("first"));
        first.flat_map(|t| t.data.clone()).collect()
    };
    let (plain, guided) = (moments(&mut plain), moments(&mut guided));
    assert!(!plain.is_empty() && plain.iter().any(|m| *m != 0.0));
    let norm: f64 = plain.iter().map(|m| f64::from(*m).powi(2)).sum();
    let off: f64 = plain
        .iter()
        .zip(&guided)
        .map(|(p, g)| f64::from(2.0 * p - g).powi(2))
        .sum();
    assert!(off.sqrt() <= 1e-4 * norm.sqrt(), "{off:.2e} of {norm:.2e}");
}

#[test]
fn a_gradient_of_another_size_is_refused_and_changes_nothing() {
    let Some(gpu) = gpu() else { return };
    let target = Target::upload(&gpu, &photo(), None).unwrap();
    let mut trainer = trainer(&gpu, 0.2);
    let wrong = ImageGradient {
        width: SIZE.0,
        height: SIZE.1 - 1,
        planes: gpu.storage("planes", u64::from(SIZE.0 * SIZE.1) * 12),
        loss: 0.0,
        photo_weight: 0.0,
    };
    let error = trainer
        .step_with(None, &camera(), &target, Some(&wrong))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("53×40") && error.contains("53×41"),
        "{error}"
    );
    assert_eq!(trainer.step_count(), 0);
    trainer.step(&camera(), &target).unwrap();
}

/// LPIPS as a loss: it falls where it is minimized alone, and what a mask hides has no part in it.
#[test]
fn lpips_moves_a_scene() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("squeeze.safetensors");
    if !super::formula::write_backbone(LpipsNet::Squeeze, &file) {
        return;
    }
    let settings = Settings {
        lpips_classifier: LpipsClassifier::Squeeze,
        lpips_weights: file.display().to_string(),
        edit_device: EditDevice::Cpu,
        ..Settings::default()
    };
    let PerceptualSearch::Loaded(lpips) = PerceptualLoss::find(gpu.clone(), &settings).unwrap()
    else {
        panic!("the weights were not found");
    };
    let photo = photo();
    let target = Target::upload(&gpu, &photo, None).unwrap();
    let mut trainer = trainer(&gpu, 0.0);
    let image = GpuImage::new(&gpu, SIZE.0, SIZE.1);
    let mut values = Vec::new();
    for _ in 0..12 {
        trainer.render(&camera(), &image).unwrap();
        let found = ImageGradient {
            photo_weight: 0.0,
            ..lpips.gradient(&image, &photo, None).unwrap()
        };
        values.push(found.loss);
        trainer
            .step_with(None, &camera(), &target, Some(&found))
            .unwrap();
    }
    println!("{values:?}");
    assert!(values[11] < 0.97 * values[0], "{values:?}");

    let all = vec![0u8; (SIZE.0 * SIZE.1) as usize];
    let hidden = lpips.gradient(&image, &photo, Some(&all)).unwrap();
    assert_eq!(hidden.loss, 0.0);
    let half: Vec<u8> = (0..SIZE.0 * SIZE.1)
        .map(|i| if i % SIZE.0 < 26 { 0 } else { 255 })
        .collect();
    let masked = lpips.gradient(&image, &photo, Some(&half)).unwrap();
    let other = Photo::new(
        SIZE.0,
        SIZE.1,
        (0..photo.rgb.len())
            .map(|i| if half[i / 3] == 0 { 7 } else { photo.rgb[i] })
            .collect(),
    );
    let same = lpips.gradient(&image, &other, Some(&half)).unwrap();
    assert!(masked.loss > 0.0 && (masked.loss - same.loss).abs() < 1e-6);
}

/// A strided view on the shared device arrives row by row.
#[test]
fn tensors_are_laid_out_for_the_kernels() {
    let Some(gpu) = gpu() else { return };
    let device: Device = gpu.burn_device().unwrap();
    let (h, w) = (5, 7);
    let values: Vec<f32> = (0..h * w * 3).map(|i| i as f32).collect();
    let picture = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, h, w, 3]), &device);
    let planes = tensor_to_storage(&gpu, picture.permute([0, 3, 1, 2])).unwrap();
    let read: Vec<f32> = gpu.read(&planes, h * w * 3).unwrap();
    for (i, v) in read.iter().enumerate() {
        let (c, pixel) = (i / (h * w), i % (h * w));
        assert_eq!(*v, values[pixel * 3 + c], "element {i}");
    }
}
