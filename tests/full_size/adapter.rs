//! The parts on the graphics adapter, in full and in half precision: against PyTorch, and the memory that they take
//! against what is foretold. `LUXEDIT_FULL_SIZE_ADAPTER` says which: `full`, `half`, or both with a comma. On a software
//! adapter that takes the better part of an hour, most of it to tune kernels: every layer is also taken through a small
//! picture, against the CPU backend, which other tests hold against PyTorch. `LUXEDIT_FULL_SIZE_SIDE` is another side of
//! the picture for that test and for memory, pixels.

use super::{Reference, folder};
use burn::tensor::{DType, Device, Tensor};
use luxedit::diffusion::{
    InstructPix2Pix, MemoryNeed, NoiseSource, Place, Precision, SeededNoise, read,
};
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

/// Run `test` for each precision that is asked for.
fn on_the_adapter(test: &dyn Fn(&std::path::Path, &Gpu, Precision)) {
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
        test(&folder, &gpu, precision);
    }
}

fn side(usual: usize) -> usize {
    let side = std::env::var("LUXEDIT_FULL_SIZE_SIDE").ok();
    side.map_or(usual, |side| side.parse().expect("a number of pixels"))
}

#[test]
fn parts_on_the_adapter() {
    on_the_adapter(&beside_pytorch);
}

#[test]
fn layers_on_the_adapter() {
    on_the_adapter(&|folder, gpu, precision| {
        beside_the_processor(folder, gpu, precision, side(64))
    });
}

#[test]
fn memory_on_the_adapter() {
    on_the_adapter(&|folder, gpu, precision| memory(folder, gpu, precision, side(256)));
}

fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Full => 1e-4,
        Precision::Half => 1e-2,
    }
}

fn compare<const D: usize>(what: &str, got: Tensor<D>, expected: Tensor<D>, tolerance: f64) {
    assert_eq!(got.dims(), expected.dims(), "{what}");
    let [got, expected] = [got, expected].map(|x| read(x).expect("a result"));
    let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
    let pairs = got.iter().zip(&expected);
    let difference = squares(&mut pairs.map(|(g, e)| f64::from(g - e)));
    let norm = squares(&mut expected.iter().copied().map(f64::from));
    let distance = (difference / norm).sqrt();
    println!("{what}: relative L2 {distance:.2e}");
    assert!(distance <= tolerance, "{what}: {distance:.2e}");
}

/// Every layer once, on a picture of `side` pixels, on the card and on the CPU backend.
fn beside_the_processor(folder: &std::path::Path, gpu: &Gpu, precision: Precision, side: usize) {
    let load = |device: &Device| {
        let model = InstructPix2Pix::load(&folder.join("model"), device, precision);
        model.expect("a model")
    };
    let (host, card) = (Device::flex(), gpu.burn_device().expect("a device"));
    let (here, there) = (load(&host), load(&card));

    let tolerance = tolerance(precision);
    let said = |part: &str| format!("{precision:?}, {side}², {part}");
    let at_host = |x: Tensor<4>| Tensor::<4>::from_data(x.cast(DType::F32).to_data(), &host);
    let ids = Reference::open(folder).ids();
    let embed = |model: &InstructPix2Pix| model.text_encoder.forward(&ids[..1]);
    let context = embed(&here).expect("embeddings");
    let got = embed(&there).expect("embeddings").to_data();
    let got = Tensor::<3>::from_data(got, &host);
    compare(&said("text encoder"), got, context.clone(), tolerance);

    let latents = here.latent_shape(side, side);
    let autoencode = |model: &InstructPix2Pix| {
        let mut noise = SeededNoise::new(1);
        let picture = noise.next([1, 3, side, side], model.device());
        let latents = noise.next(latents, model.device());
        [model.vae.encode(picture).mode(), model.vae.decode(latents)].map(at_host)
    };
    let parts = autoencode(&there).into_iter().zip(autoencode(&here));
    for ((got, expected), part) in parts.zip(["encoder", "decoder"]) {
        compare(&said(part), got, expected, tolerance);
    }

    let inputs = |model: &InstructPix2Pix| {
        let device = model.device();
        let shape = [1, 2 * latents[1], latents[2], latents[3]];
        let context = Tensor::<3>::from_data(context.to_data(), device);
        let keys = model.unet.prompt_keys(&context);
        (SeededNoise::new(2).next(shape, device), keys)
    };
    let time = |model: &InstructPix2Pix| {
        let embedding = model.unet.time_embedding(&[500.0], model.device());
        Tensor::<2>::from_data(embedding.to_data(), &host)
    };
    compare(
        &said("time embedding"),
        time(&there),
        time(&here),
        tolerance,
    );
    let predict = |model: &InstructPix2Pix, trace: &mut dyn FnMut(&str, &Tensor<4>)| {
        let (sample, keys) = inputs(model);
        at_host(model.unet.forward_traced(sample, &[500.0], &keys, trace))
    };
    let mut blocks = Vec::new();
    let prediction = predict(&here, &mut |name, x| {
        blocks.push((name.to_owned(), at_host(x.clone())));
    });
    let mut blocks = blocks.into_iter();
    let got = predict(&there, &mut |name, x| {
        let (of, expected) = blocks.next().expect("the same blocks");
        assert_eq!(name, of);
        compare(&said(name), at_host(x.clone()), expected, tolerance);
    });
    compare(&said("prediction"), got, prediction, tolerance);
}

/// What a model, a denoising step and a decoding take on the card, for a picture of `side` pixels.
fn memory(folder: &std::path::Path, gpu: &Gpu, precision: Precision, side: usize) {
    let device = gpu.burn_device().expect("a device");
    device.memory_cleanup();
    let before = held(&device);
    let model = InstructPix2Pix::load(&folder.join("model"), &device, precision);
    let model = model.expect("a model");
    let memory = Memory::of(&model, precision, side);
    let weights = memory.weights(before);
    let [_, channels, h, w] = model.latent_shape(side, side);
    let latents = SeededNoise::new(3).next([1, channels, h, w], &device);
    let decode = || model.vae.decode(latents.clone());
    read(decode()).expect("tuned kernels");
    let decoding = peak(&device, decode);
    let need = memory.need;
    memory.with(
        "weights and autoencoder",
        need.autoencoder,
        weights,
        decoding,
    );
    let sample = SeededNoise::new(2).next([3, 2 * channels, h, w], &device);
    let context = [1, 3, 77, model.unet.prompt_features()];
    let context = SeededNoise::new(4)
        .next(context, &device)
        .squeeze_dim::<3>(0);
    let keys = model.unet.prompt_keys(&context);
    let step = || model.unet.forward(sample.clone(), &[500.0], &keys);
    read(step()).expect("tuned kernels");
    let step = peak(&device, step);
    memory.with(
        "weights and a denoising step",
        need.denoising,
        weights,
        step,
    );
}

/// What is foretold, against what the allocator counts.
struct Memory {
    need: MemoryNeed,
    device: Device,
    precision: Precision,
}

impl Memory {
    fn of(model: &InstructPix2Pix, precision: Precision, side: usize) -> Self {
        let place = Place::Card(precision);
        assert_eq!(model.place(), place, "this adapter has no f16");
        let need = model.memory_need(side, side, place);
        println!("{precision:?}, {side}²: {need}");
        println!(
            "{precision:?}, 512²: {}",
            model.memory_need(512, 512, place)
        );
        let device = model.device().clone();
        device.sync().expect("a device");
        Self {
            need,
            device,
            precision,
        }
    }

    /// All that the device holds more than `before`, at its most.
    fn check(&self, what: &str, need: u64, [in_use, reserved]: [u64; 2]) {
        let ratio = need as f64 / reserved as f64;
        println!(
            "{:?}, {what}: foretold {} MiB; in tensors {} MiB, from the driver {} MiB; ratio {ratio:.2}",
            self.precision,
            need >> 20,
            in_use >> 20,
            reserved >> 20
        );
        assert!((0.8..1.5).contains(&ratio), "{what}: {ratio:.2}");
    }

    /// Of the model alone; the result is what it took.
    fn weights(&self, before: [u64; 2]) -> [u64; 2] {
        let after = held(&self.device);
        let weights = std::array::from_fn(|i| after[i].saturating_sub(before[i]));
        self.check("weights", self.need.weights, weights);
        weights
    }

    /// With the weights: work takes what they left of the pages they came in.
    fn with(&self, what: &str, part: u64, weights: [u64; 2], measured: [u64; 2]) {
        let total = std::array::from_fn(|i| weights[i] + measured[i]);
        self.check(what, self.need.weights + part, total);
    }
}

/// Against PyTorch, at its reference's size.
fn beside_pytorch(folder: &std::path::Path, gpu: &Gpu, precision: Precision) {
    let (reference, device) = (
        Reference::open(folder),
        gpu.burn_device().expect("a device"),
    );
    let tolerance = tolerance(precision);
    let start = Instant::now();
    let model = InstructPix2Pix::load(&folder.join("model"), &device, precision).expect("a model");
    device.sync().expect("a device");
    println!(
        "{precision:?}: loaded in {:.1} s",
        start.elapsed().as_secs_f64()
    );
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
    let prediction = model.unet.forward(sample, &[timestep], &keys);
    reference.check("unet_eps", prediction, tolerance);
    timed("first step", start);
    let start = Instant::now();
    let latents: Tensor<4> = reference.tensor("vae_mean", &device);
    let decoded = model.vae.decode(latents);
    reference.check("vae_decoded", decoded, tolerance);
    timed("first decoding", start);
    let start = Instant::now();
    let picture: Tensor<4> = reference.tensor("image", &device);
    let mean = model.vae.encode(picture * 2.0 - 1.0).mode();
    reference.check("vae_mean", mean, tolerance);
    timed("first encoding", start);
}
