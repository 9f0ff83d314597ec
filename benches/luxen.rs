//! How fast a Luxen trains, and how far: rays a second and held-out PSNR on a capture; then how long after a camera move
//! the viewport of a 640×480 window shows its frame.
//! `cargo bench --bench luxen -- CAPTURE [--downscale N] [--luxen-rays N] [--steps N] [--report N] [--precision half] …`

#[path = "support/kernels.rs"]
mod kernel_times;

use luxedit::{
    app::{Canvas, Pace},
    edit::Drawable,
    error::Cancel,
    formats::{LoadOptions, open_dataset},
    gpu::{Gpu, GpuImage},
    loss::{Target, TrainView},
    luxen::{LuxenConfig, LuxenTrainer},
    metric,
    scene::{Camera, Dataset},
    settings::{Precision, SETTINGS, Settings},
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

fn main() -> luxedit::Result<()> {
    let mut settings = Settings {
        precision: Precision::Full,
        ..Default::default()
    };
    let mut capture = None;
    let mut report = 1000;
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            None => capture = Some(argument),
            Some("report") => {
                let value = arguments.next().unwrap_or_default();
                report = value.parse().map_err(|_| {
                    luxedit::Error::Invalid(format!("--report takes a number, not {value}"))
                })?;
            }
            Some(flag) => {
                let key = if flag == "steps" {
                    "reconstruct-steps"
                } else {
                    flag
                };
                let setting = SETTINGS
                    .iter()
                    .find(|s| s.flag == key)
                    .ok_or_else(|| luxedit::Error::Invalid(format!("there is no flag --{flag}")))?;
                let value = setting.value_of(&arguments.next().unwrap_or_default())?;
                setting.set(&mut settings, value)?;
            }
        }
    }
    let Some(capture) = capture else {
        println!("name a capture: cargo bench --bench luxen -- CAPTURE");
        return Ok(());
    };
    settings.kind = luxedit::settings::SceneKind::Luxen;
    let gpu = Gpu::headless()?;
    let options = LoadOptions {
        downscale: Some(settings.downscale).filter(|&d| d > 0),
        ..Default::default()
    };
    let dataset = open_dataset(
        Path::new(&capture),
        &options,
        &|_, _| {},
        &Cancel::default(),
    )?;
    let steps = settings.planned_steps(gpu.is_software());
    let config = LuxenConfig {
        tables: settings.precision.into(),
        ..LuxenConfig::of(&settings, &dataset, gpu.is_software(), steps)
    };
    println!("{}: {config:?}", gpu.info.name);
    let views = training_views(&gpu, &dataset)?;
    let mut trainer = LuxenTrainer::new(gpu.clone(), config, views.len() as u32)?;
    let mut secs = 0.0;
    for first in (0..steps).step_by(report) {
        let count = report.min((steps - first) as usize);
        let began = Instant::now();
        for _ in 0..count {
            trainer.step(&views)?;
        }
        trainer.finish()?;
        let took = began.elapsed().as_secs_f64();
        secs += took;
        let results = trainer.take_results();
        let mean = |f: fn(&luxedit::luxen::LuxenStep) -> f32| {
            results.iter().map(|r| f64::from(f(r))).sum::<f64>() / results.len().max(1) as f64
        };
        let began = Instant::now();
        let mut psnr = 0.0;
        let every = dataset.split.eval.len().div_ceil(8).max(1);
        let eval: Vec<usize> = dataset.split.eval.iter().copied().step_by(every).collect();
        for &i in &eval {
            let v = &dataset.views[i];
            let k = v.camera.intrinsics;
            let image = GpuImage::new(&gpu, k.width, k.height);
            trainer.render(&v.camera, None, &image)?;
            psnr += metric::psnr(&image.read(&gpu)?, &v.photo.to_float())?;
        }
        let picture = began.elapsed().as_secs_f64() / eval.len().max(1) as f64;
        println!(
            "step {:>6}, {secs:7.1} s, {:8.0} rays/s, {:6.1} ms/step, training PSNR {:.2}, distortion {:.2e}, \
             interlevel {:.2e}, held-out PSNR {:.2} over {} views, {:.0} ms a picture",
            first as usize + count,
            count as f64 * f64::from(config.rays) / took,
            1000.0 * took / count as f64,
            -10.0 * mean(|r| r.squared).log10(),
            mean(|r| r.distortion),
            mean(|r| r.interlevel),
            psnr / eval.len().max(1) as f64,
            eval.len(),
            1000.0 * picture,
        );
    }
    frames_after_moves(&gpu, &trainer, &dataset)?;
    kernels(&dataset, config)
}

/// What each kernel of a step takes, on a device of its own: timing them keeps them from overlapping.
fn kernels(dataset: &Dataset, config: LuxenConfig) -> luxedit::Result<()> {
    const STEPS: u32 = 20;
    let gpu = Gpu::headless()?;
    if !gpu.start_profile() {
        println!("no times of kernels: {} cannot tell", gpu.info.name);
        return Ok(());
    }
    let views = training_views(&gpu, dataset)?;
    let mut trainer = LuxenTrainer::new(gpu.clone(), config, views.len() as u32)?;
    let mut steps = |count| -> luxedit::Result<_> {
        for _ in 0..count {
            trainer.step(&views)?;
        }
        trainer.finish()?;
        gpu.take_profile()
    };
    steps(STEPS / 2)?;
    let times = steps(STEPS)?;
    kernel_times::table(&times, &[], STEPS);
    Ok(())
}

fn training_views(gpu: &Gpu, dataset: &Dataset) -> luxedit::Result<Vec<TrainView>> {
    let view = |&i: &usize| {
        let v = &dataset.views[i];
        Ok(TrainView {
            camera: v.camera,
            target: Target::upload(gpu, &v.photo, v.mask.as_deref())?,
        })
    };
    dataset.split.train.iter().map(view).collect()
}

fn frames_after_moves(
    gpu: &Arc<Gpu>,
    trainer: &LuxenTrainer,
    dataset: &Dataset,
) -> luxedit::Result<()> {
    let scene = Drawable::Luxen(trainer.drawable());
    for size in [None, Some([160, 120])] {
        let mut canvas = Canvas::new(gpu.clone())?;
        frames(gpu, &scene, &mut canvas, dataset, size)?;
    }
    Ok(())
}

/// As a window does: a frame when the scene is opened, which waits for kernels to be compiled; in motion, of `size` or of the
/// size that the viewport chooses; at rest at the end.
fn frames(
    gpu: &Arc<Gpu>,
    scene: &Drawable,
    canvas: &mut Canvas,
    dataset: &Dataset,
    size: Option<[u32; 2]>,
) -> luxedit::Result<()> {
    let paces = std::iter::once(Pace::Still)
        .chain([Pace::Moving; 8])
        .chain([Pace::Still; 2]);
    for (number, (view, pace)) in dataset.views.iter().zip(paces).enumerate() {
        let chosen = canvas.render_size([640, 480], pace);
        let size = size.filter(|_| pace == Pace::Moving).unwrap_or(chosen);
        let camera = Camera {
            intrinsics: view.camera.intrinsics.resized(size[0], size[1]),
            ..view.camera
        };
        let began = Instant::now();
        while !canvas.request((scene, 1), None, &camera, pace)? {
            gpu.device
                .poll(wgpu::PollType::Poll)
                .map_err(|e| luxedit::Error::Gpu(e.to_string()))?;
            canvas.poll()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        let took = began.elapsed();
        println!(
            "{}: {}×{} after {} ms",
            if number == 0 {
                "Opened".into()
            } else {
                format!("{pace:?}")
            },
            size[0],
            size[1],
            took.as_millis()
        );
    }
    Ok(())
}
