//! The shared device: kernels and networks meet without a copy over the host.

#[path = "support/adapter.rs"]
mod adapter;

use adapter::gpu;
use luxedit::{
    gpu::{GpuImage, ImageToTensor},
    scene::FloatImage,
};

/// Values that no two pixels or channels share.
fn picture(width: u32, height: u32, round: u32) -> FloatImage {
    let rgb = (0..width * height * 3)
        .map(|i| (i * 7 + round) as f32 * 1e-4 - 0.1)
        .collect();
    FloatImage::new(width, height, rgb)
}

#[test]
fn a_picture_becomes_a_tensor_that_the_networks_see() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.burn_device().unwrap();
    let convert = ImageToTensor::new(&gpu);
    // Odd sizes, and several rounds, so that pooled memory of an earlier round would show.
    for round in 0..3 {
        let (width, height) = (37 + round, 21);
        let image = picture(width, height, round);
        let tensor = convert
            .convert(&gpu, &GpuImage::from_float(&gpu, &image), &device)
            .unwrap();
        assert_eq!(tensor.dims(), [1, 3, height as usize, width as usize]);
        let got = luxedit::diffusion::tensor_to_image(tensor * 2.0).unwrap();
        let wanted: Vec<f32> = image.rgb.iter().map(|v| v.clamp(0.0, 1.0) * 2.0).collect();
        assert_eq!(got.rgb, wanted, "round {round}");
    }
}

#[test]
fn a_tensor_of_the_cpu_is_refused() {
    let Some(gpu) = gpu() else { return };
    let image = GpuImage::from_float(&gpu, &picture(4, 4, 0));
    let refused = ImageToTensor::new(&gpu).convert(&gpu, &image, &burn::tensor::Device::flex());
    let message = refused.expect_err("an error").to_string();
    assert!(message.contains("share"), "{message}");
}
