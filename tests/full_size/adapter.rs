//! The parts on the graphics adapter, in full and in half precision: against PyTorch, and the memory that they take
//! against what is foretold. `LUXEDIT_FULL_SIZE_ADAPTER` says which: `full`, `half`, or both with a comma. On a software
//! adapter a part takes minutes, most of them to tune its kernels.

use super::{Reference, folder};
use burn::tensor::{Device, Tensor};
use luxedit::diffusion::{InstructPix2Pix, Place, Precision, read};
use luxedit::gpu::Gpu;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn precisions() -> Vec<Precision> {
    let asked = std::env::var("LUXEDIT_FULL_SIZE_ADAPTER").unwrap_or_default();
    if asked.is_empty() {
        println!("skipped: LUXEDIT_FULL_SIZE_ADAPTER asks for no precision (full, half)");
    }
    let names = asked.split(',').filter(|name| !name.is_empty());
    names
        .map(|name| match name {
            "full" => Precision::Full,
            "half" => Precision::Half,
            other => panic!("LUXEDIT_FULL_SIZE_ADAPTER: {other}"),
        })
        .collect()
}

/// Bytes in tensors, and bytes taken from the driver.
fn held(device: &Device) -> [u64; 2] {
    let usage = device.memory_pool_usage().expect("a graphics device tells");
    [usage.bytes_in_use, usage.bytes_reserved]
}

/// The most bytes in tensors while `run` ran, and the most taken from the driver, beyond what was there before.
fn peak<const D: usize>(device: &Device, run: impl FnOnce() -> Tensor<D>) -> [u64; 2] {
    device.memory_cleanup();
    let before = held(device);
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = [0; 2];
            while !done.load(Ordering::Relaxed) {
                let now = held(device);
                most = std::array::from_fn(|i| now[i].max(most[i]));
                std::thread::sleep(Duration::from_micros(200));
            }
            most
        });
        read(run()).expect("a result");
        done.store(true, Ordering::Relaxed);
        watch.join().expect("a watch")
    });
    std::array::from_fn(|i| most[i].saturating_sub(before[i]))
}

#[test]
fn parts_on_the_adapter() {
    let Some(folder) = folder() else { return };
    let precisions = precisions();
    if precisions.is_empty() {
        return;
    }
    let gpu = match Gpu::headless() {
        Ok(gpu) => gpu,
        Err(e) => {
            println!("SKIPPED: no adapter: {e}");
            return;
        }
    };
    println!("{}", gpu.info.name);
    for precision in precisions {
        on_the_adapter(&folder, &gpu, precision);
    }
}

fn on_the_adapter(folder: &std::path::Path, gpu: &Gpu, precision: Precision) {
    let (reference, device) = (
        Reference::open(folder),
        gpu.burn_device().expect("a device"),
    );
    let tolerance = match precision {
        Precision::Full => 1e-4,
        Precision::Half => 1e-2,
    };
    device.memory_cleanup();
    let before = held(&device);
    let start = Instant::now();
    let model = InstructPix2Pix::load(&folder.join("model"), &device, precision).expect("a model");
    device.sync().expect("a device");
    println!(
        "{precision:?}: loaded in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert_eq!(
        model.place(),
        Place::Card(precision),
        "this adapter has no f16"
    );
    let need = model.memory_need(256, 256, model.place());
    println!("{precision:?}, 256²: {need}");
    println!(
        "{precision:?}, 512²: {}",
        model.memory_need(512, 512, model.place())
    );
    let after = held(&device);
    let told = |what: &str, need: u64, [in_use, reserved]: [u64; 2]| {
        println!(
            "{precision:?}, {what}: foretold {} MiB; in tensors {} MiB, from the driver {} MiB",
            need >> 20,
            in_use >> 20,
            reserved >> 20
        );
        let ratio = need as f64 / in_use as f64;
        assert!((0.8..2.5).contains(&ratio), "{what}: {ratio:.2}");
    };
    let weights = std::array::from_fn(|i| after[i].saturating_sub(before[i]));
    told("weights", need.weights, weights);

    let timed = |what: &str, start: Instant| {
        println!(
            "{precision:?}, {what}: {:.1} s",
            start.elapsed().as_secs_f64()
        );
    };
    let start = Instant::now();
    let context = model
        .text_encoder
        .forward(&reference.ids())
        .expect("embeddings");
    reference.check("context", context, tolerance);
    timed("text encoder", start);

    let start = Instant::now();
    let keys = model
        .unet
        .prompt_keys(&reference.tensor("context", &device));
    let timestep = reference.get("timestep").0[0] as f32;
    let sample: Tensor<4> = reference.tensor("unet_sample", &device);
    let prediction = model.unet.forward(sample.clone(), &[timestep], &keys);
    reference.check("unet_eps", prediction, tolerance);
    timed("first step", start);
    let start = Instant::now();
    let step = peak(&device, || {
        model.unet.forward(sample.clone(), &[timestep], &keys)
    });
    timed("second step", start);
    told("a denoising step", need.denoising, step);

    let start = Instant::now();
    let latents: Tensor<4> = reference.tensor("vae_mean", &device);
    let decoded = model.vae.decode(latents.clone());
    reference.check("vae_decoded", decoded, tolerance);
    timed("first decoding", start);
    let start = Instant::now();
    let decoded = peak(&device, || model.vae.decode(latents.clone()));
    timed("second decoding", start);
    told("the autoencoder", need.autoencoder, decoded);
    let start = Instant::now();
    let picture: Tensor<4> = reference.tensor("image", &device);
    let mean = model.vae.encode(picture * 2.0 - 1.0).mode();
    reference.check("vae_mean", mean, tolerance);
    timed("first encoding", start);
}
