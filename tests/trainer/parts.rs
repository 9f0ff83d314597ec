//! Buffers that are larger than what the adapter binds at once.

use super::fixture::{BACKGROUND, assert_same, cameras, gpu, photos, uniform};
use luxedit::{
    Error,
    gpu::{Gpu, GpuImage},
    loss::Target,
    scene::Splats,
    settings::Strategy,
    splat::{
        CapReason, GrowthConfig, SplatBuffers, SplatCap, SplatTrainer, TrainConfig, TrainState,
        scene_extent,
    },
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::Arc;

const LIMIT: u64 = 1 << 20;
const SPLATS: usize = 12_000;
const STEPS: usize = 7;

/// A device that refuses bindings of more bytes.
fn device_of_bindings(bytes: u64) -> Arc<Gpu> {
    Gpu::headless_with(|device| device.required_limits.max_storage_buffer_binding_size = bytes)
        .expect("a device of little bindings")
}

/// Three bands of harmonics: 180 bytes a splat, two parts and a bit.
fn splats() -> Splats {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut fill = |n: usize, low, high| -> Vec<f32> {
        (0..n).map(|_| uniform(&mut rng, low, high)).collect()
    };
    Splats {
        sh_degree: 3,
        antialiased: false,
        means: fill(SPLATS * 3, -1.0, 1.0),
        quats: fill(SPLATS * 4, -1.0, 1.0),
        log_scales: fill(SPLATS * 3, -3.2, -1.9),
        logit_opacities: fill(SPLATS, -4.0, 1.0),
        sh_dc: fill(SPLATS * 3, -1.5, 1.5),
        sh_rest: fill(SPLATS * 45, -0.2, 0.2),
    }
}

/// Trains with growth and removals; the state, the last picture and the most intersections.
fn trained(gpu: &Arc<Gpu>, config: TrainConfig) -> (TrainState, Vec<f32>, u32) {
    let cameras = cameras(4, 96);
    let truth = super::scene(300, 1);
    let targets: Vec<Target> = photos(gpu, &truth, &cameras)
        .iter()
        .map(|photo| Target::upload(gpu, photo, None).expect("target"))
        .collect();
    let mut trainer = SplatTrainer::new(gpu.clone(), splats(), config).expect("trainer");
    let mut changed = 0;
    for step in 0..STEPS {
        let at = step % cameras.len();
        let report = trainer.step(&cameras[at], &targets[at]).expect("step");
        changed += report.refined.added + report.refined.removed;
    }
    assert!(changed > 0, "the set did not change");
    trainer.finish().expect("the last step");
    let intersections = trainer.take_results().iter().map(|r| r.intersections).max();
    let image = GpuImage::new(gpu, 96, 96);
    trainer.render(&cameras[0], &image).expect("render");
    let picture = image.read_rgba(gpu).expect("pixels");
    gpu.check().expect("no validation error");
    let state = trainer.state().expect("state");
    (state, picture, intersections.expect("results"))
}

fn config() -> TrainConfig {
    let cap = SplatCap {
        splats: 20_000,
        reason: CapReason::Setting,
    };
    let growth = GrowthConfig {
        from_step: 3,
        until_step: 100,
        interval: 3,
        gradient: 1e-5,
        ..GrowthConfig::new(Strategy::Default, cap, 100, 4)
    };
    let mut config =
        TrainConfig::reconstruct(100, scene_extent(&cameras(4, 96)), BACKGROUND).growing(growth);
    config.coarse_to_fine = false;
    config.sh_interval = 1;
    config.prune.min_opacity = 0.03;
    config
}

#[test]
fn parts_do_not_show() {
    let whole = gpu();
    let parted = device_of_bindings(LIMIT);
    assert_eq!(parted.binding_limit(), LIMIT);
    let (expected, expected_picture, _) = trained(&whole, config());
    let (got, picture, intersections) = trained(&parted, config());
    println!("{} splats, {intersections} intersections", got.len());
    // Both lists took more than one binding, or nothing is shown.
    assert!(SPLATS as u64 * 180 > 2 * LIMIT);
    assert!(u64::from(intersections) * 20 > LIMIT);
    assert_same(&expected, &got);
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&expected_picture), bits(&picture));
}

#[test]
fn what_does_not_fit_in_parts_is_said() {
    let gpu = device_of_bindings(4 * SPLATS as u64);
    let Err(Error::Gpu(message)) = SplatBuffers::upload(&gpu, &splats()).map(|_| ()) else {
        panic!("room for everything");
    };
    println!("{message}");
    assert!(message.contains("12000 splats") && message.contains("1000 splats of this degree"));
}
