//! What drawing, differentiating and training splats costs, against the number of splats and of pixels, in milliseconds
//! and in ratios to the smallest case; and of each kernel of an optimizer step the bytes that it must move, those that it
//! moves, and the time that it takes, where the adapter can tell.
//!
//! `cargo bench --bench rasterizer`; `-- quick` leaves out the large scenes, `-- steps` draws nothing but steps, `-- write
//! COUNT FILE.ply` writes a scene of three bands of harmonics instead.

#[path = "support/kernels.rs"]
mod kernel_times;
#[path = "support/ball.rs"]
mod support;

use kernel_times::Bytes;
use luxedit::{
    Result,
    formats::splats::{SplatFormat, write_splats},
    gpu::{Gpu, GpuImage},
    loss::Target,
    scene::{Photo, Splats},
    splat::{
        Rasterizer, RenderOptions, SplatBuffers, SplatGradients, SplatTrainer, StepResult,
        TrainConfig, status,
    },
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use support::{ball, camera, milliseconds};

struct Times {
    forward: Duration,
    both: Duration,
    intersections: u32,
}

/// Median over rounds, each waited for.
fn median(mut round: impl FnMut() -> Result<()>) -> Result<Duration> {
    round()?;
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || (times.len() < 25 && start.elapsed() < Duration::from_secs(2)) {
        let begin = Instant::now();
        round()?;
        times.push(begin.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn measure(gpu: &Arc<Gpu>, count: usize, width: u32, height: u32) -> Result<Times> {
    let buffers = SplatBuffers::upload(gpu, &ball(count, 3))?;
    let camera = camera(width, height);
    let options = RenderOptions {
        background: [0.0; 3],
        active_sh_degree: 3,
    };
    let target = GpuImage::new(gpu, width, height);
    let d_image = gpu.storage_from("d_image", &vec![0.1f32; target.pixels() * 4]);
    let gradients = SplatGradients::new(gpu, buffers.count, buffers.sh_degree)?;
    let mut rasterizer = Rasterizer::new(gpu.clone())?;
    rasterizer.render(&buffers, &camera, &options, &target, None)?;
    let mut run = |backward: bool| {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        rasterizer.record_forward(&mut encoder, &buffers, &camera, &options, &target, None)?;
        if backward {
            rasterizer.record_backward(&mut encoder, &buffers, &d_image, None, &gradients)?;
        }
        gpu.queue.submit([encoder.finish()]);
        gpu.wait()
    };
    Ok(Times {
        forward: median(|| run(false))?,
        both: median(|| run(true))?,
        intersections: gpu.read::<u32>(rasterizer.status_buffer(), status::LEN)?
            [status::INTERSECTIONS],
    })
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    if let [command, count, file] = arguments.as_slice()
        && command == "write"
    {
        let count = count.parse().map_err(|e| {
            luxedit::Error::Invalid(format!("\"{count}\" is no number of splats: {e}"))
        })?;
        return write_splats(Path::new(file), &ball(count, 3), SplatFormat::Ply);
    }
    let has = |word: &str| arguments.iter().any(|a| a == word);
    let is_quick = has("quick");
    let gpu = Gpu::headless()?;
    println!("rasterizer on {}", gpu.info.name);
    if !has("steps") {
        drawing(&gpu, is_quick)?;
    }
    println!("\noptimizer steps, 256×256, all bands of harmonics");
    let mut base = None;
    for count in [10_000, 100_000, 1_000_000] {
        if !(is_quick && count > 10_000) {
            steps(&gpu, count, &mut base)?;
        }
    }
    // Another device: its kernels are timed, which costs the others nothing.
    let gpu = Gpu::headless()?;
    if !gpu.start_profile() {
        println!("\nno times of kernels: {} cannot tell", gpu.info.name);
        return Ok(());
    }
    for count in [10_000, 100_000, 1_000_000] {
        if !(is_quick && count > 10_000) {
            kernels(&gpu, count)?;
        }
    }
    Ok(())
}

fn drawing(gpu: &Arc<Gpu>, is_quick: bool) -> Result<()> {
    println!(
        "{:>8} {:>9} {:>13} {:>11} {:>7} {:>11} {:>7} {:>6}",
        "splats", "pixels", "intersections", "forward ms", "ratio", "fwd+bwd ms", "ratio", "b/f"
    );
    let mut first: Option<Times> = None;
    for count in [1_000, 10_000, 100_000] {
        if is_quick && count == 100_000 {
            continue;
        }
        for (width, height) in [(128, 128), (256, 256), (512, 512)] {
            report(gpu, count, width, height, &mut first)?;
        }
    }
    for count in [20_000, 50_000] {
        report(gpu, count, 270, 480, &mut first)?;
    }
    Ok(())
}

fn report(
    gpu: &Arc<Gpu>,
    count: usize,
    width: u32,
    height: u32,
    first: &mut Option<Times>,
) -> Result<()> {
    let times = measure(gpu, count, width, height)?;
    let base = first.get_or_insert(Times { ..times });
    let ms = milliseconds;
    println!(
        "{count:>8} {:>9} {:>13} {:>11.2} {:>7.2} {:>11.2} {:>7.2} {:>6.2}",
        format!("{width}×{height}"),
        times.intersections,
        ms(times.forward),
        ms(times.forward) / ms(base.forward),
        ms(times.both),
        ms(times.both) / ms(base.both),
        ms(times.both) / ms(times.forward),
    );
    Ok(())
}

const SIDE: u32 = 256;

/// A trainer, and a step that it can take again and again.
fn trainer(gpu: &Arc<Gpu>, count: usize) -> Result<(SplatTrainer, Target)> {
    let grey = Photo {
        width: SIDE,
        height: SIDE,
        rgb: vec![128; (3 * SIDE * SIDE) as usize].into(),
    };
    let target = Target::upload(gpu, &grey, None)?;
    let config = TrainConfig::refine(1.0, [0.0; 3]);
    let trainer = SplatTrainer::new(gpu.clone(), ball(count, 3), config)?;
    Ok((trainer, target))
}

fn step(trainer: &mut SplatTrainer, target: &Target) -> Result<Option<StepResult>> {
    trainer.step(&camera(SIDE, SIDE), target)?;
    trainer.finish()
}

fn steps(gpu: &Arc<Gpu>, count: usize, base: &mut Option<f64>) -> Result<()> {
    let (mut trainer, target) = trainer(gpu, count)?;
    let time = milliseconds(median(|| step(&mut trainer, &target).map(|_| ()))?);
    let base = *base.get_or_insert(time);
    println!(
        "{count:>8} splats: {time:>9.2} ms, ratio {:.2}",
        time / base
    );
    Ok(())
}

/// Sizes that a step's bytes depend on.
struct Sizes {
    splats: f64,
    visible: f64,
    intersections: f64,
    tiles: f64,
    /// Threads of a tile, each of which loads the tile's splats.
    threads: f64,
    pixels: f64,
    /// Bytes of all SH coefficients beyond DC.
    rest: f64,
}

/// Of each kernel; what it moves as `shaders/splat` and the shared sort read, without depths and antialiasing.
fn bytes(s: &Sizes) -> Vec<(&'static str, Bytes)> {
    let Sizes {
        splats: n,
        visible: v,
        intersections: t,
        tiles,
        threads,
        pixels: p,
        rest,
    } = *s;
    let culled = n - v;
    let projected = 48.0;
    let half_slots = 2.0 * 5.0 * 4.0;
    let adam = n * 7.0 * (56.0 + rest);
    let bytes = [
        (
            "project",
            n * (44.0 + 12.0) + v * projected,
            n * (44.0 + 12.0) + v * projected + culled * 16.0,
        ),
        (
            "color",
            n * 4.0 + v * (rest + 12.0 + 12.0 + 20.0),
            n * 4.0 + v * (rest + 12.0 + 12.0 + 20.0),
        ),
        // Three passes by depth, of which the first sees all splats, and one by tile.
        (
            "sort_count",
            4.0 * (n + 2.0 * v + t),
            4.0 * (n + 2.0 * v + t) + 8.0 * (3.0 * v + t),
        ),
        (
            "sort_scatter",
            4.0 * (n + 10.0 * v + 3.0 * t),
            4.0 * n + 64.0 * v + 20.0 * t,
        ),
        ("tile_counts", 4.0 * n + 8.0 * v, 8.0 * n + 8.0 * v),
        (
            "emit",
            v * (20.0 + 36.0) + 8.0 * t,
            v * (24.0 + 36.0) + 8.0 * t,
        ),
        ("ranges", 20.0 * t + 8.0 * tiles, 24.0 * t + 8.0 * tiles),
        // At most: a thread ends where its pixels are opaque.
        (
            "rasterize",
            t * (4.0 + projected) + p * 24.0,
            threads * (t * (4.0 + projected) + tiles * 8.0) + p * 24.0,
        ),
        (
            "rasterize_backward",
            t * (8.0 + projected + half_slots) + p * 24.0,
            threads * (t * (4.0 + projected) + tiles * 8.0) + t * (4.0 + half_slots) + p * 24.0,
        ),
        (
            "gather_slots",
            t * half_slots + v * (40.0 + projected) + n * 12.0 + culled * 4.0,
            t * half_slots + v * (24.0 + projected) + n * 28.0,
        ),
        (
            "color_backward",
            v * (rest + 40.0) + n * (rest + 32.0),
            n * (2.0 * rest + 44.0) + v * 28.0,
        ),
        (
            "geometry_backward",
            n * 4.0 + v * (40.0 + 32.0 + 28.0 + 24.0) + culled * 28.0,
            n * 4.0 + v * (56.0 + 32.0 + 28.0 + 24.0) + culled * 28.0,
        ),
        // Gradient, parameter and two moments read, all but the gradient written.
        ("splat/adam", adam, adam),
    ];
    bytes
        .into_iter()
        .map(|(name, needs, moves)| (name, Bytes { needs, moves }))
        .collect()
}

fn kernels(gpu: &Arc<Gpu>, count: usize) -> Result<()> {
    const STEPS: u32 = 5;
    let (mut trainer, target) = trainer(gpu, count)?;
    step(&mut trainer, &target)?;
    gpu.take_profile()?;
    let mut last = None;
    for _ in 0..STEPS {
        last = step(&mut trainer, &target)?;
    }
    let times = gpu.take_profile()?;
    let Some(last) = last else {
        return Err(luxedit::Error::Gpu("a step gave no result".into()));
    };
    let (tile_height, threads) = if gpu.is_software() {
        (8, 8.0)
    } else {
        (16, 32.0)
    };
    let sizes = Sizes {
        splats: count as f64,
        visible: last.visible.into(),
        intersections: last.intersections.into(),
        tiles: f64::from(SIDE / 16 * SIDE / tile_height),
        threads,
        pixels: f64::from(SIDE * SIDE),
        rest: 12.0 * Splats::rest_count_of(3) as f64,
    };
    println!(
        "\n{count} splats, {} visible, {} intersections; a step's kernels",
        last.visible, last.intersections
    );
    kernel_times::table(&times, &bytes(&sizes), STEPS);
    Ok(())
}
