//! InstructPix2Pix at its full size (1.07 billion parameters) against PyTorch. `LUXEDIT_FULL_SIZE` names a folder with
//! `model/` (diffusers layout) and `reference.safetensors`: inputs and float32 outputs of each part, computed by
//! diffusers from the same weights (`ids`, `image`, `unet_sample`, `timestep`; `context`, `vae_mean`, `vae_decoded`,
//! `unet_eps`). Too large to carry along, so without the folder these tests say that they were skipped.

use burn::tensor::{Device, Tensor, TensorData};
use luxedit::diffusion::{InstructPix2Pix, Place, Precision, TextEncoder, UNet, Vae, read};
use safetensors::{Dtype, SafeTensors};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "full_size/adapter.rs"]
mod adapter;

/// Relative L2 in f32.
const TOLERANCE: f64 = 1e-4;

/// The folder, for one test at a time: what one takes of the memory is measured.
struct Folder {
    path: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

fn folder() -> Option<Folder> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let folder = std::env::var_os("LUXEDIT_FULL_SIZE").map(PathBuf::from);
    if folder.is_none() {
        println!(
            "skipped: LUXEDIT_FULL_SIZE names no folder with a full-size model and its reference"
        );
    }
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    folder.map(|path| Folder {
        path,
        _alone: alone,
    })
}

struct Reference(Vec<u8>);

impl Reference {
    fn open(folder: &Path) -> Self {
        let path = folder.join("reference.safetensors");
        Self(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// Elements as f64 and shape.
    fn get(&self, name: &str) -> (Vec<f64>, Vec<usize>) {
        let file = SafeTensors::deserialize(&self.0).expect("a safetensors file");
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let values = match view.dtype() {
            Dtype::F32 => {
                let chunks = view.data().as_chunks::<4>().0;
                chunks
                    .iter()
                    .map(|b| f32::from_le_bytes(*b).into())
                    .collect()
            }
            Dtype::I64 => {
                let chunks = view.data().as_chunks::<8>().0;
                chunks
                    .iter()
                    .map(|b| i64::from_le_bytes(*b) as f64)
                    .collect()
            }
            other => panic!("{name} is stored as {other:?}"),
        };
        (values, view.shape().to_vec())
    }

    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (values, shape) = self.get(name);
        let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    fn ids(&self) -> Vec<Vec<u32>> {
        let (values, shape) = self.get("ids");
        let rows = values.chunks(shape[1]);
        rows.map(|row| row.iter().map(|&id| id as u32).collect())
            .collect()
    }

    /// Relative L2 distance of `got` from the tensor of that name.
    fn check<const D: usize>(&self, name: &str, got: Tensor<D>, tolerance: f64) {
        let (expected, shape) = self.get(name);
        assert_eq!(got.dims().to_vec(), shape, "{name}");
        let got = read(got).expect("a result");
        let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
        let pairs = got.iter().zip(&expected);
        let difference = squares(&mut pairs.map(|(got, expected)| f64::from(*got) - expected));
        let distance = (difference / squares(&mut expected.iter().copied())).sqrt();
        println!("{name}: relative L2 {distance:.2e}");
        assert!(distance <= tolerance, "{name}: {distance:.2e}");
    }
}

#[test]
fn text_encoder() {
    let Some(folder) = folder() else { return };
    let (reference, device) = (Reference::open(&folder), Device::flex());
    let path = folder.join("model/text_encoder");
    let encoder = TextEncoder::load(&path, Precision::Half, &device).expect("a text encoder");
    let context = encoder.forward(&reference.ids()).expect("embeddings");
    reference.check("context", context, TOLERANCE);
}

#[test]
fn vae() {
    let Some(folder) = folder() else { return };
    let (reference, device) = (Reference::open(&folder), Device::flex());
    let path = folder.join("model/vae");
    let vae = Vae::load(&path, Precision::Half, &device).expect("an autoencoder");
    let picture: Tensor<4> = reference.tensor("image", &device);
    let mean = vae.encode(picture * 2.0 - 1.0).mode();
    reference.check("vae_mean", mean, TOLERANCE);
    let decoded = vae.decode(reference.tensor("vae_mean", &device));
    reference.check("vae_decoded", decoded, TOLERANCE);
}

#[test]
fn unet() {
    let Some(folder) = folder() else { return };
    let (reference, device) = (Reference::open(&folder), Device::flex());
    let path = folder.join("model/unet");
    let unet = UNet::load(&path, Precision::Half, &device).expect("a UNet");
    let keys = unet.prompt_keys(&reference.tensor("context", &device));
    let timestep = reference.get("timestep").0[0] as f32;
    let sample = reference.tensor("unet_sample", &device);
    let prediction = unet.forward(sample, &[timestep], &keys);
    reference.check("unet_eps", prediction, TOLERANCE);
}

/// Loaded from a warm cache within five seconds of two processors, and the memory that a step and a picture take is what was foretold: by
/// the high-water mark of resident memory, which the system lets a process reset.
#[test]
fn load_time_and_memory() {
    let Some(folder) = folder() else { return };
    let (reference, device) = (Reference::open(&folder), Device::flex());
    for part in ["unet", "vae", "text_encoder"] {
        for file in std::fs::read_dir(folder.join("model").join(part)).expect("a part") {
            let mut file = std::fs::File::open(file.expect("a file").path()).expect("a file");
            std::io::copy(&mut file, &mut std::io::sink()).expect("a warm cache");
        }
    }
    let before = resident("VmRSS");
    let load = || InstructPix2Pix::load(&folder.join("model"), &device, Precision::Half);
    let (start, cpu) = (std::time::Instant::now(), processor_secs());
    let model = load().expect("a model");
    let load_secs = start.elapsed().as_secs_f64();
    let cpu = processor_secs() - cpu;
    let need = model.memory_need(256, 256, Place::Processor);
    println!("loaded in {load_secs:.2} s, {cpu:.2} processor seconds; 256²: {need}");
    println!("512²: {}", model.memory_need(512, 512, Place::Processor));
    for precision in [Precision::Full, Precision::Half] {
        println!(
            "512² on a graphics card, {precision:?}: {}",
            model.memory_need(512, 512, Place::Card(precision))
        );
    }
    println!("peak while loading: {} MiB", resident("VmHWM") >> 20);
    let fits = |what: &str, need: u64, measured: u64| {
        let ratio = need as f64 / measured as f64;
        println!(
            "{what}: foretold {} MiB, measured {} MiB, ratio {ratio:.2}",
            need >> 20,
            measured >> 20
        );
        assert!((0.8..2.0).contains(&ratio), "{what}: {ratio:.2}");
    };
    fits("weights", need.weights, resident("VmRSS") - before);
    let keys = model
        .unet
        .prompt_keys(&reference.tensor("context", &device));
    let sample: Tensor<4> = reference.tensor("unet_sample", &device);
    let peak = |run: &dyn Fn() -> Tensor<4>| {
        std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
        let before = resident("VmRSS");
        read(run()).expect("a result");
        resident("VmHWM") - before
    };
    let step = peak(&|| model.unet.forward(sample.clone(), &[500.0], &keys));
    fits("a denoising step", need.denoising, step);
    let latents: Tensor<4> = reference.tensor("vae_mean", &device);
    let decoded = peak(&|| model.vae.decode(latents.clone()));
    fits("the autoencoder", need.autoencoder, decoded);
    // What a busy machine takes longer for says nothing of the load: as much as two processors do in five seconds.
    assert!(cpu <= 10.0, "loading took {cpu:.2} processor seconds");
}

/// Processor seconds of this process, all threads.
fn processor_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // After the name in parentheses: fields 14 and 15, in hundredths.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .map(|n| n.parse::<f64>().expect("a number"))
        .sum::<f64>()
        / 100.0
}

/// Bytes of a line of this process' status.
fn resident(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect("a line");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") * 1024
}
