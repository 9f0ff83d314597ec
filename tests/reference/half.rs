//! The networks in half precision on the graphics adapter: weights and the tensors between layers are f16, sums are not.
//! Against the same references as in single precision, which PyTorch computed in single precision; what half precision
//! rounds away is bounded as a share of the whole. An adapter without f16 runs in single precision and must say so.

use crate::diffusion::{cases, ids, tensor, values};
use crate::fixture::{Fixture, path_or_skip};
use burn::tensor::{DType, Device, Tensor};
use luxedit::diffusion::{
    EditSettings, EditSolver, GuidanceRange, InstructPix2Pix, MemoryLimit, NoiseSource, Place,
    Precision, SeededNoise, TextEncoder, UNet, Vae, precision_notice,
};
use luxedit::edit::{EditUpdate, ImageEditor, Instruction, Ip2pEditor, Watch};
use luxedit::error::Cancel;
use luxedit::gpu::{Gpu, GpuImage};
use luxedit::scene::Photo;
use luxedit::settings::{self, EditDevice};
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

/// An edit in half precision is the edit; what is done once before it is said, in order, and said once.
#[test]
fn an_edit_in_half_precision_is_the_edit() {
    let Some(model) = path_or_skip("ip2p_tiny") else {
        return;
    };
    let Some(gpu) = adapter() else { return };
    let pixels = (0..24 * 16 * 3).map(|i| ((i * 7) % 251) as u8).collect();
    let photo = Photo::new(24, 16, pixels);
    let instruction = Instruction {
        prompt: "make it snow".into(),
        guidance_scale: 3.0,
        image_guidance_scale: 1.5,
        diffusion_steps: 2,
        solver: EditSolver::Ddim,
        guidance_range: GuidanceRange::ALL,
        edited_side: 0,
        photo_detail: 0.0,
        timestep: 300,
        seed: 3,
        noise_stream: 0,
    };
    let render = GpuImage::from_float(&gpu, &photo.to_float());
    let edit = |device: &EditDevice, times: usize| {
        let editor = Ip2pEditor::load(gpu.clone(), &model, device, settings::Precision::Half, None);
        let mut editor = editor.expect("an editor");
        println!("{}: {:?}", editor.device_name(), editor.notices());
        let mut said = Vec::new();
        let mut edited = None;
        for _ in 0..times {
            let mut watch = Watch {
                cancel: &Cancel::default(),
                wants_previews: false,
                on_update: &mut |update| match update {
                    EditUpdate::Preparing(what) => said.push(what),
                    EditUpdate::Denoised(step) => said.push(format!("step {}", step.done)),
                    other => panic!("{other:?}"),
                },
            };
            let picture = editor.edit(0, &render, &photo, &instruction, &mut watch);
            edited = Some(picture.expect("an edit").to_photo());
        }
        (edited.expect("an edit"), said)
    };
    let (here, said) = edit(&EditDevice::Cpu, 1);
    assert_eq!(said, ["step 1", "step 2"], "the CPU prepares nothing");
    let (there, said) = edit(&EditDevice::Gpu(None), 2);
    println!("{said:#?}");
    let expected = [
        "1 of 4", "2 of 4", "3 of 4", "step 1", "step 2", "4 of 4", "step 1", "step 2",
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said}: not {expected}");
    }
    let pairs = here.rgb.iter().zip(there.rgb.iter());
    let squares = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / here.rgb.len() as f64;
    let psnr = 10.0 * (255.0 * 255.0 / mean.max(1e-9f64)).log10();
    println!("{psnr:.1} dB");
    // The tiny model's weights are random: the spread of its posterior multiplies what rounding leaves. An unrelated
    // picture is at 8 dB.
    assert!(psnr > 18.0, "{psnr}");
}

/// A group of channels has more pixels here than a software adapter lets a kernel's loop turn.
#[test]
fn a_large_picture_is_decoded_as_on_the_processor() {
    let Some(model) = path_or_skip("ip2p_tiny") else {
        return;
    };
    let Some(gpu) = adapter() else { return };
    let card = gpu.burn_device().expect("a device");
    let [there, here] = [card, Device::flex()].map(|device| {
        let model = InstructPix2Pix::load(&model, &device, Precision::Full).expect("a model");
        let latents = SeededNoise::new(4).next(model.latent_shape(256, 256), &device);
        values(&model.vae.decode(latents))
    });
    let squares = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>();
    let difference = squares(&mut there.iter().zip(&here).map(|(a, b)| a - b));
    let distance = (difference / squares(&mut here.iter().copied())).sqrt();
    println!("relative L2 {distance:.2e}");
    assert!(distance < 1e-4, "{distance:.2e}");
}

/// A limit that the whole exceeds cuts the edit into parts, with the same picture; one that nothing fits is refused with
/// the numbers.
#[test]
fn a_small_card_gets_smaller_parts_or_the_numbers() {
    let Some(model) = path_or_skip("ip2p_tiny") else {
        return;
    };
    let Some(gpu) = adapter() else { return };
    let device = gpu.burn_device().expect("a device");
    let load = |bytes: u64, size: [usize; 2]| {
        let limit = MemoryLimit { bytes, size };
        InstructPix2Pix::load_within(&model, &device, Precision::Full, Some(limit))
    };
    // Large enough that parts matter; nothing is computed at this size.
    let size = [2048, 2048];
    let whole = load(u64::MAX, size).expect("all fits");
    let place = Place::Card(Precision::Full);
    let need = |model: &InstructPix2Pix| model.memory_need(size[0], size[1], place);
    let most = need(&whole);
    println!("whole: {most}, {:?}", whole.cut_notice());
    assert_eq!(whole.cut_notice(), None);
    let refusal = match load(1 << 20, size) {
        Ok(_) => panic!("nothing fits a MiB"),
        Err(e) => e.to_string(),
    };
    println!("{refusal}");
    for says in ["--edit-memory", "0.00 GiB", "--edited-side", "weights"] {
        assert!(refusal.contains(says), "{says}: {refusal}");
    }

    let mut limit = most.total() - 1;
    let mut cuts = Vec::new();
    while let Ok(cut) = load(limit, size) {
        let (need, notice) = (need(&cut), cut.cut_notice().expect("it was cut"));
        println!("{} bytes: {need}, {notice}", limit);
        assert!(need.total() <= limit);
        limit = need.total() - 1;
        cuts.push((cut, notice));
    }
    assert!(cuts.len() >= 2, "{} cuts", cuts.len());
    let (smallest, notice) = cuts.pop().expect("a cut");
    assert!(notice.contains("on the processor"), "{notice}");
    assert!(need(&smallest).weights < most.weights);
    let embed = |model: &InstructPix2Pix| {
        let embedding = model.encode_prompt("make it snow", "");
        values(&embedding.expect("an embedding").prompt)
    };
    let on_processor = embed(&smallest);
    for (a, b) in on_processor.iter().zip(embed(&whole)) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
    // 1536 pixels attend to each other a few hundred at a time, and those of the next level some heads at a time.
    let here = InstructPix2Pix::load(&model, &Device::flex(), Precision::Full).expect("a model");
    let [in_parts, expected] = [&smallest, &here].map(|model| {
        let shape = [1, model.unet.in_channels(), 32, 48];
        let sample = SeededNoise::new(4).next(shape, model.device());
        let prompt = model.encode_prompt("make it snow", "").expect("embeddings");
        let keys = model.unet.prompt_keys(&prompt.prompt);
        values(&model.unet.forward(sample, &[400.0], &keys))
    });
    let most = expected.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    assert!(most > 0.1, "{most}");
    for (a, b) in in_parts.iter().zip(expected) {
        assert!((a - b).abs() < 1e-4 * most, "{a} {b}");
    }
    // A picture beyond what was planned for is refused before it runs.
    let picture = Tensor::<4>::zeros([1, 3, 4096, 4096], &device);
    let embedding = smallest.encode_prompt("", "").expect("an embedding");
    let refused = smallest.edit_image(
        picture,
        &embedding,
        &EditSettings::default(),
        &smallest.scheduler,
        &mut SeededNoise::new(0),
        &Cancel::default(),
        &mut |_| {},
    );
    let refused = refused.err().map(|e| e.to_string()).unwrap_or_default();
    println!("{refused}");
    assert!(refused.contains("--edit-memory"), "{refused}");
}
