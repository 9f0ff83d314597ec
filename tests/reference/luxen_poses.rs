//! Corrections of cameras' poses: the gradient that a step finds for them, against finite differences of the twin's loss.

use crate::{
    luxen::{assert_near, rays, wide},
    luxen_field::Field,
    luxen_scene::{gpu, tiny, views},
};
use bytemuck::Zeroable;
use glam::{DMat3, DMat4, DVec3, DVec4};
use luxedit::{
    loss::TrainView,
    luxen::{Background, Batch, CameraPoses, LuxenConfig, LuxenTrainer, TableStorage},
    scene::Camera,
};

/// Shift and turn of each view.
type Motions = Vec<[DVec3; 2]>;

/// Rodrigues' formula, as it is written.
fn rotation(turn: DVec3) -> DMat3 {
    let angle = turn.length();
    let DVec3 { x, y, z } = turn / angle;
    let k = DMat3::from_cols_array_2d(&[[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]);
    DMat3::IDENTITY + k * angle.sin() + k * k * (1.0 - angle.cos())
}

/// nerfstudio's convention: o += t, d = R d, in the world.
fn moved(views: &[TrainView], motions: &Motions) -> Vec<TrainView> {
    let moved = |(view, [shift, turn]): (&TrainView, &[DVec3; 2])| {
        let old = view.camera.camera_to_world();
        let turned = rotation(*turn) * DMat3::from_mat4(old);
        let mut pose = DMat4::from_mat3(turned);
        pose.w_axis = DVec4::from((old.w_axis.truncate() + *shift, 1.0));
        TrainView {
            camera: Camera {
                world_to_camera: pose.inverse(),
                ..view.camera
            },
            target: view.target.clone(),
        }
    };
    views.iter().zip(motions).map(moved).collect()
}

#[test]
fn poses_have_the_gradient_of_finite_differences() {
    let Some(gpu) = gpu() else { return };
    for (background, tables) in [
        (Background::LastSample, TableStorage::Single),
        (Background::Fixed([0.2, 0.9, 0.5]), TableStorage::Half),
    ] {
        if let Some(notice) = tables.notice(&gpu) {
            println!("SKIPPED: {notice}");
            continue;
        }
        let mut config = LuxenConfig {
            background,
            tables,
            poses: CameraPoses::NERFACTO,
            ..tiny()
        };
        config.loss.distortion_weight = 0.05;
        // It does not reach the cameras, by decision.
        config.loss.interlevel_weight = 0.0;
        let views = views(&gpu);
        let mut fresh = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
        let mut state = fresh.state().unwrap();
        let wave = |i: usize| (3 * i + 1) as f64;
        let motions: Motions = (0..3)
            .map(|v| {
                let vector = |first: usize, most: f64| {
                    DVec3::from_array([0, 1, 2].map(|k| most * wave(6 * v + first + k).sin()))
                };
                [vector(0, 0.05), vector(3, 0.2)].map(|m| m.as_vec3().as_dvec3())
            })
            .collect();
        for tensor in &mut state.tensors {
            if tensor.name.ends_with(".table") {
                for v in &mut tensor.data {
                    *v = crate::luxen_twin::halved(f64::from(*v * 1e4)) as f32;
                }
            }
            if tensor.name == "poses" {
                assert_eq!(tensor.shape, [3, 6, 4]);
                for (pose, [shift, turn]) in tensor.data.chunks_exact_mut(24).zip(&motions) {
                    pose[..3].copy_from_slice(&shift.as_vec3().to_array());
                    pose[4..7].copy_from_slice(&turn.as_vec3().to_array());
                }
            }
        }
        let mut trainer = LuxenTrainer::from_state(gpu.clone(), &state).unwrap();
        let seen = moved(&views, &motions);
        for (view, expected) in seen.iter().enumerate() {
            let got = trainer.view_camera(view as u32, &views[view].camera);
            let got = got.unwrap().world_to_camera;
            assert!(got.abs_diff_eq(expected.camera.world_to_camera, 1e-9));
        }
        trainer.step(&views).unwrap();
        let after = trainer.state().unwrap();
        let result = trainer.take_results()[0];

        let shape = state.shape();
        let field = Field {
            config: &config,
            shape: &shape,
            groups: state
                .parameters()
                .unwrap()
                .iter()
                .map(|g| wide(g))
                .collect(),
        };
        let batch = Batch {
            seed: config.seed as u32,
            anneal: 1.0,
            ..Batch::zeroed()
        };
        let drawn = rays(&config, &seen, &gpu, &batch);
        let bins: Vec<_> = drawn
            .iter()
            .enumerate()
            .map(|(i, ray)| field.bins(ray, i as u32, &batch))
            .collect();
        let frozen: Vec<_> = drawn
            .iter()
            .zip(&bins)
            .map(|(ray, bins)| field.final_weights(ray, &bins[2]).0)
            .collect();
        let photo = |motions: &Motions| {
            let drawn = rays(&config, &moved(&views, motions), &gpu, &batch);
            field.loss(&drawn, &bins, &frozen)
        };
        let regularizer = |motions: &Motions| {
            let lengths = motions
                .iter()
                .map(|[shift, turn]| 1e-2 * shift.length() + 1e-3 * turn.length());
            lengths.sum::<f64>() / 3.0
        };
        let loss = photo(&motions);
        println!("loss: kernels {}, twin {loss}", result.loss);
        assert!((f64::from(result.loss) - loss).abs() < 1e-4 * loss);
        let poses = after.tensors.iter().find(|t| t.name == "poses").unwrap();
        for (kind, what) in ["shift", "turn"].into_iter().enumerate() {
            let (mut got, mut expected) = (Vec::new(), Vec::new());
            for view in 0..3 {
                for axis in 0..3 {
                    let at = |offset: f64| {
                        let mut motions = motions.clone();
                        motions[view][kind][axis] += offset;
                        photo(&motions) + regularizer(&motions)
                    };
                    let h = 1e-6;
                    expected.push((at(h) - at(-h)) / (2.0 * h));
                    let moment = poses.data[24 * view + 8 + 4 * kind + axis];
                    got.push(f64::from(moment) / 0.1);
                }
            }
            assert_near(what, &got, &expected, 2e-3);
        }
    }
}
