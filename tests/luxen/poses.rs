//! Cameras that are learnt along with a field.

use crate::luxen_scene::{gpu, tiny, views};
use glam::{DMat4, DQuat, DVec3};
use luxedit::{
    gpu::Gpu,
    loss::{Target, TrainView},
    luxen::{Background, CameraPoses, Decay, GridConfig, LuxenConfig, LuxenState, LuxenTrainer},
    scene::{Camera, Intrinsics, NamedTensor, Photo},
};

const RADIUS: f64 = 0.8;
const SIDE: u32 = 32;

/// Photos of a patterned ball before white, from all around.
fn ball(gpu: &Gpu) -> Vec<TrainView> {
    let intrinsics = Intrinsics {
        fx: 50.0,
        fy: 50.0,
        cx: 16.0,
        cy: 16.0,
        width: SIDE,
        height: SIDE,
    };
    (0..12u32)
        .map(|i| {
            let angle = f64::from(i) * 0.524;
            let height = f64::from(i % 3) - 1.0;
            let position = 4.0 * DVec3::new(angle.cos(), angle.sin(), height).normalize();
            let camera = Camera::look_at(position, DVec3::ZERO, DVec3::Z, intrinsics);
            let world = camera.camera_to_world();
            let mut rgb = Vec::new();
            for pixel in 0..SIDE * SIDE {
                let [x, y] =
                    [pixel % SIDE, pixel / SIDE].map(|v| (f64::from(v) + 0.5 - 16.0) / 50.0);
                let direction = world.transform_vector3(DVec3::new(x, y, 1.0)).normalize();
                let along = -position.dot(direction);
                let reach = RADIUS * RADIUS - (position + along * direction).length_squared();
                let color = if reach > 0.0 {
                    let hit = position + (along - reach.sqrt()) * direction;
                    [0, 1, 2].map(|k| 127.0 + 120.0 * (5.0 * hit[k] + k as f64).sin())
                } else {
                    [255.0; 3]
                };
                rgb.extend(color.map(|c| c as u8));
            }
            let photo = Photo::new(SIDE, SIDE, rgb);
            TrainView {
                camera,
                target: Target::upload(gpu, &photo, None).unwrap(),
            }
        })
        .collect()
}

/// Cameras that are wrong by half a degree or so, and by a hundredth of their distance.
fn disturbed(views: &[TrainView]) -> Vec<TrainView> {
    let wave = |i: usize, k: usize| ((7 * i + 3 * k) as f64).sin();
    views
        .iter()
        .enumerate()
        .map(|(i, view)| {
            let axis = DVec3::new(wave(i, 0), wave(i, 1), wave(i, 2)) * 0.01;
            let shift = DVec3::new(wave(i, 3), wave(i, 4), wave(i, 5)) * 0.03;
            let motion = DMat4::from_rotation_translation(DQuat::from_scaled_axis(axis), shift);
            let mut view = view.clone();
            view.camera.world_to_camera = motion * view.camera.world_to_camera;
            view
        })
        .collect()
}

/// Mean distance of where corners of the scene fall on the pictures, in pixels.
fn pixels_off(truth: &[TrainView], mut camera_of: impl FnMut(usize) -> Camera) -> f64 {
    let axes = [DVec3::X, DVec3::Y, DVec3::Z];
    let mut sum = 0.0;
    for (i, truth) in truth.iter().enumerate() {
        for corner in axes.into_iter().flat_map(|axis| [axis, -axis]) {
            let at = camera_of(i).project(RADIUS * corner).0;
            sum += at.distance(truth.camera.project(RADIUS * corner).0);
        }
    }
    sum / (6 * truth.len()) as f64
}

fn config() -> LuxenConfig {
    let grid = |levels: u32, max_resolution: u32| GridConfig {
        levels,
        base_resolution: 4,
        max_resolution,
        log2_entries: 12,
    };
    LuxenConfig {
        grid: grid(8, 40),
        proposals: [grid(5, 16), grid(5, 24)],
        rays: 256,
        samples: [32, 16, 16],
        near: 2.0,
        far: 6.5,
        background: Background::Fixed([1.0; 3]),
        appearance: false,
        ..tiny().planned(300)
    }
}

fn train(trainer: &mut LuxenTrainer, views: &[TrainView], steps: usize) -> LuxenState {
    for _ in 0..steps {
        trainer.step(views).unwrap();
    }
    trainer.state().unwrap()
}

#[test]
fn wrong_cameras_find_their_places() {
    let Some(gpu) = gpu() else { return };
    let truth = ball(&gpu);
    let wrong = disturbed(&truth);
    let before = pixels_off(&truth, |i| wrong[i].camera);
    let learning =
        |start: f64, end: f64, steps: u64| CameraPoses::Learning(Decay { start, end, steps });

    // In a field that is right and stays.
    let mut right = LuxenTrainer::new(gpu.clone(), config(), 12).unwrap();
    let mut state = train(&mut right, &truth, 300);
    state.config.learning_rate = Decay {
        start: 1e-12,
        end: 1e-12,
        steps: 1,
    };
    state.config.poses = learning(2e-3, 2e-4, 150);
    state.progress.phase_step = 0;
    state.tensors.push(NamedTensor {
        name: "poses".into(),
        shape: vec![12, 6, 4],
        data: vec![0.0; 12 * 24],
    });
    let mut trainer = LuxenTrainer::from_state(gpu.clone(), &state).unwrap();
    train(&mut trainer, &wrong, 150);
    let after = pixels_off(&truth, |i| {
        trainer.view_camera(i as u32, &wrong[i].camera).unwrap()
    });
    println!("{before:.3} → {after:.3} pixels, the field given");
    assert!(before > 0.5 && after < 0.5 * before, "{before} → {after}");

    // Along with a field that begins with nothing.
    let together = LuxenConfig {
        poses: learning(2e-3, 2e-4, 500),
        ..config().planned(500)
    };
    let mut trainer = LuxenTrainer::new(gpu.clone(), together, 12).unwrap();
    train(&mut trainer, &wrong, 500);
    let after = pixels_off(&truth, |i| {
        trainer.view_camera(i as u32, &wrong[i].camera).unwrap()
    });
    println!("{before:.3} → {after:.3} pixels, along with the field");
    assert!(after < 0.8 * before, "{before} → {after}");
}

#[test]
fn learnt_cameras_are_resumed_bit_by_bit_and_an_edit_leaves_them() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let bits = |state: &LuxenState| -> Vec<Vec<u32>> {
        let tensors = state.tensors.iter();
        tensors
            .map(|t| t.data.iter().map(|v| v.to_bits()).collect())
            .collect()
    };
    for chunk_rays in [0, 64] {
        let config = LuxenConfig {
            rays: 128,
            chunk_rays,
            poses: CameraPoses::NERFACTO,
            ..tiny()
        };
        let mut whole = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
        let expected = train(&mut whole, &views, 9);
        assert_eq!(expected.progress.pose_steps, 9);
        let mut first = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
        let part = train(&mut first, &views, 5);
        let mut second = LuxenTrainer::from_state(gpu.clone(), &part).unwrap();
        let got = train(&mut second, &views, 4);
        assert_eq!(bits(&got), bits(&expected));
        let before = second.view_camera(1, &views[1].camera).unwrap();
        assert_ne!(before, views[1].camera);

        second.begin_phase(config.refine()).unwrap();
        train(&mut second, &views, 2);
        assert_eq!(second.view_camera(1, &views[1].camera).unwrap(), before);
        let mut lacking = part.clone();
        lacking.tensors.retain(|t| t.name != "poses");
        let refused = LuxenTrainer::from_state(gpu.clone(), &lacking);
        let refused = refused.err().expect("a state without poses").to_string();
        assert!(refused.contains("3 views"), "{refused}");
    }
}
