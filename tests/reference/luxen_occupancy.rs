//! Where a bounded scene is empty: spans of rays, what is drawn in training, what cells remember, against the twin.

use crate::{
    luxen::run,
    luxen_field::Field,
    luxen_scene::{gpu, tiny, views},
    luxen_twin as twin,
};
use bytemuck::Zeroable;
use glam::DVec3;
use luxedit::{
    luxen::{Background, Batch, CELLS, Draw, LuxenConfig, LuxenTrainer, View},
    scene::{Camera, Intrinsics},
};

const HALF_SIDE: f64 = 1.5;
const PLANES: [f64; 2] = [1.0, 8.0];
const SIDE: u32 = 24;

fn batch(rays: u32) -> Batch {
    Batch {
        rays,
        near: twin::spacing(PLANES[0]) as f32,
        far: twin::spacing(PLANES[1]) as f32,
        half_side: HALF_SIDE as f32,
        least_density: 0.5,
        background: [1.0; 3],
        seed: 5,
        patch_side: 1,
        ..Batch::zeroed()
    }
}

/// A ball in a corner of the box is occupied.
fn is_occupied(cell: [usize; 3]) -> bool {
    let middle = [40.0, 24.0, 30.0];
    let squared: f64 = (0..3).map(|k| (cell[k] as f64 - middle[k]).powi(2)).sum();
    squared < 500.0
}

fn cells() -> Vec<f32> {
    let side = CELLS as usize;
    (0..side.pow(3))
        .map(|i| [i % side, i / side % side, i / side / side])
        .map(|cell| if is_occupied(cell) { 2.0 } else { 0.1 })
        .collect()
}

fn camera() -> Camera {
    let intrinsics = Intrinsics {
        fx: 30.0,
        fy: 31.0,
        cx: 12.2,
        cy: 11.7,
        width: SIDE,
        height: SIDE,
    };
    Camera::look_at(DVec3::new(3.1, 2.3, 1.4), DVec3::ZERO, DVec3::Z, intrinsics)
}

fn expected_span(ray: &[[f32; 4]]) -> Option<[f64; 2]> {
    let xyz = |v: [f32; 4]| [0, 1, 2].map(|k| f64::from(v[k]));
    twin::span(xyz(ray[0]), xyz(ray[1]), HALF_SIDE, PLANES, is_occupied)
}

#[test]
fn rays_span_what_is_occupied() {
    let Some(gpu) = gpu() else { return };
    let count = SIDE * SIDE;
    let rays = gpu.storage("rays", u64::from(count) * 48);
    let spans = gpu.storage("spans", u64::from(count) * 8);
    let view = gpu.uniform_from("camera", &View::new(&camera(), 0, 0));
    let cells = gpu.storage_from("cells", &cells());
    let buffers = [&view, &rays, &cells, &spans];
    run(&gpu, "rays_of_camera", &batch(count), &buffers, [9, 1, 1]);
    let rays: Vec<[f32; 4]> = gpu.read(&rays, 3 * count as usize).unwrap();
    let spans: Vec<[f32; 2]> = gpu.read(&spans, count as usize).unwrap();
    let (mut hits, mut off) = (0, 0);
    for (ray, span) in rays.chunks(3).zip(&spans) {
        let expected = expected_span(ray);
        hits += usize::from(expected.is_some());
        let [low, high] = expected.unwrap_or([0.0; 2]);
        let difference = (low - f64::from(span[0])).abs() + (high - f64::from(span[1])).abs();
        // A middle on a cell's face may fall to either side of it.
        off += usize::from(difference > 1e-4);
    }
    println!("{hits} of {count} rays see something, {off} spans are off");
    assert!(hits > 60 && hits < 400, "{hits}");
    assert!(off <= 10, "{off}");
}

/// One photo, white where nothing is but for one red pixel: rays that have nothing to teach are drawn again.
#[test]
fn training_draws_what_has_something_to_teach() {
    let Some(gpu) = gpu() else { return };
    let count = 1024;
    let pixels = (SIDE * SIDE) as usize;
    let red = 0xff00_00ffu32;
    let mut photo = vec![u32::MAX; pixels];
    photo[3] = red;
    let pool = gpu.storage_from("photo", &photo);
    let views = gpu.storage_from("views", &[View::new(&camera(), 0, 0)]);
    let rays = gpu.storage("rays", count * 48);
    let spans = gpu.storage("spans", count * 8);
    let cells = gpu.storage_from("cells", &cells());
    let others: [_; 3] = std::array::from_fn(|_| gpu.storage("no photos", 16));
    let [pool1, pool2, pool3] = &others;
    let draw = Draw {
        views: 1,
        ..Draw::zeroed()
    };
    let draw = gpu.uniform_from("draw", &draw);
    let buffers = [
        &views, &pool, pool1, pool2, pool3, &rays, &cells, &spans, &draw,
    ];
    let batch = Batch {
        is_training: 1,
        ..batch(count as u32)
    };
    run(&gpu, "rays_of_views", &batch, &buffers, [16, 1, 1]);
    let rays: Vec<[f32; 4]> = gpu.read(&rays, 3 * count as usize).unwrap();
    let spans: Vec<[f32; 2]> = gpu.read(&spans, count as usize).unwrap();
    let (mut seeing, mut surprising, mut useless) = (0, 0, 0);
    for (ray, span) in rays.chunks(3).zip(&spans) {
        let is_white = ray[2][1] == 1.0;
        match expected_span(ray) {
            Some(_) => seeing += 1,
            None => {
                assert_eq!(*span, [0.0, 1.0], "what surprises is looked for everywhere");
                surprising += usize::from(!is_white);
                useless += usize::from(is_white);
            }
        }
    }
    println!("{seeing} see something, {surprising} surprise, {useless} are useless");
    assert!(surprising > 0);
    assert!(seeing > 3 * useless, "{seeing} against {useless}");
}

#[test]
fn cells_remember_the_density_at_a_point_of_theirs() {
    let Some(gpu) = gpu() else { return };
    let config = LuxenConfig {
        background: Background::Fixed([1.0; 3]),
        half_side: Some(HALF_SIDE),
        ..tiny()
    };
    let mut trainer = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
    let mut state = trainer.state().unwrap();
    for tensor in &mut state.tensors {
        if tensor.name.ends_with(".table") {
            for v in &mut tensor.data {
                *v *= 3e4;
            }
        }
    }
    let mut trainer = LuxenTrainer::from_state(gpu.clone(), &state).unwrap();
    trainer.step(&views(&gpu)).unwrap();
    let after = trainer.state().unwrap();
    let groups = after.parameters().unwrap();
    let shape = after.shape();
    let field = Field {
        config: &config,
        shape: &shape,
        groups: groups
            .iter()
            .map(|g| g.iter().map(|v| f64::from(*v)).collect())
            .collect(),
    };
    let batch = Batch {
        seed: config.seed as u32,
        ..Batch::zeroed()
    };
    let side = 2.0 * HALF_SIDE / f64::from(CELLS);
    let got = after.cells().unwrap();
    let mut grown = 0;
    for cell in (0..CELLS * CELLS).step_by(17) {
        let low = [cell % CELLS, cell / CELLS % CELLS, cell / CELLS / CELLS];
        let point = std::array::from_fn(|k| {
            let share = twin::random(&batch, 3 * cell + k as u32, 4);
            (f64::from(low[k]) + 2.0 * share - 0.5) * side - HALF_SIDE
        });
        let expected = field.density(point).max(0.7 * config.average_density);
        grown += usize::from(expected > 0.7 * config.average_density);
        let difference = (f64::from(got[cell as usize]) - expected).abs();
        assert!(difference < 2e-4 * expected, "{cell}: {expected}");
    }
    assert!(grown > 20, "{grown}");
    let untouched = &got[(CELLS * CELLS) as usize..];
    assert!(
        untouched
            .iter()
            .all(|v| *v == config.average_density as f32)
    );
}
