//! Damaged, incomplete and foreign model folders: each is refused with an error that names what is wrong, and sizes and
//! settings that an edit cannot honour are refused before anything runs. Folders are copies of the tiny reference
//! model, changed one thing at a time.

use burn::tensor::{Device, Tensor};
use luxedit::diffusion::{
    Ddim, EditNoise, EditSettings, EditSolver, EditStep, EulerAncestral, Guidance, GuidanceRange,
    InstructPix2Pix, NoiseSource, Precision, Prediction, SchedulerConfig, SeededNoise,
    image_to_tensor, read, tensor_to_image,
};
use luxedit::error::Cancel;
use luxedit::scene::FloatImage;
use luxedit::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ip2p_tiny")
}

fn device() -> Device {
    Device::flex()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the tiny model") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            // Written anew: the original may be read-only.
            std::fs::write(&target, std::fs::read(entry.path()).expect("a file")).expect("a copy");
        }
    }
}

/// A copy of the tiny model to damage.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_folder(&tiny(), folder.path());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<InstructPix2Pix> {
        InstructPix2Pix::load(self.0.path(), &device(), Precision::Full)
    }

    /// The message of the error that loading gives, which must name all of `named`.
    fn refused(&self, named: &[&str]) -> String {
        let error = match self.load() {
            Ok(_) => panic!("the damaged model was loaded"),
            Err(error) => error,
        };
        assert!(
            matches!(error, Error::File { .. } | Error::Io { .. }),
            "{error:?}"
        );
        let message = error.to_string();
        println!("{message}");
        for name in named {
            assert!(
                message.contains(name),
                "`{name}` is not named in: {message}"
            );
        }
        message
    }

    fn json(
        &self,
        name: &str,
        change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
    ) {
        let path = self.path(name);
        let mut value: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a config")).expect("JSON");
        change(value.as_object_mut().expect("an object"));
        std::fs::write(path, value.to_string()).expect("a written config");
    }

    fn tensors(&self, name: &str, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
        let path = self.path(name);
        let bytes = std::fs::read(&path).expect("weights");
        let mut tensors: BTreeMap<String, Stored> = SafeTensors::deserialize(&bytes)
            .expect("weights")
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let stored = Stored {
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    bytes: view.data().to_vec(),
                };
                (name, stored)
            })
            .collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, stored)| {
            let view = TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes);
            (name.clone(), view.expect("a tensor"))
        });
        safetensors::serialize_to_file(views, None, &path).expect("written weights");
    }
}

struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

#[test]
fn an_unchanged_copy_loads() {
    let folder = Folder::new();
    let copy = folder.load().expect("a model");
    let original = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    assert_eq!(copy.model_hash(), original.model_hash());
    assert_eq!(copy.model_hash().len(), 16);
    // One bit of one bias.
    folder.tensors(UNET, |tensors| {
        let stored = tensors.get_mut("conv_in.bias").expect("a tensor");
        stored.bytes[0] ^= 1;
    });
    let changed = folder.load().expect("a model");
    assert_ne!(changed.model_hash(), original.model_hash());
}

#[test]
fn missing_tensor() {
    for (file, name) in [
        (
            UNET,
            "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        ),
        (UNET, "up_blocks.2.resnets.1.conv2.bias"),
        (VAE, "decoder.up_blocks.0.upsamplers.0.conv.weight"),
        (VAE, "encoder.mid_block.attentions.0.to_q.weight"),
        (TEXT, "text_model.final_layer_norm.weight"),
    ] {
        let folder = Folder::new();
        folder.tensors(file, |tensors| {
            assert!(tensors.remove(name).is_some(), "{name}");
        });
        folder.refused(&["1 tensor missing", name, file]);
    }
}

#[test]
fn missing_feed_forward() {
    let folder = Folder::new();
    folder.tensors(UNET, |tensors| {
        tensors.retain(|name, _| !name.contains(".ff.net.0.proj."))
    });
    folder.refused(&["missing", "ff.net.0.proj.weight", "more"]);
}

#[test]
fn all_tensors_missing() {
    let folder = Folder::new();
    folder.tensors(UNET, |tensors| {
        tensors.retain(|name, _| name == "conv_in.bias")
    });
    let message = folder.refused(&["missing", "conv_in.weight", "more"]);
    assert!(message.len() < 1500, "a short list: {message}");
}

#[test]
fn unknown_tensor() {
    let folder = Folder::new();
    folder.tensors(UNET, |tensors| {
        let stored = Stored {
            dtype: Dtype::F32,
            shape: vec![1],
            bytes: vec![0; 4],
        };
        tensors.insert("down_blocks.7.surprise".into(), stored);
    });
    folder.refused(&["1 tensor unknown", "down_blocks.7.surprise", UNET]);
}

#[test]
fn wrong_shape() {
    let folder = Folder::new();
    folder.tensors(VAE, |tensors| {
        let stored = tensors.get_mut("encoder.conv_in.weight").expect("a tensor");
        stored.shape.reverse();
    });
    folder.refused(&["encoder.conv_in.weight", "[3, 3, 3, 16]", "[16, 3, 3, 3]"]);
}

#[test]
fn integers_for_weights() {
    let folder = Folder::new();
    folder.tensors(VAE, |tensors| {
        tensors
            .get_mut("encoder.conv_in.bias")
            .expect("a tensor")
            .dtype = Dtype::I32;
    });
    folder.refused(&["encoder.conv_in.bias", "I32"]);
}

#[test]
fn truncated_weights() {
    for file in [UNET, VAE, TEXT] {
        for keep in [0, 5, 100, 20_000, usize::MAX] {
            let folder = Folder::new();
            let path = folder.path(file);
            let bytes = std::fs::read(&path).expect("weights");
            std::fs::write(&path, &bytes[..keep.min(bytes.len() - 1)]).expect("a cut file");
            folder.refused(&[file]);
        }
    }
}

#[test]
fn garbage_weights() {
    let folder = Folder::new();
    std::fs::write(folder.path(UNET), vec![0xA5; 4096]).expect("garbage");
    folder.refused(&[UNET]);
}

#[test]
fn weights_in_another_format() {
    let folder = Folder::new();
    for name in [UNET, "unet/diffusion_pytorch_model.fp16.safetensors"] {
        std::fs::remove_file(folder.path(name)).expect("removed");
    }
    folder.refused(&["unet", "diffusion_pytorch_model.safetensors"]);
    std::fs::write(folder.path("unet/diffusion_pytorch_model.bin"), b"x").expect("written");
    folder.refused(&[".bin", "safetensors"]);
}

#[test]
fn broken_configs() {
    for name in [
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
    ] {
        let folder = Folder::new();
        std::fs::write(folder.path(name), "{\"act_fn\": ").expect("written");
        folder.refused(&[name]);
        std::fs::write(folder.path(name), "[1, 2]").expect("written");
        folder.refused(&[name]);
    }
}

#[test]
fn unsupported_and_impossible_settings() {
    for (file, key, value) in [
        ("unet/config.json", "act_fn", "\"mish\""),
        ("unet/config.json", "addition_embed_type", "\"text_time\""),
        ("unet/config.json", "class_embed_type", "\"timestep\""),
        (
            "unet/config.json",
            "down_block_types",
            "[\"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"]",
        ),
        ("unet/config.json", "mid_block_type", "\"UNetMidBlock2D\""),
        ("unet/config.json", "num_attention_heads", "4"),
        (
            "unet/config.json",
            "resnet_time_scale_shift",
            "\"scale_shift\"",
        ),
        ("unet/config.json", "norm_num_groups", "7"),
        (
            "unet/config.json",
            "only_cross_attention",
            "[true, false, false]",
        ),
        ("unet/config.json", "layers_per_block", "[2, 2]"),
        ("unet/config.json", "block_out_channels", "[24, -1, 40]"),
        ("unet/config.json", "norm_eps", "\"small\""),
        (
            "vae/config.json",
            "up_block_types",
            "[\"AttnUpDecoderBlock2D\"]",
        ),
        ("vae/config.json", "shift_factor", "0.1"),
        ("vae/config.json", "block_out_channels", "null"),
        ("text_encoder/config.json", "hidden_act", "\"relu\""),
        ("text_encoder/config.json", "num_attention_heads", "5"),
        (
            "scheduler/scheduler_config.json",
            "_class_name",
            "\"HeunDiscreteScheduler\"",
        ),
        (
            "scheduler/scheduler_config.json",
            "prediction_type",
            "\"sample\"",
        ),
        (
            "scheduler/scheduler_config.json",
            "beta_schedule",
            "\"sigmoid\"",
        ),
        (
            "scheduler/scheduler_config.json",
            "timestep_spacing",
            "\"random\"",
        ),
        (
            "scheduler/scheduler_config.json",
            "rescale_betas_zero_snr",
            "true",
        ),
    ] {
        let folder = Folder::new();
        folder.json(file, |config| {
            config.insert(key.into(), serde_json::from_str(value).expect("JSON"));
        });
        folder.refused(&[file, &format!("`{key}`")]);
    }
}

#[test]
fn missing_parts() {
    for part in ["unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
        let folder = Folder::new();
        std::fs::remove_dir_all(folder.path(part)).expect("removed");
        folder.refused(&[&format!("{part}/"), "missing"]);
    }
    for file in [
        "unet/config.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "scheduler/scheduler_config.json",
    ] {
        let folder = Folder::new();
        std::fs::remove_file(folder.path(file)).expect("removed");
        folder.refused(&[file]);
    }
    let nowhere = Path::new("/nonexistent/model");
    let error = InstructPix2Pix::load(nowhere, &device(), Precision::Full)
        .err()
        .expect("an error");
    assert!(error.to_string().contains("/nonexistent/model"), "{error}");
}

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
fn merges_outside_the_vocabulary() {
    let folder = Folder::new();
    let path = folder.path("tokenizer/merges.txt");
    let mut merges = std::fs::read_to_string(&path).expect("merges");
    merges.push_str("zzzzq qqqqz\n");
    std::fs::write(&path, merges).expect("written");
    folder.refused(&["merges.txt", "zzzzq"]);
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

fn gradient(width: u32, height: u32) -> FloatImage {
    let rgb = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [x as f32 / width as f32, y as f32 / height as f32, 0.5])
        .collect();
    FloatImage::new(width, height, rgb)
}

fn edit(
    model: &InstructPix2Pix,
    picture: &FloatImage,
    settings: &EditSettings,
    start: u32,
    seed: u64,
    cancel: &Cancel,
    on_step: &mut dyn FnMut(&EditStep),
) -> Result<FloatImage> {
    let device = model.device();
    let shape = model.latent_shape(picture.height as usize, picture.width as usize);
    let noise = EditNoise::seeded(seed, 0, shape, device);
    let embedding = model.encode_prompt("turn him into a clown", "")?;
    let original = model.original_latents(image_to_tensor(picture, device))?;
    let render = image_to_tensor(picture, device);
    tensor_to_image(model.edit(
        render, &original, &embedding, settings, start, &noise, cancel, on_step,
    )?)
}

const FEW_STEPS: EditSettings = EditSettings {
    guidance: Guidance {
        guidance_scale: 7.5,
        image_guidance_scale: 1.5,
    },
    diffusion_steps: 3,
    solver: EditSolver::Ddim,
    guidance_range: GuidanceRange::ALL,
};

#[test]
fn any_size_comes_back_at_its_size() {
    let model = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    for (width, height) in [(61, 45), (8, 8), (15, 33), (72, 40)] {
        let picture = gradient(width, height);
        let edited = edit(
            &model,
            &picture,
            &FEW_STEPS,
            700,
            3,
            &Cancel::default(),
            &mut |_| {},
        )
        .expect("an edited picture");
        assert_eq!((edited.width, edited.height), (width, height));
        for v in &edited.rgb {
            assert!((0.0..=1.0).contains(v), "{width}×{height}: {v}");
        }

        let embedding = model
            .encode_prompt("turn him into a clown", "")
            .expect("an embedding");
        let tried = model
            .edit_image(
                image_to_tensor(&picture, &device()),
                &embedding,
                &FEW_STEPS,
                &model.scheduler,
                &mut SeededNoise::new(5),
                &Cancel::default(),
                &mut |_| {},
            )
            .expect("an edited picture");
        assert_eq!(tried.dims(), [1, 3, height as usize, width as usize]);
    }
    let error = edit(
        &model,
        &gradient(7, 64),
        &FEW_STEPS,
        700,
        3,
        &Cancel::default(),
        &mut |_| {},
    )
    .expect_err("too small");
    assert!(error.to_string().contains("7×64"), "{error}");
}

/// Sides that the autoencoder floors are interpolated back bilinearly, pixel centres at ½.
#[test]
fn floored_sides_are_resized_bilinearly() {
    let model = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    let (width, height) = (61usize, 45usize);
    let factor = model.vae.factor();
    let (w, h) = (width / factor * factor, height / factor * factor);
    let values = SeededNoise::new(2).normals(model.latent_shape(height, width).iter().product());
    let latents = || {
        let data = burn::tensor::TensorData::new(values.clone(), model.latent_shape(height, width));
        Tensor::<4>::from_data(data, &device()) * 0.5
    };
    let small = read(model.decode(latents(), h, w).expect("a picture")).expect("values");
    let large = read(model.decode(latents(), height, width).expect("a picture")).expect("values");
    let source = |at: usize, to: usize, from: usize| {
        let position =
            ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        let low = position as usize;
        (low, (low + 1).min(from - 1), position - low as f64)
    };
    for c in 0..3 {
        let pixel = |y: usize, x: usize| f64::from(small[(c * h + y) * w + x]);
        for y in 0..height {
            for x in 0..width {
                let ((y0, y1, fy), (x0, x1, fx)) = (source(y, height, h), source(x, width, w));
                let top = pixel(y0, x0) * (1.0 - fx) + pixel(y0, x1) * fx;
                let bottom = pixel(y1, x0) * (1.0 - fx) + pixel(y1, x1) * fx;
                let expected = top * (1.0 - fy) + bottom * fy;
                let got = f64::from(large[(c * height + y) * width + x]);
                assert!(
                    (got - expected).abs() < 1e-5,
                    "({x}, {y}): {got}, expected {expected}"
                );
            }
        }
    }
}

#[test]
fn a_seed_repeats_an_edit() {
    let model = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    let picture = gradient(48, 32);
    let run = |seed| {
        edit(
            &model,
            &picture,
            &FEW_STEPS,
            900,
            seed,
            &Cancel::default(),
            &mut |_| {},
        )
        .expect("an edited picture")
    };
    let first = run(11);
    assert_eq!(first, run(11));
    assert_ne!(first, run(12));
}

#[test]
fn seeded_noise_is_standard_normal() {
    let values = SeededNoise::new(1).normals(100_001);
    let n = values.len() as f64;
    let moment = |power: i32| {
        values
            .iter()
            .map(|&v| f64::from(v).powi(power))
            .sum::<f64>()
            / n
    };
    assert_eq!(values.len(), 100_001);
    assert!(moment(1).abs() < 0.02, "mean {}", moment(1));
    assert!((moment(2) - 1.0).abs() < 0.02, "variance {}", moment(2));
    assert!(moment(3).abs() < 0.05, "skewness {}", moment(3));
    assert!((moment(4) - 3.0).abs() < 0.1, "kurtosis {}", moment(4));
    assert_eq!(values[..5], SeededNoise::new(1).normals(5));
}

#[test]
fn too_many_steps_are_explained() {
    let model = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    let settings = EditSettings {
        diffusion_steps: 20,
        ..FEW_STEPS
    };
    let refuse = |settings: &EditSettings, start: u32| {
        edit(
            &model,
            &gradient(16, 16),
            settings,
            start,
            1,
            &Cancel::default(),
            &mut |_| {},
        )
        .expect_err("an impossible schedule")
        .to_string()
    };
    let message = refuse(&settings, 19);
    assert!(
        message.contains("20") && message.contains("19"),
        "{message}"
    );
    let message = refuse(&settings, 2000);
    assert!(message.contains("2000"), "{message}");
    let message = refuse(
        &EditSettings {
            diffusion_steps: 0,
            ..settings
        },
        500,
    );
    assert!(message.contains("at least one"), "{message}");
}

#[test]
fn cancelling_stops_before_the_next_step() {
    let model = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    let cancel = Cancel::default();
    let mut done = 0;
    let error = edit(
        &model,
        &gradient(16, 16),
        &EditSettings::default(),
        700,
        1,
        &cancel,
        &mut |step| {
            done = step.done;
            if step.done == 2 {
                cancel.cancel();
            }
        },
    )
    .expect_err("stopped");
    assert!(matches!(error, Error::Cancelled), "{error:?}");
    assert_eq!(done, 2);
}

#[test]
fn pictures_survive_the_round_trip() {
    let picture = gradient(5, 3);
    let tensor = image_to_tensor(&picture, &device());
    assert_eq!(tensor.dims(), [1, 3, 3, 5]);
    assert_eq!(tensor_to_image(tensor).expect("a picture"), picture);
    let error = tensor_to_image(Tensor::zeros([1, 4, 2, 2], &device())).expect_err("no picture");
    assert!(error.to_string().contains('4'), "{error}");
}

#[test]
fn foreign_solvers_share_the_noise_table() {
    let folder = Folder::new();
    let name = "scheduler/scheduler_config.json";
    let own = SchedulerConfig::load(&folder.path("scheduler")).expect("a scheduler");
    folder.json(name, |config| {
        config.insert("_class_name".into(), "PNDMScheduler".into());
    });
    let foreign = SchedulerConfig::load(&folder.path("scheduler")).expect("a scheduler");
    assert_eq!(own.alphas_cumprod, foreign.alphas_cumprod);
    assert_eq!(foreign.solver, luxedit::diffusion::Solver::Ddim);
}
