//! Checkpoints of others: pickles are read as data, the original InstructPix2Pix file is the same model as its diffusers
//! folder, and a model is examined tensor by tensor. The pickles were written by PyTorch; the names were checked against
//! diffusers' own converters (`fixtures/checkpoints/make.py`).

use burn::tensor::{Device, Tensor};
use luxedit::diffusion::{InstructPix2Pix, Precision, SelfTest, Tokenizer, check_model, self_test};
use luxedit::formats::torch::{Checkpoint, Item, Stored};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).expect("a fixture")
}

fn error_of(name: &str) -> String {
    let bytes = read(name);
    let path = fixture(name);
    match Checkpoint::read(&path, &bytes) {
        Ok(_) => panic!("{name} should be refused"),
        Err(e) => e.to_string(),
    }
}

fn floats(bytes: &[u8], stored: &Stored) -> Vec<f32> {
    let bytes = &bytes[stored.range.clone()];
    let values = |size: usize, f: &dyn Fn(&[u8]) -> f32| bytes.chunks(size).map(f).collect();
    match stored.dtype {
        Dtype::F32 => values(4, &|b| f32::from_le_bytes(b.try_into().unwrap())),
        Dtype::F64 => values(8, &|b| f64::from_le_bytes(b.try_into().unwrap()) as f32),
        Dtype::I64 => values(8, &|b| i64::from_le_bytes(b.try_into().unwrap()) as f32),
        Dtype::BOOL => values(1, &|b| f32::from(b[0])),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nested_values_and_tensors_come_back_in_both_layouts() {
    for name in ["checkpoints/nested.ckpt", "checkpoints/nested_row.ckpt"] {
        let bytes = read(name);
        let path = fixture(name);
        let checkpoint = Checkpoint::read(&path, &bytes).unwrap_or_else(|e| panic!("{e}"));
        let root = checkpoint.root();
        let get = |item: Item<'_, '_>, key: &str| {
            assert!(item.is_dict());
            item.entries().any(|(k, _)| k.as_str() == Some(key))
        };
        assert!(get(root, "pipeline") && !get(root, "nothing"));
        assert_eq!(root.get("step").unwrap().as_int(), Some(29999));
        assert_eq!(root.get("negative").unwrap().as_int(), Some(-3));
        assert_eq!(root.get("rate").unwrap().as_float(), Some(0.00125));
        assert_eq!(root.get("name").unwrap().as_str(), Some("bust – Büste"));
        let flags: Vec<_> = root
            .get("flags")
            .unwrap()
            .items()
            .map(Item::as_bool)
            .collect();
        assert_eq!(flags, [Some(true), Some(false), None]);
        let size: Vec<_> = root
            .get("size")
            .unwrap()
            .items()
            .map(Item::as_int)
            .collect();
        assert_eq!(size, [Some(3), Some(4)]);

        let pipeline = root.get("pipeline").unwrap();
        let tensor = |key: &str| {
            let item = pipeline.get(key).unwrap_or_else(|| panic!("no {key}"));
            checkpoint.tensor(key, item).unwrap().expect("a tensor")
        };
        for (key, dtype, shape) in [
            ("means", Dtype::F32, vec![5, 3]),
            ("halves", Dtype::F16, vec![4]),
            ("brain", Dtype::BF16, vec![4]),
            ("doubles", Dtype::F64, vec![2, 2]),
            ("counts", Dtype::I64, vec![3]),
            ("mask", Dtype::BOOL, vec![2]),
            ("scalar", Dtype::F32, vec![]),
            ("none", Dtype::F32, vec![0, 3]),
            ("view", Dtype::F32, vec![2, 4]),
            ("parameter", Dtype::F32, vec![2]),
        ] {
            let stored = tensor(key);
            assert_eq!((stored.dtype, &stored.shape), (dtype, &shape), "{key}");
            let elements: usize = shape.iter().product();
            assert_eq!(stored.range.len(), elements * dtype.bitsize() / 8, "{key}");
        }
        assert_eq!(floats(&bytes, &tensor("counts")), [1.0, -2.0, 3.0]);
        assert_eq!(floats(&bytes, &tensor("mask")), [1.0, 0.0]);
        assert_eq!(floats(&bytes, &tensor("scalar")), [2.5]);
        assert_eq!(floats(&bytes, &tensor("parameter")), [1.0, 1.0]);
        let view: Vec<f32> = (4..12u8).map(f32::from).collect();
        assert_eq!(floats(&bytes, &tensor("view")), view, "the offset counts");
        // torch.manual_seed(0); torch.randn(5, 3)[0]
        let means = floats(&bytes, &tensor("means"));
        for (found, expected) in means.iter().zip([1.5410, -0.2934, -2.1788]) {
            assert!((found - expected).abs() < 1e-4, "{means:?}");
        }

        let group = root.get("optimizers").and_then(|o| o.get("means")).unwrap();
        let lr = group.get("param_groups").unwrap().items().next().unwrap();
        assert_eq!(lr.get("lr").unwrap().as_float(), Some(1e-4));
        let (key, state) = group.get("state").unwrap().entries().next().unwrap();
        assert_eq!(key.as_int(), Some(0));
        let moment = state.get("exp_avg").unwrap();
        let moment = checkpoint.tensor("exp_avg", moment).unwrap().unwrap();
        assert_eq!(moment.shape, [5, 3]);
    }
}

#[test]
fn what_a_pickle_would_call_is_named_and_not_called() {
    let error = error_of("checkpoints/hostile.ckpt");
    assert!(error.contains("posix.system"), "{error}");
    assert!(error.contains("not run"), "{error}");
    assert!(!Path::new("/tmp/luxedit-was-here").exists());
}

#[test]
fn a_view_with_gaps_is_refused_by_name() {
    let name = "checkpoints/transposed.ckpt";
    let (bytes, path) = (read(name), fixture(name));
    let checkpoint = Checkpoint::read(&path, &bytes).unwrap();
    let item = checkpoint.root().get("transposed").unwrap();
    let error = checkpoint
        .tensor("transposed", item)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`transposed`") && error.contains("contiguous"),
        "{error}"
    );
}

/// One tensor of the original layout.
#[derive(Deserialize)]
struct Row {
    name: String,
    /// Where its numbers are in the diffusers folder; `None`: nowhere, they play no part.
    part: Option<String>,
    diffusers: Option<String>,
    shape: Vec<usize>,
    #[serde(default)]
    dtype: Option<String>,
}

fn rows() -> Vec<Row> {
    serde_json::from_slice(&read("checkpoints/names.json")).expect("names")
}

/// The numbers of every row, in half precision as stored. What plays no part is not a number: it must not be used.
fn numbers(rows: &[Row]) -> Vec<Vec<u8>> {
    let files: HashMap<&str, Vec<u8>> = [
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ]
    .into_iter()
    .map(|(part, stem)| {
        (
            part,
            read(&format!("ip2p_tiny/{part}/{stem}.fp16.safetensors")),
        )
    })
    .collect();
    let tables: HashMap<&str, SafeTensors<'_>> = files
        .iter()
        .map(|(part, bytes)| (*part, SafeTensors::deserialize(bytes).expect("weights")))
        .collect();
    rows.iter()
        .map(|row| match (&row.part, &row.diffusers) {
            (Some(part), Some(name)) => tables[part.as_str()]
                .tensor(name)
                .unwrap_or_else(|e| panic!("{name}: {e}"))
                .data()
                .to_vec(),
            _ => {
                let size = if row.dtype.is_some() { 4 } else { 2 };
                vec![0xff; row.shape.iter().product::<usize>() * size]
            }
        })
        .collect()
}

fn as_safetensors(rows: &[Row], numbers: &[Vec<u8>]) -> Vec<u8> {
    let views = rows.iter().zip(numbers).map(|(row, bytes)| {
        let dtype = match row.dtype.as_deref() {
            Some("I32") => Dtype::I32,
            Some(_) => Dtype::F32,
            None if row.name.ends_with("position_ids") => Dtype::I64,
            None => Dtype::F16,
        };
        let view = TensorView::new(dtype, row.shape.clone(), bytes).expect("a view");
        (row.name.clone(), view)
    });
    safetensors::serialize(views, None).expect("a file")
}

/// A ZIP64 archive of stored entries, as PyTorch writes it for checkpoints beyond 4 GiB.
fn zip64(entries: &[(String, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let le =
        |out: &mut Vec<u8>, value: u64, bytes: usize| out.extend(&value.to_le_bytes()[..bytes]);
    for (name, content) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let local = out.len() as u64;
        le(&mut out, 0x0403_4b50, 4);
        let mut common = Vec::new();
        for value in [45, 0, 0, 0, 0] {
            le(&mut common, value, 2);
        }
        le(&mut common, u64::from(crc.sum()), 4);
        le(&mut common, 0xffff_ffff, 4);
        le(&mut common, 0xffff_ffff, 4);
        le(&mut common, name.len() as u64, 2);
        out.extend(&common);
        le(&mut out, 20, 2);
        out.extend(name.bytes());
        le(&mut out, 1, 2);
        le(&mut out, 16, 2);
        le(&mut out, content.len() as u64, 8);
        le(&mut out, content.len() as u64, 8);
        out.extend(*content);

        le(&mut directory, 0x0201_4b50, 4);
        le(&mut directory, 45, 2);
        directory.extend(&common);
        le(&mut directory, 28, 2);
        directory.extend([0; 10]);
        le(&mut directory, 0xffff_ffff, 4);
        directory.extend(name.bytes());
        le(&mut directory, 1, 2);
        le(&mut directory, 24, 2);
        for value in [content.len() as u64, content.len() as u64, local] {
            le(&mut directory, value, 8);
        }
    }
    let start = out.len() as u64;
    let len = directory.len() as u64;
    out.extend(directory);
    let end64 = out.len() as u64;
    le(&mut out, 0x0606_4b50, 4);
    le(&mut out, 44, 8);
    le(&mut out, 45, 2);
    le(&mut out, 45, 2);
    le(&mut out, 0, 8);
    for value in [entries.len() as u64, entries.len() as u64, len, start] {
        le(&mut out, value, 8);
    }
    le(&mut out, 0x0706_4b50, 4);
    le(&mut out, 0, 4);
    le(&mut out, end64, 8);
    le(&mut out, 1, 4);
    le(&mut out, 0x0605_4b50, 4);
    le(&mut out, 0, 4);
    le(&mut out, 0xffff_ffff, 4);
    le(&mut out, 0xffff_ffff, 4);
    le(&mut out, 0xffff_ffff, 4);
    le(&mut out, 0, 2);
    out
}

fn as_archive(numbers: &[Vec<u8>]) -> Vec<u8> {
    let pickle = read("checkpoints/ldm.pkl");
    let mut entries = vec![("instruct/data.pkl".to_owned(), pickle.as_slice())];
    for (i, bytes) in numbers.iter().enumerate() {
        entries.push((format!("instruct/data/{i}"), bytes));
    }
    zip64(&entries)
}

fn as_row(rows: &[Row], numbers: &[Vec<u8>]) -> Vec<u8> {
    let order: Vec<usize> = serde_json::from_slice(&read("checkpoints/keys_row.json")).unwrap();
    let mut out = read("checkpoints/ldm_row.bin");
    for i in order {
        let elements: usize = rows[i].shape.iter().product();
        out.extend((elements as u64).to_le_bytes());
        out.extend(&numbers[i]);
    }
    out
}

/// A folder with the configs of the tiny model, and one file beside them.
fn folder_with(file: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for part in ["unet", "vae", "text_encoder"] {
        let name = format!("{part}/config.json");
        std::fs::create_dir(folder.path().join(part)).unwrap();
        std::fs::write(
            folder.path().join(&name),
            read(&format!("ip2p_tiny/{name}")),
        )
        .unwrap();
    }
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("floats")
}

/// What each part makes of fixed inputs.
fn outputs(model: &InstructPix2Pix) -> Vec<Vec<f32>> {
    let device = Device::flex();
    let ramp = |n: usize| -> Vec<f32> { (0..n).map(|i| (i as f32 * 0.37).sin()).collect() };
    let tensor = |shape: [usize; 4]| {
        Tensor::<4>::from_data(
            burn::tensor::TensorData::new(ramp(shape.iter().product()), shape),
            &device,
        )
    };
    let embedding = model.encode_prompt("turn him into bronze", "").unwrap();
    let keys = model.unet.prompt_keys(&embedding.prompt);
    let posterior = model.vae.encode(tensor([1, 3, 32, 40]));
    vec![
        values(model.unet.forward(tensor([1, 8, 4, 5]), &[321.0], &keys)),
        values(posterior.mean),
        values(model.vae.decode(tensor([1, 4, 4, 5]))),
        values(embedding.prompt),
    ]
}

#[test]
fn the_original_checkpoint_is_the_model_of_the_diffusers_folder() {
    let device = Device::flex();
    let folder = InstructPix2Pix::load(&fixture("ip2p_tiny"), &device, Precision::Half).unwrap();
    let expected = outputs(&folder);
    let rows = rows();
    let numbers = numbers(&rows);
    for (name, bytes) in [
        ("instruct.safetensors", as_safetensors(&rows, &numbers)),
        ("instruct.ckpt", as_archive(&numbers)),
        ("older.ckpt", as_row(&rows, &numbers)),
    ] {
        let (_folder, path) = folder_with(name, &bytes);
        let model = InstructPix2Pix::load(&path, &device, Precision::Full)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(
            outputs(&model) == expected,
            "{name} computes something else"
        );
        let report = check_model(&path, Precision::Full).unwrap();
        assert_eq!(report.hash, model.model_hash());
        let of_folder = check_model(&fixture("ip2p_tiny"), Precision::Half).unwrap();
        for (found, expected) in report.parts.iter().zip(&of_folder.parts) {
            assert_eq!(found.parameters, expected.parameters, "{}", found.name);
            assert_eq!(found.dtypes.keys().collect::<Vec<_>>(), ["F16"]);
        }
    }
}

#[test]
fn incomplete_averages_and_foreign_files_are_refused_by_name() {
    let device = Device::flex();
    let load = |bytes: &[u8]| {
        let (_folder, path) = folder_with("a.safetensors", bytes);
        match InstructPix2Pix::load(&path, &device, Precision::Full) {
            Ok(_) => panic!("it should be refused"),
            Err(e) => e.to_string(),
        }
    };
    let mut all = rows();
    let mut data = numbers(&all);
    let lost = all
        .iter()
        .position(|r| r.name.starts_with("model_ema.") && r.name.ends_with("out2weight"))
        .expect("the last convolution");
    all.remove(lost);
    data.remove(lost);
    let error = load(&as_safetensors(&all, &data));
    assert!(
        error.contains("model_ema.diffusion_modelout2weight"),
        "{error}"
    );

    let mut all = rows();
    let at = all
        .iter()
        .position(|r| r.name == "first_stage_model.quant_conv.bias")
        .unwrap();
    all[at].name = "first_stage_model.quant_convolution.bias".into();
    let data = numbers(&all);
    let error = load(&as_safetensors(&all, &data));
    assert!(
        error.contains("quant_conv.bias") && error.contains("missing"),
        "{error}"
    );
    assert!(
        error.contains("quant_convolution.bias") && error.contains("unknown"),
        "{error}"
    );

    let error = load(&read(
        "ip2p_tiny/unet/diffusion_pytorch_model.fp16.safetensors",
    ));
    assert!(
        error.contains("no original InstructPix2Pix checkpoint"),
        "{error}"
    );
    assert!(error.contains("model.diffusion_model."), "{error}");
}

/// Without configs beside it, a file is taken for the published model, whose sizes the tiny one does not have.
#[test]
fn a_lone_file_has_the_published_sizes() {
    let rows = rows();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lone.safetensors");
    std::fs::write(&path, as_safetensors(&rows, &numbers(&rows))).unwrap();
    let error = match InstructPix2Pix::load(&path, &Device::flex(), Precision::Full) {
        Ok(_) => panic!("it should be refused"),
        Err(e) => e.to_string(),
    };
    assert!(error.contains("[49408, 768]"), "{error}");
}

#[test]
fn the_built_in_tokenizer_is_the_published_one() {
    let folder = Tokenizer::load(&fixture("ip2p_tiny/tokenizer"), 77).unwrap();
    let built_in = Tokenizer::published(77).unwrap();
    assert_eq!(built_in.vocabulary_size(), folder.vocabulary_size());
    for prompt in [
        "",
        "Make him a MARBLE statue, please!",
        "naïve café – ½ price, 3 × 4 = 12; it's they're",
        "日本語の文章と emoji 🎨🖌️",
        "a <|endoftext|> in the middle <|startoftext|>",
        "supercalifragilisticexpialidocious\n\tzzzzqqqq",
    ] {
        assert_eq!(built_in.encode(prompt), folder.encode(prompt), "{prompt}");
    }
}

#[test]
fn a_check_counts_every_tensor_and_finds_one_that_is_not_finite() {
    let report = check_model(&fixture("ip2p_tiny"), Precision::Full).unwrap();
    let names: Vec<_> = report.parts.iter().map(|p| p.name).collect();
    assert_eq!(names, ["unet", "vae", "text_encoder"]);
    for part in &report.parts {
        let bytes = std::fs::read(&part.file).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        // Indices that the network counts itself.
        let tensors: Vec<_> = file
            .tensors()
            .into_iter()
            .filter(|(name, _)| !name.ends_with("position_ids"))
            .collect();
        let stored: usize = tensors.iter().map(|(_, t)| t.data().len()).sum();
        assert_eq!(
            part.bytes as usize, stored,
            "{}: all tensors are looked at",
            part.name
        );
        assert_eq!(part.tensors, tensors.len(), "{}", part.name);
    }

    let folder = tempfile::tempdir().unwrap();
    copy_folder(&fixture("ip2p_tiny"), folder.path());
    let path = folder
        .path()
        .join("vae/diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let damaged = file.tensors().into_iter().map(|(name, view)| {
        let mut data = view.data().to_vec();
        if name == "decoder.conv_in.bias" {
            data[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
        }
        (name, view.dtype(), view.shape().to_vec(), data)
    });
    let damaged: Vec<_> = damaged.collect();
    let views = damaged.iter().map(|(name, dtype, shape, data)| {
        (
            name.clone(),
            TensorView::new(*dtype, shape.clone(), data).unwrap(),
        )
    });
    let whole = safetensors::serialize(views, None).unwrap();
    std::fs::write(&path, whole).unwrap();
    let error = check_model(folder.path(), Precision::Full)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("decoder.conv_in.bias") && error.contains("undefined"),
        "{error}"
    );
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::write(&target, std::fs::read(&path).unwrap()).unwrap();
        }
    }
}

#[test]
fn the_processor_and_the_adapter_compute_as_diffusers_does() {
    let on_cpu = self_test(&Device::flex(), Precision::Half).unwrap();
    println!("CPU: off by {:.1e}", on_cpu.relative_error);
    assert!(
        on_cpu.passed() && on_cpu.relative_error < 1e-5,
        "{on_cpu:?}"
    );
    let none = SelfTest {
        relative_error: f64::NAN,
        ..on_cpu
    };
    assert!(!none.passed(), "undefined results are wrong results");
    match luxedit::gpu::Gpu::headless() {
        Err(e) => println!("SKIPPED on the adapter: {e}"),
        Ok(gpu) => {
            for precision in [Precision::Full, Precision::Half] {
                let test = self_test(&gpu.burn_device().unwrap(), precision).unwrap();
                println!(
                    "{}, {precision:?}: off by {:.1e}",
                    gpu.info.name, test.relative_error
                );
                assert!(test.passed(), "{test:?}");
            }
        }
    }
}
