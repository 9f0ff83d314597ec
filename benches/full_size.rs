//! The parts of InstructPix2Pix beside PyTorch, in one run: the same weights and inputs, on the processor with the same
//! number of threads, or on the same graphics card, both in half precision.
//! `cargo bench --bench full_size -- [card[:PART]] FOLDER PYTHON`: a folder as `tests/full_size.rs` takes it, and a Python
//! with torch, diffusers and transformers. The two take turns, so that whatever else the machine does falls on both; of each
//! the quickest run counts. A processor second is one core's: wall time on an idle machine is that over the cores, at
//! best. On a card, operations a second are those that PyTorch counts, beside what it reaches in products of large
//! matrices.

#[path = "python/mod.rs"]
mod python;

use burn::tensor::{Device, Tensor};
use luxedit::diffusion::{
    EditNoise, EditSettings, InstructPix2Pix, NoiseSource, Precision, PromptEmbedding, SeededNoise,
    read,
};
use luxedit::error::Cancel;
use luxedit::gpu::{Gpu, has_matrix_units};
use python::{Failure, Python, cpu_secs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Sides of the pictures in pixels.
const PROCESSOR_SIDE: usize = 256;
const CARD_SIDE: usize = 512;
const ROUNDS: usize = 3;

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench`.
    let mut arguments: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .map(PathBuf::from)
        .collect();
    let on_card = arguments.first().and_then(|first| {
        let (card, part) = first
            .to_str()?
            .split_once(':')
            .unwrap_or((first.to_str()?, ""));
        (card == "card").then(|| part.to_owned())
    });
    if on_card.is_some() {
        arguments.remove(0);
    }
    let [folder, python @ ..] = arguments.as_slice() else {
        println!(
            "skipped: needs a folder with a full-size model; PyTorch's Python beside it for a ratio"
        );
        return Ok(());
    };
    let place = match on_card {
        Some(_) => Place::Card(Gpu::headless()?),
        None => Place::Processor,
    };
    let only = on_card.unwrap_or_default();
    if !only.is_empty() && !place.parts().contains(&only.as_str()) {
        return Err(format!("no part {only}: there is {}", place.parts().join(", ")).into());
    }
    let model = folder.join("model");
    let start = Instant::now();
    let parts = Parts::load(&model, &place)?;
    println!("loaded in {:.2} s", start.elapsed().as_secs_f64());
    let mut torch = python
        .first()
        .map(|python| {
            let threads = rayon::current_num_threads().to_string();
            let side = place.side().to_string();
            let arguments = [&model.display().to_string(), &side, &threads, place.torch()];
            Python::start(python, "full_size.py", &arguments)
        })
        .transpose()?;
    println!(
        "{}, {}²; UNet: a step's three rows, and those of four views",
        place.name(),
        place.side()
    );
    let mut best: BTreeMap<&str, [Times; 2]> = BTreeMap::new();
    for round in 0..=ROUNDS {
        for &name in place
            .parts()
            .iter()
            .filter(|&name| only.is_empty() || **name == only)
        {
            let ours = parts.time(name)?;
            let theirs = match &mut torch {
                Some(torch) => match torch.ask(name)?[..] {
                    [wall, cpu] => Times { wall, cpu },
                    _ => return Err("PyTorch tells no two times".into()),
                },
                None => Times::NONE,
            };
            // The first round warms both up.
            if round > 0 {
                let best = best.entry(name).or_insert([Times::NONE; 2]);
                *best = [best[0].min(ours), best[1].min(theirs)];
            }
            let (ours, theirs) = (ours.wall, theirs.wall);
            println!("round {round}, {name}: {ours:.4} s, PyTorch {theirs:.4} s");
        }
    }
    println!(
        "{:>12} {:>18} {:>18} {:>12}",
        "", "luxedit s (CPU s)", "PyTorch s (CPU s)", "ratio"
    );
    for (name, [ours, theirs]) in &best {
        println!(
            "{name:>12} {:>10.4} ({:>5.2}) {:>10.4} ({:>5.2}) {:>5.2} ({:.2})",
            ours.wall,
            ours.cpu,
            theirs.wall,
            theirs.cpu,
            ours.wall / theirs.wall,
            ours.cpu / theirs.cpu
        );
    }
    if let Place::Card(_) = place {
        parts.tell_memory();
        if let Some(torch) = &mut torch {
            tell_rates(torch, &best)?;
        }
    }
    Ok(())
}

/// Operations a second, and their share of what the card reaches in products of large matrices.
fn tell_rates(torch: &mut Python, best: &BTreeMap<&str, [Times; 2]>) -> Result<(), Failure> {
    let bytes = torch.ask("memory")?[0];
    println!(
        "PyTorch: at most {:.2} GiB in tensors",
        bytes / f64::from(1 << 30)
    );
    let most = torch.ask("matmul")?[0];
    println!("products of 8192² matrices: {:.0} TFLOP/s", most / 1e12);
    for (name, times) in best {
        let flops = torch.ask(&format!("flops {name}"))?[0];
        let [ours, theirs] = times.map(|times| flops / times.wall);
        println!(
            "{name:>12}: {:.2} TFLOP; luxedit {:.1} TFLOP/s ({:.1} %), PyTorch {:.1} TFLOP/s ({:.1} %)",
            flops / 1e12,
            ours / 1e12,
            100.0 * ours / most,
            theirs / 1e12,
            100.0 * theirs / most
        );
    }
    Ok(())
}

enum Place {
    Processor,
    Card(Arc<Gpu>),
}

impl Place {
    fn side(&self) -> usize {
        match self {
            Self::Processor => PROCESSOR_SIDE,
            Self::Card(_) => CARD_SIDE,
        }
    }

    fn device(&self) -> luxedit::Result<Device> {
        match self {
            Self::Processor => Ok(Device::flex()),
            Self::Card(gpu) => gpu.burn_device(),
        }
    }

    /// As PyTorch calls it.
    fn torch(&self) -> &'static str {
        match self {
            Self::Processor => "cpu",
            Self::Card(_) => "cuda",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Processor => format!("{} threads", rayon::current_num_threads()),
            Self::Card(gpu) => gpu.info.name.clone(),
        }
    }

    fn parts(&self) -> &'static [&'static str] {
        match self {
            Self::Processor => &["unet", "vae.decode", "vae.encode"],
            Self::Card(_) => &["unet", "vae.decode", "vae.encode", "edit", "unet.four"],
        }
    }
}

/// Seconds.
#[derive(Clone, Copy)]
struct Times {
    wall: f64,
    cpu: f64,
}

impl Times {
    const NONE: Self = Self {
        wall: f64::INFINITY,
        cpu: f64::INFINITY,
    };

    fn min(self, other: Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            cpu: self.cpu.min(other.cpu),
        }
    }
}

struct Parts {
    model: InstructPix2Pix,
    embedding: PromptEmbedding,
    /// A step's three rows.
    sample: Tensor<4>,
    prompt: Tensor<3>,
    picture: Tensor<4>,
    latents: Tensor<4>,
}

impl Parts {
    fn load(folder: &Path, place: &Place) -> Result<Self, Failure> {
        let device = place.device()?;
        let model = InstructPix2Pix::load(folder, &device, Precision::Half)?;
        device.sync().map_err(|e| format!("{e:?}"))?;
        if let Place::Card(_) = place {
            println!(
                "{:?}; matrix units: {}",
                model.place(),
                has_matrix_units(&device)
            );
        }
        let mut noise = SeededNoise::new(0);
        let side = place.side();
        let latents = model.latent_shape(side, side);
        let [_, _, height, width] = latents;
        let sample = noise.next([3, model.unet.in_channels(), height, width], &device);
        let prompt = noise
            .next([1, 3, 77, model.unet.prompt_features()], &device)
            .squeeze_dim(0);
        Ok(Self {
            embedding: model.encode_prompt("make him a marble statue", "")?,
            prompt,
            sample,
            picture: noise.next([1, 3, side, side], &device).clamp(0.0, 1.0),
            latents: noise.next(latents, &device),
            model,
        })
    }

    fn time(&self, name: &str) -> Result<Times, Failure> {
        let model = &self.model;
        let views = if name == "unet.four" { 4 } else { 1 };
        let sample = self.sample.clone().repeat_dim(0, views);
        let keys = self.prompt.clone().repeat_dim(0, views);
        let keys = model.unet.prompt_keys(&keys);
        model.settle()?;
        let (wall, cpu) = (Instant::now(), cpu_secs()?);
        let out = match name {
            "unet" | "unet.four" => model.unet.forward(sample, &[500.0], &keys),
            "vae.encode" => model.vae.encode(self.picture.clone()).mode(),
            "vae.decode" => model.vae.decode(self.latents.clone()),
            _ => self.edit()?,
        };
        read(out)?;
        Ok(Times {
            wall: wall.elapsed().as_secs_f64(),
            cpu: cpu_secs()? - cpu,
        })
    }

    /// One view's edit as published, with the encoding of its original, which is kept between edits of a scene.
    fn edit(&self) -> luxedit::Result<Tensor<4>> {
        let shape = self.latents.dims();
        let mut noise = SeededNoise::new(1);
        let mut next = || noise.next(shape, self.model.device());
        let noise = EditNoise {
            posterior: next(),
            diffusion: next(),
        };
        let original = self.model.original_latents(self.picture.clone())?;
        self.model.edit(
            self.picture.clone(),
            &original,
            &self.embedding,
            &EditSettings::default(),
            980,
            &noise,
            &Cancel::default(),
            &mut |_| {},
        )
    }

    /// What the allocator took from the driver, beside what the budget foretold.
    fn tell_memory(&self) {
        let (model, side) = (&self.model, CARD_SIDE);
        let need = model.memory_need(side, side, model.place());
        let reserved = model
            .device()
            .memory_pool_usage()
            .map(|usage| usage.bytes_reserved);
        println!(
            "foretold {need}; from the driver {:.2} GiB",
            reserved.unwrap_or_default() as f64 / f64::from(1 << 30)
        );
    }
}
