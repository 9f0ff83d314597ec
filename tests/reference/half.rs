//! The networks in half precision on the graphics adapter: weights and the tensors between layers are f16, sums are not.
//! Against the same references as in single precision, which PyTorch computed in single precision; what half precision
//! rounds away is bounded as a share of the whole. An adapter without f16 runs in single precision and must say so.

use crate::diffusion::{cases, ids, tensor, values};
use crate::fixture::{Fixture, path_or_skip};
use burn::tensor::{DType, Tensor};
use luxedit::diffusion::{
    InstructPix2Pix, Place, Precision, TextEncoder, UNet, Vae, precision_notice,
};
use luxedit::gpu::Gpu;
use std::sync::Arc;

/// Relative L2.
const TOLERANCE: f64 = 1e-2;
/// Rounding to eleven bits leaves at least this much: less would mean that nothing was rounded.
const ROUNDING: f64 = 1e-5;

fn adapter() -> Option<Arc<Gpu>> {
    match Gpu::headless() {
        Ok(gpu) => Some(gpu),
        Err(e) => {
            println!("SKIPPED: no adapter: {e}");
            None
        }
    }
}

fn check(fixture: &Fixture, name: &str, got: &[f32], is_half: bool) {
    let expected = fixture.get(name).data;
    assert_eq!(got.len(), expected.len(), "{name}");
    let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
    let pairs = got.iter().zip(&expected);
    let difference = squares(&mut pairs.map(|(g, e)| f64::from(g - e)));
    let norm = squares(&mut expected.iter().copied().map(f64::from));
    let distance = (difference / norm).sqrt();
    println!("{} {name}: relative L2 {distance:.2e}", fixture.name);
    assert!(distance <= TOLERANCE, "{name}: {distance:.2e}");
    assert!(
        !is_half || distance >= ROUNDING,
        "{name}: {distance:.2e} is not half precision"
    );
}

/// The smallest case of each network.
#[test]
fn networks_in_half_precision() {
    let Some(model) = path_or_skip("ip2p_tiny") else {
        return;
    };
    let Some(gpu) = adapter() else { return };
    let device = gpu.burn_device().expect("a device");
    let is_half = device.supports_dtype(DType::F16);
    let notice = precision_notice(Precision::Half, &device, &gpu.info.name);
    println!("{}: half precision {is_half} {notice:?}", gpu.info.name);
    assert_eq!(notice.is_none(), is_half);

    if let Some(fixture) = Fixture::open("fixtures/text_encoder.safetensors") {
        let tokens = ids(&fixture.get("ids"));
        let encoder = TextEncoder::load(&model.join("text_encoder"), Precision::Half, &device);
        let last = encoder.expect("a text encoder").forward(&tokens);
        let last = values(&last.expect("embeddings"));
        check(&fixture, "last_hidden_state", &last, is_half);
    }
    if let Some(fixture) = Fixture::open("fixtures/unet.safetensors") {
        let unet = UNet::load(&model.join("unet"), Precision::Half, &device).expect("a denoiser");
        let case = smallest(&fixture, ".sample");
        let get = |what: &str| fixture.get(&format!("{case}.{what}"));
        let keys = unet.prompt_keys(&tensor(&get("context"), &device));
        let timesteps = get("timestep").data;
        let eps = unet.forward(tensor(&get("sample"), &device), &timesteps, &keys);
        check(&fixture, &format!("{case}.eps"), &values(&eps), is_half);
    }
    if let Some(fixture) = Fixture::open("fixtures/vae.safetensors") {
        let mut vae =
            Vae::load(&model.join("vae"), Precision::Half, &device).expect("an autoencoder");
        let case = smallest(&fixture, ".image");
        let name = |what: &str| format!("{case}.{what}");
        let image: Tensor<4> = tensor(&fixture.get(&name("image")), &device);
        let posterior = vae.encode(image * 2.0 - 1.0);
        check(&fixture, &name("mean"), &values(&posterior.mean), is_half);
        let latents: Tensor<4> = tensor(&fixture.get(&name("latents")), &device);
        let latents = latents / vae.scaling_factor();
        let decoded = values(&vae.decode(latents.clone()));
        check(&fixture, &name("decoded"), &decoded, is_half);
        // In bands, too.
        vae.set_band_pixels(64);
        let decoded = values(&vae.decode(latents));
        check(&fixture, &name("decoded"), &decoded, is_half);
    }
}

fn smallest(fixture: &Fixture, suffix: &str) -> String {
    let size = |case: &String| {
        let tensor = fixture.get(&format!("{case}{suffix}"));
        tensor.data.len()
    };
    let cases = cases(fixture, suffix).into_iter();
    cases.min_by_key(size).expect("a case")
}

/// A whole model takes half the weights' memory, and knows where it is.
#[test]
fn a_model_in_half_precision_takes_half_the_memory() {
    let Some(model) = path_or_skip("ip2p_tiny") else {
        return;
    };
    let Some(gpu) = adapter() else { return };
    let device = gpu.burn_device().expect("a device");
    if !device.supports_dtype(DType::F16) {
        println!("SKIPPED: {} has no half precision", gpu.info.name);
        return;
    }
    let load = |precision| InstructPix2Pix::load(&model, &device, precision).expect("a model");
    let half = load(Precision::Half);
    assert_eq!(half.place(), Place::Card(Precision::Half));
    let need = |precision| half.memory_need(64, 64, Place::Card(precision));
    let (full, half) = (need(Precision::Full), need(Precision::Half));
    println!("full: {full}; half: {half}");
    let ratio = full.weights as f64 / half.weights as f64;
    assert!((1.8..=2.0).contains(&ratio), "{ratio}");
    assert_eq!(load(Precision::Full).place(), Place::Card(Precision::Full));
}
