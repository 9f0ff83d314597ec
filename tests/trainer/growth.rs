//! The set of splats grows: each decision and each number against a twin on the host, and what follows from them.

use super::fixture::{Fixture, assert_same, fixture};
use glam::{DMat3, DQuat, DVec3};
use luxedit::{
    scene::Camera,
    settings::Strategy,
    splat::{
        CapReason, GrowthConfig, Phase, Refinement, SplatCap, SplatTrainer, TrainConfig, TrainState,
    },
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

const SPLIT: u32 = 0x51a17;
const DRAW: u32 = 0xd4a3e;
const NOISE: u32 = 0x401e5;

fn cap(splats: u32) -> SplatCap {
    SplatCap {
        splats,
        reason: CapReason::Setting,
    }
}

/// `shared/random.wgsl`.
fn random_words(key: [u32; 4]) -> [u32; 4] {
    let [mut x, mut y, mut z, mut w] =
        key.map(|v| v.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    for round in 0..2 {
        x = x.wrapping_add(y.wrapping_mul(w));
        y = y.wrapping_add(z.wrapping_mul(x));
        z = z.wrapping_add(x.wrapping_mul(y));
        w = w.wrapping_add(y.wrapping_mul(z));
        if round == 0 {
            [x, y, z, w] = [x, y, z, w].map(|v| v ^ (v >> 16));
        }
    }
    [x, y, z, w]
}

fn random_normals(key: [u32; 4]) -> DVec3 {
    let u = random_words(key).map(|v| (f64::from(v >> 8) + 0.5) / f64::from(1 << 24));
    let radius = [u[0], u[2]].map(|u| (-2.0 * u.ln()).sqrt());
    let angle = [u[1], u[3]].map(|u| u * std::f64::consts::TAU);
    DVec3::new(
        radius[0] * angle[0].cos(),
        radius[0] * angle[0].sin(),
        radius[1] * angle[1].cos(),
    )
}

fn key(index: usize, step: u64, seed: u64, purpose: u32) -> [u32; 4] {
    [
        index as u32,
        step as u32,
        seed as u32 ^ purpose,
        (seed >> 32) as u32,
    ]
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn the_twins_random_numbers_are_normal() {
    let (mut sum, mut squares, mut products) = (DVec3::ZERO, DVec3::ZERO, DVec3::ZERO);
    let n = 20_000;
    for i in 0..n {
        let v = random_normals(key(i, 700, 3, SPLIT));
        sum += v;
        squares += v * v;
        products += v * DVec3::new(v.y, v.z, v.x);
    }
    let n = n as f64;
    assert!((sum / n).abs().max_element() < 0.03, "{}", sum / n);
    assert!((squares / n - 1.0).abs().max_element() < 0.04);
    assert!((products / n).abs().max_element() < 0.03);
}

/// A state as it is before the step at which a refinement is due, for changing.
struct Before {
    state: TrainState,
    count: usize,
}

impl Before {
    fn new(fixture: &Fixture, config: TrainConfig, phase_step: u64) -> Self {
        let mut state = fixture.trainer(config).state().expect("state");
        let count = state.len();
        state.progress.phase_step = phase_step;
        state.progress.step = phase_step;
        let mut before = Self { state, count };
        for name in ["adam.means", "adam.sh_dc", "adam.logit_opacities"] {
            for (moment, value) in [("first", 1e-3), ("second", 1e20)] {
                before.of(&format!("{name}.{moment}")).fill(value);
            }
        }
        before
    }

    fn of(&mut self, name: &str) -> &mut Vec<f32> {
        let tensor = self.state.tensors.iter_mut().find(|t| t.name == name);
        &mut tensor.expect("tensor").data
    }

    /// One step towards where nothing is: the refinement, and an optimizer at rest.
    fn step(&self, fixture: &Fixture) -> (TrainState, luxedit::splat::StepReport) {
        let mut trainer =
            SplatTrainer::from_state(fixture.gpu.clone(), &self.state).expect("trainer");
        let away = Camera::look_at(
            DVec3::new(0.0, 0.0, 50.0),
            DVec3::new(0.0, 0.0, 100.0),
            DVec3::X,
            fixture.cameras[0].intrinsics,
        );
        let report = trainer.step(&away, &fixture.targets[0]).expect("step");
        (trainer.state().expect("state"), report)
    }
}

fn data<'a>(state: &'a TrainState, name: &str) -> &'a [f32] {
    let tensor = state.tensors.iter().find(|t| t.name == name);
    &tensor.expect("tensor").data
}

fn vector(data: &[f32], i: usize) -> DVec3 {
    DVec3::new(
        f64::from(data[3 * i]),
        f64::from(data[3 * i + 1]),
        f64::from(data[3 * i + 2]),
    )
}

/// As the kernels: (w, x, y, z), normalized on use.
fn rotation(quats: &[f32], i: usize) -> DMat3 {
    let q = &quats[4 * i..4 * i + 4];
    DMat3::from_quat(
        DQuat::from_xyzw(q[1].into(), q[2].into(), q[3].into(), q[0].into()).normalize(),
    )
}

fn assert_near(got: DVec3, expected: DVec3, what: &str) {
    let error = (got - expected).abs().max_element();
    let size = expected.abs().max_element().max(0.1);
    assert!(error < 2e-5 * size, "{what}: {got}, expected {expected}");
}

fn growing(fixture: &Fixture, strategy: Strategy, cap: SplatCap) -> TrainConfig {
    let config = fixture.config(1000);
    let views = fixture.cameras.len() as u64;
    config.growing(GrowthConfig::new(strategy, cap, 1000, views))
}

/// What becomes of a splat.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Removed,
    Kept,
    Doubled,
    Split,
}

fn with_statistics(fixture: &Fixture, config: TrainConfig) -> (Before, Vec<Fate>, Vec<f32>) {
    let due = (1..1000)
        .find(|&s| Refinement::at(&config, s).growth.is_some())
        .expect("a refinement");
    let rule = Refinement::at(&config, due);
    let (removal, growth) = (rule.removal.expect("removal"), rule.growth.expect("growth"));
    let mut before = Before::new(fixture, config, due);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut uniform = || f64::from(rng.next_u32() >> 8) / f64::from(1 << 24);
    let count = before.count;
    let mut fates = Vec::new();
    let mut gradients = Vec::new();
    for i in 0..count {
        let views = (uniform() * 12.0).floor();
        let gradient = f64::from(growth.gradient) * 2.0 * uniform();
        let radius = if i % 17 == 0 {
            1.2 * f64::from(growth.split_radius)
        } else {
            0.9 * f64::from(growth.split_radius) * uniform()
        };
        let largest = f64::from(growth.split_scale) * if uniform() < 0.5 { 0.7 } else { 1.4 };
        let opacity = if i % 13 == 0 {
            0.5 * f64::from(removal.min_opacity)
        } else {
            0.1 + 0.8 * uniform()
        };
        let statistics = [(gradient * views) as f32, views as f32, radius as f32];
        before.of("growth.statistics")[3 * i..3 * i + 3].copy_from_slice(&statistics);
        before.of("splats.logit_opacities")[i] = (opacity / (1.0 - opacity)).ln() as f32;
        let scales = [0.3 * largest, largest, 0.5 * largest].map(|s| s.ln() as f32);
        before.of("splats.log_scales")[3 * i..3 * i + 3].copy_from_slice(&scales);
        let pulled = views > 0.0 && gradient > f64::from(growth.gradient);
        let is_wide = radius > f64::from(growth.split_radius);
        fates.push(if opacity < f64::from(removal.min_opacity) {
            Fate::Removed
        } else if is_wide || (pulled && largest > f64::from(growth.split_scale)) {
            Fate::Split
        } else if pulled {
            Fate::Doubled
        } else {
            Fate::Kept
        });
        gradients.push(statistics[0] / statistics[1].max(1.0));
    }
    (before, fates, gradients)
}

/// Doubling, splitting, removal, order and cap.
#[test]
fn selection_is_that_of_the_twin() {
    let fixture = fixture(300, 32);
    for most in [100_000, 330] {
        let config = TrainConfig {
            seed: 0x1234_5678_9abc,
            ..growing(&fixture, Strategy::Default, cap(most))
        };
        let (mut before, fates, gradients) = with_statistics(&fixture, config);
        before.of("splats.log_scales")[3 * 7] = f32::NAN;
        let mut fates = fates;
        fates[7] = Fate::Removed;
        let step = before.state.progress.step;
        let kept: Vec<usize> = (0..before.count)
            .filter(|&i| fates[i] != Fate::Removed)
            .collect();
        let mut candidates: Vec<usize> = kept
            .iter()
            .copied()
            .filter(|&i| fates[i] != Fate::Kept)
            .collect();
        candidates.sort_by(|&a, &b| gradients[b].total_cmp(&gradients[a]).then(a.cmp(&b)));
        let room = most as usize - kept.len();
        let is_full = candidates.len() > room;
        candidates.truncate(room);
        assert!(candidates.len() > 20, "this scene was to grow");

        let (after, report) = before.step(&fixture);
        assert_eq!(report.refined.removed as usize, before.count - kept.len());
        assert_eq!(report.refined.added as usize, candidates.len());
        assert_eq!(report.refined.cap_reached, is_full);
        assert_eq!(is_full, most == 330);
        assert_eq!(report.splats as usize, kept.len() + candidates.len());
        assert_eq!(after.len(), kept.len() + candidates.len());
        let sources: Vec<usize> = kept.iter().chain(&candidates).copied().collect();
        let old = &before.state;
        for (row, &i) in sources.iter().enumerate() {
            let grows = candidates.contains(&i);
            let splits = grows && fates[i] == Fate::Split;
            let is_fresh = splits || row >= kept.len();
            let mut mean = vector(data(old, "splats.means"), i);
            let mut scale = vector(data(old, "splats.log_scales"), i);
            if splits {
                let normals = random_normals(key(row, step, config.seed, SPLIT));
                mean += rotation(data(old, "splats.quats"), i) * (scale.exp() * normals);
                scale -= 1.6f64.ln();
            }
            let what = format!("row {row} of splat {i}, {:?}", fates[i]);
            assert_near(vector(data(&after, "splats.means"), row), mean, &what);
            assert_near(vector(data(&after, "splats.log_scales"), row), scale, &what);
            let colors = (
                vector(data(&after, "splats.sh_dc"), row),
                vector(data(old, "splats.sh_dc"), i),
            );
            assert_near(colors.0, colors.1, &what);
            for name in ["means", "sh_dc", "logit_opacities"] {
                let name = format!("adam.{name}.first");
                let width = data(old, &name).len() / before.count;
                let moment = data(&after, &name)[width * row];
                let expected = if is_fresh { 0.0 } else { 0.9e-3 };
                assert!((moment - expected).abs() < 1e-8, "{what}: {name} {moment}");
            }
        }
        assert!(
            data(&after, "growth.statistics").iter().all(|&v| v == 0.0),
            "statistics start anew"
        );
    }
}

/// Sharing as the paper has it: a double sum over binomials, in float64.
fn shared(opacity: f64, n: u32) -> (f64, f64) {
    let new = 1.0 - (1.0 - opacity).powf(1.0 / f64::from(n));
    let mut sum = 0.0;
    for i in 1..=n {
        let mut binomial = 1.0;
        for k in 0..i {
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            sum += binomial * sign / f64::from(k + 1).sqrt() * new.powi(k as i32 + 1);
            binomial *= f64::from(i - 1 - k) / f64::from(k + 1);
        }
    }
    (new, (opacity / sum).ln())
}

#[test]
fn relocation_is_that_of_the_twin() {
    let fixture = fixture(300, 32);
    for (most, few_alive) in [(100_000, false), (305, false), (300, true)] {
        let mut config = TrainConfig {
            seed: 77,
            ..growing(&fixture, Strategy::Mcmc, cap(most))
        };
        config.growth.noise = 0.0;
        config.growth.opacity_weight = 0.0;
        config.growth.scale_weight = 0.0;
        let due = (1..1000)
            .find(|&s| Refinement::at(&config, s).relocation)
            .expect("a relocation");
        let mut before = Before::new(&fixture, config, due);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut opacities = Vec::new();
        for i in 0..before.count {
            let random = f64::from(rng.next_u32()) / f64::from(u32::MAX);
            let is_dead = if few_alive { i % 30 != 4 } else { i % 9 == 2 };
            let opacity = if is_dead { 0.004 } else { 0.01 + 0.98 * random };
            before.of("splats.logit_opacities")[i] = (opacity / (1.0 - opacity)).ln() as f32;
            opacities.push(opacity);
        }
        let dead: Vec<usize> = (0..before.count)
            .filter(|&i| opacities[i] < 0.005)
            .collect();
        let grown = before.count * 105 / 100;
        let added = grown.min(most as usize) - before.count;

        // Draws, in whole numbers.
        let one = (u32::MAX / before.count as u32) as f32 * 0.999;
        let mut total = 0u32;
        let before_of: Vec<u32> = (0..before.count)
            .map(|i| {
                let logit = before.state.tensors.iter();
                let logit = logit
                    .filter(|t| t.name == "splats.logit_opacities")
                    .map(|t| t.data[i])
                    .next()
                    .expect("logit");
                let at = total;
                if opacities[i] > 0.005 {
                    let opacity = 1.0 / (1.0 + (-logit).exp());
                    total += (opacity * one) as u32;
                }
                at
            })
            .collect();
        let targets: Vec<usize> = (0..dead.len() + added)
            .map(|draw| {
                let random = random_words(key(draw, due, config.seed, DRAW))[0];
                let at = ((u64::from(random) * u64::from(total)) >> 32) as u32;
                before_of.partition_point(|&b| b <= at) - 1
            })
            .collect();

        let (after, report) = before.step(&fixture);
        let refined = report.refined;
        assert_eq!(refined.relocated as usize, dead.len());
        assert_eq!((refined.added as usize, refined.removed), (added, 0));
        assert_eq!(refined.cap_reached, grown > most as usize);
        assert_eq!(after.len(), before.count + added);
        let mut sources: Vec<usize> = (0..before.count).collect();
        for (draw, &target) in targets.iter().enumerate() {
            match dead.get(draw) {
                Some(&row) => sources[row] = target,
                None => sources.push(target),
            }
        }
        let old = &before.state;
        let mut most_shared = 0;
        for (row, &i) in sources.iter().enumerate() {
            let n = targets.iter().filter(|&&t| t == i).count() as u32 + 1;
            most_shared = most_shared.max(n);
            let what = format!("row {row} from splat {i}, one of {n}");
            let mean = vector(data(old, "splats.means"), i);
            assert_near(vector(data(&after, "splats.means"), row), mean, &what);
            let opacity = sigmoid(f64::from(data(&after, "splats.logit_opacities")[row]));
            let change = vector(data(&after, "splats.log_scales"), row)
                - vector(data(old, "splats.log_scales"), i);
            let moment = data(&after, "adam.means.first")[3 * row];
            if n == 1 {
                assert!((opacity - opacities[i]).abs() < 1e-5, "{what}");
                assert_eq!(change, DVec3::ZERO, "{what}");
                assert!((moment - 0.9e-3).abs() < 1e-8, "{what}");
                continue;
            }
            let (expected, scaled) = shared(opacities[i], n.min(51));
            let expected = expected.max(0.005);
            assert!(
                (opacity / expected - 1.0).abs() < 2e-4,
                "{what}: opacity {opacity}, expected {expected}"
            );
            let error = (change - scaled).abs().max_element();
            assert!(
                error < 2e-4 * scaled.abs(),
                "{what}: {change}, expected {scaled}"
            );
            assert_eq!(moment, 0.0, "{what}");
        }
        println!("up to {most_shared} share a place");
        assert_eq!(most_shared > 20, few_alive);
    }
}

/// The random moves and the penalties of one MCMC step.
#[test]
fn mcmc_steps_are_those_of_the_twin() {
    let fixture = fixture(100, 32);
    let mut config = TrainConfig {
        seed: 9,
        ..growing(&fixture, Strategy::Mcmc, cap(1000))
    };
    config.learning_rates.log_scales = 0.0;
    config.learning_rates.logit_opacities = 0.0;
    let mut before = Before::new(&fixture, config, 3);
    for name in ["adam.means.first", "adam.logit_opacities.first"] {
        before.of(name).fill(0.0);
    }
    let count = before.count;
    for i in 0..count {
        before.of("splats.logit_opacities")[i] = -8.0 + 10.0 * i as f32 / count as f32;
    }
    let (after, report) = before.step(&fixture);
    assert_eq!(report.refined, Default::default());
    let old = &before.state;
    let Phase::Reconstruct { planned_steps } = config.phase else {
        panic!("a reconstruction");
    };
    let rates = config.learning_rates;
    let rate = rates.means * (rates.means_final / rates.means).powf(3.0 / planned_steps as f64);
    let extent = config.scene_extent;
    let mut moved = 0;
    for i in 0..count {
        let opacity = sigmoid(f64::from(data(old, "splats.logit_opacities")[i]));
        let strength = rate * 5e5 / extent * sigmoid(100.0 * (1.0 - opacity - 0.995));
        let r = rotation(data(old, "splats.quats"), i);
        let variance = (2.0 * vector(data(old, "splats.log_scales"), i)).exp();
        let normals = random_normals(key(i, 4, config.seed, NOISE));
        let offset = r * (variance * (r.transpose() * (normals * strength)));
        let mean = vector(data(old, "splats.means"), i) + offset;
        let what = format!("splat {i}");
        assert_near(vector(data(&after, "splats.means"), i), mean, &what);
        moved += usize::from(offset.length() > 1e-3);
        // Nothing was seen: what Adam has is a tenth of the penalty's gradient.
        let pull = 0.01 * opacity * (1.0 - opacity) / count as f64;
        let moment = f64::from(data(&after, "adam.logit_opacities.first")[i]);
        assert!(
            (moment - 0.1 * pull).abs() < 1e-5 * pull,
            "{moment}, {pull}"
        );
        let pull =
            0.01 * vector(data(old, "splats.log_scales"), i).exp().x / (3 * count) as f64 / extent;
        let moment = f64::from(data(&after, "adam.log_scales.first")[3 * i]);
        assert!(
            (moment - 0.1 * pull).abs() < 1e-5 * pull,
            "{moment}, {pull}"
        );
    }
    assert!(moved > 5, "faint splats were to move");
}

/// With learning rates of 0 the scene stays, so what two steps gather is the sum of what each gathers.
#[test]
fn statistics_add_up_over_steps() {
    let fixture = fixture(200, 32);
    let mut config = growing(&fixture, Strategy::Default, cap(1000));
    config.coarse_to_fine = false;
    let rates = &mut config.learning_rates;
    (rates.means, rates.means_final) = (1e-30, 1e-30);
    (rates.quats, rates.log_scales, rates.logit_opacities) = (0.0, 0.0, 0.0);
    (rates.sh_dc, rates.sh_rest) = (0.0, 0.0);
    let gathered = |views: &[usize]| {
        let mut trainer = fixture.trainer(config);
        for &view in views {
            trainer
                .step(&fixture.cameras[view], &fixture.targets[view])
                .expect("step");
        }
        data(&trainer.state().expect("state"), "growth.statistics").to_vec()
    };
    let (a, b, both) = (gathered(&[0]), gathered(&[5]), gathered(&[0, 5]));
    assert!(a.iter().step_by(3).filter(|&&g| g > 0.0).count() > 50);
    for ((a, b), both) in a.chunks(3).zip(b.chunks(3)).zip(both.chunks(3)) {
        assert!((a[0] + b[0] - both[0]).abs() <= 1e-6 * both[0]);
        assert!(a[1] == 0.0 || a[1] == 1.0);
        assert_eq!(a[1] + b[1], both[1]);
        assert_eq!(a[2].max(b[2]), both[2]);
        assert!(a[2] < 2.0, "an extent is a share of the picture");
    }
}

#[test]
fn a_reset_leaves_faint_splats_with_an_optimizer_at_rest() {
    let fixture = fixture(50, 32);
    let growth = GrowthConfig::new(Strategy::Default, cap(1000), 7000, 12);
    let config = fixture.config(7000).growing(growth);
    let due = (1..7000)
        .find(|&s| Refinement::at(&config, s).reset.is_some())
        .expect("a reset");
    assert!(Refinement::at(&config, due).growth.is_none());
    let mut before = Before::new(&fixture, config, due);
    before.of("splats.logit_opacities")[7] = -7.0;
    let (after, report) = before.step(&fixture);
    assert_eq!(report.splats, 50);
    for (i, &logit) in data(&after, "splats.logit_opacities").iter().enumerate() {
        let opacity = sigmoid(f64::from(logit));
        let expected = if i == 7 {
            sigmoid(-7.0)
        } else {
            f64::from(config.growth.reset_opacity)
        };
        assert!((opacity / expected - 1.0).abs() < 1e-4, "{i}: {opacity}");
    }
    let moments = data(&after, "adam.logit_opacities.first");
    assert!(moments.iter().all(|&m| m == 0.0));
}

#[test]
fn growing_is_resumed_bit_by_bit() {
    let fixture = fixture(300, 64);
    for strategy in [Strategy::Default, Strategy::Mcmc] {
        let mut config = growing(&fixture, strategy, cap(900));
        config.growth.from_step = 8;
        config.growth.interval = 8;
        config.growth.until_step = 40;
        config.growth.reset_interval = 16;
        config.growth.pause_after_reset = 4;
        config.growth.gradient = 1e-5;
        config.prune.warmup = 0.0;
        config.prune.interval = 8;
        config.random_background = true;
        let mut straight = fixture.trainer(config);
        fixture.train(&mut straight, 30);
        let expected = straight.state().expect("state");
        println!("{strategy:?}: {} splats", expected.len());
        assert!(expected.len() > 310, "the run should grow");
        for stop in [16, 19, 24] {
            let mut first = fixture.trainer(config);
            fixture.train(&mut first, stop);
            let state = first.state().expect("state");
            drop(first);
            let mut resumed =
                SplatTrainer::from_state(fixture.gpu.clone(), &state).expect("resume");
            assert_same(&state, &resumed.state().expect("state"));
            fixture.train(&mut resumed, 30 - stop);
            assert_same(&expected, &resumed.state().expect("state"));
        }
    }
}

#[test]
fn from_a_few_splats_a_scene_grows_to_its_cap_and_no_further() {
    let mut fixture = fixture(300, 64);
    // The start: every tenth splat.
    let few = |data: &[f32], width: usize| -> Vec<f32> {
        data.chunks(width).step_by(10).flatten().copied().collect()
    };
    let truth = &mut fixture.truth;
    truth.means = few(&truth.means, 3);
    truth.quats = few(&truth.quats, 4);
    truth.log_scales = few(&truth.log_scales, 3);
    truth.logit_opacities = few(&truth.logit_opacities, 1);
    truth.sh_dc = few(&truth.sh_dc, 3);
    truth.sh_rest = few(&truth.sh_rest, 9);
    let mut results = Vec::new();
    for strategy in [Strategy::None, Strategy::Default, Strategy::Mcmc] {
        let config = growing(&fixture, strategy, cap(120));
        let mut trainer = fixture.trainer(config);
        let mut was_full = false;
        for step in 0..1000usize {
            let view = step * 5 % fixture.cameras.len();
            let report = trainer
                .step(&fixture.cameras[view], &fixture.targets[view])
                .expect("step");
            was_full |= report.refined.cap_reached;
            assert!(report.splats <= 120);
        }
        let psnr = fixture.psnr(&mut trainer);
        println!("{strategy:?}: {} splats, {psnr:.2} dB", trainer.len());
        assert_eq!(was_full, strategy != Strategy::None);
        results.push((trainer.len(), psnr));
    }
    let [none, default, mcmc] = results[..] else {
        panic!("three runs");
    };
    assert!(none.0 <= 30 && default.0 > 90 && mcmc.0 == 120);
    assert!(default.1 > none.1 + 1.0 && mcmc.1 > none.1 + 0.3);
}

#[test]
fn an_edit_does_not_grow_the_set() {
    let fixture = fixture(60, 32);
    for strategy in [Strategy::Default, Strategy::Mcmc] {
        let mut config = growing(&fixture, strategy, cap(1000));
        config.phase = Phase::Refine;
        for step in 0..5000 {
            assert!(!Refinement::at(&config, step).is_due());
        }
        let mut trainer = fixture.trainer(config);
        fixture.train(&mut trainer, 3);
        let state = trainer.state().expect("state");
        assert!(state.tensors.iter().all(|t| t.name != "growth.statistics"));
        assert_eq!(state.len(), 60);
    }
}

#[test]
fn growth_is_splatfactos_at_its_length_and_fits_shorter_runs() {
    let refinements = |strategy, steps, views| {
        let growth = GrowthConfig::new(strategy, SplatCap::UNLIMITED, steps, views);
        let config = TrainConfig::reconstruct(steps, 1.0, [0.0; 3]).growing(growth);
        let at = move |wanted: fn(&Refinement) -> bool| -> Vec<u64> {
            (0..steps)
                .filter(|&s| wanted(&Refinement::at(&config, s)))
                .collect()
        };
        let grows = at(|r| r.growth.is_some() || r.relocation);
        let resets = at(|r| r.reset.is_some());
        (grows, resets)
    };
    let (grows, resets) = refinements(Strategy::Default, 30_000, 100);
    assert_eq!(resets, [3000, 6000, 9000, 12_000]);
    assert_eq!(grows[..3], [500, 600, 700]);
    assert!(grows.contains(&2900) && !grows.contains(&3000) && !grows.contains(&3100));
    assert!(grows.contains(&3200) && grows.last() == Some(&14_900));
    let (grows, resets) = refinements(Strategy::Mcmc, 30_000, 100);
    assert!(resets.is_empty() && grows.len() == 245);

    // A pause that lasts until each of many photos was seen would end with the next reset.
    let (grows, _) = refinements(Strategy::Default, 30_000, 20_000);
    let later = grows.iter().filter(|&&s| s > 3000).count();
    assert!(later > 60, "{later} refinements after the first reset");

    for steps in [300, 1500, 3000, 7000] {
        for strategy in [Strategy::Default, Strategy::Mcmc] {
            let (grows, resets) = refinements(strategy, steps, 50);
            println!(
                "{steps} {strategy:?}: {} refinements, resets {resets:?}",
                grows.len()
            );
            assert!(grows.len() >= 5, "{steps} steps: {grows:?}");
            assert!(resets.len() <= 1);
        }
    }
    let (grows, resets) = refinements(Strategy::None, 30_000, 100);
    assert!(grows.is_empty() && resets.is_empty());
}
