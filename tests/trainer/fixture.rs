//! A small synthetic scene, seen from a ring of cameras.

use glam::DVec3;
use luxedit::{
    gpu::{Gpu, GpuImage},
    loss::Target,
    metric,
    scene::{Camera, Intrinsics, Photo, Splats},
    splat::{
        Rasterizer, RenderOptions, SplatBuffers, SplatTrainer, TrainConfig, TrainState, ViewOrder,
        scene_extent,
    },
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use std::sync::Arc;

pub const BACKGROUND: [f32; 3] = [0.1, 0.2, 0.3];

pub fn gpu() -> Arc<Gpu> {
    Gpu::headless().expect("an adapter")
}

pub fn uniform(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * (rng.next_u32() >> 8) as f32 / (1 << 24) as f32
}

pub fn scene(count: usize, seed: u64) -> Splats {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut fill = |n: usize, low, high| -> Vec<f32> {
        (0..n).map(|_| uniform(&mut rng, low, high)).collect()
    };
    Splats {
        sh_degree: 1,
        antialiased: false,
        means: fill(count * 3, -1.0, 1.0),
        quats: fill(count * 4, -1.0, 1.0),
        log_scales: fill(count * 3, -3.0, -1.5),
        logit_opacities: fill(count, 0.0, 3.0),
        sh_dc: fill(count * 3, -1.5, 1.5),
        sh_rest: fill(count * 9, -0.2, 0.2),
    }
}

pub fn cameras(count: usize, size: u32) -> Vec<Camera> {
    let intrinsics = Intrinsics {
        fx: f64::from(size),
        fy: f64::from(size),
        cx: f64::from(size) / 2.0,
        cy: f64::from(size) / 2.0,
        width: size,
        height: size,
    };
    (0..count)
        .map(|i| {
            let angle = i as f64 / count as f64 * std::f64::consts::TAU;
            let eye = DVec3::new(
                4.0 * angle.cos(),
                4.0 * angle.sin(),
                1.0 + (i % 3) as f64 * 0.5,
            );
            Camera::look_at(eye, DVec3::ZERO, DVec3::Z, intrinsics)
        })
        .collect()
}

pub fn photos(gpu: &Arc<Gpu>, splats: &Splats, cameras: &[Camera]) -> Vec<Photo> {
    let mut rasterizer = Rasterizer::new(gpu.clone()).expect("rasterizer");
    let splats = SplatBuffers::upload(gpu, splats).expect("splats");
    let options = RenderOptions {
        background: BACKGROUND,
        active_sh_degree: 3,
    };
    cameras
        .iter()
        .map(|camera| {
            let k = camera.intrinsics;
            let image = GpuImage::new(gpu, k.width, k.height);
            rasterizer
                .render(&splats, camera, &options, &image, None)
                .expect("render");
            image.read(gpu).expect("pixels").to_photo()
        })
        .collect()
}

pub struct Fixture {
    pub gpu: Arc<Gpu>,
    pub truth: Splats,
    pub cameras: Vec<Camera>,
    pub photos: Vec<Photo>,
    pub targets: Vec<Target>,
}

pub fn fixture(count: usize, size: u32) -> Fixture {
    let gpu = gpu();
    let truth = scene(count, 1);
    let cameras = cameras(12, size);
    let photos = photos(&gpu, &truth, &cameras);
    let targets = photos
        .iter()
        .map(|p| Target::upload(&gpu, p, None).expect("target"))
        .collect();
    Fixture {
        gpu,
        truth,
        cameras,
        photos,
        targets,
    }
}

impl Fixture {
    /// The scene, disturbed.
    pub fn start(&self) -> Splats {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut start = self.truth.clone();
        for v in &mut start.means {
            *v += uniform(&mut rng, -0.05, 0.05);
        }
        for v in &mut start.log_scales {
            *v += uniform(&mut rng, -0.5, 0.2);
        }
        start.sh_dc.fill(0.0);
        start.sh_rest.fill(0.0);
        start.logit_opacities.fill(0.0);
        start
    }

    pub fn config(&self, planned_steps: u64) -> TrainConfig {
        TrainConfig::reconstruct(planned_steps, scene_extent(&self.cameras), BACKGROUND)
    }

    pub fn trainer(&self, config: TrainConfig) -> SplatTrainer {
        SplatTrainer::new(self.gpu.clone(), self.start(), config).expect("trainer")
    }

    pub fn train(&self, trainer: &mut SplatTrainer, steps: usize) {
        for _ in 0..steps {
            let mut order = ViewOrder::new(3);
            let mut view = 0;
            for _ in 0..=trainer.step_count() {
                view = order.next(self.cameras.len()).expect("views");
            }
            trainer
                .step(&self.cameras[view], &self.targets[view])
                .expect("step");
        }
    }

    pub fn psnr(&self, trainer: &mut SplatTrainer) -> f64 {
        let sum: f64 = self
            .cameras
            .iter()
            .zip(&self.photos)
            .map(|(camera, photo)| {
                let image = GpuImage::new(&self.gpu, photo.width, photo.height);
                trainer.render(camera, &image).expect("render");
                metric::psnr(&image.read(&self.gpu).expect("pixels"), &photo.to_float())
                    .expect("psnr")
            })
            .sum();
        sum / self.cameras.len() as f64
    }
}

pub fn assert_same(a: &TrainState, b: &TrainState) {
    assert_eq!(a.progress, b.progress);
    for (a, b) in a.tensors.iter().zip(&b.tensors) {
        assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
        let differing = a
            .data
            .iter()
            .zip(&b.data)
            .filter(|(a, b)| a.to_bits() != b.to_bits())
            .count();
        assert_eq!(
            differing,
            0,
            "{}: {differing} of {} values differ",
            a.name,
            a.data.len()
        );
    }
    assert_eq!(a.tensors.len(), b.tensors.len());
}
