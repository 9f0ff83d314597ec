//! Luxens: the twin against the references, the kernels against references and twin, forward and backward.

use crate::{
    fixture::Fixture,
    luxen_field::{Field, Ray},
    luxen_scene::{gpu, plain_gpu, tiny, views},
    luxen_twin as twin,
};
use bytemuck::Zeroable;
use glam::DVec3;
use luxedit::{
    gpu::{Gpu, Kernel},
    loss::TrainView,
    luxen::{
        Background, Batch, Channels, Draw, FinalLevel, GridConfig, GridLevel, GridSemantics,
        GridUniform, LuxenConfig, LuxenTrainer, SHADERS, Size, TableStorage,
    },
};

pub fn run<U: bytemuck::NoUninit>(
    gpu: &Gpu,
    name: &str,
    uniform: &U,
    buffers: &[&wgpu::Buffer],
    groups: [u32; 3],
) {
    let name = format!("luxen/{name}");
    let source = SHADERS.iter().find(|s| s.name == name).expect("a kernel");
    let kernel = Kernel::new(gpu, source);
    let uniform = gpu.uniform_from("test", uniform);
    let bindings: Vec<_> = std::iter::once(&uniform)
        .chain(buffers.iter().copied())
        .map(|b| b.as_entire_binding())
        .collect();
    let bound = kernel.bind(gpu, &bindings);
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        kernel.dispatch(&mut pass, &bound, groups);
    }
    gpu.queue.submit([encoder.finish()]);
    gpu.wait().expect("the kernel runs");
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

fn rows<const N: usize>(values: &[f32]) -> Vec<[f64; N]> {
    values
        .as_chunks::<N>()
        .0
        .iter()
        .map(|r| r.map(f64::from))
        .collect()
}

pub fn assert_near(what: &str, got: &[f64], expected: &[f64], relative_l2: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let mut difference = 0.0;
    let mut norm = 0.0;
    for (g, e) in got.iter().zip(expected) {
        difference += (g - e).powi(2);
        norm += e * e;
    }
    let ratio = (difference / norm.max(1e-60)).sqrt();
    println!("{what}: relative L2 {ratio:.2e}");
    assert!(norm > 0.0, "{what}: nothing to compare");
    assert!(
        ratio <= relative_l2,
        "{what}: relative L2 {ratio:.3e} > {relative_l2:.0e}"
    );
}

/// The levels of the references.
fn levels_of(fixture: &Fixture, which: &str) -> (Vec<GridLevel>, f32) {
    let params = &fixture.params[which];
    if which == "ns" {
        let entries = 1u32 << params["log2_T"].as_u64().unwrap();
        let scalings = params["scalings"].as_array().unwrap();
        let levels = scalings.iter().enumerate().map(|(l, scale)| GridLevel {
            scale: scale.as_f64().unwrap() as f32,
            entries,
            first: l as u32 * entries,
            ..GridLevel::zeroed()
        });
        return (levels.collect(), 0.0);
    }
    let levels = params["levels"].as_array().unwrap().iter().map(|l| {
        let int = |key: &str| l[key].as_u64().unwrap() as u32;
        GridLevel {
            scale: l["scale"].as_f64().unwrap() as f32,
            resolution: int("resolution"),
            entries: int("size"),
            first: int("offset"),
            is_dense: u32::from(l["dense"].as_bool().unwrap()),
            padding: [0; 3],
        }
    });
    (levels.collect(), 0.5)
}

fn grid_uniform(levels: &[GridLevel], shift: f32, quads: u32) -> GridUniform {
    let mut uniform = GridUniform {
        levels: [GridLevel::zeroed(); 16],
        shift,
        quads,
        features_at: 4,
        d_features_at: 0,
    };
    uniform.levels[..levels.len()].copy_from_slice(levels);
    uniform
}

/// Channel-major, padded to whole quads by repeating the last row.
fn channels(rows: &[Vec<f32>], count: usize) -> Vec<f32> {
    let width = rows[0].len();
    (0..width)
        .flat_map(|c| (0..count).map(move |i| rows[i.min(rows.len() - 1)][c]))
        .collect()
}

fn split(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

#[test]
fn the_shape_of_a_grid_is_the_published_one() {
    let Some(fixture) = Fixture::open("nerf/hash.safetensors") else {
        return;
    };
    let shape = luxedit::luxen::GridShape::with_growth(6, 4, 1.6, 10, GridSemantics::Shifted);
    let (expected, _) = levels_of(&fixture, "tcnn");
    for (got, expected) in shape.levels.iter().zip(&expected) {
        assert!((got.scale - expected.scale).abs() < 1e-5 * expected.scale);
        let rest = |l: &GridLevel| (l.resolution, l.entries, l.first, l.is_dense);
        assert_eq!(rest(got), rest(expected));
    }
    // Parameters of nerfacto's grids, which users' checkpoints confirm.
    let full = LuxenConfig::full(Background::LastSample);
    let floats =
        |c: &GridConfig| 2 * luxedit::luxen::GridShape::new(c, GridSemantics::Shifted).rows;
    assert_eq!(floats(&full.grid), 12_196_240);
    assert_eq!(full.proposals.map(|p| floats(&p)), [766_528, 860_160]);
    let torch = luxedit::luxen::GridShape::new(&full.grid, GridSemantics::Hashed);
    assert_eq!(torch.levels[15].scale, 2047.0);
}

#[test]
fn hash_grids_encode_as_both_references() {
    let Some(fixture) = Fixture::open("nerf/hash.safetensors") else {
        return;
    };
    let gpu = gpu();
    for (which, inputs, outputs) in [
        ("tcnn", "tcnn.x", "tcnn.y"),
        ("tcnn", "tcnn.x_edge", "tcnn.y_edge"),
        ("ns", "ns.x", "ns.y"),
    ] {
        let (levels, shift) = levels_of(&fixture, which);
        let x = fixture.get(inputs).data;
        let table = fixture.get(&format!("{which}.table")).data;
        let (wide_table, points) = (wide(&table), rows::<3>(&x));
        let encoded: Vec<f64> = points
            .iter()
            .flat_map(|x| twin::encode(&levels, f64::from(shift), &wide_table, *x))
            .collect();
        fixture.check(outputs, &narrow(&encoded));
        let Some(gpu) = &gpu else { continue };
        let count = points.len().next_multiple_of(4);
        let width = 2 * levels.len();
        let mut arena = channels(&split(&x, 3), count);
        // All of them inside of the cube.
        arena.resize(4 * count, 1.0);
        arena.resize((4 + width) * count, 0.0);
        let table = gpu.storage_from("table", &table);
        let quads = (count / 4) as u32;
        let uniform = grid_uniform(&levels, shift, quads);
        let groups = [quads.div_ceil(64), levels.len() as u32, 1];
        for kernel in ["encode", "encode_wide"] {
            if kernel == "encode_wide" && !has_wide_integers(gpu) {
                continue;
            }
            let arena = gpu.storage_from("arena", &arena);
            run(gpu, kernel, &uniform, &[&table, &arena], groups);
            let arena: Vec<f32> = gpu.read(&arena, (4 + width) * count).unwrap();
            let got: Vec<f32> = (0..points.len())
                .flat_map(|i| {
                    let arena = &arena;
                    (0..width).map(move |c| arena[(4 + c) * count + i])
                })
                .collect();
            fixture.check(outputs, &got);
        }
    }
}

#[test]
fn hash_grids_differentiate_as_both_references() {
    let Some(fixture) = Fixture::open("nerf/hash.safetensors") else {
        return;
    };
    let gpu = gpu();
    for which in ["tcnn", "ns"] {
        let (levels, shift) = levels_of(&fixture, which);
        let x = fixture.get(&format!("{which}.x")).data;
        let table = wide(&fixture.get(&format!("{which}.table")).data);
        let cotangent = fixture.get(&format!("{which}.cot")).data;
        let width = 2 * levels.len();
        let mut d_table = vec![0.0; table.len()];
        let mut d_x = Vec::new();
        for (x, d) in rows::<3>(&x).iter().zip(cotangent.chunks_exact(width)) {
            let shift = f64::from(shift);
            d_x.extend(twin::encode_backward(
                &levels,
                shift,
                &table,
                *x,
                &wide(d),
                &mut d_table,
            ));
        }
        fixture.check(&format!("{which}.grad_table"), &narrow(&d_table));
        fixture.check(&format!("{which}.grad_x"), &narrow(&d_x));
        let Some(gpu) = &gpu else { continue };
        let count = x.len() / 3;
        let quads = (count / 4) as u32;
        let points = gpu.storage_from("points", &channels(&split(&x, 3), count));
        let back = gpu.storage_from("d features", &channels(&split(&cotangent, width), count));
        let scales = gpu.storage("scales", 128);
        let sums = gpu.storage("sums", table.len() as u64 * 4);
        let channels = Channels {
            quads,
            at: 0,
            each: 2,
            padding: 0,
        };
        let groups = [levels.len() as u32, 1, 1];
        run(gpu, "fixed_scales", &channels, &[&back, &scales], groups);
        let uniform = grid_uniform(&levels, shift, quads);
        // An invocation takes four quads.
        let groups = [quads.div_ceil(256), levels.len() as u32, 1];
        let buffers = [&points, &back, &scales, &sums];
        run(gpu, "scatter", &uniform, &buffers, groups);
        let inverse: Vec<f32> = gpu.read(&scales, 32).unwrap();
        let first: Vec<i32> = gpu.read(&sums, table.len()).unwrap();
        let got: Vec<f32> = first
            .iter()
            .enumerate()
            .map(|(i, sum)| {
                let level = levels.partition_point(|l| l.first as usize <= i / 2) - 1;
                *sum as f32 * inverse[16 + level]
            })
            .collect();
        fixture.check(&format!("{which}.grad_table"), &got);
        // A second time on top: integer sums double exactly, in whatever order they were made.
        run(gpu, "scatter", &uniform, &buffers, groups);
        let second: Vec<i32> = gpu.read(&sums, table.len()).unwrap();
        assert!(first.iter().zip(&second).all(|(a, b)| 2 * a == *b));
        // The largest sum leaves room for the sign, by construction.
        assert!(first.iter().all(|s| s.unsigned_abs() <= 1 << 30));
        if !gpu.adds_pairs() {
            println!("skipped: {} adds no 64 bits at once", gpu.info.name);
            continue;
        }
        let pairs = gpu.storage("sums", table.len() as u64 * 4);
        let buffers = [&points, &back, &scales, &pairs];
        run(gpu, "scatter_pairs", &uniform, &buffers, groups);
        let pairs: Vec<i64> = gpu.read(&pairs, table.len() / 2).unwrap();
        for (pair, alone) in pairs.iter().zip(first.as_chunks::<2>().0) {
            assert_eq!(*pair, i64::from(alone[0]) + (i64::from(alone[1]) << 32));
        }
    }
}

#[test]
fn blocks_of_the_twin_are_the_references() {
    let Some(fixture) = Fixture::open("nerf/blocks.safetensors") else {
        return;
    };
    let directions = rows::<3>(&fixture.get("sh.dirs").data);
    let harmonics: Vec<f64> = directions
        .iter()
        .flat_map(|d| twin::harmonics(*d))
        .collect();
    fixture.check("sh.tcnn", &narrow(&harmonics));
    // nerfstudio's torch version has no alternating signs.
    let odd = [1, 3, 5, 7, 9, 11, 13, 15];
    let plain: Vec<f64> = harmonics
        .iter()
        .enumerate()
        .map(|(i, v)| if odd.contains(&(i % 16)) { -v } else { *v })
        .collect();
    fixture.check("sh.ns", &narrow(&plain));

    let x = rows::<3>(&fixture.get("contract.x").data);
    let cotangent = rows::<3>(&fixture.get("contract.cot").data);
    let y: Vec<f64> = x.iter().flat_map(|x| twin::contract(*x)).collect();
    fixture.check("contract.y_inf", &narrow(&y));
    let d: Vec<f64> = x
        .iter()
        .zip(&cotangent)
        .flat_map(|(x, d)| twin::contract_backward(*x, *d))
        .collect();
    fixture.check("contract.grad_inf", &narrow(&d));

    let (near, far) = (twin::spacing(0.05), twin::spacing(1000.0));
    let t: Vec<f64> = wide(&fixture.get("spacing.u").data)
        .iter()
        .map(|u| twin::distance(*u, near, far))
        .collect();
    fixture.check("spacing.t", &narrow(&t));

    let bins = fixture.get("pdf.bins");
    let jitter = rows::<17>(&fixture.get("pdf.jitter").data);
    let weights = fixture.get("pdf.weights").data;
    let histograms = bins.data.chunks_exact(25).zip(weights.chunks_exact(24));
    let (mut even, mut jittered) = (Vec::new(), Vec::new());
    for ((bins, weights), jitter) in histograms.zip(&jitter) {
        let (bins, weights) = (wide(bins), wide(weights));
        let middle = |k: usize, n: usize| (k as f64 + 0.5) / n as f64;
        even.extend(twin::resample(&bins, &weights, 16, middle));
        let random = |k: usize, n: usize| (k as f64 + jitter[k]) / n as f64;
        jittered.extend(twin::resample(&bins, &weights, 16, random));
    }
    fixture.check("pdf.det", &narrow(&even));
    fixture.check("pdf.jittered", &narrow(&jittered));
}

#[test]
fn volume_rendering_and_losses_of_the_twin_are_the_references() {
    let Some(fixture) = Fixture::open("nerf/blocks.safetensors") else {
        return;
    };
    let get = |name: &str, width: usize| {
        let data = fixture.get(name).data;
        data.chunks_exact(width).map(wide).collect::<Vec<_>>()
    };
    let (sigma, delta, t) = (
        get("render.sigma", 24),
        get("render.delta", 24),
        get("render.t", 25),
    );
    let color = get("render.color", 72);
    let background = wide(&fixture.get("render.bg").data);
    let cot_rgb = get("render.cot_rgb", 3);
    let cot_depth = wide(&fixture.get("render.cot_depth").data);
    let cot_acc = wide(&fixture.get("render.cot_acc").data);
    let (mut weights, mut before, mut rgb, mut d_sigma, mut d_color) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ray in 0..sigma.len() {
        let (w, transmittance) = twin::composite(&sigma[ray], &delta[ray]);
        let opacity: f64 = w.iter().sum();
        let middle: Vec<f64> = t[ray].windows(2).map(|e| 0.5 * (e[0] + e[1])).collect();
        let depth = w.iter().zip(&middle).map(|(w, m)| w * m).sum::<f64>() / (opacity + 1e-10);
        let cot_depth = if ray == 0 { 0.0 } else { cot_depth[ray] };
        let mut d_weight = vec![0.0; 24];
        for i in 0..24 {
            for c in 0..3 {
                d_weight[i] += cot_rgb[ray][c] * (color[ray][3 * i + c] - background[c]);
                d_color.push(w[i] * cot_rgb[ray][c]);
            }
            d_weight[i] += cot_acc[ray] + cot_depth * (middle[i] - depth) / (opacity + 1e-10);
        }
        rgb.extend((0..3).map(|c| {
            let sum: f64 = (0..24).map(|i| w[i] * color[ray][3 * i + c]).sum();
            sum + (1.0 - opacity) * background[c]
        }));
        d_sigma.extend(twin::composite_backward(
            &sigma[ray],
            &delta[ray],
            &d_weight,
        ));
        weights.extend(w);
        before.extend(transmittance);
    }
    fixture.check("render.weights", &narrow(&weights));
    fixture.check("render.transmittance", &narrow(&before));
    fixture.check("render.rgb", &narrow(&rgb));
    fixture.check("render.grad_sigma", &narrow(&d_sigma));
    fixture.check("render.grad_color", &narrow(&d_color));

    let (edges, weights) = (get("loss.t", 25), get("loss.w", 24));
    let (outer, proposal) = (get("loss.t_prop", 15), get("loss.w_prop", 14));
    let rays = edges.len() as f64;
    let (mut each, mut gradient) = (Vec::new(), Vec::new());
    let (mut between, mut d_proposal) = (0.0, Vec::new());
    for ray in 0..edges.len() {
        let (loss, d) = twin::distortion(&edges[ray], &weights[ray]);
        each.push(loss);
        gradient.extend(d.iter().map(|d| d / rays));
        let (loss, d) = twin::interlevel(&edges[ray], &weights[ray], &outer[ray], &proposal[ray]);
        between += loss / (rays * 24.0);
        d_proposal.extend(d.iter().map(|d| d / (rays * 24.0)));
    }
    fixture.check("loss.distortion_per_ray", &narrow(&each));
    fixture.check("loss.distortion_grad_w", &narrow(&gradient));
    fixture.check("loss.interlevel", &[between as f32]);
    fixture.check("loss.interlevel_grad_w_prop", &narrow(&d_proposal));
}

#[test]
fn kernels_contract_and_space_as_the_references() {
    let (Some(fixture), Some(gpu)) = (Fixture::open("nerf/blocks.safetensors"), gpu()) else {
        return;
    };
    // Rays of no length: every sample lies at the origin.
    let x = rows::<3>(&fixture.get("contract.x").data);
    let rays: Vec<[f32; 12]> = x
        .iter()
        .map(|x| {
            let mut ray = [0.0; 12];
            for k in 0..3 {
                ray[k] = x[k] as f32;
            }
            ray
        })
        .collect();
    let count = x.len() as u32;
    let batch = Batch {
        rays: count,
        samples: 4,
        near: twin::spacing(0.05) as f32,
        far: twin::spacing(1000.0) as f32,
        ..Batch::zeroed()
    };
    let bins = gpu.storage_from("bins", &vec![0.0f32; x.len() * 5]);
    let arena = gpu.storage("arena", u64::from(count) * 4 * 16);
    let rays = gpu.storage_from("rays", &rays);
    run(&gpu, "points", &batch, &[&rays, &bins, &arena], [1, 1, 1]);
    let points: Vec<f32> = gpu.read(&arena, x.len() * 16).unwrap();
    let got: Vec<f32> = (0..x.len())
        .flat_map(|i| [0, 1, 2].map(|c| 4.0 * points[c * 4 * x.len() + 4 * i] - 2.0))
        .collect();
    fixture.check("contract.y_inf", &got);

    // One ray along x whose bins are the reference's: each sample is the middle of two of its distances.
    let u = fixture.get("spacing.u").data;
    let t = wide(&fixture.get("spacing.t").data);
    let samples = u.len() - 1;
    let batch = Batch {
        rays: 1,
        samples: samples as u32,
        ..batch
    };
    let mut ray = [0.0f32; 12];
    ray[4] = 1.0;
    let rays = gpu.storage_from("ray", &ray);
    let bins = gpu.storage_from("bins", &u);
    let arena = gpu.storage("arena", samples as u64 * 16);
    run(&gpu, "points", &batch, &[&rays, &bins, &arena], [1, 1, 1]);
    let points: Vec<f32> = gpu.read(&arena, samples).unwrap();
    for (i, point) in points.iter().enumerate() {
        let expected = twin::contract([0.5 * (t[i] + t[i + 1]), 0.0, 0.0])[0];
        let got = 4.0 * f64::from(*point) - 2.0;
        assert!((got - expected).abs() < 1e-5, "{i}: {got} {expected}");
    }
}

/// A generator for test values in [0, 1).
fn values(seed: u32) -> impl FnMut() -> f64 {
    let batch = Batch {
        seed,
        ..Batch::zeroed()
    };
    let mut count = 0;
    move || {
        count += 1;
        twin::random(&batch, count, 7)
    }
}

struct Level {
    bins: Vec<Vec<f64>>,
    density: Vec<Vec<f64>>,
}

/// Edges in [0, 1] and densities with empty and opaque stretches.
fn level(rays: usize, samples: usize, next: &mut impl FnMut() -> f64) -> Level {
    let bins = (0..rays).map(|_| {
        let mut edges: Vec<f64> = (0..=samples).map(|_| next()).collect();
        edges.sort_by(f64::total_cmp);
        wide(&narrow(&edges))
    });
    let bins = bins.collect();
    let density = (0..rays).map(|_| {
        let row: Vec<f64> = (0..samples)
            .map(|_| (next() - 0.5).max(0.0) * 20.0)
            .collect();
        wide(&narrow(&row))
    });
    Level {
        density: density.collect(),
        bins,
    }
}

/// With planes at 0 and 0.5 after spacing, distances equal bins.
fn plain_batch(rays: usize, samples: usize) -> Batch {
    Batch {
        rays: rays as u32,
        samples: samples as u32,
        near: 0.0,
        far: 0.5,
        anneal: 1.0,
        ..Batch::zeroed()
    }
}

fn widths(bins: &[f64]) -> Vec<f64> {
    bins.windows(2).map(|e| e[1] - e[0]).collect()
}

fn flat(rows: &[Vec<f64>]) -> Vec<f32> {
    rows.iter().flat_map(|r| narrow(r)).collect()
}

#[test]
fn resampling_follows_the_twin() {
    let Some(gpu) = gpu() else { return };
    let mut next = values(1);
    let (rays, samples, wanted) = (16, 24, 12);
    let level = level(rays, samples, &mut next);
    for is_training in [0, 1] {
        let batch = Batch {
            next_samples: wanted as u32,
            seed: 5,
            step: 9,
            is_training,
            anneal: 0.5,
            ..plain_batch(rays, samples)
        };
        let mut arena = flat(&level.density);
        arena.resize(3 * rays * samples, 0.0);
        let arena = gpu.storage_from("arena", &arena);
        let bins = gpu.storage_from("bins", &flat(&level.bins));
        let next_bins = gpu.storage("next", (rays * (wanted + 1) * 4) as u64);
        run(
            &gpu,
            "resample",
            &batch,
            &[&bins, &arena, &next_bins],
            [1, 1, 1],
        );
        let got: Vec<f32> = gpu.read(&next_bins, rays * (wanted + 1)).unwrap();
        let mut expected = Vec::new();
        for ray in 0..rays {
            let delta = widths(&level.bins[ray]);
            let weights = twin::composite(&level.density[ray], &delta).0;
            let annealed: Vec<f64> = weights.iter().map(|w| w.max(1e-30).sqrt()).collect();
            let shift = match is_training {
                0 => 0.5,
                _ => twin::random(&batch, ray as u32, 16 + wanted as u32),
            };
            let at = |k: usize, n: usize| (k as f64 + shift) / n as f64;
            expected.extend(twin::resample(&level.bins[ray], &annealed, wanted, at));
        }
        for (got, expected) in got.iter().zip(&expected) {
            assert!(
                (f64::from(*got) - expected).abs() < 2e-5,
                "{got} {expected}"
            );
        }
    }
}

#[test]
fn losses_and_their_way_back_follow_the_twin() {
    let Some(gpu) = gpu() else { return };
    let mut next = values(2);
    let (rays, samples, coarse) = (16, 24, 14);
    let fine = level(rays, samples, &mut next);
    let proposal = level(rays, coarse, &mut next);
    let mut unit = |n: usize| (0..n).map(|_| f64::from(next() as f32)).collect::<Vec<_>>();
    let color = unit(3 * rays * samples);
    let targets = unit(3 * rays);
    let background = [0.25f32, 0.5, 0.75];
    let (photo, distortion, between) = (1.0 / 48.0, 0.3, 0.01);
    for background_kind in [0, 1] {
        let batch = Batch {
            background_kind,
            background,
            photo_scale: photo as f32,
            distortion_scale: distortion as f32,
            density_at: 0,
            color_at: 3,
            d_density_at: 0,
            d_color_at: 1,
            ..plain_batch(rays, samples)
        };
        let records: Vec<[f32; 12]> = (0..rays)
            .map(|r| {
                let t = [0, 1, 2].map(|c| targets[3 * r + c] as f32);
                [
                    0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, t[0], t[1], t[2], 0.0,
                ]
            })
            .collect();
        let plane = rays * samples;
        let mut arena = flat(&fine.density);
        arena.resize(3 * plane, 0.0);
        arena.extend(narrow(&color));
        let arena = gpu.storage_from("arena", &arena);
        let back = gpu.storage("back", (4 * plane * 4) as u64);
        let losses = gpu.storage("losses", rays as u64 * 16);
        let bins = gpu.storage_from("bins", &flat(&fine.bins));
        let records = gpu.storage_from("rays", &records);
        let nothing = gpu.storage("nothing", 96);
        let draw = gpu.uniform_from(
            "draw",
            &Draw {
                photo_weight: 1.0,
                ..Draw::zeroed()
            },
        );
        run(
            &gpu,
            "photo_loss",
            &batch,
            &[
                &records, &bins, &arena, &back, &losses, &nothing, &nothing, &draw,
            ],
            [1, 1, 1],
        );
        let got: Vec<f32> = gpu.read(&back, 4 * plane).unwrap();
        let got_losses: Vec<[f32; 4]> = gpu.read(&losses, rays).unwrap();
        let (mut d_density, mut d_color) = (Vec::new(), vec![0.0; 3 * plane]);
        let mut all_weights = Vec::new();
        for ray in 0..rays {
            let delta = widths(&fine.bins[ray]);
            let (weights, _) = twin::composite(&fine.density[ray], &delta);
            let at = |i: usize, c: usize| color[c * plane + ray * samples + i];
            let behind = |c: usize| match background_kind {
                0 => f64::from(background[c]),
                _ => at(samples - 1, c),
            };
            let opacity: f64 = weights.iter().sum();
            let (loss, d_distortion) = twin::distortion(&fine.bins[ray], &weights);
            let mut d_weight: Vec<f64> = d_distortion.iter().map(|d| d * distortion).collect();
            let mut squared = 0.0;
            for c in 0..3 {
                let sum: f64 = (0..samples).map(|i| weights[i] * at(i, c)).sum();
                let difference = sum + (1.0 - opacity) * behind(c) - targets[3 * ray + c];
                squared += photo * difference * difference;
                let d = 2.0 * photo * difference;
                for i in 0..samples {
                    d_weight[i] += d * (at(i, c) - behind(c));
                    d_color[c * plane + ray * samples + i] = d * weights[i];
                }
                if background_kind == 1 {
                    d_color[c * plane + ray * samples + samples - 1] += d * (1.0 - opacity);
                }
            }
            d_density.extend(twin::composite_backward(
                &fine.density[ray],
                &delta,
                &d_weight,
            ));
            let [total, photo_loss, distortion_loss, _] = got_losses[ray].map(f64::from);
            assert!((photo_loss - squared).abs() < 1e-6 && total == photo_loss);
            assert!((distortion_loss - distortion * loss).abs() < 1e-6);
            all_weights.push(weights);
        }
        assert_near("d density", &wide(&got[..plane]), &d_density, 2e-5);
        assert_near("d color", &wide(&got[plane..]), &d_color, 2e-5);
        if background_kind == 1 {
            continue;
        }

        let mut outer = Vec::new();
        let mut d_outer = Vec::new();
        for ray in 0..rays {
            let delta = widths(&proposal.bins[ray]);
            let weights = twin::composite(&proposal.density[ray], &delta).0;
            let (_, d) = twin::interlevel(
                &fine.bins[ray],
                &all_weights[ray],
                &proposal.bins[ray],
                &weights,
            );
            let d: Vec<f64> = d.iter().map(|d| d * between).collect();
            d_outer.extend(twin::composite_backward(&proposal.density[ray], &delta, &d));
            outer.push(weights);
        }
        let batch = Batch {
            interlevel_scale: between as f32,
            ..plain_batch(rays, coarse)
        };
        let plane = rays * coarse;
        let mut values = flat(&proposal.density);
        values.extend(flat(&outer));
        let transmittance: Vec<Vec<f64>> = (0..rays)
            .map(|ray| {
                let delta = widths(&proposal.bins[ray]);
                let (w, before) = twin::composite(&proposal.density[ray], &delta);
                before.iter().zip(w).map(|(t, w)| t - w).collect()
            })
            .collect();
        values.extend(flat(&transmittance));
        let coarse_arena = gpu.storage_from("arena", &values);
        let back = gpu.storage("back", (plane * 4) as u64);
        let last = gpu.uniform_from(
            "final",
            &FinalLevel {
                samples: samples as u32,
                weight_at: 1,
                padding: [0; 2],
            },
        );
        let coarse_bins = gpu.storage_from("bins", &flat(&proposal.bins));
        run(
            &gpu,
            "interlevel_loss",
            &batch,
            &[
                &bins,
                &arena,
                &coarse_bins,
                &coarse_arena,
                &back,
                &losses,
                &last,
            ],
            [1, 1, 1],
        );
        let got: Vec<f32> = gpu.read(&back, plane).unwrap();
        assert_near("d proposal density", &wide(&got), &d_outer, 1e-4);
    }
}

/// What kernels need that take several values in one access; says so where they are skipped.
pub fn has_wide_integers(gpu: &Gpu) -> bool {
    let has = gpu.device.features().contains(wgpu::Features::SHADER_INT64);
    if !has {
        println!("SKIPPED: {} has no integers of 64 bits", gpu.info.name);
    }
    has
}

/// The rays that a step draws.
pub fn rays(config: &LuxenConfig, views: &[TrainView], gpu: &Gpu, batch: &Batch) -> Vec<Ray> {
    let below = |count: u32, ray: u32, purpose: u32| {
        let share = twin::random(batch, ray, purpose) as f32;
        ((share * count as f32) as u32).min(count - 1)
    };
    (0..config.rays)
        .map(|ray| {
            let view = below(views.len() as u32, ray, 0) as usize;
            let TrainView { camera, target } = &views[view];
            let (x, y) = (below(target.width, ray, 1), below(target.height, ray, 2));
            let pixels: Vec<u32> = gpu
                .read(&target.packed, (target.width * target.height) as usize)
                .unwrap();
            let bytes = pixels[(y * target.width + x) as usize]
                .to_le_bytes()
                .map(|b| f64::from(b) / 255.0);
            let k = camera.intrinsics;
            let in_camera = DVec3::new(
                (f64::from(x) + 0.5 - k.cx) / k.fx,
                (f64::from(y) + 0.5 - k.cy) / k.fy,
                1.0,
            );
            let direction = camera
                .camera_to_world()
                .transform_vector3(in_camera)
                .normalize();
            Ray {
                origin: camera.position().to_array(),
                direction: direction.to_array(),
                color: [bytes[0], bytes[1], bytes[2]],
                weight: bytes[3],
                view,
            }
        })
        .collect()
}

/// dL/dθ of one step of every kind of parameter, from Adam's first moment after a step from rest, against finite
/// differences of the twin's loss.
#[test]
fn the_whole_field_has_the_gradient_of_finite_differences() {
    let Some(gpu) = gpu() else { return };
    let plain = plain_gpu();
    let fixed = Background::Fixed([0.2, 0.9, 0.5]);
    let (small, full) = (Size::Small, Size::Full);
    for (gpu, size, background, tables) in [
        (&gpu, small, Background::LastSample, TableStorage::Single),
        (&gpu, small, fixed, TableStorage::Single),
        (&plain, small, fixed, TableStorage::Single),
        (&plain, full, fixed, TableStorage::Single),
        (&gpu, full, fixed, TableStorage::Single),
        (&gpu, small, fixed, TableStorage::Half),
    ] {
        if let Some(notice) = tables.notice(gpu) {
            println!("SKIPPED: {notice}");
            continue;
        }
        let config = LuxenConfig {
            size,
            grid: GridConfig {
                levels: size.levels(),
                ..tiny().grid
            },
            background,
            tables,
            loss: luxedit::luxen::PhotoLoss {
                distortion_weight: 0.05,
                ..tiny().loss
            },
            ..tiny()
        };
        let views = views(gpu);
        let mut fresh = LuxenTrainer::new(gpu.clone(), config, 3).unwrap();
        let mut state = fresh.state().unwrap();
        for tensor in &mut state.tensors {
            if tensor.name.ends_with(".table") {
                for v in &mut tensor.data {
                    *v *= 1e4;
                }
            }
        }
        let mut trainer = LuxenTrainer::from_state(gpu.clone(), &state).unwrap();
        trainer.step(&views).unwrap();
        let after = trainer.state().unwrap();
        let result = trainer.take_results()[0];

        let groups = state.parameters().unwrap();
        let shape = state.shape();
        let mut field = Field {
            config: &config,
            shape: &shape,
            groups: groups.iter().map(|g| wide(g)).collect(),
        };
        if tables == TableStorage::Half {
            for table in [0, 2, 4] {
                for v in &mut field.groups[table] {
                    *v = twin::halved(*v);
                }
            }
        }
        let batch = Batch {
            seed: config.seed as u32,
            anneal: 1.0,
            ..Batch::zeroed()
        };
        let rays = rays(&config, &views, gpu, &batch);
        let bins: Vec<_> = rays
            .iter()
            .enumerate()
            .map(|(i, ray)| field.bins(ray, i as u32, &batch))
            .collect();
        let frozen: Vec<_> = rays
            .iter()
            .zip(&bins)
            .map(|(ray, bins)| field.final_weights(ray, &bins[2]).0)
            .collect();
        let loss = field.loss(&rays, &bins, &frozen);
        println!("loss: kernels {}, twin {loss}", result.loss);
        assert!((f64::from(result.loss) - loss).abs() < 1e-4 * loss);

        let mut pick = values(4);
        for group in 0..groups.len() {
            let name = after.tensors[3 * group + 1].name.clone();
            let moments = &after.tensors[3 * group + 1].data;
            let (mut got, mut expected) = (Vec::new(), Vec::new());
            // The largest gradients, and some at random.
            let mut order: Vec<usize> = (0..moments.len()).collect();
            order.sort_by(|&a, &b| moments[b].abs().total_cmp(&moments[a].abs()));
            order.truncate(24);
            order.extend((0..8).map(|_| (pick() * moments.len() as f64) as usize));
            for index in order {
                let mut moved = field.clone();
                let mut at = |offset: f64| {
                    moved.groups[group][index] = field.groups[group][index] + offset;
                    moved.loss(&rays, &bins, &frozen)
                };
                let h = 1e-5;
                expected.push((at(h) - at(-h)) / (2.0 * h));
                got.push(f64::from(moments[index]) / 0.1);
            }
            assert_near(&name, &got, &expected, 2e-3);
        }
    }
}
