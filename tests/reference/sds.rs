//! Score distillation, its gradient taken back through the autoencoder's encoder, against PyTorch's autograd.

use crate::diffusion::{cpu, model, number, param_cases, tensor, text, values};
use crate::fixture::{Fixture, path_or_skip};
use burn::tensor::{Tensor, TensorData};
use luxedit::diffusion::{EditNoise, Guidance, Precision, Vae};
use luxedit::error::Cancel;

#[test]
fn score_distillation() {
    let Some(fixture) = Fixture::open("fixtures/sds.safetensors") else {
        return;
    };
    let Some(model) = model() else { return };
    let device = cpu();
    for (case, params) in param_cases(&fixture) {
        let name = |what: &str| format!("{case}.{what}");
        let get = |what: &str| tensor::<4>(&fixture.get(&name(what)), &device);
        let embedding = model
            .encode_prompt(text(&params, "prompt"), "")
            .expect("an embedding");
        let original = model
            .original_latents(get("original"))
            .expect("the condition");
        let guidance = Guidance {
            guidance_scale: number(&params, "guidance_scale"),
            image_guidance_scale: number(&params, "image_guidance_scale"),
        };
        let noise = EditNoise {
            posterior: get("noise_posterior"),
            diffusion: get("noise"),
        };
        let distill = |noise: &EditNoise| {
            let timestep = number(&params, "t") as u32;
            let cancel = Cancel::default();
            model
                .distill(
                    get("render"),
                    &original,
                    &embedding,
                    guidance,
                    timestep,
                    noise,
                    &cancel,
                )
                .expect("a gradient")
        };
        let found = distill(&noise);
        fixture.check(&name("eps_cfg"), &values(&found.prediction));
        let d_latents = values(&found.d_latents);
        fixture.check(&name("grad_latents"), &d_latents);
        fixture.check(&name("grad_image"), &values(&found.d_render));
        let expected: f64 = d_latents.iter().map(|g| 0.5 * f64::from(*g).powi(2)).sum();
        let loss = f64::from(values(&found.loss)[0]);
        assert!(
            (loss - expected).abs() <= 1e-4 * expected,
            "{loss} {expected}"
        );

        // Without posterior noise, the sample is the mode.
        let quiet = EditNoise {
            posterior: noise.posterior.zeros_like(),
            ..noise
        };
        let d_mode = distill(&quiet).d_render;
        fixture.check(&name("grad_image_mode"), &values(&d_mode));
    }
}

#[test]
fn an_unknown_timestep_is_refused() {
    let Some(model) = model() else { return };
    let picture = Tensor::<4>::zeros([1, 3, 16, 16], &cpu());
    let original = model.original_latents(picture.clone()).expect("latents");
    let error = model
        .distill(
            picture,
            &original,
            &model.encode_prompt("", "").expect("an embedding"),
            Guidance {
                guidance_scale: 7.5,
                image_guidance_scale: 1.5,
            },
            1000,
            &EditNoise::seeded(0, 0, model.latent_shape(16, 16), &cpu()),
            &Cancel::default(),
        )
        .err()
        .expect("a refusal")
        .to_string();
    assert!(error.contains("1000") && error.contains("999"), "{error}");
}

/// Sides that the autoencoder floors, and the gradient against central differences along a random direction.
#[test]
fn the_encoders_gradient_is_its_slope() {
    let Some(folder) = path_or_skip("ip2p_tiny/vae") else {
        return;
    };
    let vae = Vae::load(&folder, Precision::Full, &cpu()).expect("an autoencoder");
    for (height, width) in [(24, 40), (29, 35), (16, 23)] {
        let wave = |n: usize, phase: f32| -> Vec<f32> {
            (0..n)
                .map(|i| (i as f32 * 0.37 + phase).sin() * 0.8)
                .collect()
        };
        let on = |values: Vec<f32>, shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values, shape), &cpu())
        };
        let shape = [1, 3, height, width];
        let n = 3 * height * width;
        let picture = on(wave(n, 0.0), shape);
        let direction = on(wave(n, 1.7), shape);
        let latents = [1, vae.latent_channels(), height / 8, width / 8];
        let m: usize = latents.iter().product();
        let (weight, noise) = (on(wave(m, 0.3), latents), on(wave(m, 2.9), latents));
        let score = |picture: Tensor<4>| -> f64 {
            let sample = vae.encode(picture).sample(noise.clone());
            values(&(sample * weight.clone()))
                .iter()
                .map(|v| f64::from(*v))
                .sum()
        };
        let step = 1e-2;
        let slope = (score(picture.clone() + direction.clone() * step)
            - score(picture.clone() - direction.clone() * step))
            / (2.0 * step);
        let (_, kept) = vae.encode_kept(picture);
        let gradient = kept.backward(weight.clone(), noise.clone());
        assert_eq!(gradient.dims(), shape);
        let along: f64 = values(&(gradient * direction))
            .iter()
            .map(|v| f64::from(*v))
            .sum();
        println!("{width}×{height}: slope {slope:.6}, gradient {along:.6}");
        assert!(
            (slope - along).abs() <= 1e-2 * slope.abs().max(0.1),
            "{width}×{height}: slope {slope}, gradient {along}"
        );
    }
}
