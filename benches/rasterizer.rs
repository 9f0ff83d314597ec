//! What drawing and differentiating splats costs, against the number of splats and of pixels, as milliseconds and as
//! ratios to the smallest case. Run with `cargo bench --bench rasterizer`; `-- quick` leaves out the largest scene.

use glam::DMat4;
use luxedit::{
    Result,
    gpu::{Gpu, GpuImage},
    scene::{Camera, Intrinsics, Splats},
    splat::{Rasterizer, RenderOptions, SplatBuffers, SplatGradients, status},
};
use rand::{Rng, SeedableRng};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A ball of `count` splats that fills the picture, their size such that they cover it a few times over.
fn ball(count: usize, sh_degree: u32) -> Splats {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut values = |n: usize, low: f32, high: f32| -> Vec<f32> {
        (0..n).map(|_| rng.random_range(low..high)).collect()
    };
    let mut means = values(count * 3, -1.0, 1.0);
    for mean in means.chunks_exact_mut(3) {
        mean[2] += 3.0;
    }
    let size = (0.7 / (count as f32).sqrt()).ln();
    Splats {
        sh_degree,
        means,
        quats: values(count * 4, -1.0, 1.0),
        log_scales: values(count * 3, size, size + 1.5),
        logit_opacities: values(count, -3.0, 3.0),
        sh_dc: values(count * 3, -1.5, 1.5),
        sh_rest: values(count * 3 * Splats::rest_count_of(sh_degree), -0.2, 0.2),
    }
}

fn camera(width: u32, height: u32) -> Camera {
    let focal = 1.2 * f64::from(width.max(height));
    Camera {
        world_to_camera: DMat4::IDENTITY,
        intrinsics: Intrinsics {
            fx: focal,
            fy: focal,
            cx: 0.5 * f64::from(width),
            cy: 0.5 * f64::from(height),
            width,
            height,
        },
    }
}

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
    let quick = std::env::args().any(|a| a == "quick");
    let gpu = Gpu::headless()?;
    println!("rasterizer on {}", gpu.info.name);
    println!(
        "{:>8} {:>9} {:>13} {:>11} {:>7} {:>11} {:>7} {:>6}",
        "splats", "pixels", "intersections", "forward ms", "ratio", "fwd+bwd ms", "ratio", "b/f"
    );
    let mut first: Option<Times> = None;
    for count in [1_000, 10_000, 100_000] {
        if quick && count == 100_000 {
            continue;
        }
        for (width, height) in [(128, 128), (256, 256), (512, 512)] {
            report(&gpu, count, width, height, &mut first)?;
        }
    }
    for count in [20_000, 50_000] {
        report(&gpu, count, 270, 480, &mut first)?;
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
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
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
