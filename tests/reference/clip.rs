//! CLIP features and the measures made of them, against transformers and the published script's arithmetic.

use crate::diffusion::{cpu, ids, tensor, values};
use crate::fixture::{Fixture, path_or_skip};
use luxedit::metric::{Clip, ClipFeature};

#[test]
fn clip_metrics() {
    let Some(fixture) = Fixture::open("fixtures/clip_metrics.safetensors") else {
        return;
    };
    let Some(folder) = path_or_skip("clip_tiny") else {
        return;
    };
    let clip = Clip::load(&folder, &cpu()).expect("a model");
    let picture = |name: &str| tensor::<4>(&fixture.get(name), &cpu());
    fixture.check("pixels_0", &values(&clip.preprocess(picture("image_0"))));
    let image = |which: usize| {
        let features = clip.image_features(picture(&format!("image_{which}")));
        fixture.check(&format!("feat_image_{which}"), &values(&features));
        Clip::normalized(features).expect("features")
    };
    let text = |which: usize| {
        let rows = ids(&fixture.get(&format!("text_{which}")));
        let features = clip.text_features(&rows).expect("features");
        fixture.check(&format!("feat_text_{which}"), &values(&features));
        Clip::normalized(features).expect("features")
    };
    let (i0, i1, t0, t1) = (image(0), image(1), text(0), text(1));
    let all =
        |f: &dyn Fn(usize) -> f64, n: usize| -> Vec<f32> { (0..n).map(|k| f(k) as f32).collect() };
    let n = i0.len();
    fixture.check("sim_0", &all(&|k| i0[k].similarity(&t0[k]), n));
    fixture.check("sim_1", &all(&|k| i1[k].similarity(&t1[k]), n));
    fixture.check("sim_image", &all(&|k| i0[k].similarity(&i1[k]), n));
    let direction = |a: &[ClipFeature], b: &[ClipFeature], k: usize| {
        ClipFeature::direction_similarity(&i0[k], &i1[k], &a[k], &b[k])
    };
    fixture.check("sim_direction", &all(&|k| direction(&t0, &t1, k), n));
    fixture.check(
        "consistency",
        &all(&|k| direction(&i0[1..], &i1[1..], k), n - 1),
    );
}

#[test]
fn captions_need_a_tokenizer() {
    let Some(folder) = path_or_skip("clip_tiny") else {
        return;
    };
    let clip = Clip::load(&folder, &cpu()).expect("a model");
    let error = clip.sentence("a fox").expect_err("a refusal").to_string();
    assert!(error.contains("vocab.json"), "{error}");
}
