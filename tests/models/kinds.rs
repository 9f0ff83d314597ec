//! Models that differ and are as good: precisions, configurations, predictions.

use crate::common::{Folder, Stored, TEXT, UNET, VAE, device, gradient, tiny};
use burn::tensor::Tensor;
use luxedit::diffusion::{
    Ddim, EulerAncestral, InstructPix2Pix, NoiseSource, Precision, Prediction, SchedulerConfig,
    SeededNoise, image_to_tensor, read,
};
use safetensors::tensor::Dtype;
use std::path::Path;

#[test]
fn optional_parts() {
    let folder = Folder::new();
    for file in ["model_index.json", "tokenizer/special_tokens_map.json"] {
        std::fs::remove_file(folder.path(file)).expect("removed");
    }
    std::fs::remove_dir_all(folder.path("scheduler_ddim")).expect("removed");
    let model = folder.load().expect("a model");
    let ids = model.tokenizer.encode("");
    assert_eq!(ids.len(), model.text_encoder.max_length());
    assert!(
        ids[1..].iter().all(|id| *id == ids[1]),
        "padded with the end of text"
    );
}

#[test]
fn another_kind_of_model() {
    let folder = Folder::new();
    folder.json("unet/config.json", |config| {
        config.insert("in_channels".into(), 4.into());
    });
    folder.tensors(UNET, |tensors| {
        let stored = tensors.get_mut("conv_in.weight").expect("a tensor");
        stored.shape[1] = 4;
        stored.bytes.truncate(stored.bytes.len() / 2);
    });
    folder.refused(&["in_channels", "8"]);
}

#[test]
fn half_precision_serves_where_full_is_absent() {
    let folder = Folder::new();
    for name in [UNET, VAE, TEXT] {
        std::fs::remove_file(folder.path(name)).expect("removed");
    }
    let fallen = folder.load().expect("a model");
    let half = InstructPix2Pix::load(&tiny(), &device(), Precision::Half).expect("a model");
    let full = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    assert_eq!(fallen.model_hash(), half.model_hash());
    assert_ne!(half.model_hash(), full.model_hash());
}

/// bf16 and f64 files hold the same model as f32, to their precision.
#[test]
fn other_float_types() {
    let picture = gradient(64, 64);
    let expected = {
        let model = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
        read(
            model
                .original_latents(image_to_tensor(&picture, &device()))
                .expect("latents"),
        )
        .expect("values")
    };
    for (dtype, tolerance) in [(Dtype::F64, 1e-6), (Dtype::BF16, 0.5)] {
        let folder = Folder::new();
        folder.tensors(VAE, |tensors| {
            for stored in tensors.values_mut() {
                let values = stored
                    .bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b));
                stored.bytes = match dtype {
                    Dtype::F64 => values.flat_map(|v| f64::from(v).to_le_bytes()).collect(),
                    _ => values
                        .flat_map(|v| half::bf16::from_f32(v).to_le_bytes())
                        .collect(),
                };
                stored.dtype = dtype;
            }
        });
        let model = folder.load().expect("a model");
        let latents = model
            .original_latents(image_to_tensor(&picture, &device()))
            .expect("latents");
        let got = read(latents).expect("values");
        let worst = got
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!("{dtype:?}: worst difference {worst:.2e}");
        assert!(worst < tolerance, "{dtype:?}: {worst}");
    }
}

/// The same network said differently: projections as matrices, one number a level, transformers with a second block
/// that adds nothing.
#[test]
fn equivalent_configs() {
    let predict = |folder: &Path| {
        let device = device();
        let unet =
            luxedit::diffusion::UNet::load(folder, Precision::Full, &device).expect("a denoiser");
        let mut noise = SeededNoise::new(4);
        let sample = noise.next([2, unet.in_channels(), 7, 10], &device);
        let prompt = noise
            .next([1, 2, 77, unet.prompt_features()], &device)
            .squeeze_dim::<3>(0);
        read(unet.forward(sample, &[321.5], &unet.prompt_keys(&prompt))).expect("values")
    };
    let expected = predict(&tiny().join("unet"));
    let scale = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let same = |folder: &Folder| {
        let got = predict(&folder.path("unet"));
        let worst = got
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst <= 1e-5 * scale, "{worst} of {scale}");
    };

    let folder = Folder::new();
    folder.json("unet/config.json", |config| {
        config.insert("use_linear_projection".into(), true.into());
        for key in [
            "attention_head_dim",
            "layers_per_block",
            "transformer_layers_per_block",
            "cross_attention_dim",
        ] {
            let value = config[key].clone();
            config.insert(key.into(), serde_json::Value::Array(vec![value; 3]));
        }
    });
    folder.refused(&["proj_in.weight"]);
    folder.tensors(UNET, |tensors| {
        for (name, stored) in tensors {
            if name.ends_with("proj_in.weight") || name.ends_with("proj_out.weight") {
                stored.shape.truncate(2);
            }
        }
    });
    same(&folder);

    let folder = Folder::new();
    folder.json("unet/config.json", |config| {
        config.insert("transformer_layers_per_block".into(), 2.into());
    });
    folder.refused(&["transformer_blocks.1"]);
    folder.tensors(UNET, |tensors| {
        let copies: Vec<_> = tensors
            .iter()
            .filter(|(name, _)| name.contains(".transformer_blocks.0."))
            .map(|(name, stored)| {
                let silent = ["attn1.to_out.0", "attn2.to_out.0", "ff.net.2"]
                    .iter()
                    .any(|part| name.contains(part));
                let bytes = if silent {
                    vec![0; stored.bytes.len()]
                } else {
                    stored.bytes.clone()
                };
                let name = name.replace(".transformer_blocks.0.", ".transformer_blocks.1.");
                (
                    name,
                    Stored {
                        dtype: stored.dtype,
                        shape: stored.shape.clone(),
                        bytes,
                    },
                )
            })
            .collect();
        tensors.extend(copies);
    });
    same(&folder);
}

/// A velocity says the same as the noise that it is made of, to both solvers.
#[test]
fn velocity_prediction() {
    let epsilon = SchedulerConfig::load(&tiny().join("scheduler")).expect("a scheduler");
    let velocity = SchedulerConfig {
        prediction: Prediction::Velocity,
        ..epsilon.clone()
    };
    let mut noise = SeededNoise::new(9);
    let mut next = || noise.next([1, 4, 5, 6], &device());
    let (sample, eps, fresh) = (next(), next(), next());
    let close = |a: Tensor<4>, b: Tensor<4>| {
        let (a, b) = (read(a).expect("values"), read(b).expect("values"));
        let scale = a.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        let worst = a
            .iter()
            .zip(&b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst <= 1e-4 * scale, "{worst} of {scale}");
    };

    let (by_noise, by_velocity) = (Ddim::new(&epsilon, 10), Ddim::new(&velocity, 10));
    let (by_noise, by_velocity) = (
        by_noise.expect("a schedule"),
        by_velocity.expect("a schedule"),
    );
    for &t in &by_noise.timesteps {
        let alpha = epsilon.alphas_cumprod[t];
        let (a, b) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let clean = (sample.clone() - eps.clone() * b) / a;
        let v = eps.clone() * a - clean * b;
        close(
            by_noise.step(eps.clone(), t, sample.clone()),
            by_velocity.step(v, t, sample.clone()),
        );
    }

    let (by_noise, by_velocity) = (
        EulerAncestral::new(&epsilon, 10),
        EulerAncestral::new(&velocity, 10),
    );
    let (by_noise, by_velocity) = (
        by_noise.expect("a schedule"),
        by_velocity.expect("a schedule"),
    );
    for i in 0..10 {
        let sigma = by_noise.sigmas[i];
        let root = (sigma * sigma + 1.0).sqrt();
        let sample = sample.clone() * by_noise.init_noise_sigma;
        let clean = sample.clone() - eps.clone() * sigma;
        let v = eps.clone() / root - clean * (sigma / root);
        close(
            by_noise.step(eps.clone(), i, sample.clone(), fresh.clone()),
            by_velocity.step(v, i, sample, fresh.clone()),
        );
    }
}

/// transformers 5 saves the text encoder without its prefix, and pieces and merges in one file.
#[test]
fn as_transformers_5_saves_it() {
    let folder = Folder::new();
    let before = folder.load().expect("a model");
    folder.tensors(TEXT, |tensors| {
        *tensors = std::mem::take(tensors)
            .into_iter()
            .map(|(name, stored)| (name.replace("text_model.", ""), stored))
            .collect();
    });
    let [vocabulary, merges] = ["vocab.json", "merges.txt"].map(|name| {
        let path = folder.path("tokenizer").join(name);
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::remove_file(&path).expect("to remove it");
        text
    });
    let vocabulary: serde_json::Value = serde_json::from_str(&vocabulary).expect("JSON");
    let pairs: Vec<_> = merges
        .lines()
        .skip(1)
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .collect();
    let write = |merges: serde_json::Value| {
        let joined =
            serde_json::json!({"model": {"type": "BPE", "vocab": vocabulary, "merges": merges}});
        std::fs::write(
            folder.path("tokenizer").join("tokenizer.json"),
            joined.to_string(),
        )
        .expect("to write it");
    };
    let text = "Make him a marble statue, 25 years old!";
    let expected = before.encode_prompt(text, "").expect("an embedding");
    for merges in [
        serde_json::json!(pairs),
        serde_json::json!(pairs.iter().map(|pair| pair.join(" ")).collect::<Vec<_>>()),
    ] {
        write(merges);
        let after = folder.load().expect("a model");
        assert_eq!(after.tokenizer.encode(text), before.tokenizer.encode(text));
        let got = after.encode_prompt(text, "").expect("an embedding");
        got.prompt
            .into_data()
            .assert_eq(&expected.prompt.clone().into_data(), true);
    }
    write(serde_json::json!([["a"]]));
    folder.refused(&["tokenizer.json", "byte pairs"]);
}
