//! One guided denoising step of the tiny reference model (three rows through the UNet), on the CPU and on the graphics
//! adapter, at several latent sizes, with their ratio. `cargo bench --bench unet -- cpu` leaves the adapter out,
//! `-- cpu MODEL` measures another model folder.

use burn::tensor::{Device, Tensor};
use luxedit::diffusion::{NoiseSource, Precision, SeededNoise, UNet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Pixels along a side of the latents; pictures are eight times as large.
const CPU_SIZES: [usize; 4] = [8, 16, 32, 64];
/// Software adapters tune every new size for a minute or more.
const SOFTWARE_SIZES: [usize; 1] = [8];

fn main() {
    if let Err(e) = run() {
        eprintln!("{e}");
        std::process::exit(1);
    }
}

fn run() -> luxedit::Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let cpu_only = arguments.iter().any(|a| a == "cpu");
    let model = arguments.iter().find(|a| *a != "cpu").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ip2p_tiny"),
        PathBuf::from,
    );
    let adapter = if cpu_only {
        None
    } else {
        match luxedit::gpu::Gpu::headless() {
            Ok(gpu) => Some(gpu),
            Err(e) => {
                println!("adapter skipped: {e}");
                None
            }
        }
    };
    let cpu = Timer::new(&model, Device::flex())?;
    let gpu = match &adapter {
        Some(gpu) => {
            println!("adapter: {}", gpu.info.name);
            Some(Timer::new(&model, gpu.burn_device()?)?)
        }
        None => None,
    };
    let software = adapter.as_ref().is_some_and(|gpu| gpu.is_software());
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>8}",
        "latents", "cpu ms", "adapter ms", "first s", "ratio"
    );
    for size in CPU_SIZES {
        let cpu = cpu.step(size)?;
        match &gpu {
            Some(timer) if !software || SOFTWARE_SIZES.contains(&size) => {
                let gpu = timer.step(size)?;
                println!(
                    "{:>8} {:>12.2} {:>12.2} {:>12.2} {:>8.2}",
                    format!("{size}²"),
                    cpu.median_ms,
                    gpu.median_ms,
                    gpu.first_secs,
                    gpu.median_ms / cpu.median_ms
                );
            }
            _ => println!("{:>8} {:>12.2}", format!("{size}²"), cpu.median_ms),
        }
    }
    Ok(())
}

struct Timer {
    unet: UNet,
    device: Device,
}

struct Measured {
    first_secs: f64,
    median_ms: f64,
}

impl Timer {
    fn new(model: &Path, device: Device) -> luxedit::Result<Self> {
        let unet = UNet::load(&model.join("unet"), Precision::Full, &device)?;
        Ok(Self { unet, device })
    }

    /// Three rows of `size`² latents and 77 tokens.
    fn step(&self, size: usize) -> luxedit::Result<Measured> {
        let mut noise = SeededNoise::new(0);
        let sample = noise.next([3, self.unet.in_channels(), size, size], &self.device);
        let prompt = noise.next([1, 3, 77, self.unet.prompt_features()], &self.device);
        let keys = self.unet.prompt_keys(&prompt.squeeze_dim::<3>(0));
        let once = || -> luxedit::Result<f64> {
            let start = Instant::now();
            let out: Tensor<4> = self.unet.forward(sample.clone(), &[500.0], &keys);
            luxedit::diffusion::read(out)?;
            Ok(start.elapsed().as_secs_f64())
        };
        let first_secs = once()?;
        let mut times = Vec::new();
        let begin = Instant::now();
        while times.len() < 3 || (times.len() < 20 && begin.elapsed().as_secs_f64() < 3.0) {
            times.push(once()? * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(Measured {
            first_secs,
            median_ms: times[times.len() / 2],
        })
    }
}
