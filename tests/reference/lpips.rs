//! LPIPS with all three classifiers against the lpips package: distances, what each depth adds, and gradients. Backbones are
//! generated from a formula, exact in f32; heads are the real ones.

use crate::diffusion::{cpu, tensor, values};
use crate::fixture::Fixture;
use crate::formula::write_backbone;
use burn::tensor::Tensor;
use luxedit::loss::lpips::{Epsilon, Lpips, LpipsNet};

fn load(net: LpipsNet) -> Option<Lpips> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backbone.safetensors");
    write_backbone(net, &file).then(|| Lpips::load(net, &file, &cpu()).expect("LPIPS"))
}

/// Mean, standard deviation (unbiased), largest magnitude, height, width of each picture's features.
fn statistics(features: &Tensor<4>) -> Vec<f32> {
    let [batch, _, h, w] = features.dims();
    let all = values(features);
    all.chunks(all.len() / batch)
        .flat_map(|one| {
            let n = one.len() as f64;
            let mean = one.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
            let squares: f64 = one.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
            let largest = one.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let std = (squares / (n - 1.0)).sqrt();
            [mean as f32, std as f32, largest, h as f32, w as f32]
        })
        .collect()
}

fn check(net: LpipsNet) {
    let Some(fixture) = Fixture::open(&format!("fixtures/lpips_{}.safetensors", net.as_str()))
    else {
        return;
    };
    let Some(lpips) = load(net) else { return };
    for case in crate::diffusion::cases(&fixture, ".lpips") {
        let name = |what: &str| format!("{case}.{what}");
        let get = |what: &str| tensor::<4>(&fixture.get(&name(what)), &cpu());
        let (a, b) = (get("a"), get("b"));
        let taps = lpips.features(a.clone()).expect("features");
        for (i, tap) in taps.iter().enumerate() {
            let stats = name(&format!("feat{i}_stats"));
            if fixture.has(&stats) {
                fixture.check(&stats, &statistics(tap));
            }
        }
        let outside = Epsilon::Outside;
        let per_tap = lpips
            .per_tap(a.clone(), b.clone(), outside)
            .expect("distances");
        fixture.check(&name("per_layer"), &values(&per_tap));
        let distance = lpips
            .distance(a.clone(), b.clone(), outside)
            .expect("distances");
        fixture.check(&name("lpips"), &values(&distance));
        let pairs = fixture.get(&name("grad_a")).shape[0];
        let (same, gradient) = lpips
            .distance_and_gradient(
                a.clone().narrow(0, 0, pairs),
                b.clone().narrow(0, 0, pairs),
                outside,
            )
            .expect("a gradient");
        fixture.check(&name("grad_a"), &values(&gradient));
        assert_eq!(values(&same), values(&distance)[..pairs]);

        // torchmetrics' convention differs only where features nearly vanish.
        let inside = lpips.distance(a, b, Epsilon::Inside).expect("distances");
        for (i, o) in values(&inside).iter().zip(values(&distance)) {
            assert!((i - o).abs() <= 1e-3 * o.abs() + 1e-5, "{i} {o}");
        }
    }
}

#[test]
fn lpips_alex() {
    check(LpipsNet::Alex);
}

#[test]
fn lpips_vgg() {
    check(LpipsNet::Vgg);
}

#[test]
fn lpips_squeeze() {
    check(LpipsNet::Squeeze);
}

/// The gradient in torchmetrics' convention is the slope, and equal pictures have distance and gradient zero.
#[test]
fn lpips_slope_and_equality() {
    let Some(lpips) = load(LpipsNet::Squeeze) else {
        return;
    };
    let Some(fixture) = Fixture::open("fixtures/lpips_squeeze.safetensors") else {
        return;
    };
    let get = |what: &str| tensor::<4>(&fixture.get(what), &cpu()).narrow(0, 0, 1);
    let (a, b) = (get("odd.a"), get("odd.b"));
    let (distance, gradient) = lpips
        .distance_and_gradient(a.clone(), b.clone(), Epsilon::Inside)
        .expect("a gradient");
    assert!(values(&distance)[0] > 1e-3);
    let length = (gradient.clone() * gradient.clone()).sum().sqrt();
    let norm = f64::from(values(&length)[0]);
    let step = 2e-2;
    let along = gradient / norm;
    let at = |offset: f64| {
        let moved = a.clone() + along.clone() * offset;
        f64::from(
            values(
                &lpips
                    .distance(moved, b.clone(), Epsilon::Inside)
                    .expect("one"),
            )[0],
        )
    };
    let slope = (at(step) - at(-step)) / (2.0 * step);
    println!("slope {slope:.5e}, gradient {norm:.5e}");
    assert!((slope - norm).abs() <= 0.05 * norm, "{slope} {norm}");

    for epsilon in [Epsilon::Inside, Epsilon::Outside] {
        let (distance, gradient) = lpips
            .distance_and_gradient(a.clone(), a.clone(), epsilon)
            .expect("a gradient");
        assert_eq!(values(&distance), [0.0]);
        assert!(values(&gradient).iter().all(|g| *g == 0.0));
    }
    // Black pictures leave features without length.
    let black = a.zeros_like();
    for epsilon in [Epsilon::Inside, Epsilon::Outside] {
        let (_, gradient) = lpips
            .distance_and_gradient(black.clone(), b.clone(), epsilon)
            .expect("a gradient");
        assert!(values(&gradient).iter().all(|g| g.is_finite()));
    }
}

#[test]
fn lpips_refuses_what_it_cannot_compare() {
    let Some(lpips) = load(LpipsNet::Alex) else {
        return;
    };
    let blank = |h, w| Tensor::<4>::zeros([1, 3, h, w], &cpu());
    for (a, b, word) in [
        (blank(64, 64), blank(64, 63), "one size"),
        (blank(20, 64), blank(20, 64), "31"),
    ] {
        let error = lpips
            .distance(a, b, Epsilon::Inside)
            .expect_err("a refusal");
        assert!(error.to_string().contains(word), "{error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("squeeze.safetensors");
    assert!(write_backbone(LpipsNet::Squeeze, &file));
    let error = Lpips::load(LpipsNet::Alex, &file, &cpu())
        .err()
        .expect("a refusal")
        .to_string();
    assert!(error.contains("features.10.weight"), "{error}");
    // A checkpoint as torch saves it is read; this one holds no network.
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/checkpoints/nested_row.ckpt");
    let error = Lpips::load(LpipsNet::Alex, &file, &cpu())
        .err()
        .expect("a refusal")
        .to_string();
    assert!(error.contains("without tensors"), "{error}");
}
