//! Depth, accumulation and normals of a render against the same in double precision.

use glam::{DVec2, DVec3};
use luxedit::{
    edit::{Look, LookKernel, Scale},
    gpu::{Gpu, GpuImage},
    scene::{Camera, Intrinsics},
};

const WIDTH: u32 = 37;
const HEIGHT: u32 = 21;

fn camera() -> Camera {
    let intrinsics = Intrinsics {
        fx: 30.0,
        fy: 33.0,
        cx: 18.0,
        cy: 10.0,
        width: WIDTH,
        height: HEIGHT,
    };
    let eye = DVec3::new(2.0, -3.0, 1.5);
    Camera::look_at(eye, DVec3::new(0.2, 0.1, 0.0), DVec3::Z, intrinsics)
}

/// A leaning plane, nothing in a corner, and a step of depth in the middle.
fn render() -> (Vec<[f32; 4]>, Vec<f32>) {
    (0..WIDTH * HEIGHT)
        .map(|i| {
            let (x, y) = ((i % WIDTH) as f32, (i / WIDTH) as f32);
            if x + y < 9.0 {
                return ([0.3, 0.4, 0.5, 0.0], 0.0);
            }
            let alpha = 0.5 + 0.5 * ((x * 7.0 + y * 3.0) % 11.0) / 10.0;
            let z = if x > 20.0 {
                5.0
            } else {
                2.0 + 0.05 * x + 0.08 * y
            };
            ([0.3, 0.4, 0.5, alpha], z * alpha)
        })
        .unzip()
}

struct Twin<'a> {
    camera: Camera,
    image: &'a [[f32; 4]],
    depth: &'a [f32],
}

impl Twin<'_> {
    fn z(&self, x: i64, y: i64) -> f64 {
        if x < 0 || y < 0 || x >= i64::from(WIDTH) || y >= i64::from(HEIGHT) {
            return 0.0;
        }
        let i = (y * i64::from(WIDTH) + x) as usize;
        let alpha = f64::from(self.image[i][3]);
        if alpha > 1e-3 {
            f64::from(self.depth[i]) / alpha
        } else {
            0.0
        }
    }

    fn point(&self, x: i64, y: i64) -> DVec3 {
        let k = self.camera.intrinsics;
        let at = (DVec2::new(x as f64, y as f64) + 0.5 - DVec2::new(k.cx, k.cy))
            / DVec2::new(k.fx, k.fy);
        at.extend(1.0) * self.z(x, y)
    }

    fn slope(&self, x: i64, y: i64, dx: i64, dy: i64) -> DVec3 {
        let here = self.point(x, y);
        let (before, after) = (self.point(x - dx, y - dy), self.point(x + dx, y + dy));
        let back = (before.z > 0.0).then(|| here - before);
        let on = (after.z > 0.0).then(|| after - here);
        match (back, on) {
            (Some(a), Some(b)) if b.z.abs() < a.z.abs() => b,
            (Some(a), _) => a,
            (None, Some(b)) => b,
            (None, None) => DVec3::ZERO,
        }
    }

    fn normal(&self, x: i64, y: i64) -> DVec3 {
        if self.z(x, y) <= 0.0 {
            return DVec3::ZERO;
        }
        let n = self.slope(x, y, 0, 1).cross(self.slope(x, y, 1, 0));
        self.camera
            .camera_to_world()
            .transform_vector3(n.normalize_or_zero())
    }

    fn look(&self, look: Look, scale: Scale, x: i64, y: i64) -> DVec3 {
        let alpha = f64::from(self.image[(y * i64::from(WIDTH) + x) as usize][3]);
        match (look, scale) {
            (Look::Depth, Scale::Values) => DVec3::splat(self.z(x, y)),
            (Look::Depth, Scale::Picture { near, far }) => {
                let z = self.z(x, y).max(1e-12);
                let bright = ((far / z).ln() / (far / near).ln()).clamp(0.0, 1.0);
                DVec3::splat(bright * alpha)
            }
            (Look::Normals, Scale::Values) => self.normal(x, y),
            (Look::Normals, Scale::Picture { .. }) => (0.5 + 0.5 * self.normal(x, y)) * alpha,
            _ => DVec3::splat(alpha),
        }
    }
}

#[test]
fn looks_are_those_of_the_twin() {
    let gpu = match Gpu::headless() {
        Ok(gpu) => gpu,
        Err(e) => {
            println!("SKIPPED: {e}");
            return;
        }
    };
    let camera = camera();
    let (image, depth) = render();
    let twin = Twin {
        camera,
        image: &image,
        depth: &depth,
    };
    let rendered = GpuImage {
        width: WIDTH,
        height: HEIGHT,
        buffer: gpu.storage_from("render", &image),
    };
    let depths = gpu.storage_from("depth", &depth);
    let kernel = LookKernel::new(&gpu);
    let shown = GpuImage::new(&gpu, WIDTH, HEIGHT);
    let picture = Scale::around(&camera, DVec3::ZERO);
    assert!(matches!(picture, Scale::Picture { near, far } if near < 2.0 && far > 5.0));
    for look in [Look::Depth, Look::Accumulation, Look::Normals] {
        for scale in [Scale::Values, picture] {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let render = (&rendered, &depths);
            kernel
                .record(&gpu, &mut encoder, (look, scale), &camera, render, &shown)
                .unwrap();
            gpu.queue.submit([encoder.finish()]);
            let got = shown.read_rgba(&gpu).unwrap();
            let mut worst = 0.0f64;
            for (i, pixel) in got.as_chunks::<4>().0.iter().enumerate() {
                let (x, y) = (i as i64 % i64::from(WIDTH), i as i64 / i64::from(WIDTH));
                let expected = twin.look(look, scale, x, y);
                for (got, expected) in pixel.iter().zip(expected.to_array()) {
                    worst = worst.max((f64::from(*got) - expected).abs());
                }
                assert_eq!(pixel[3], image[i][3]);
            }
            println!("{} {scale:?}: worst difference {worst:.1e}", look.name());
            assert!(worst < 2e-3, "{} {scale:?}: {worst}", look.name());
        }
    }
    // The plane of the step faces the camera's axis head-on.
    let facing = twin.normal(30, 10).dot(camera.forward());
    assert!((facing + 1.0).abs() < 1e-9, "{facing}");
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let small = GpuImage::new(&gpu, 3, 3);
    let refused = kernel.record(
        &gpu,
        &mut encoder,
        (Look::Depth, Scale::Values),
        &camera,
        (&rendered, &depths),
        &small,
    );
    assert!(refused.is_err());
}
