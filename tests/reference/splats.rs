//! The splat rasterizer, on the adapter that is there and as a plain CPU twin, against float64 references: pictures,
//! depth and the gradients of every parameter.

use crate::{
    fixture::{Fixture, folder},
    splat_twin::{self, Cotangents},
};
use glam::DMat4;
use luxedit::{
    gpu::{Gpu, GpuImage},
    scene::{Camera, Intrinsics, Splats},
    settings::GradientSum,
    splat::{Rasterizer, RenderOptions, SplatBuffers, SplatGradients, TileSize},
};
use rand::{Rng, SeedableRng};
use std::sync::Arc;

fn gpu_or_skip() -> Option<Arc<Gpu>> {
    match Gpu::headless() {
        Ok(gpu) => Some(gpu),
        Err(e) => {
            println!("SKIPPED the GPU part: {e}");
            None
        }
    }
}

fn scene_files() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder().join("gs")) else {
        println!("SKIPPED: {} has no folder gs", folder().display());
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|e| {
            e.expect("a folder entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".safetensors"))
        .map(|name| format!("gs/{name}"))
        .collect();
    names.sort();
    names
}

fn splats_of(file: &Fixture) -> Splats {
    let sh = file.get("sh");
    let coefficients = sh.shape[1];
    let (dc, rest): (Vec<&[f32]>, Vec<&[f32]>) = sh
        .data
        .chunks_exact(coefficients * 3)
        .map(|c| c.split_at(3))
        .unzip();
    let splats = Splats {
        sh_degree: coefficients.isqrt() as u32 - 1,
        antialiased: false,
        means: file.get("means").data,
        quats: file.get("quats").data,
        log_scales: file.get("log_scales").data,
        logit_opacities: file.get("logit_opacity").data,
        sh_dc: dc.concat(),
        sh_rest: rest.concat(),
    };
    assert!(splats.is_consistent());
    splats
}

fn camera_of(file: &Fixture, index: usize) -> Camera {
    let m: Vec<f64> = file
        .get(&format!("c{index}.w2c"))
        .data
        .iter()
        .map(|&v| v.into())
        .collect();
    let k = file.get(&format!("c{index}.intr")).data;
    Camera {
        world_to_camera: DMat4::from_cols_slice(&m).transpose(),
        intrinsics: Intrinsics {
            fx: k[0].into(),
            fy: k[1].into(),
            cx: k[2].into(),
            cy: k[3].into(),
            width: k[4] as u32,
            height: k[5] as u32,
        },
    }
}

fn background_of(file: &Fixture) -> [f32; 3] {
    let b = file.get("background").data;
    [b[0], b[1], b[2]]
}

/// Cotangents of rgb, and of alpha and depth too when `all`.
fn cotangents_of(file: &Fixture, index: usize, all: bool) -> Cotangents {
    let rgb = file.get(&format!("c{index}.cot_rgb")).data;
    let pixels = rgb.len() / 3;
    let or_zero = |name: &str| {
        if all {
            file.get(&format!("c{index}.{name}")).data
        } else {
            vec![0.0; pixels]
        }
    };
    Cotangents {
        alpha: or_zero("cot_alpha"),
        depth: or_zero("cot_depth"),
        rgb,
    }
}

/// What a render gives: `[h, w, 3]`, `[h, w]`, `[h, w]`.
struct Picture {
    rgb: Vec<f32>,
    alpha: Vec<f32>,
    depth: Vec<f32>,
}

fn check_picture(file: &Fixture, index: usize, got: &Picture) {
    let ok = file.get(&format!("c{index}.ok")).data;
    for (name, values) in [
        ("rgb", &got.rgb),
        ("alpha", &got.alpha),
        ("depth", &got.depth),
    ] {
        let name = format!("c{index}.{name}");
        let strict = file.tolerances(&name);
        let channels = values.len() / ok.len();
        file.check_where(&name, values, |i| {
            Some(if ok[i / channels] == 1.0 {
                strict
            } else {
                (0.01, strict.1)
            })
        });
    }
}

fn check_gradients(file: &Fixture, index: usize, kind: &str, got: &Splats) {
    let prefix = format!("c{index}.{kind}");
    file.check(&format!("{prefix}.means"), &got.means);
    file.check(&format!("{prefix}.quats"), &got.quats);
    file.check(&format!("{prefix}.log_scales"), &got.log_scales);
    file.check(&format!("{prefix}.logit_opacity"), &got.logit_opacities);
    let rest = got.rest_count() * 3;
    let sh: Vec<f32> = (0..got.len())
        .flat_map(|i| {
            let dc = &got.sh_dc[i * 3..i * 3 + 3];
            dc.iter()
                .chain(&got.sh_rest[i * rest..(i + 1) * rest])
                .copied()
        })
        .collect();
    file.check(&format!("{prefix}.sh"), &sh);
}

/// Calls `check` for each file and camera.
fn each_view(mut check: impl FnMut(&Fixture, &Splats, usize, &Camera)) {
    for name in scene_files() {
        let Some(file) = Fixture::open(&name) else {
            continue;
        };
        let splats = splats_of(&file);
        let cameras = (0..).take_while(|i| file.has(&format!("c{i}.w2c"))).count();
        assert!(cameras > 0, "{name} has no camera");
        for index in 0..cameras {
            check(&file, &splats, index, &camera_of(&file, index));
        }
    }
}

fn gradient_kinds(file: &Fixture, index: usize) -> Vec<(&'static str, bool)> {
    [("grad_rgb", false), ("grad_all", true)]
        .into_iter()
        .filter(|(kind, _)| file.has(&format!("c{index}.{kind}.means")))
        .collect()
}

#[test]
fn twin_matches_references() {
    each_view(|file, splats, index, camera| {
        let background = background_of(file);
        let picture = splat_twin::forward(splats, camera, background, splats.sh_degree);
        check_picture(
            file,
            index,
            &Picture {
                rgb: picture.rgb,
                alpha: picture.alpha,
                depth: picture.depth,
            },
        );
        for (kind, all) in gradient_kinds(file, index) {
            let cotangents = cotangents_of(file, index, all);
            let (gradients, _) =
                splat_twin::backward(splats, camera, background, splats.sh_degree, &cotangents);
            check_gradients(file, index, kind, &gradients);
        }
    });
}

/// One view on the GPU, with all memory full of noise beforehand.
struct Bench {
    gpu: Arc<Gpu>,
    rasterizer: Rasterizer,
    splats: SplatBuffers,
    camera: Camera,
    options: RenderOptions,
    target: GpuImage,
    depth: wgpu::Buffer,
    gradients: SplatGradients,
}

const NOISE: [u32; 2] = [0xffff_ffff, 0x7149_f2ca];

impl Bench {
    fn new(
        gpu: &Arc<Gpu>,
        tile_size: TileSize,
        splats: &Splats,
        camera: &Camera,
        background: [f32; 3],
    ) -> Self {
        let k = camera.intrinsics;
        let pixels = u64::from(k.width) * u64::from(k.height);
        let count = splats.len() as u32;
        Self {
            gpu: gpu.clone(),
            rasterizer: Rasterizer::with(gpu.clone(), tile_size, 1 << 16).expect("a rasterizer"),
            splats: SplatBuffers::upload(gpu, splats).expect("room"),
            camera: *camera,
            options: RenderOptions {
                background,
                active_sh_degree: splats.sh_degree,
            },
            target: GpuImage::new(gpu, k.width, k.height),
            depth: gpu.storage("depth", pixels * 4),
            gradients: SplatGradients::new(gpu, count, splats.sh_degree).expect("room"),
        }
    }

    fn fill(&self, word: u32) {
        let g = &self.gradients;
        for buffer in [
            &self.target.buffer,
            &self.depth,
            &g.means,
            &g.quats,
            &g.log_scales,
            &g.logit_opacities,
            &g.sh_dc,
            &g.sh_rest,
            &g.mean2d,
            &g.radii,
        ] {
            let words = vec![word; (buffer.size() / 4) as usize];
            self.gpu
                .queue
                .write_buffer(buffer, 0, bytemuck::cast_slice(&words));
        }
        self.rasterizer.fill_scratch(word);
    }

    fn picture(&self) -> Picture {
        let rgba = self.target.read_rgba(&self.gpu).expect("a picture");
        Picture {
            rgb: rgba
                .chunks_exact(4)
                .flat_map(|p| [p[0], p[1], p[2]])
                .collect(),
            alpha: rgba.chunks_exact(4).map(|p| p[3]).collect(),
            depth: self
                .gpu
                .read(&self.depth, self.target.pixels())
                .expect("depth"),
        }
    }

    fn render(&mut self) -> Picture {
        self.rasterizer
            .render(
                &self.splats,
                &self.camera,
                &self.options,
                &self.target,
                Some(&self.depth),
            )
            .expect("a frame");
        self.picture()
    }

    /// Forward and backward as a trainer records them; parameters' gradients, and dL/dmean2d with the radii.
    fn gradients(&mut self, cotangents: &Cotangents, all: bool) -> (Splats, Vec<f32>, Vec<f32>) {
        let d_image: Vec<[f32; 4]> = cotangents
            .rgb
            .chunks_exact(3)
            .zip(&cotangents.alpha)
            .map(|(p, &a)| [p[0], p[1], p[2], a])
            .collect();
        let d_image = self.gpu.storage_from("d_image", &d_image);
        let d_depth = self.gpu.storage_from("d_depth", &cotangents.depth);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.rasterizer
            .record_forward(
                &mut encoder,
                &self.splats,
                &self.camera,
                &self.options,
                &self.target,
                all.then_some(&self.depth),
            )
            .expect("forward");
        self.rasterizer
            .record_backward(
                &mut encoder,
                &self.splats,
                &d_image,
                all.then_some(&d_depth),
                &self.gradients,
            )
            .expect("backward");
        self.gpu.queue.submit([encoder.finish()]);
        let g = &self.gradients;
        let buffers = SplatBuffers {
            count: g.count,
            sh_degree: g.sh_degree,
            antialiased: false,
            means: g.means.clone(),
            quats: g.quats.clone(),
            log_scales: g.log_scales.clone(),
            logit_opacities: g.logit_opacities.clone(),
            sh_dc: g.sh_dc.clone(),
            sh_rest: g.sh_rest.clone(),
        };
        let n = g.count as usize;
        (
            buffers.download(&self.gpu).expect("gradients"),
            self.gpu.read(&g.mean2d, n * 2).expect("mean2d"),
            self.gpu.read(&g.radii, n).expect("radii"),
        )
    }

    fn status(&self) -> Vec<u32> {
        self.gpu
            .read(self.rasterizer.status_buffer(), luxedit::splat::status::LEN)
            .expect("status")
    }
}

#[test]
fn rasterizer_matches_references() {
    let Some(gpu) = gpu_or_skip() else { return };
    println!("on {}", gpu.info.name);
    each_view(|file, splats, index, camera| {
        for tile_size in [TileSize::Small, TileSize::Large] {
            println!("{tile_size:?} tiles");
            let mut bench = Bench::new(&gpu, tile_size, splats, camera, background_of(file));
            bench.render();
            for word in NOISE {
                bench.fill(word);
                check_picture(file, index, &bench.render());
                for (kind, all) in gradient_kinds(file, index) {
                    let cotangents = cotangents_of(file, index, all);
                    bench.fill(word);
                    let (gradients, _, _) = bench.gradients(&cotangents, all);
                    check_gradients(file, index, kind, &gradients);
                }
            }
        }
    });
}

/// Splats in front of, around and behind a camera at the origin.
fn random_splats(count: usize, sh_degree: u32, seed: u64) -> Splats {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut values = |n: usize, low: f32, high: f32| -> Vec<f32> {
        (0..n).map(|_| rng.random_range(low..high)).collect()
    };
    let mut means = values(count * 3, -2.0, 2.0);
    for mean in means.chunks_exact_mut(3) {
        mean[2] += 3.0;
    }
    Splats {
        sh_degree,
        antialiased: false,
        means,
        quats: values(count * 4, -1.0, 1.0),
        log_scales: values(count * 3, -4.5, -1.5),
        logit_opacities: values(count, -4.0, 4.0),
        sh_dc: values(count * 3, -1.5, 1.5),
        sh_rest: values(count * 3 * Splats::rest_count_of(sh_degree), -0.3, 0.3),
    }
}

fn plain_camera(width: u32, height: u32) -> Camera {
    Camera {
        world_to_camera: DMat4::from_rotation_y(0.1),
        intrinsics: Intrinsics {
            fx: 0.9 * f64::from(width),
            fy: 0.9 * f64::from(width),
            cx: 0.48 * f64::from(width),
            cy: 0.52 * f64::from(height),
            width,
            height,
        },
    }
}

fn random_cotangents(pixels: usize, seed: u64) -> Cotangents {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut values =
        |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-1.0..1.0)).collect() };
    Cotangents {
        rgb: values(pixels * 3),
        alpha: values(pixels),
        depth: values(pixels),
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn two_runs_give_the_same_bits() {
    let Some(gpu) = gpu_or_skip() else { return };
    let mut splats = random_splats(3000, 2, 1);
    // Equal depths: their order must not depend on anything but the index.
    for mean in splats.means.chunks_exact_mut(3).take(1000) {
        mean[2] = 2.5;
    }
    let camera = plain_camera(101, 75);
    let cotangents = random_cotangents(101 * 75, 2);
    let mut first = Bench::new(&gpu, TileSize::Small, &splats, &camera, [0.1, 0.2, 0.3]);
    let mut second = Bench::new(&gpu, TileSize::Small, &splats, &camera, [0.1, 0.2, 0.3]);
    let (a, b) = (first.render(), second.render());
    assert_eq!(bits(&a.rgb), bits(&b.rgb));
    assert_eq!(bits(&a.depth), bits(&b.depth));
    let (a, b) = (
        first.gradients(&cotangents, true),
        second.gradients(&cotangents, true),
    );
    assert!(a.0.means.iter().any(|v| *v != 0.0));
    assert_eq!(a, b);
    assert_eq!(a, first.gradients(&cotangents, true));
}

#[test]
fn overflow_is_flagged_and_render_recovers() {
    let Some(gpu) = gpu_or_skip() else { return };
    use luxedit::splat::status;
    let splats = random_splats(2000, 1, 3);
    let camera = plain_camera(64, 48);
    let mut bench = Bench::new(&gpu, TileSize::Small, &splats, &camera, [1.0, 0.5, 0.0]);
    let expected = bench.render();
    let needed = bench.status()[status::INTERSECTIONS];

    bench.rasterizer = Rasterizer::with(gpu.clone(), TileSize::Small, 100).expect("a rasterizer");
    let cotangents = random_cotangents(64 * 48, 4);
    let (gradients, _, _) = bench.gradients(&cotangents, false);
    assert!(gradients.means.iter().all(|v| v.is_finite()));
    let flags = bench.status();
    assert_eq!(flags[status::OVERFLOW], 1);
    assert_eq!(flags[status::INTERSECTIONS], needed);
    assert_eq!(flags[status::SORTED], 100);

    let recovered = bench.render();
    assert_eq!(bench.status()[status::OVERFLOW], 0);
    assert!(bench.rasterizer.capacity() >= needed);
    assert_eq!(bits(&expected.rgb), bits(&recovered.rgb));

    let error = bench
        .rasterizer
        .grow(u32::MAX)
        .expect_err("more than any adapter has");
    assert!(error.to_string().contains(&u32::MAX.to_string()), "{error}");
}

/// Every shape of picture and scene agrees with the twin.
#[test]
fn odd_sizes_match_the_twin() {
    let Some(gpu) = gpu_or_skip() else { return };
    let mut behind = random_splats(40, 0, 7);
    for mean in behind.means.chunks_exact_mut(3) {
        mean[2] = -5.0;
    }
    let mut huge = random_splats(20, 3, 8);
    huge.log_scales.fill(3.0);
    let mut close = random_splats(300, 1, 9);
    for mean in close.means.chunks_exact_mut(3) {
        mean[2] = mean[2].abs() * 0.01 + 0.011;
    }
    let scenes = [
        (
            "none",
            Splats {
                sh_degree: 3,
                ..Default::default()
            },
        ),
        ("behind", behind),
        ("one", random_splats(1, 2, 5)),
        ("many", random_splats(700, 3, 6)),
        ("huge", huge),
        ("close", close),
    ];
    for (name, splats) in &scenes {
        for (width, height) in [(1, 1), (3, 17), (16, 16), (50, 33)] {
            for tile_size in [TileSize::Small, TileSize::Large] {
                let camera = plain_camera(width, height);
                let background = [0.2, 0.9, 0.4];
                let mut bench = Bench::new(&gpu, tile_size, splats, &camera, background);
                bench.render();
                bench.fill(NOISE[0]);
                let got = bench.render();
                let expected = splat_twin::forward(splats, &camera, background, splats.sh_degree);
                let what = format!("{name} {width}×{height} {tile_size:?}");
                assert_close(&what, &got.rgb, &expected.rgb, 2e-4);
                assert_close(&what, &got.alpha, &expected.alpha, 2e-4);
                assert_close(&what, &got.depth, &expected.depth, 1e-3);
            }
        }
    }
}

/// Within `limit`, but for the few pixels where rounding falls on another side of a cut.
fn assert_close(what: &str, got: &[f32], expected: &[f32], limit: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let mut off = 0;
    for (g, e) in got.iter().zip(expected) {
        let difference = (g - e).abs();
        assert!(
            difference <= 0.02 * e.abs().max(1.0),
            "{what}: {g}, expected {e}"
        );
        off += usize::from(difference > limit * e.abs().max(1.0));
    }
    assert!(
        off <= got.len() / 100,
        "{what}: {off} of {} differ",
        got.len()
    );
}

#[test]
fn a_lower_active_degree_ignores_the_rest() {
    let Some(gpu) = gpu_or_skip() else { return };
    let splats = random_splats(200, 3, 11);
    let camera = plain_camera(40, 30);
    let cotangents = random_cotangents(40 * 30, 12);
    for degree in 0..=3 {
        let mut bench = Bench::new(&gpu, TileSize::Small, &splats, &camera, [0.0; 3]);
        bench.options.active_sh_degree = degree;
        bench.render();
        bench.fill(NOISE[0]);
        let got = bench.render();
        let expected = splat_twin::forward(&splats, &camera, [0.0; 3], degree);
        assert_close(&format!("degree {degree}"), &got.rgb, &expected.rgb, 2e-4);
        let (got, mean2d, radii) = bench.gradients(&cotangents, true);
        let (expected, expected_mean2d) =
            splat_twin::backward(&splats, &camera, [0.0; 3], degree, &cotangents);
        assert_near("sh_rest", &got.sh_rest, &expected.sh_rest);
        assert_near("means", &got.means, &expected.means);
        assert_near("quats", &got.quats, &expected.quats);
        assert_near("mean2d", &mean2d, &expected_mean2d[0]);
        let (used, unused) = got.sh_rest[..45].split_at(3 * Splats::rest_count_of(degree));
        assert!(unused.iter().all(|v| *v == 0.0));
        assert!(degree == 0 || used.iter().any(|v| *v != 0.0) || radii[0] == 0.0);
        assert!(radii.iter().any(|r| *r > 0.0));
    }
}

/// Pulls to opposite sides do not cancel; the parameters' gradients are none the wiser.
#[test]
fn absolute_gradients_match_the_twin() {
    let Some(gpu) = gpu_or_skip() else { return };
    let splats = random_splats(200, 1, 31);
    let camera = plain_camera(40, 30);
    let cotangents = random_cotangents(40 * 30, 32);
    let (_, [signed, absolute]) = splat_twin::backward(&splats, &camera, [0.0; 3], 1, &cotangents);
    for tile_size in [TileSize::Small, TileSize::Large] {
        let mut bench = Bench::new(&gpu, tile_size, &splats, &camera, [0.0; 3]);
        bench.render();
        let (plain, mean2d, radii) = bench.gradients(&cotangents, true);
        assert_near("signed", &mean2d, &signed);
        bench.rasterizer.set_gradient_sum(GradientSum::Absolute);
        for word in NOISE {
            bench.fill(word);
            let (got, mean2d, got_radii) = bench.gradients(&cotangents, true);
            assert_near("absolute", &mean2d, &absolute);
            assert_near("means", &got.means, &plain.means);
            assert_near("sh_dc", &got.sh_dc, &plain.sh_dc);
            assert_eq!(bits(&got_radii), bits(&radii));
        }
    }
    let size = |v: &[f32]| v.iter().map(|v| v.abs()).sum::<f32>();
    assert!(size(&absolute) > 1.5 * size(&signed));
}

/// Relative L2.
fn assert_near(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let square = |v: f32| f64::from(v) * f64::from(v);
    let difference: f64 = got.iter().zip(expected).map(|(g, e)| square(g - e)).sum();
    let norm: f64 = expected.iter().map(|e| square(*e)).sum();
    assert!(
        difference.sqrt() <= 2e-2 * norm.sqrt(),
        "{what}: {} of {}",
        difference.sqrt(),
        norm.sqrt()
    );
}

/// A splat whose alpha is limited to 0.999 in every pixel moves nothing but its colour.
#[test]
fn limited_alpha_passes_no_gradient() {
    let Some(gpu) = gpu_or_skip() else { return };
    let splats = Splats {
        sh_degree: 0,
        antialiased: false,
        means: vec![0.1, -0.2, 4.0],
        quats: vec![0.9, 0.1, -0.2, 0.3],
        log_scales: vec![5.0, 5.5, 6.0],
        logit_opacities: vec![9.0],
        sh_dc: vec![0.3, -0.2, 0.5],
        sh_rest: Vec::new(),
    };
    let camera = plain_camera(3, 3);
    let cotangents = random_cotangents(9, 21);
    let mut bench = Bench::new(&gpu, TileSize::Small, &splats, &camera, [0.7, 0.1, 0.4]);
    let picture = bench.render();
    assert!(picture.alpha.iter().all(|a| (a - 0.999).abs() < 1e-6));
    let (got, mean2d, _) = bench.gradients(&cotangents, false);
    assert_eq!(got.means, [0.0; 3]);
    assert_eq!(got.log_scales, [0.0; 3]);
    assert_eq!(got.quats, [0.0; 4]);
    assert_eq!(got.logit_opacities, [0.0]);
    assert_eq!(mean2d, [0.0; 2]);
    assert!(got.sh_dc.iter().all(|v| *v != 0.0));
}

/// Splats of all sizes around a pixel's, drawn fainter by what the blur adds.
fn antialiased_splats(count: usize, seed: u64) -> Splats {
    let mut splats = random_splats(count, 2, seed);
    splats.antialiased = true;
    for v in &mut splats.log_scales {
        *v -= 1.0;
    }
    splats
}

/// The twin's gradients of compensated splats are the slopes of its own pictures.
#[test]
fn antialiased_twin_matches_differences() {
    let splats = antialiased_splats(60, 41);
    let camera = plain_camera(24, 18);
    let cotangents = random_cotangents(24 * 18, 42);
    let (gradients, _) = splat_twin::backward(&splats, &camera, [0.2; 3], 2, &cotangents);
    type Part = (&'static str, fn(&mut Splats) -> &mut Vec<f32>);
    let parts: [Part; 4] = [
        ("means", |s| &mut s.means),
        ("quats", |s| &mut s.quats),
        ("log_scales", |s| &mut s.log_scales),
        ("logit_opacities", |s| &mut s.logit_opacities),
    ];
    for (name, part) in parts {
        let mut gradient = gradients.clone();
        let gradient = part(&mut gradient).clone();
        let norm: f64 = gradient
            .iter()
            .map(|g| f64::from(g * g))
            .sum::<f64>()
            .sqrt();
        let step = 2e-4;
        let moved = |sign: f64| {
            let mut moved = splats.clone();
            for (v, g) in part(&mut moved).iter_mut().zip(&gradient) {
                *v += (sign * step * f64::from(*g) / norm) as f32;
            }
            splat_twin::loss(&moved, &camera, [0.2; 3], 2, &cotangents)
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        println!("{name}: slope {slope:.5}, gradient {norm:.5}");
        assert!(norm > 1e-3, "{name}: nothing to compare");
        assert!(
            (slope - norm).abs() <= 0.03 * norm,
            "{name}: {slope} against {norm}"
        );
    }
}

#[test]
fn antialiased_pictures_and_gradients_match_the_twin() {
    let Some(gpu) = gpu_or_skip() else { return };
    let splats = antialiased_splats(600, 43);
    let camera = plain_camera(50, 33);
    let background = [0.2, 0.9, 0.4];
    let cotangents = random_cotangents(50 * 33, 44);
    let expected = splat_twin::forward(&splats, &camera, background, 2);
    let (expected_gradients, expected_mean2d) =
        splat_twin::backward(&splats, &camera, background, 2, &cotangents);
    let mut plain = splats.clone();
    plain.antialiased = false;
    let plain = splat_twin::forward(&plain, &camera, background, 2);
    assert!(plain.alpha.iter().sum::<f32>() > 1.2 * expected.alpha.iter().sum::<f32>());
    for tile_size in [TileSize::Small, TileSize::Large] {
        let mut bench = Bench::new(&gpu, tile_size, &splats, &camera, background);
        bench.render();
        for word in NOISE {
            bench.fill(word);
            let got = bench.render();
            assert_close("rgb", &got.rgb, &expected.rgb, 2e-4);
            assert_close("alpha", &got.alpha, &expected.alpha, 2e-4);
            assert_close("depth", &got.depth, &expected.depth, 1e-3);
            let (got, mean2d, _) = bench.gradients(&cotangents, true);
            let e = &expected_gradients;
            assert_near("means", &got.means, &e.means);
            assert_near("quats", &got.quats, &e.quats);
            assert_near("log_scales", &got.log_scales, &e.log_scales);
            assert_near("logit_opacities", &got.logit_opacities, &e.logit_opacities);
            assert_near("sh_dc", &got.sh_dc, &e.sh_dc);
            assert_near("sh_rest", &got.sh_rest, &e.sh_rest);
            assert_near("mean2d", &mean2d, &expected_mean2d[0]);
        }
    }
}

/// What a backward pass says of the camera.
#[test]
fn pose_gradients_match_the_twin() {
    let Some(gpu) = gpu_or_skip() else { return };
    let camera = plain_camera(30, 22);
    let background = [0.3, 0.1, 0.6];
    let cotangents = random_cotangents(30 * 22, 52);
    for antialiased in [false, true] {
        let mut splats = random_splats(150, 3, 51);
        splats.antialiased = antialiased;
        let mut bench = Bench::new(&gpu, TileSize::Small, &splats, &camera, background);
        bench.render();
        bench.rasterizer.set_pose_gradient(true);
        bench.fill(NOISE[0]);
        let (gradients, _, _) = bench.gradients(&cotangents, true);
        let buffer = bench.rasterizer.pose_gradient().expect("asked for");
        let got: Vec<f32> = gpu.read(buffer, 6).expect("six numbers");
        // Asking changes nothing else.
        bench.rasterizer.set_pose_gradient(false);
        assert_eq!(gradients, bench.gradients(&cotangents, true).0);

        let (_, _, expected) =
            splat_twin::backward_with_pose(&splats, &camera, background, 3, &cotangents);
        println!("got {got:?}, expected {expected:?}");
        assert_near("shift", &got[..3], &expected[..3]);
        assert_near("turn", &got[3..], &expected[3..]);
    }
}
