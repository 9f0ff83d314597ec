//! The parts of InstructPix2Pix on the CPU beside PyTorch, in one run: the same weights, inputs and number of threads.
//! `cargo bench --bench full_size -- FOLDER PYTHON`: a folder as `tests/full_size.rs` takes it, and a Python with torch,
//! diffusers and transformers. The two take turns, so that whatever else the machine does falls on both; of each the
//! quickest run counts. A processor second is one core's: wall time on an idle machine is that over the cores, at best.

#[path = "python/mod.rs"]
mod python;

use burn::tensor::{Device, Tensor};
use luxedit::diffusion::{NoiseSource, Precision, SeededNoise, UNet, Vae, read};
use python::{Failure, Python, cpu_secs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Side of the picture in pixels.
const SIDE: usize = 256;
const ROUNDS: usize = 3;

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench`.
    let arguments: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .map(PathBuf::from)
        .collect();
    let [folder, python @ ..] = arguments.as_slice() else {
        println!(
            "skipped: needs a folder with a full-size model; PyTorch's Python beside it for a ratio"
        );
        return Ok(());
    };
    let model = folder.join("model");
    let start = Instant::now();
    let parts = Parts::load(&model)?;
    println!(
        "UNet and autoencoder loaded in {:.2} s",
        start.elapsed().as_secs_f64()
    );
    let mut torch = python
        .first()
        .map(|python| {
            let threads = rayon::current_num_threads().to_string();
            let (side, model) = (SIDE.to_string(), model.display().to_string());
            Python::start(python, "full_size.py", &[&model, &side, &threads])
        })
        .transpose()?;
    let mut best: BTreeMap<&str, [Times; 2]> = BTreeMap::new();
    for round in 0..=ROUNDS {
        for name in ["unet", "vae.decode", "vae.encode"] {
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
        }
    }
    println!(
        "{SIDE}², {} threads; UNet: a step's three rows",
        rayon::current_num_threads()
    );
    println!(
        "{:>12} {:>18} {:>18} {:>12}",
        "", "luxedit s (CPU s)", "PyTorch s (CPU s)", "ratio"
    );
    for (name, [ours, theirs]) in best {
        println!(
            "{name:>12} {:>10.2} ({:>5.2}) {:>10.2} ({:>5.2}) {:>5.2} ({:.2})",
            ours.wall,
            ours.cpu,
            theirs.wall,
            theirs.cpu,
            ours.wall / theirs.wall,
            ours.cpu / theirs.cpu
        );
    }
    Ok(())
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
    unet: UNet,
    vae: Vae,
    sample: Tensor<4>,
    prompt: Tensor<3>,
    picture: Tensor<4>,
    latents: Tensor<4>,
}

impl Parts {
    fn load(model: &Path) -> Result<Self, Failure> {
        let device = Device::flex();
        let unet = UNet::load(&model.join("unet"), Precision::Half, &device)?;
        let vae = Vae::load(&model.join("vae"), Precision::Half, &device)?;
        let mut noise = SeededNoise::new(0);
        let side = SIDE / vae.factor();
        let sample = noise.next([3, unet.in_channels(), side, side], &device);
        let prompt = noise
            .next([1, 3, 77, unet.prompt_features()], &device)
            .squeeze_dim(0);
        Ok(Self {
            prompt,
            sample,
            picture: noise.next([1, 3, SIDE, SIDE], &device),
            latents: noise.next([1, vae.latent_channels(), side, side], &device),
            unet,
            vae,
        })
    }

    fn time(&self, name: &str) -> Result<Times, Failure> {
        let keys = self.unet.prompt_keys(&self.prompt);
        let (wall, cpu) = (Instant::now(), cpu_secs()?);
        let out = match name {
            "unet" => self.unet.forward(self.sample.clone(), &[500.0], &keys),
            "vae.encode" => self.vae.encode(self.picture.clone()).mode(),
            _ => self.vae.decode(self.latents.clone()),
        };
        read(out)?;
        Ok(Times {
            wall: wall.elapsed().as_secs_f64(),
            cpu: cpu_secs()? - cpu,
        })
    }
}
