//! Scenes for the benchmarks, of any size and the same in every run.

use glam::DMat4;
use luxedit::scene::{Camera, Intrinsics, Splats};
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// `count` splats that fill the picture of [`camera`], their size such that they cover it a few times over.
pub fn ball(count: usize, sh_degree: u32) -> Splats {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut values = |n: usize, low: f32, high: f32| -> Vec<f32> {
        (0..n).map(|_| rng.random_range(low..high)).collect()
    };
    let mut means = values(count * 3, -1.0, 1.0);
    for mean in means.chunks_exact_mut(3) {
        mean[2] += 3.0;
    }
    let size = (0.7 / (count as f32).sqrt()).ln();
    Splats {
        sh_degree,
        antialiased: false,
        means,
        quats: values(count * 4, -1.0, 1.0),
        log_scales: values(count * 3, size, size + 1.5),
        logit_opacities: values(count, -3.0, 3.0),
        sh_dc: values(count * 3, -1.5, 1.5),
        sh_rest: values(count * 3 * Splats::rest_count_of(sh_degree), -0.2, 0.2),
    }
}

/// At the origin, looking along z.
pub fn camera(width: u32, height: u32) -> Camera {
    let focal = 1.2 * f64::from(width.max(height));
    Camera {
        world_to_camera: DMat4::IDENTITY,
        intrinsics: Intrinsics {
            fx: focal,
            fy: focal,
            cx: 0.5 * f64::from(width),
            cy: 0.5 * f64::from(height),
            width,
            height,
        },
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
