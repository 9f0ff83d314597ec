//! A Luxen's training step beside nerfstudio's own nerfacto in PyTorch, in one run: the same photos, rays, samples, sizes,
//! grid semantics, schedules and number of threads; each with an initialization of its own.
//! `cargo bench --bench nerfacto -- CAPTURE PYTHON [small|full [STEPS [RAYS]]]`: a capture that is not bounded, and a Python with
//! torch, nerfstudio 1.1.5 and what its nerfacto imports; sizes as a processor trains in minutes, or as published. The two
//! take turns, so that whatever else the machine does falls on both.

#[path = "python/mod.rs"]
mod python;

use luxedit::{
    error::Cancel,
    formats::{LoadOptions, open_dataset},
    gpu::Gpu,
    loss::{Target, TrainView},
    luxen::{GridSemantics, LuxenConfig, LuxenTrainer},
    scene::Dataset,
    settings::{Appearance, LuxenSize, Settings},
};
use python::{Failure, Python, cpu_secs};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Turns of either, unless told.
const TURNS: u32 = 12;
/// PyTorch's threads keep a processor busy for a while after their turn, waiting for more.
const STILL: Duration = Duration::from_millis(500);

fn main() -> Result<(), Failure> {
    let arguments: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .map(PathBuf::from)
        .collect();
    let [capture, python, rest @ ..] = arguments.as_slice() else {
        println!("skipped: needs a capture, and a Python with nerfstudio");
        return Ok(());
    };
    let mut rest = rest.iter().map(|word| word.display().to_string());
    // Steps that one does before the other's turn.
    let (luxen_size, turn) = match rest.next().as_deref() {
        None | Some("small") => (LuxenSize::Small, 25),
        Some("full") => (LuxenSize::Full, 3),
        Some(size) => return Err(format!("sizes are small and full, not {size}").into()),
    };
    let steps = match rest.next() {
        Some(steps) => steps.parse()?,
        None => TURNS * turn,
    };
    let luxen_rays = match rest.next() {
        Some(rays) => rays.parse()?,
        None => 0,
    };
    let gpu = Gpu::headless()?;
    let dataset = open_dataset(
        capture,
        &LoadOptions::default(),
        &|_, _| {},
        &Cancel::default(),
    )?;
    let settings = Settings {
        luxen_size,
        luxen_rays,
        luxen_appearance: Appearance::On,
        ..Default::default()
    };
    let config = LuxenConfig {
        semantics: GridSemantics::Hashed,
        ..LuxenConfig::of(&settings, &dataset, true, 1000)
    };
    if config.half_side.is_some() {
        return Err(
            "a bounded scene skips rays that nerfstudio draws: take another capture".into(),
        );
    }
    let folder = tempfile::tempdir()?;
    write(&dataset, &config, folder.path())?;
    let threads = rayon::current_num_threads();
    let mut theirs = Python::start(
        python,
        "nerfacto.py",
        &[&folder.path().display().to_string(), &threads.to_string()],
    )?;
    let train = &dataset.split.train;
    let views: Vec<TrainView> = train
        .iter()
        .map(|&i| {
            let v = &dataset.views[i];
            Ok(TrainView {
                camera: v.camera,
                target: Target::upload(&gpu, &v.photo, None)?,
            })
        })
        .collect::<luxedit::Result<_>>()?;
    let mut ours = LuxenTrainer::new(gpu.clone(), config, views.len() as u32)?;
    println!(
        "{}, {threads} threads, {} views, {} rays, {:?} samples; ms a step (processor ms), training PSNR",
        gpu.info.name,
        views.len(),
        config.rays,
        config.samples
    );
    println!(
        "{:>6} {:>24} {:>24} {:>14}",
        "step", "luxedit", "nerfstudio", "ratio"
    );
    let mut sums = [[0.0; 2]; 2];
    for done in (0..steps).step_by(turn as usize) {
        let count = turn.min(steps - done);
        std::thread::sleep(STILL);
        let (wall, cpu) = (Instant::now(), cpu_secs()?);
        for _ in 0..count {
            ours.step(&views)?;
        }
        ours.finish()?;
        let our_times = [wall.elapsed().as_secs_f64(), cpu_secs()? - cpu];
        let results = ours.take_results();
        let squared = results.iter().map(|r| f64::from(r.squared)).sum::<f64>() / f64::from(count);
        let [wall, cpu, their_squared] = theirs.ask(&count.to_string())?[..] else {
            return Err("nerfstudio tells no times".into());
        };
        let per_step = |times: [f64; 2]| times.map(|secs| 1000.0 * secs / f64::from(count));
        let (a, b) = (per_step(our_times), per_step([wall, cpu]));
        println!(
            "{:>6} {:>8.0} ({:>5.0}) {:>5.2} dB {:>8.0} ({:>5.0}) {:>5.2} dB {:>5.1} ({:.1})",
            done + count,
            a[0],
            a[1],
            -10.0 * squared.log10(),
            b[0],
            b[1],
            -10.0 * their_squared.log10(),
            b[0] / a[0],
            b[1] / a[1]
        );
        // The first turn warms both up.
        if done > 0 {
            for k in 0..2 {
                sums[0][k] += our_times[k];
                sums[1][k] += [wall, cpu][k];
            }
        }
    }
    let [ours, theirs] = sums;
    println!(
        "after the first {turn}: {:.1} times as fast, {:.1} times by processor time",
        theirs[0] / ours[0],
        theirs[1] / ours[1]
    );
    Ok(())
}

/// Photos as bytes `[view, row, column, rgb]`, cameras and configuration as JSON.
fn write(dataset: &Dataset, config: &LuxenConfig, folder: &Path) -> Result<(), Failure> {
    let train = dataset.split.train.iter().map(|&i| &dataset.views[i]);
    let mut photos = Vec::new();
    let mut cameras = Vec::new();
    for view in train {
        photos.extend_from_slice(&view.photo.rgb);
        let k = view.camera.intrinsics;
        cameras.push(json!({
            "camera_to_world": view.camera.camera_to_world().transpose().to_cols_array(),
            "intrinsics": [k.fx, k.fy, k.cx, k.cy],
            "size": [k.width, k.height],
        }));
    }
    std::fs::write(folder.join("photos.bin"), photos)?;
    let header = json!({ "config": config, "cameras": cameras });
    std::fs::write(folder.join("run.json"), header.to_string())?;
    Ok(())
}
