//! A field and a capture small enough to differentiate by hand, and to train in a test.

use glam::DVec3;
use luxedit::{
    gpu::Gpu,
    loss::{Target, TrainView},
    luxen::{Background, GridConfig, LuxenConfig},
    scene::{Camera, Intrinsics, Photo},
};
use std::sync::Arc;

pub use crate::adapter::gpu;

/// A device without integers of 64 bits: what a software adapter does in them, graphics cards do without.
#[allow(dead_code, reason = "not every program of tests needs it")]
pub fn plain_gpu() -> Arc<Gpu> {
    let wide = wgpu::Features::SHADER_INT64 | wgpu::Features::SHADER_INT64_ATOMIC_ALL_OPS;
    Gpu::headless_with(|device| device.required_features.remove(wide))
        .expect("a device that lacks something")
}

/// A tiny field whose every part matters: dense and hashed levels, two proposals, appearances, masked pixels.
pub fn tiny() -> LuxenConfig {
    LuxenConfig {
        grid: GridConfig {
            levels: 8,
            base_resolution: 3,
            max_resolution: 24,
            log2_entries: 8,
        },
        proposals: [8, 12].map(|max_resolution| GridConfig {
            levels: 5,
            base_resolution: 3,
            max_resolution,
            log2_entries: 7,
        }),
        rays: 64,
        samples: [12, 8, 8],
        near: 0.2,
        far: 20.0,
        average_density: 1.0,
        anneal_steps: 0,
        seed: 3,
        ..LuxenConfig::small(Background::LastSample)
    }
}

pub fn views(gpu: &Gpu) -> Vec<TrainView> {
    (0..3u32)
        .map(|v| {
            let (width, height) = (12 + v, 10);
            let rgb = (0..width * height * 3).map(|i| ((i * 37 + v * 91) % 251) as u8);
            let photo = Photo::new(width, height, rgb.collect());
            let mask: Vec<u8> = (0..width * height)
                .map(|i| if i % 7 == 0 { 0 } else { 255 })
                .collect();
            let angle = f64::from(v);
            let camera = Camera::look_at(
                DVec3::new(1.5 * angle.cos(), 1.5 * angle.sin(), 0.4),
                DVec3::ZERO,
                DVec3::Z,
                Intrinsics {
                    fx: 11.0,
                    fy: 12.0,
                    cx: 6.3,
                    cy: 4.8,
                    width,
                    height,
                },
            );
            TrainView {
                camera,
                target: Target::upload(gpu, &photo, Some(&mask)).unwrap(),
            }
        })
        .collect()
}
