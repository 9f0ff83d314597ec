//! The splat trainer on small synthetic scenes: it learns, removes what it must, resumes bit by bit, and does not let
//! the size of the rasterizer's scratch memory show in the result.

#[path = "trainer/fixture.rs"]
mod fixture;
#[path = "trainer/growth.rs"]
mod growth;
#[path = "trainer/parts.rs"]
mod parts;
#[path = "trainer/poses.rs"]
mod poses;
#[path = "trainer/start.rs"]
mod start;

use fixture::{assert_same, fixture, scene};
use glam::DVec3;
use luxedit::{
    gpu::GpuImage,
    loss::Target,
    scene::{Camera, Photo},
    splat::{Phase, PruneConfig, SplatTrainer, TrainState, ViewOrder},
};

#[test]
fn a_disturbed_scene_is_learnt_again() {
    let fixture = fixture(300, 64);
    let mut trainer = fixture.trainer(fixture.config(400));
    let before = fixture.psnr(&mut trainer);
    let (mut first, mut last) = (None, None);
    for step in 0..400u64 {
        let view = step as usize % fixture.cameras.len();
        let report = trainer
            .step(&fixture.cameras[view], &fixture.targets[view])
            .expect("step");
        assert_eq!(report.step, step + 1);
        if let Some(result) = report.finished {
            assert_eq!(result.step, step, "results come one step late");
            assert!(result.loss.is_finite() && result.visible > 0);
            if first.is_none() {
                first = Some(result.loss);
            }
            last = Some(result.loss);
        }
        match step {
            0 => assert_eq!((report.divisor, report.active_sh_degree), (4, 0)),
            50 => assert_eq!((report.divisor, report.active_sh_degree), (2, 1)),
            399 => assert_eq!((report.divisor, report.active_sh_degree), (1, 1)),
            _ => {}
        }
    }
    let after = fixture.psnr(&mut trainer);
    println!("loss {first:?} → {last:?}, PSNR {before:.2} → {after:.2} dB");
    assert!(last < first);
    assert!(
        after > 27.0 && after > before + 7.0,
        "{before:.2} → {after:.2} dB"
    );
}

#[test]
fn resumed_is_uninterrupted() {
    let fixture = fixture(300, 64);
    let mut config = fixture.config(50);
    config.prune.interval = 10;
    config.prune.min_opacity = 0.49;
    config.random_background = true;
    let mut straight = fixture.trainer(config);
    let start = straight.len();
    fixture.train(&mut straight, 40);
    let expected = straight.state().expect("state");
    assert!(expected.len() < start, "the run should cross a removal");

    for stop in [20, 21] {
        let mut first = fixture.trainer(config);
        fixture.train(&mut first, stop);
        let state = first.state().expect("state");
        drop(first);
        let mut resumed = SplatTrainer::from_state(fixture.gpu.clone(), &state).expect("resume");
        assert_same(&state, &resumed.state().expect("state"));
        fixture.train(&mut resumed, 40 - stop);
        assert_same(&expected, &resumed.state().expect("state"));
    }
}

#[test]
fn a_state_with_a_missing_or_wrong_tensor_is_refused() {
    let fixture = fixture(20, 32);
    let state = fixture.trainer(fixture.config(10)).state().expect("state");
    for i in 0..state.tensors.len() {
        let mut missing = state.clone();
        let name = missing.tensors.remove(i).name;
        let refused = |state: &TrainState| {
            let message = SplatTrainer::from_state(fixture.gpu.clone(), state)
                .err()
                .map(|e| e.to_string())
                .unwrap_or_else(|| panic!("{name} was not missed"));
            println!("{message}");
            message
        };
        refused(&missing);
        let mut short = state.clone();
        short.tensors[i].data.pop();
        refused(&short);
    }
}

#[test]
fn too_little_scratch_memory_does_not_show() {
    let fixture = fixture(200, 64);
    let mut config = fixture.config(1000);
    config.coarse_to_fine = false;
    let mut start = scene(60_000, 5);
    start.log_scales.fill(-1.0);
    let make = || SplatTrainer::new(fixture.gpu.clone(), start.clone(), config).expect("trainer");
    let mut short = make();
    fixture.train(&mut short, 4);
    let short_state = short.state().expect("state");
    assert!(
        short.repeated_steps() > 0,
        "this scene was to overflow the scratch memory"
    );

    let mut roomy = make();
    let image = GpuImage::new(&fixture.gpu, 64, 64);
    for camera in &fixture.cameras {
        roomy.render(camera, &image).expect("render");
    }
    fixture.train(&mut roomy, 4);
    let roomy_state = roomy.state().expect("state");
    assert_eq!(roomy.repeated_steps(), 0);
    assert_same(&roomy_state, &short_state);
}

#[test]
fn removal_keeps_parameters_and_moments_together() {
    let fixture = fixture(64, 32);
    let mut config = fixture.config(100);
    config.prune = PruneConfig {
        warmup: 0.0,
        interval: 1,
        min_opacity: 0.005,
        max_scale: 0.5,
        oversized_from: 0.0,
        until: 1.0,
    };
    let mut start = fixture.start();
    let extent = config.scene_extent as f32;
    let (faint, large, broken) = ([3usize, 10, 63], [0usize, 20], [31usize]);
    for i in faint {
        start.logit_opacities[i] = -6.0;
    }
    for i in large {
        start.log_scales[i * 3 + 1] = (0.6 * extent).ln();
    }
    for i in broken {
        start.log_scales[i * 3] = f32::NAN;
    }
    let gone: Vec<usize> = faint.into_iter().chain(large).chain(broken).collect();
    let mut state = SplatTrainer::new(fixture.gpu.clone(), start.clone(), config)
        .expect("trainer")
        .state()
        .expect("state");
    state.progress.phase_step = 1;
    for tensor in &mut state.tensors {
        let width = tensor.data.len() / 64;
        for (i, v) in tensor.data.iter_mut().enumerate() {
            let row = (i / width) as f32;
            if tensor.name.ends_with(".first") {
                *v = row;
            } else if tensor.name.ends_with(".second") {
                *v = 1e20 * (row + 1.0);
            }
        }
    }
    let mut trainer = SplatTrainer::from_state(fixture.gpu.clone(), &state).expect("trainer");
    let generation = trainer.generation();
    // Seen from here there is nothing, so that gradients are zero and the moments only decay.
    let away = Camera::look_at(
        DVec3::new(0.0, 0.0, 50.0),
        DVec3::new(0.0, 0.0, 100.0),
        DVec3::X,
        fixture.cameras[0].intrinsics,
    );
    let report = trainer.step(&away, &fixture.targets[0]).expect("step");
    assert_eq!(report.refined.removed as usize, gone.len());
    assert_ne!(trainer.generation(), generation);
    let after = trainer.state().expect("state");
    let kept: Vec<usize> = (0..64).filter(|i| !gone.contains(i)).collect();
    assert_eq!(after.len(), kept.len());
    for (before, after) in state.tensors.iter().zip(&after.tensors) {
        let width = before.data.len() / 64;
        assert_eq!(after.shape[0], kept.len());
        for (row, &i) in kept.iter().enumerate() {
            for c in 0..width {
                let (b, a) = (before.data[i * width + c], after.data[row * width + c]);
                let expected =
                    if before.name.ends_with(".first") && !before.name.contains("sh_rest") {
                        0.9 * b
                    } else if before.name.ends_with(".second") && !before.name.contains("sh_rest") {
                        0.999 * b
                    } else {
                        b
                    };
                assert!(
                    (a - expected).abs() <= 1e-6 * expected.abs().max(1e-3),
                    "{} row {i}: {a}, expected {expected}",
                    before.name
                );
            }
        }
    }
}

#[test]
fn nothing_left_is_an_error() {
    let fixture = fixture(30, 32);
    let mut config = fixture.config(10);
    config.prune.interval = 1;
    config.prune.min_opacity = 0.99;
    let mut trainer = fixture.trainer(config);
    fixture.train(&mut trainer, 1);
    let error = trainer
        .step(&fixture.cameras[0], &fixture.targets[0])
        .expect_err("all splats are too faint");
    println!("{error}");
    assert_eq!(trainer.len(), 30);
}

#[test]
fn refining_goes_on_from_a_finished_scene() {
    let fixture = fixture(300, 64);
    let mut trainer = fixture.trainer(fixture.config(100));
    fixture.train(&mut trainer, 100);
    let before = fixture.psnr(&mut trainer);
    let count = trainer.len();
    let mut config = *trainer.config();
    config.phase = Phase::Refine;
    config.prune.interval = 1;
    config.prune.min_opacity = 0.9;
    trainer.set_config(config).expect("config");
    assert_eq!(trainer.active_sh_degree(), 1);
    let report = trainer
        .step(&fixture.cameras[0], &fixture.targets[0])
        .expect("step");
    assert_eq!(
        (report.divisor, report.refined.removed, report.step),
        (1, 0, 101)
    );
    fixture.train(&mut trainer, 100);
    let after = fixture.psnr(&mut trainer);
    println!("PSNR {before:.2} → {after:.2} dB");
    assert_eq!((trainer.len(), trainer.step_count()), (count, 201));
    assert!(after > before);
}

#[test]
fn masked_pixels_teach_nothing() {
    let fixture = fixture(200, 32);
    let pixels = 32 * 32;
    let mask: Vec<u8> = (0..pixels)
        .map(|i| if i % 32 < 16 { 0 } else { 255 })
        .collect();
    let mut spoilt = fixture.photos[0].rgb.to_vec();
    for (i, rgb) in spoilt.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        if mask[i] == 0 {
            *rgb = [255, 0, 255];
        }
    }
    let mut config = fixture.config(10);
    config.coarse_to_fine = false;
    let run = |photo: &Photo| {
        let target = Target::upload(&fixture.gpu, photo, Some(&mask)).expect("target");
        let mut trainer = fixture.trainer(config);
        for _ in 0..5 {
            trainer.step(&fixture.cameras[0], &target).expect("step");
        }
        trainer.state().expect("state")
    };
    assert_same(&run(&fixture.photos[0]), &run(&Photo::new(32, 32, spoilt)));
}

#[test]
fn schedules_are_splatfactos_at_its_length() {
    let phase = Phase::Reconstruct {
        planned_steps: 30_000,
    };
    let divisors = [0, 2999, 3000, 5999, 6000, 29_999].map(|s| phase.divisor(s, true));
    assert_eq!(divisors, [4, 4, 2, 2, 1, 1]);
    assert_eq!(phase.divisor(0, false), 1);
    let degrees = [0, 999, 1000, 2000, 3000, 29_999].map(|s| phase.sh_degree(s, 1000, 3));
    assert_eq!(degrees, [0, 0, 1, 2, 3, 3]);
    let lr = |phase: Phase, step| phase.decayed(1.6e-4, 1.6e-6, step);
    for (phase, step, expected) in [
        (phase, 0, 1.6e-4),
        (phase, 15_000, 1.6e-5),
        (phase, 30_000, 1.6e-6),
        (phase, 40_000, 1.6e-6),
        (Phase::Refine, 0, 7.4e-6),
        (Phase::Refine, 7500, 2.35e-6),
    ] {
        let got = lr(phase, step);
        assert!(
            (got / expected - 1.0).abs() < 0.01,
            "{phase:?} {step}: {got}"
        );
    }
}

#[test]
fn views_are_drawn_without_replacement() {
    let mut order = ViewOrder::new(5);
    let mut epochs = Vec::new();
    for _ in 0..3 {
        let mut epoch: Vec<usize> = (0..10).filter_map(|_| order.next(10)).collect();
        epochs.push(epoch.clone());
        epoch.sort_unstable();
        assert_eq!(epoch, (0..10).collect::<Vec<_>>());
    }
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    let saved = serde_json::to_string(&order).expect("json");
    let mut resumed: ViewOrder = serde_json::from_str(&saved).expect("json");
    for _ in 0..25 {
        assert_eq!(order.next(10), resumed.next(10));
    }
    assert_eq!(order.next(0), None);
}
