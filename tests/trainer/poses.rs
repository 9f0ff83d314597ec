//! Cameras that are learnt along with the splats.

use super::fixture::{Fixture, assert_same, fixture};
use glam::{DMat4, DQuat, DVec3};
use luxedit::{
    scene::Camera,
    splat::{PoseRates, SplatTrainer, TrainConfig},
};

/// Cameras that are wrong by half a degree or so, and by a hundredth of their distance.
fn disturbed(cameras: &[Camera]) -> Vec<Camera> {
    let wave = |i: usize, k: usize| ((7 * i + 3 * k) as f64).sin();
    cameras
        .iter()
        .enumerate()
        .map(|(i, camera)| {
            let axis = DVec3::new(wave(i, 0), wave(i, 1), wave(i, 2)) * 0.01;
            let shift = DVec3::new(wave(i, 3), wave(i, 4), wave(i, 5)) * 0.03;
            let motion = DMat4::from_rotation_translation(DQuat::from_scaled_axis(axis), shift);
            Camera {
                world_to_camera: motion * camera.world_to_camera,
                ..*camera
            }
        })
        .collect()
}

fn config(fixture: &Fixture) -> TrainConfig {
    let mut config = fixture.config(300);
    config.coarse_to_fine = false;
    config.pose_rates = PoseRates {
        start: 1e-3,
        end: 1e-4,
    };
    config.prune.warmup = 1.0;
    config
}

fn train(trainer: &mut SplatTrainer, fixture: &Fixture, cameras: &[Camera], steps: usize) {
    for _ in 0..steps {
        // Some views twice in a row.
        let view = (trainer.step_count() as usize * 2 / 3) % cameras.len();
        trainer
            .step_with(
                Some(view as u32),
                &cameras[view],
                &fixture.targets[view],
                None,
            )
            .expect("step");
    }
    trainer.finish().expect("the last step");
}

/// Mean distance of where corners of the scene fall on the pictures, in pixels.
fn pixels_off(fixture: &Fixture, camera_of: impl Fn(usize) -> Camera) -> f64 {
    let corners = [
        DVec3::ZERO,
        DVec3::X,
        DVec3::Y,
        DVec3::Z,
        -DVec3::X,
        -DVec3::Y,
    ];
    let mut sum = 0.0;
    for (i, truth) in fixture.cameras.iter().enumerate() {
        for corner in corners {
            sum += camera_of(i)
                .project(corner)
                .0
                .distance(truth.project(corner).0);
        }
    }
    sum / (fixture.cameras.len() * corners.len()) as f64
}

#[test]
fn wrong_cameras_find_their_places() {
    let fixture = fixture(300, 64);
    let cameras = disturbed(&fixture.cameras);
    let mut config = config(&fixture);
    // The splats are right and stay.
    config.learning_rates.means = 1e-12;
    config.learning_rates.means_final = 1e-12;
    config.learning_rates.quats = 0.0;
    config.learning_rates.log_scales = 0.0;
    config.learning_rates.logit_opacities = 0.0;
    config.learning_rates.sh_dc = 0.0;
    config.learning_rates.sh_rest = 0.0;
    config.sh_interval = 1;
    let gpu = fixture.gpu.clone();
    let mut trainer = SplatTrainer::new(gpu, fixture.truth.clone(), config).expect("trainer");
    let before = pixels_off(&fixture, |i| cameras[i]);
    train(&mut trainer, &fixture, &cameras, 300);
    let after = pixels_off(&fixture, |i| trainer.view_camera(i as u32, &cameras[i]));
    println!("{before:.3} → {after:.3} pixels");
    assert!(before > 0.5 && after < 0.3 * before, "{before} → {after}");
}

#[test]
fn learnt_cameras_are_resumed_bit_by_bit() {
    let fixture = fixture(200, 48);
    let cameras = disturbed(&fixture.cameras);
    let config = config(&fixture);
    let mut straight = fixture.trainer(config);
    train(&mut straight, &fixture, &cameras, 20);
    let expected = straight.state().expect("state");
    assert!(expected.tensors.iter().any(|t| t.name == "poses.motion"));
    for stop in [7, 8, 12] {
        let mut first = fixture.trainer(config);
        train(&mut first, &fixture, &cameras, stop);
        let state = first.state().expect("state");
        let mut resumed = SplatTrainer::from_state(fixture.gpu.clone(), &state).expect("resume");
        train(&mut resumed, &fixture, &cameras, 20 - stop);
        assert_same(&expected, &resumed.state().expect("state"));
    }
    // An edit leaves the cameras where they are.
    let mut edit = SplatTrainer::from_state(fixture.gpu.clone(), &expected).expect("resume");
    let before = edit.view_camera(3, &cameras[3]);
    let refine = TrainConfig {
        pose_rates: config.pose_rates,
        ..TrainConfig::refine(config.scene_extent, config.background)
    };
    edit.begin_phase(refine).expect("an edit");
    train(&mut edit, &fixture, &cameras, 6);
    assert_eq!(edit.view_camera(3, &cameras[3]), before);
    assert_ne!(before, cameras[3]);
}
