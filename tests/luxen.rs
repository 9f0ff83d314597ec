//! The Luxen trainer: repeatable bit by bit, resumable, indifferent to how a step is cut into chunks and a picture into
//! slices, and able to learn.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "reference/luxen_scene.rs"]
mod luxen_scene;
#[path = "luxen/poses.rs"]
mod poses;

use glam::DVec3;
use luxedit::{
    Error,
    app::{Canvas, Pace},
    edit::Drawable,
    gpu::{Gpu, GpuImage},
    loss::{Target, TrainView},
    luxen::{
        Background, CameraPoses, GridConfig, LuxenConfig, LuxenMemory, LuxenRenderer, LuxenState,
        LuxenTrainer, Size, TableStorage, WeightSums,
    },
    scene::{
        Camera, Dataset, DatasetKind, Intrinsics, NamedTensor, Photo, Split, View, WorldFromFile,
    },
    settings::{Loss, Method, Settings, Speed},
};
use luxen_scene::{gpu, plain_gpu, tiny, views};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

fn tensor<'a>(state: &'a LuxenState, name: &str) -> &'a NamedTensor {
    state
        .tensors
        .iter()
        .find(|t| t.name == name)
        .unwrap_or_else(|| panic!("no tensor {name}"))
}

/// Bits, because −0 and NaN count too.
fn bits(state: &LuxenState) -> Vec<(String, Vec<u32>)> {
    state
        .tensors
        .iter()
        .map(|t| (t.name.clone(), t.data.iter().map(|v| v.to_bits()).collect()))
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_bits_and_a_resumed_run_is_the_uninterrupted_one() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let config = LuxenConfig {
        anneal_steps: 4,
        proposal_warmup: 20,
        ..tiny()
    };
    let run = |trainer: &mut LuxenTrainer, steps: usize| {
        for _ in 0..steps {
            trainer.step(&views).unwrap();
        }
        trainer.state().unwrap()
    };
    let bounded = LuxenConfig {
        background: Background::Fixed([0.4; 3]),
        half_side: Some(0.8),
        ..config
    };
    let mut whole = LuxenTrainer::new(gpu.clone(), bounded, 3).unwrap();
    let expected = run(&mut whole, 9);
    let mut first = LuxenTrainer::new(gpu.clone(), bounded, 3).unwrap();
    let mut second = LuxenTrainer::from_state(gpu.clone(), &run(&mut first, 5)).unwrap();
    assert!(expected.tensors.iter().any(|t| t.name == "cells"));
    assert_eq!(bits(&run(&mut second, 4)), bits(&expected));

    let mut whole = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
    let expected = run(&mut whole, 16);
    let mut first = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
    let half = run(&mut first, 11);
    let mut second = LuxenTrainer::from_state(gpu.clone(), &half).unwrap();
    let got = run(&mut second, 5);
    assert_eq!(got.progress, expected.progress);
    assert_eq!(bits(&got), bits(&expected));
    assert!(expected.progress.proposal_steps < 16, "proposals rest");
    let in_half = LuxenConfig {
        tables: TableStorage::Half,
        ..config
    };
    let mut halved = LuxenTrainer::new(gpu.clone(), in_half, 3).unwrap();
    let expected_in_half = run(&mut halved, 16);
    if gpu.packs_half() {
        assert_ne!(bits(&expected_in_half), bits(&expected));
    }
    let mut first = LuxenTrainer::new(gpu.clone(), in_half, 3).unwrap();
    let part = run(&mut first, 11);
    let mut second = LuxenTrainer::from_state(gpu.clone(), &part).unwrap();
    assert_eq!(bits(&run(&mut second, 5)), bits(&expected_in_half));
    // A phase may begin to read tables in half precision: as if the state had been saved and opened in between.
    let mut first = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
    let mut part = run(&mut first, 3);
    first.begin_phase(in_half).unwrap();
    part.config = in_half;
    part.progress.phase_step = 0;
    let mut second = LuxenTrainer::from_state(gpu.clone(), &part).unwrap();
    assert_eq!(bits(&run(&mut first, 5)), bits(&run(&mut second, 5)));

    let other = LuxenConfig { seed: 4, ..config };
    let mut other = LuxenTrainer::new(gpu.clone(), other, 3).unwrap();
    assert_ne!(bits(&run(&mut other, 16)), bits(&expected));
}

#[test]
fn a_step_in_chunks_is_the_same_step() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let run = |chunk_rays: u32| {
        let config = LuxenConfig {
            rays: 192,
            chunk_rays,
            ..tiny()
        };
        let mut trainer = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
        trainer.step(&views).unwrap();
        let state = trainer.state().unwrap();
        (state, trainer.take_results()[0])
    };
    let (whole, loss) = run(0);
    let (chunked, chunked_loss) = run(64);
    assert!((loss.loss - chunked_loss.loss).abs() < 1e-6 * loss.loss);
    gradients_agree(&whole, &chunked);
}

/// First moments after a step from rest, which are the gradients.
fn gradients_agree(one: &LuxenState, other: &LuxenState) {
    for t in one.tensors.iter().filter(|t| t.name.ends_with(".first")) {
        let other = tensor(other, &t.name);
        let difference: f64 = t
            .data
            .iter()
            .zip(&other.data)
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum();
        let norm: f64 = t.data.iter().map(|v| f64::from(*v).powi(2)).sum();
        println!("{}: squared {norm:.2e}, off by {difference:.2e}", t.name);
        assert!(difference <= 1e-8 * norm, "{}: {difference}", t.name);
        assert!(norm > 0.0, "{}", t.name);
    }
}

#[test]
fn weights_have_the_same_gradients_wherever_they_are_summed() {
    let Some(gpu) = gpu() else { return };
    let plain = plain_gpu();
    let bounded = LuxenConfig {
        background: Background::Fixed([0.4; 3]),
        half_side: Some(0.8),
        ..tiny()
    };
    let full = LuxenConfig {
        size: Size::Full,
        grid: GridConfig {
            levels: Size::Full.levels(),
            ..tiny().grid
        },
        ..tiny()
    };
    for config in [tiny(), bounded, full] {
        let config = |weight_sums, chunk_rays| LuxenConfig {
            rays: 192,
            chunk_rays,
            weight_sums,
            ..config
        };
        // Densities that differ, so that there is something to learn everywhere.
        let begun_on = |gpu: &Arc<Gpu>, config: LuxenConfig| {
            let mut fresh = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
            let mut state = fresh.state().unwrap();
            let tables = state.tensors.iter_mut();
            for table in tables.filter(|t| t.name.ends_with(".table")) {
                table.data.iter_mut().for_each(|v| *v *= 1e4);
            }
            LuxenTrainer::from_state(gpu.clone(), &state).unwrap()
        };
        let begun = |config| begun_on(&gpu, config);
        let stepped = |mut trainer: LuxenTrainer| {
            let views = views(trainer.gpu());
            trainer.step(&views).unwrap();
            trainer.state().unwrap()
        };
        let tiled = stepped(begun(config(WeightSums::Tiled, 0)));
        let held = stepped(begun(config(WeightSums::Held, 0)));
        gradients_agree(&tiled, &held);
        gradients_agree(&tiled, &stepped(begun(config(WeightSums::Held, 64))));
        for chunk_rays in [0, 64] {
            let config = config(WeightSums::Tiled, chunk_rays);
            gradients_agree(&tiled, &stepped(begun_on(&plain, config)));
        }
        // A phase may choose anew.
        let mut changed = begun(config(WeightSums::Tiled, 0));
        changed.begin_phase(config(WeightSums::Held, 0)).unwrap();
        assert_eq!(bits(&stepped(changed)), bits(&held));
    }
}

#[test]
fn it_learns_a_picture() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu)[..1].to_vec();
    let learned = |tables: TableStorage| {
        let config = LuxenConfig {
            background: Background::Fixed([1.0; 3]),
            // Shares of nerfacto's 30 000 steps: its own numbers would outlast the run.
            anneal_steps: 13,
            proposal_warmup: 66,
            tables,
            ..tiny().planned(400)
        };
        let mut trainer = LuxenTrainer::new(gpu.clone(), config, 1).unwrap();
        for _ in 0..400 {
            trainer.step(&views).unwrap();
        }
        trainer.finish().unwrap();
        let results = trainer.take_results();
        assert_eq!(results.len(), 400);
        let mean = |part: &[luxedit::luxen::LuxenStep]| {
            part.iter().map(|r| r.squared).sum::<f32>() / part.len() as f32
        };
        let (first, last) = (mean(&results[..20]), mean(&results[380..]));
        println!("{tables:?}: squared difference {first} -> {last}");
        assert!(last < 0.4 * first, "{first} -> {last}");
        assert!(results.iter().all(|r| r.loss.is_finite()));
        last
    };
    let single = learned(TableStorage::Single);
    let half = learned(TableStorage::Half);
    assert!((half / single - 1.0).abs() < 0.1, "{half} against {single}");
}

/// A dark ball before white, seen from all around.
fn ball() -> Dataset {
    const SIDE: u32 = 24;
    let intrinsics = Intrinsics {
        fx: 30.0,
        fy: 30.0,
        cx: 12.0,
        cy: 12.0,
        width: SIDE,
        height: SIDE,
    };
    let rgb = (0..SIDE * SIDE)
        .flat_map(|i| {
            let [x, y] = [i % SIDE, i / SIDE].map(|v| f64::from(v) + 0.5 - intrinsics.cx);
            let is_ball = x * x + y * y < 30.0;
            if is_ball { [120, 60, 20] } else { [255; 3] }
        })
        .collect();
    let photo = Photo::new(SIDE, SIDE, rgb);
    let view = |i: u32| {
        let angle = f64::from(i) * 0.524;
        let height = f64::from(i % 3) - 1.0;
        let position = 4.0 * DVec3::new(angle.cos(), angle.sin(), height).normalize();
        View {
            name: format!("{i}.png"),
            image_path: PathBuf::new(),
            camera: Camera::look_at(position, DVec3::ZERO, DVec3::Z, intrinsics),
            photo: photo.clone(),
            alpha: None,
            mask: None,
        }
    };
    Dataset {
        source: PathBuf::new(),
        kind: DatasetKind::Blender,
        views: (0..12).map(view).collect(),
        split: Split {
            train: (0..12).collect(),
            eval: Vec::new(),
        },
        points: None,
        world_from_file: WorldFromFile::IDENTITY,
        applied_scale: 1.0,
        background: [1.0; 3],
        up: None,
        missing: Vec::new(),
        warnings: Vec::new(),
        listed: 12,
    }
}

/// With the settings of a synthetic capture, as [`LuxenConfig::of`] makes them.
#[test]
fn a_bounded_scene_takes_on_its_color_and_learns_where_it_is_empty() {
    let Some(gpu) = gpu() else { return };
    let dataset = ball();
    let views: Vec<TrainView> = dataset
        .views
        .iter()
        .map(|v| TrainView {
            camera: v.camera,
            target: Target::upload(&gpu, &v.photo, None).unwrap(),
        })
        .collect();
    let settings = Settings::default();
    let of_capture = LuxenConfig::of(&settings, &dataset, true, 400);
    let opacity = 1.0 - (-of_capture.average_density * (of_capture.far - of_capture.near)).exp();
    assert!(
        (0.5..0.9999).contains(&opacity),
        "rays begin neither clear nor opaque: {opacity}"
    );
    let config = LuxenConfig {
        rays: 256,
        ..of_capture
    };
    let mut trainer = LuxenTrainer::new(gpu.clone(), config, views.len() as u32).unwrap();
    for _ in 0..700 {
        trainer.step(&views).unwrap();
    }
    let cells = trainer.state().unwrap().cells().unwrap();
    let occupied = cells.iter().filter(|c| **c > 0.2).count() as f64 / cells.len() as f64;
    let camera = views[1].camera;
    let image = GpuImage::new(&gpu, camera.intrinsics.width, camera.intrinsics.height);
    trainer.render(&camera, None, &image).unwrap();
    let picture = image.read_rgba(&gpu).unwrap();
    let middle = &picture[4 * (12 * 24 + 12)..][..4];
    println!(
        "{occupied:.3} occupied, middle {middle:?}, corner {:?}",
        &picture[..4]
    );
    assert!(occupied > 0.001 && occupied < 0.5, "{occupied}");
    assert_eq!(
        &picture[..4],
        &[1.0, 1.0, 1.0, 0.0],
        "nothing is exactly nothing"
    );
    for (got, expected) in middle.iter().zip([120.0, 60.0, 20.0]) {
        assert!((got - expected / 255.0).abs() < 0.08, "{middle:?}");
    }
}

#[test]
fn a_picture_in_slices_is_the_same_picture_and_views_keep_their_appearance() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let mut trainer = LuxenTrainer::new(gpu.clone(), tiny(), 3).unwrap();
    for _ in 0..3 {
        trainer.step(&views).unwrap();
    }
    let camera = views[1].camera;
    let (width, height) = (camera.intrinsics.width, camera.intrinsics.height);
    let draw = |trainer: &mut LuxenTrainer, view| {
        let image = GpuImage::new(&gpu, width, height);
        trainer.render(&camera, view, &image).unwrap();
        image.read_rgba(&gpu).unwrap()
    };
    let whole = draw(&mut trainer, None);
    assert_eq!(whole, draw(&mut trainer, None));
    assert_ne!(whole, draw(&mut trainer, Some(0)));
    assert_ne!(draw(&mut trainer, Some(1)), draw(&mut trainer, Some(0)));

    let mut renderer = LuxenRenderer::new(gpu.clone());
    let image = GpuImage::new(&gpu, width, height);
    let depth = gpu.storage("depth", u64::from(width * height) * 4);
    let scene = trainer.drawable();
    for start in [64, 0] {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let slice = start..(start + 64).min(width * height);
        renderer
            .record(
                &mut encoder,
                &scene,
                &camera,
                None,
                slice,
                &image,
                Some(&depth),
            )
            .unwrap();
        gpu.queue.submit([encoder.finish()]);
    }
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    renderer
        .record(
            &mut encoder,
            &scene,
            &camera,
            None,
            128..u32::MAX,
            &image,
            Some(&depth),
        )
        .unwrap();
    gpu.queue.submit([encoder.finish()]);
    assert_eq!(image.read_rgba(&gpu).unwrap(), whole);
    let depth: Vec<f32> = gpu.read(&depth, (width * height) as usize).unwrap();
    assert!(depth.iter().all(|d| d.is_finite() && *d > 0.0));
}

/// The window's renderer: a resting picture is the render, and a frame that the camera has left is given up.
#[test]
fn the_viewport_shows_the_render_and_leaves_what_the_camera_left() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let mut trainer = LuxenTrainer::new(gpu.clone(), tiny(), 3).unwrap();
    trainer.step(&views).unwrap();
    let scene = Drawable::Luxen(trainer.drawable());
    let mut canvas = Canvas::new(gpu.clone()).unwrap();
    let at = |view: usize, size: [u32; 2]| {
        let camera = views[view].camera;
        Camera {
            intrinsics: camera.intrinsics.resized(size[0], size[1]),
            ..camera
        }
    };
    let poll = |canvas: &mut Canvas| {
        gpu.device.poll(wgpu::PollType::Poll).unwrap();
        canvas.poll().unwrap();
        std::thread::sleep(Duration::from_millis(2));
    };
    let settle = |canvas: &mut Canvas, camera: &Camera, pace: Pace| {
        let began = Instant::now();
        while !canvas.request((&scene, 1), None, camera, pace).unwrap() {
            assert!(began.elapsed() < Duration::from_secs(240), "no picture");
            poll(canvas);
        }
        began.elapsed()
    };
    // Larger than the first slice.
    let full = [160, 120];
    let still = at(0, full);
    settle(&mut canvas, &still, Pace::Still);
    let image = GpuImage::new(&gpu, full[0], full[1]);
    trainer.render(&still, None, &image).unwrap();
    let shown = canvas.shown().unwrap().image.read_rgba(&gpu).unwrap();
    assert_eq!(shown, image.read_rgba(&gpu).unwrap());

    // The next full picture is on its way when the camera moves.
    assert!(
        !canvas
            .request((&scene, 1), None, &at(1, full), Pace::Still)
            .unwrap()
    );
    poll(&mut canvas);
    canvas.render_size([640, 480], Pace::Moving);
    let size = [320, 240];
    let took = settle(&mut canvas, &at(2, size), Pace::Moving);
    println!("{}×{} after {} ms", size[0], size[1], took.as_millis());
    let frame = &canvas.shown().unwrap().image;
    assert_eq!([frame.width, frame.height], size);
    let coarse = frame.read_rgba(&gpu).unwrap();
    // A camera that never stops is shown frames all the same.
    let mut shown = 0;
    let began = Instant::now();
    for step in 0.. {
        assert!(
            began.elapsed() < Duration::from_secs(240),
            "no frames in a lasting motion"
        );
        let camera = at(step % 2, size);
        canvas
            .request((&scene, 1), None, &camera, Pace::Moving)
            .unwrap();
        gpu.device.poll(wgpu::PollType::Poll).unwrap();
        shown += usize::from(canvas.poll().unwrap());
        if shown == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // At rest the same size has all its samples again.
    let resting = at(2, size);
    settle(&mut canvas, &resting, Pace::Still);
    let image = GpuImage::new(&gpu, size[0], size[1]);
    trainer.render(&resting, None, &image).unwrap();
    let shown = canvas.shown().unwrap().image.read_rgba(&gpu).unwrap();
    assert_eq!(shown, image.read_rgba(&gpu).unwrap());
    assert_ne!(shown, coarse, "in motion it has half of them");
}

#[test]
fn what_cannot_be_is_said() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let mut trainer = LuxenTrainer::new(gpu.clone(), tiny(), 2).unwrap();
    let refused = trainer.step(&views).expect_err("other views");
    assert!(
        refused.to_string().contains("2 training views"),
        "{refused}"
    );
    let config = LuxenConfig {
        samples: [10, 8, 8],
        ..tiny()
    };
    let Err(Error::Invalid(refused)) = LuxenTrainer::new(gpu.clone(), config, 2) else {
        panic!("samples that are no quads were taken");
    };
    assert!(refused.contains("multiple of 4"), "{refused}");
    let mut state = trainer.state().unwrap();
    state.tensors.remove(4);
    let refused = LuxenTrainer::from_state(gpu.clone(), &state);
    let Err(Error::Invalid(refused)) = refused else {
        panic!("a state that lacks a tensor was taken");
    };
    assert!(refused.contains("lacks"), "{refused}");
}

/// Published sizes and small ones: what is told before a run is what the run takes.
#[test]
fn memory_is_told_before_it_is_taken() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let sizes: Vec<[u32; 2]> = views
        .iter()
        .map(|v| [v.target.width, v.target.height])
        .collect();
    let pixels: u64 = sizes.iter().map(|[w, h]| u64::from(w * h)).sum();
    let bounded = LuxenConfig {
        background: Background::Fixed([0.4; 3]),
        half_side: Some(0.8),
        ..tiny()
    };
    let in_chunks = LuxenConfig {
        rays: 192,
        chunk_rays: 64,
        ..tiny()
    };
    let small = LuxenConfig::small(Background::LastSample);
    let in_half = LuxenConfig {
        tables: TableStorage::Half,
        ..small
    };
    let with_poses = LuxenConfig {
        poses: CameraPoses::NERFACTO,
        ..in_chunks
    };
    for config in [tiny(), bounded, in_chunks, small, in_half, with_poses] {
        if let Some(notice) = config.tables.notice(&gpu) {
            println!("SKIPPED: {notice}");
            continue;
        }
        let told = LuxenMemory::of(&config, &sizes, gpu.binding_limit()).unwrap();
        let mut trainer = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
        trainer.step(&views).unwrap();
        let photos = Gpu::storage_bytes(4 * pixels) + 3 * Gpu::storage_bytes(0) + 3 * 96;
        assert_eq!(
            trainer.allocated(),
            told.field + told.optimizer + told.step + photos
        );
        assert_eq!(told.photos, 8 * pixels + 3 * 96);
    }

    // Instruct-NeRF2NeRF's on a common graphics card, for a hundred photos of 512 × 512.
    let settings = Settings {
        loss: Loss::L1Lpips,
        ..Settings::of(Method::In2n, Speed::Published)
    };
    let published = LuxenConfig::full(Background::LastSample).edit(&settings);
    assert_eq!((published.rays, published.patch_side), (16_384, 32));
    assert_eq!(published.tables, TableStorage::Single);
    let small = Settings::of(Method::In2nSmall, Speed::Published);
    let small = LuxenConfig::full(Background::LastSample).edit(&small);
    assert_eq!(small.tables, TableStorage::Half);
    assert_eq!(published.grid.log2_entries, 19);
    let told = LuxenMemory::of(&published, &[[512, 512]; 100], 2 << 30).unwrap();
    println!("Instruct-NeRF2NeRF as published: {told}");
    assert!(told.total() <= 2 << 30, "{told}");
}
