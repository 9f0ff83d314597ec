//! Folders with something missing or wrong: each is named.

use crate::common::{Folder, Stored, TEXT, UNET, VAE, device, tiny};
use luxedit::diffusion::{InstructPix2Pix, Precision};
use safetensors::tensor::Dtype;
use std::path::Path;

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
fn merges_outside_the_vocabulary() {
    let folder = Folder::new();
    let path = folder.path("tokenizer/merges.txt");
    let mut merges = std::fs::read_to_string(&path).expect("merges");
    merges.push_str("zzzzq qqqqz\n");
    std::fs::write(&path, merges).expect("written");
    folder.refused(&["merges.txt", "zzzzq"]);
}
