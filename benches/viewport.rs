//! A frame of the viewport beside one of crate `wgpu-3dgs-viewer`: the same splats, camera, size and adapter, in turns.
//! `cargo bench --bench viewport`, with splat files after `--` that are drawn beside the scenes made here; `quick` leaves
//! out the largest. The other viewer lies in `benches/viewer`, a package of its own that the first run builds.
//!
//! The pictures are compared, too: the viewer cuts each splat at three standard deviations and blends in eight bits.

#[path = "support/ball.rs"]
mod support;

use glam::DVec3;
use luxedit::{
    Error, Result,
    formats::splats::{SplatFormat, read_splats, write_splats},
    gpu::{Gpu, GpuImage},
    scene::{Camera, Intrinsics, Splats},
    splat::{Rasterizer, RenderOptions, SplatBuffers},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};
use support::{ball, camera, milliseconds};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const FRAMES: usize = 5;
const ROUNDS: usize = 3;
/// From here on, one round of fewer frames: the viewer takes seconds for each.
const MANY_SPLATS: usize = 500_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let is_quick = arguments.iter().any(|a| a == "quick");
    let folder = std::env::temp_dir().join(format!("luxedit-viewport-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|e| Error::Invalid(format!("{}: {e}", folder.display())))?;
    let result = compare_all(&arguments, is_quick, &folder);
    if let Err(e) = std::fs::remove_dir_all(&folder) {
        println!("{} is left behind: {e}", folder.display());
    }
    result
}

fn compare_all(arguments: &[String], is_quick: bool, folder: &Path) -> Result<()> {
    let gpu = Gpu::headless()?;
    println!(
        "{WIDTH}×{HEIGHT} on {}; milliseconds a frame, median of {} ({MANY_SPLATS} splats and more: of 3)",
        gpu.info.name,
        FRAMES * ROUNDS
    );
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>7} {:>8}",
        "scene", "splats", "luxedit", "viewer", "ratio", "PSNR dB"
    );
    let files: Vec<&String> = arguments.iter().filter(|a| *a != "quick").collect();
    if files.is_empty() {
        println!("skipped: no splat file was named");
    }
    for file in files {
        let path = Path::new(file);
        let splats = match read_splats(path) {
            Ok(splats) => splats,
            Err(e) => {
                println!("skipped: {e}");
                continue;
            }
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        compare(&gpu, &name, &splats, &around(&splats), folder)?;
    }
    for count in [100_000, 1_000_000] {
        if !(is_quick && count > 100_000) {
            let name = "ball";
            compare(&gpu, name, &ball(count, 3), &camera(WIDTH, HEIGHT), folder)?;
        }
    }
    Ok(())
}

/// A camera that sees the scene from the side.
fn around(splats: &Splats) -> Camera {
    let median = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let axis = |k: usize| median(splats.means.iter().skip(k).step_by(3).copied().collect());
    let center = DVec3::new(axis(0).into(), axis(1).into(), axis(2).into());
    let distances = splats.means.as_chunks::<3>().0.iter();
    let distances = distances
        .map(|m| DVec3::from(m.map(f64::from)).distance(center) as f32)
        .collect();
    let radius = f64::from(median(distances)).max(1e-6);
    let focal = 1.2 * f64::from(WIDTH);
    let intrinsics = Intrinsics {
        fx: focal,
        fy: focal,
        cx: 0.5 * f64::from(WIDTH),
        cy: 0.5 * f64::from(HEIGHT),
        width: WIDTH,
        height: HEIGHT,
    };
    let eye = center + DVec3::new(2.0, -0.7, 3.0) * radius;
    Camera::look_at(eye, center, DVec3::NEG_Y, intrinsics)
}

fn compare(
    gpu: &Arc<Gpu>,
    name: &str,
    splats: &Splats,
    camera: &Camera,
    folder: &Path,
) -> Result<()> {
    let file = folder.join("scene.ply");
    write_splats(&file, splats, SplatFormat::Ply)?;
    let buffers = SplatBuffers::upload(gpu, splats)?;
    let target = GpuImage::new(gpu, WIDTH, HEIGHT);
    let options = RenderOptions {
        background: [0.0; 3],
        active_sh_degree: 3,
    };
    let mut rasterizer = Rasterizer::new(gpu.clone())?;
    rasterizer.render(&buffers, camera, &options, &target, None)?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let mut precision = String::new();
    let mut picture = Vec::new();
    let (rounds, frames) = match splats.len() {
        MANY_SPLATS.. => (1, 3),
        _ => (ROUNDS, FRAMES),
    };
    for _ in 0..rounds {
        for _ in 0..frames {
            let begin = Instant::now();
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            rasterizer.record_forward(&mut encoder, &buffers, camera, &options, &target, None)?;
            gpu.queue.submit([encoder.finish()]);
            gpu.wait()?;
            ours.push(milliseconds(begin.elapsed()));
        }
        let run = viewer(&file, camera, frames, &folder.join("viewer.rgb"))?;
        theirs.extend(run.times);
        precision = run.precision;
        picture = run.rgb;
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "{name:<28} {:>9} {ours:>9.1} {theirs:>9.1} {:>7.2} {:>8.1}{}",
        splats.len(),
        theirs / ours,
        psnr(&target.read_rgba(gpu)?, &picture),
        match precision.as_str() {
            "half" => "  (the viewer in half precision: one of its bindings would be too large)",
            _ => "",
        }
    );
    Ok(())
}

fn psnr(rgba: &[f32], rgb: &[u8]) -> f64 {
    let ours = rgba.as_chunks::<4>().0;
    let theirs = rgb.as_chunks::<3>().0;
    let sum: f64 = ours
        .iter()
        .zip(theirs)
        .flat_map(|(a, b)| (0..3).map(move |k| (a[k].clamp(0.0, 1.0), f32::from(b[k]) / 255.0)))
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum();
    -10.0 * (sum / (3 * ours.len().max(1)) as f64).log10()
}

struct ViewerRun {
    precision: String,
    times: Vec<f64>,
    rgb: Vec<u8>,
}

fn viewer(file: &Path, camera: &Camera, frames: usize, picture: &Path) -> Result<ViewerRun> {
    let failed = |what: &dyn std::fmt::Display| Error::Invalid(format!("the viewer: {what}"));
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/viewer");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let k = camera.intrinsics;
    let numbers = [
        f64::from(k.width),
        f64::from(k.height),
        k.fx,
        k.fy,
        k.cx,
        k.cy,
    ];
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--")
        .arg(file)
        .args(numbers.map(|v| v.to_string()))
        .args(
            camera
                .world_to_camera
                .to_cols_array()
                .map(|v| v.to_string()),
        )
        .arg(frames.to_string())
        .arg(picture)
        .env("CARGO_TARGET_DIR", target.join("viewer"))
        .output()
        .map_err(|e| failed(&e))?;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().skip(1);
    let precision = lines.next().unwrap_or_default().to_owned();
    let times = lines
        .map(|line| line.parse().map_err(|e| failed(&e)))
        .collect::<Result<_>>()?;
    Ok(ViewerRun {
        precision,
        times,
        rgb: std::fs::read(picture).map_err(|e| failed(&e))?,
    })
}
