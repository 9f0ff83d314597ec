//! InstructPix2Pix against PyTorch and diffusers: tokenizer, networks, solvers, whole runs. Cases, prompts and settings
//! are those that the files name. On the CPU; one forward pass of the denoiser also on the graphics adapter.

use crate::fixture::{Array, Fixture, path_or_skip};
use burn::tensor::{Device, Tensor, TensorData};
use luxedit::diffusion::{
    Ddim, EditNoise, EditSettings, EditStep, EulerAncestral, Guidance, InstructPix2Pix,
    NoiseSource, Precision, SchedulerConfig, Solver, TextEncoder, Tokenizer, UNet, Vae, read,
};
use luxedit::error::Cancel;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

const MODEL: &str = "ip2p_tiny";

fn part(name: &str) -> Option<PathBuf> {
    path_or_skip(&format!("{MODEL}/{name}"))
}

pub fn cpu() -> Device {
    Device::flex()
}

pub fn tensor<const D: usize>(array: &Array, device: &Device) -> Tensor<D> {
    let shape: [usize; D] = array.shape.clone().try_into().expect("the rank");
    Tensor::from_data(TensorData::new(array.data.clone(), shape), device)
}

pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    read(tensor.clone()).expect("a readable tensor")
}

/// `T` of all tensor names `CASE.T`, for one `T`.
pub fn cases(fixture: &Fixture, suffix: &str) -> Vec<String> {
    let cases: BTreeSet<String> = fixture
        .names()
        .iter()
        .filter_map(|name| name.strip_suffix(suffix).map(str::to_owned))
        .collect();
    assert!(
        !cases.is_empty(),
        "{} has no case with {suffix}",
        fixture.name
    );
    cases.into_iter().collect()
}

/// Row `i` of the first axis.
pub fn row(array: &Array, i: usize) -> Array {
    let n: usize = array.shape[1..].iter().product();
    Array {
        shape: array.shape[1..].to_vec(),
        data: array.data[i * n..(i + 1) * n].to_vec(),
    }
}

pub fn ids(array: &Array) -> Vec<Vec<u32>> {
    array
        .data
        .chunks(array.shape[1])
        .map(|row| row.iter().map(|&id| id as u32).collect())
        .collect()
}

pub fn number(value: &serde_json::Value, key: &str) -> f64 {
    value[key]
        .as_f64()
        .unwrap_or_else(|| panic!("`{key}` in the manifest's params"))
}

pub fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("`{key}` in the manifest's params"))
}

/// Cases that the manifest's params name.
pub fn param_cases(fixture: &Fixture) -> Vec<(String, serde_json::Value)> {
    let params = fixture.params.as_object().expect("params");
    let cases: Vec<_> = params
        .iter()
        .filter(|(_, value)| value.is_object())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    assert!(!cases.is_empty(), "{} names no case", fixture.name);
    cases
}

/// Compare traced activations with the tensors `PREFIX.NAME`, which hold the first batch element, some of them only
/// every 4th pixel.
struct Traced<'a> {
    fixture: &'a Fixture,
    prefix: String,
    checked: usize,
}

impl Traced<'_> {
    fn check(&mut self, name: &str, activation: &Tensor<4>) {
        let name = format!("{}.mid.{name}", self.prefix);
        if !self.fixture.has(&name) {
            return;
        }
        let expected = self.fixture.get(&name).shape;
        let [_, c, h, w] = activation.dims();
        let all = values(activation);
        let step = h.div_ceil(expected[2]);
        let mut got = Vec::new();
        for channel in 0..c {
            for y in (0..h).step_by(step) {
                for x in (0..w).step_by(step) {
                    got.push(all[(channel * h + y) * w + x]);
                }
            }
        }
        self.fixture.check(&name, &got);
        self.checked += 1;
    }
}

#[test]
fn tokenizer() {
    let Some(fixture) = Fixture::open("fixtures/tokenizer.safetensors") else {
        return;
    };
    let Some(listing) = path_or_skip("fixtures/tokenizer.json") else {
        return;
    };
    let Some(folder) = part("tokenizer") else {
        return;
    };
    let listing: serde_json::Value =
        serde_json::from_slice(&std::fs::read(listing).expect("tokenizer.json")).expect("JSON");
    let length = number(&listing, "context_length") as usize;
    let tokenizer = Tokenizer::load(&folder, length).expect("a tokenizer");
    assert_eq!(tokenizer.length(), length);

    let fast = ids(&fixture.get("ids_fast"));
    let others = [
        ids(&fixture.get("ids_slow_ftfy")),
        ids(&fixture.get("ids_slow_basic")),
    ];
    let agree = fixture.get("agree").data;
    let rows = listing["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), fast.len());
    let mut same_as_fast = 0;
    for (i, entry) in rows.iter().enumerate() {
        let prompt = text(entry, "prompt");
        let got = tokenizer.encode(prompt);
        same_as_fast += usize::from(got == fast[i]);
        let any = agree[i] == 0.0 && others.iter().any(|other| got == other[i]);
        assert!(
            got == fast[i] || any,
            "{prompt:?}: {got:?}, expected {:?}",
            fast[i]
        );
        let untruncated = &entry["untruncated_len"];
        let counts =
            ["fast", "slow_ftfy", "slow_basic"].map(|key| number(untruncated, key) as usize);
        assert!(
            counts.contains(&tokenizer.count(prompt)),
            "{prompt:?}: {} tokens",
            tokenizer.count(prompt)
        );
    }
    println!(
        "tokenizer: {same_as_fast} of {} rows as the fast tokenizer",
        rows.len()
    );
}

#[test]
fn text_encoder() {
    let Some(fixture) = Fixture::open("fixtures/text_encoder.safetensors") else {
        return;
    };
    let Some(folder) = part("text_encoder") else {
        return;
    };
    let tokens = ids(&fixture.get("ids"));
    let encoder = TextEncoder::load(&folder, Precision::Full, &cpu()).expect("a text encoder");
    let last = encoder.forward(&tokens).expect("embeddings");
    fixture.check("last_hidden_state", &values(&last));
    fixture.check("pooled", &values(&encoder.pooled(last, &tokens)));

    if let Some(tokenizer) = part("tokenizer") {
        let tokenizer = Tokenizer::load(&tokenizer, encoder.max_length()).expect("a tokenizer");
        let prompts = fixture.params["prompts"].as_array().expect("prompts");
        let encoded: Vec<Vec<u32>> = prompts
            .iter()
            .map(|prompt| tokenizer.encode(prompt.as_str().expect("a prompt")))
            .collect();
        assert_eq!(encoded, tokens);
    }

    let states = encoder.hidden_states(&tokens).expect("hidden states");
    for (i, state) in states.iter().enumerate() {
        let name = format!("hidden_{i}");
        if fixture.has(&name) {
            // Prompts 1 and 2.
            let n = fixture.get(&name).shape[0];
            fixture.check(&name, &values(&state.clone().narrow(0, 1, n)));
        }
    }

    let name = "last_hidden_state_f16w";
    let half = TextEncoder::load(&folder, Precision::Half, &cpu()).expect("a text encoder");
    let n = fixture.get(name).shape[0];
    fixture.check(
        name,
        &values(&half.forward(&tokens[..n]).expect("embeddings")),
    );
}

#[test]
fn vae() {
    let Some(fixture) = Fixture::open("fixtures/vae.safetensors") else {
        return;
    };
    let Some(folder) = part("vae") else { return };
    let device = cpu();
    let vae = Vae::load(&folder, Precision::Full, &device).expect("an autoencoder");
    assert!((vae.scaling_factor() - number(&fixture.params, "scaling_factor")).abs() < 1e-9);
    check_vae(&fixture, &vae);

    let half = Vae::load(&folder, Precision::Half, &device).expect("an autoencoder");
    for case in cases(&fixture, ".mean_f16w") {
        let name = format!("{case}.mean_f16w");
        let n = fixture.get(&name).shape[0];
        let image: Tensor<4> = tensor(&fixture.get(&format!("{case}.image")), &device);
        let mean = half.encode(image.narrow(0, 0, n) * 2.0 - 1.0).mode();
        fixture.check(&name, &values(&mean));
    }
}

fn check_vae(fixture: &Fixture, vae: &Vae) {
    let device = cpu();
    let mut checked = 0;
    let mut traces = 0;
    for case in cases(fixture, ".image") {
        let name = |what: &str| format!("{case}.{what}");
        let get = |what: &str| tensor::<4>(&fixture.get(&name(what)), &device);
        let mut traced = Traced {
            fixture,
            prefix: case.clone(),
            checked: 0,
        };
        let posterior =
            vae.encode_traced(get("image") * 2.0 - 1.0, &mut |at, x| traced.check(at, x));
        fixture.check(&name("mean"), &values(&posterior.mean));
        fixture.check(&name("logvar"), &values(&posterior.logvar));
        fixture.check(&name("sample"), &values(&posterior.sample(get("noise"))));
        let latents = get("latents") / vae.scaling_factor();
        let decoded = vae.decode_traced(latents, &mut |at, x| traced.check(at, x));
        fixture.check(&name("decoded"), &values(&decoded));
        traces += traced.checked;
        checked += 1;
    }
    println!("vae: {checked} cases, {traces} intermediate activations");
    let listed = fixture
        .names()
        .iter()
        .filter(|name| name.contains(".mid."))
        .count();
    assert_eq!(traces, listed, "intermediate activations compared");
}

#[test]
fn vae_legacy_attention() {
    let Some(legacy) = Fixture::open("fixtures/vae_legacy_attention.safetensors") else {
        return;
    };
    let Some(fixture) = Fixture::open("fixtures/vae.safetensors") else {
        return;
    };
    let Some(folder) = part("vae") else { return };
    let device = cpu();
    for squeezed in [true, false] {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        legacy_vae(&folder, &legacy, temporary.path(), squeezed);
        let vae = Vae::load(temporary.path(), Precision::Full, &device).expect("an autoencoder");
        check_vae(&fixture, &vae);
    }
}

/// Write the autoencoder of `folder` to `to` with the attention tensors of `legacy` in place of the new ones.
fn legacy_vae(folder: &Path, legacy: &Fixture, to: &Path, squeezed: bool) {
    let file = "diffusion_pytorch_model.safetensors";
    std::fs::copy(folder.join("config.json"), to.join("config.json")).expect("config.json");
    let bytes = std::fs::read(folder.join(file)).expect("weights");
    let weights = safetensors::SafeTensors::deserialize(&bytes).expect("weights");
    let mapping = legacy.params["mapping"]
        .as_object()
        .expect("the mapping of names");
    let replaced: BTreeSet<String> = legacy
        .names()
        .iter()
        .map(|name| {
            mapping.iter().fold(name.clone(), |name, (old, new)| {
                // The new name, before any remark.
                let new = new
                    .as_str()
                    .and_then(|new| new.split(' ').next())
                    .expect("a name");
                name.replace(&format!(".{old}."), &format!(".{new}."))
            })
        })
        .collect();
    let mut tensors: Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)> = weights
        .tensors()
        .into_iter()
        .filter(|(name, _)| !replaced.contains(name))
        .map(|(name, view)| {
            (
                name,
                view.dtype(),
                view.shape().to_vec(),
                view.data().to_vec(),
            )
        })
        .collect();
    assert_eq!(
        tensors.len() + replaced.len(),
        weights.len(),
        "every legacy name replaces a new one"
    );
    for name in legacy.names() {
        let Array { mut shape, data } = legacy.get(&name);
        if !squeezed && shape.len() == 2 {
            shape.extend([1, 1]);
        }
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.push((name, safetensors::Dtype::F32, shape, bytes));
    }
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes);
        (name.clone(), view.expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, &to.join(file)).expect("a written file");
}

#[test]
fn unet() {
    let Some(fixture) = Fixture::open("fixtures/unet.safetensors") else {
        return;
    };
    let Some(folder) = part("unet") else { return };
    let device = cpu();
    let unet = UNet::load(&folder, Precision::Full, &device).expect("a denoiser");
    let mut traces = 0;
    for case in cases(&fixture, ".sample") {
        let name = |what: &str| format!("{case}.{what}");
        let timesteps = fixture.get(&name("timestep")).data;
        let mut traced = Traced {
            fixture: &fixture,
            prefix: case.clone(),
            checked: 0,
        };
        let keys = unet.prompt_keys(&tensor(&fixture.get(&name("context")), &device));
        let sample = tensor(&fixture.get(&name("sample")), &device);
        let eps = unet.forward_traced(sample, &timesteps, &keys, &mut |at, x| traced.check(at, x));
        fixture.check(&name("eps"), &values(&eps));
        traces += traced.checked;
        if fixture.has(&name("t_emb")) {
            let embedding = unet.timestep_embedding(&timesteps[..1], &device);
            fixture.check(&name("t_emb"), &values(&embedding));
        }
        if fixture.has(&name("mid.time_embedding")) {
            let embedding = unet.time_embedding(&timesteps[..1], &device);
            fixture.check(&name("mid.time_embedding"), &values(&embedding));
        }
    }
    println!("unet: {traces} intermediate activations");

    let half = UNet::load(&folder, Precision::Half, &device).expect("a denoiser");
    for case in cases(&fixture, ".eps_f16w") {
        let keys = half.prompt_keys(&tensor(&fixture.get(&format!("{case}.context")), &device));
        let sample = tensor(&fixture.get(&format!("{case}.sample")), &device);
        let timesteps = fixture.get(&format!("{case}.timestep")).data;
        let eps = half.forward(sample, &timesteps, &keys);
        fixture.check(&format!("{case}.eps_f16w"), &values(&eps));
    }
}

/// One timestep for the whole batch is the same as that timestep for every element.
#[test]
fn unet_shared_timestep() {
    let Some(fixture) = Fixture::open("fixtures/unet.safetensors") else {
        return;
    };
    let Some(folder) = part("unet") else { return };
    let device = cpu();
    let unet = UNet::load(&folder, Precision::Full, &device).expect("a denoiser");
    let case = &cases(&fixture, ".sample")[0];
    let sample: Tensor<4> = tensor(&fixture.get(&format!("{case}.sample")), &device);
    let keys = unet.prompt_keys(&tensor(&fixture.get(&format!("{case}.context")), &device));
    let t = fixture.get(&format!("{case}.timestep")).data[0];
    let each = values(&unet.forward(sample.clone(), &vec![t; sample.dims()[0]], &keys));
    let shared = values(&unet.forward(sample, &[t], &keys));
    let worst = each
        .iter()
        .zip(&shared)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-5, "{worst}");
}

/// The smallest case on the graphics adapter, software or not.
#[test]
fn unet_on_the_adapter() {
    let Some(fixture) = Fixture::open("fixtures/unet.safetensors") else {
        return;
    };
    let Some(folder) = part("unet") else { return };
    let gpu = match luxedit::gpu::Gpu::headless() {
        Ok(gpu) => gpu,
        Err(e) => {
            println!("SKIPPED: no adapter: {e}");
            return;
        }
    };
    let device = gpu.burn_device().expect("burn on the adapter");
    let unet = UNet::load(&folder, Precision::Full, &device).expect("a denoiser");
    let pixels = |case: &String| fixture.get(&format!("{case}.sample")).data.len();
    let case = cases(&fixture, ".sample")
        .into_iter()
        .min_by_key(pixels)
        .expect("a case");
    let start = std::time::Instant::now();
    let keys = unet.prompt_keys(&tensor(&fixture.get(&format!("{case}.context")), &device));
    let sample = tensor(&fixture.get(&format!("{case}.sample")), &device);
    let timesteps = fixture.get(&format!("{case}.timestep")).data;
    let eps = values(&unet.forward(sample, &timesteps, &keys));
    println!(
        "{}: case {case}, first pass {:.1} s",
        gpu.info.name,
        start.elapsed().as_secs_f64()
    );
    fixture.check(&format!("{case}.eps"), &eps);
}

/// The folder's scheduler that runs `solver`.
fn scheduler(solver: Solver) -> Option<SchedulerConfig> {
    let folder = part(".")?;
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the model folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("scheduler_config.json").is_file())
        .collect();
    folders.sort();
    let config = folders
        .iter()
        .map(|folder| SchedulerConfig::load(folder).expect("a scheduler"))
        .find(|config| config.solver == solver);
    if config.is_none() {
        println!("SKIPPED: the model folder has no {solver:?} scheduler");
    }
    config
}

fn as_f32<T: Copy>(list: &[T], convert: impl Fn(T) -> f64) -> Vec<f32> {
    list.iter().map(|&v| convert(v) as f32).collect()
}

/// N of all tensor names `PREFIX` + N.
fn counts(fixture: &Fixture, prefix: &str) -> Vec<usize> {
    let counts: Vec<usize> = fixture
        .names()
        .iter()
        .filter_map(|name| name.strip_prefix(prefix)?.parse().ok())
        .collect();
    assert!(!counts.is_empty(), "{} has no {prefix}…", fixture.name);
    counts
}

/// Runs a chain of steps over the stacked inputs `eps` and compares every sample.
fn chain(
    fixture: &Fixture,
    start: &str,
    expected: &str,
    mut step: impl FnMut(usize, Tensor<4>, Tensor<4>) -> Tensor<4>,
) {
    let device = cpu();
    let eps = fixture.get("ddim.eps");
    let mut sample: Tensor<4> = tensor(&fixture.get(start), &device);
    let mut all = Vec::new();
    for i in 0..eps.shape[0] {
        sample = step(i, tensor(&row(&eps, i), &device), sample);
        all.extend(values(&sample));
    }
    fixture.check(expected, &all);
}

#[test]
fn schedulers_ddim() {
    let Some(fixture) = Fixture::open("fixtures/schedulers.safetensors") else {
        return;
    };
    let Some(config) = scheduler(Solver::Ddim) else {
        return;
    };
    let device = cpu();
    fixture.check("alphas_cumprod", &as_f32(&config.alphas_cumprod, |v| v));
    for steps in counts(&fixture, "ddim.timesteps_") {
        let ddim = Ddim::new(&config, steps).expect("a schedule");
        fixture.check(
            &format!("ddim.timesteps_{steps}"),
            &as_f32(&ddim.timesteps, |t| t as f64),
        );
    }

    let eps = fixture.get("ddim.eps");
    let steps = eps.shape[0];
    let ddim = Ddim::new(&config, steps).expect("a schedule");
    let mut clean = Vec::new();
    chain(
        &fixture,
        "ddim.x_init",
        "ddim.prev_sample",
        |i, eps, sample| {
            let t = ddim.timesteps[i];
            clean.extend(values(
                &ddim.clean_and_noise(eps.clone(), t, sample.clone()).0,
            ));
            ddim.step(eps, t, sample)
        },
    );
    fixture.check("ddim.pred_x0", &clean);

    let noise = fixture.get("ddim.eta.noise");
    let sample: Tensor<4> = tensor(&fixture.get("ddim.eta.sample"), &device);
    let mut all = Vec::new();
    for (k, timestep) in [951, 501, 1].into_iter().enumerate() {
        let eps = tensor(&row(&eps, k), &device);
        let fresh = tensor(&row(&noise, k), &device);
        all.extend(values(&ddim.step_stochastic(
            eps,
            timestep,
            sample.clone(),
            0.6,
            fresh,
        )));
    }
    fixture.check("ddim.eta.prev", &all);

    let (z, noise) = (fixture.get("add_noise.z"), fixture.get("add_noise.noise"));
    let mut all = Vec::new();
    for (i, &t) in fixture.get("add_noise.t").data.iter().enumerate() {
        let pick = |array: &Array| tensor::<4>(array, &device).narrow(0, i, 1);
        all.extend(values(&ddim.add_noise(pick(&z), pick(&noise), t as usize)));
    }
    fixture.check("add_noise.out", &all);
}

#[test]
fn schedulers_in2n() {
    let Some(fixture) = Fixture::open("fixtures/schedulers.safetensors") else {
        return;
    };
    let Some(config) = scheduler(Solver::Ddim) else {
        return;
    };
    let steps = fixture.get("in2n.timesteps").shape[1];
    let mut all = Vec::new();
    for &start in &fixture.get("in2n.T").data {
        let ddim = Ddim::starting_at(&config, steps, start as usize).expect("a schedule");
        all.extend(as_f32(&ddim.timesteps, |t| t as f64));
    }
    fixture.check("in2n.timesteps", &all);
    for start in counts(&fixture, "in2n.prev_sample_T") {
        let ddim = Ddim::starting_at(&config, steps, start).expect("a schedule");
        chain(
            &fixture,
            "ddim.x_init",
            &format!("in2n.prev_sample_T{start}"),
            |i, eps, sample| ddim.step(eps, ddim.timesteps[i], sample),
        );
    }
    let error = Ddim::starting_at(&config, steps, steps - 1)
        .expect_err("too few timesteps")
        .to_string();
    assert!(error.contains(&steps.to_string()), "{error}");
}

#[test]
fn schedulers_euler_ancestral() {
    let Some(fixture) = Fixture::open("fixtures/schedulers.safetensors") else {
        return;
    };
    let Some(config) = scheduler(Solver::EulerAncestral) else {
        return;
    };
    let device = cpu();
    for steps in counts(&fixture, "euler_a.timesteps_") {
        let euler = EulerAncestral::new(&config, steps).expect("a schedule");
        fixture.check(
            &format!("euler_a.timesteps_{steps}"),
            &as_f32(&euler.timesteps, |v| v),
        );
        fixture.check(
            &format!("euler_a.sigmas_{steps}"),
            &as_f32(&euler.sigmas, |v| v),
        );
    }
    let noise = fixture.get("euler_a.noise");
    let euler = EulerAncestral::new(&config, noise.shape[0]).expect("a schedule");
    fixture.check("euler_a.init_noise_sigma", &[euler.init_noise_sigma as f32]);
    let mut inputs = Vec::new();
    chain(
        &fixture,
        "euler_a.x_init",
        "euler_a.prev_sample",
        |i, eps, sample| {
            inputs.extend(values(&euler.scale_input(sample.clone(), i)));
            euler.step(eps, i, sample, tensor(&row(&noise, i), &device))
        },
    );
    fixture.check("euler_a.scaled_input", &inputs);
}

#[test]
fn guidance() {
    let Some(fixture) = Fixture::open("fixtures/schedulers.safetensors") else {
        return;
    };
    let eps = fixture.get("cfg.eps");
    let [three, n, c, h, w] = eps.shape[..] else {
        panic!("cfg.eps has rank 5")
    };
    let scales = fixture.get("cfg.scales").data;
    let guidance = Guidance {
        guidance_scale: f64::from(scales[0]),
        image_guidance_scale: f64::from(scales[1]),
    };
    let rows = Array {
        shape: vec![three * n, c, h, w],
        data: eps.data,
    };
    fixture.check("cfg.out", &values(&guidance.combine(tensor(&rows, &cpu()))));
}

/// Recorded noise, in order.
struct Recorded(VecDeque<Tensor<4>>);

impl NoiseSource for Recorded {
    fn next(&mut self, shape: [usize; 4], _: &Device) -> Tensor<4> {
        let noise = self.0.pop_front().expect("recorded noise");
        assert_eq!(noise.dims(), shape);
        noise
    }
}

fn settings(params: &serde_json::Value) -> EditSettings {
    EditSettings {
        guidance: Guidance {
            guidance_scale: number(params, "guidance_scale"),
            image_guidance_scale: number(params, "image_guidance_scale"),
        },
        diffusion_steps: number(params, "steps") as usize,
        ..EditSettings::default()
    }
}

pub fn model() -> Option<InstructPix2Pix> {
    let folder = path_or_skip(MODEL)?;
    Some(InstructPix2Pix::load(&folder, &cpu(), Precision::Full).expect("a model"))
}

#[test]
fn pipeline() {
    let Some(fixture) = Fixture::open("fixtures/pipeline.safetensors") else {
        return;
    };
    let Some(model) = model() else { return };
    let device = cpu();
    for (case, params) in param_cases(&fixture) {
        let solver = match text(&params, "scheduler") {
            "ddim" => Solver::Ddim,
            "ea" => Solver::EulerAncestral,
            other => panic!("{case}: scheduler {other}"),
        };
        let Some(scheduler) = scheduler(solver) else {
            continue;
        };
        let name = |what: &str| format!("{case}.{what}");
        let get = |what: &str| tensor::<4>(&fixture.get(&name(what)), &device);
        let mut noise = VecDeque::from([get("latents")]);
        if fixture.has(&name("noise")) {
            let steps = fixture.get(&name("noise"));
            noise.extend((0..steps.shape[0]).map(|i| tensor::<4>(&row(&steps, i), &device)));
        }
        let embedding = model
            .encode_prompt(text(&params, "prompt"), text(&params, "negative_prompt"))
            .expect("an embedding");
        let mut latents = Vec::new();
        let output = model
            .edit_image(
                get("image"),
                &embedding,
                &settings(&params),
                &scheduler,
                &mut Recorded(noise),
                &Cancel::default(),
                &mut |step: &EditStep| latents.extend(values(step.latents)),
            )
            .expect("an edited picture");
        fixture.check(&name("latents_per_step"), &latents);
        fixture.check(&name("output"), &values(&output));
    }
}

#[test]
fn in2n_edit() {
    let Some(fixture) = Fixture::open("fixtures/in2n_edit.safetensors") else {
        return;
    };
    let Some(model) = model() else { return };
    let device = cpu();
    for (case, params) in param_cases(&fixture) {
        let name = |what: &str| format!("{case}.{what}");
        let get = |what: &str| tensor::<4>(&fixture.get(&name(what)), &device);
        let start = number(&params, "T") as u32;
        let settings = settings(&params);
        let schedule =
            Ddim::starting_at(&model.scheduler, settings.diffusion_steps, start as usize)
                .expect("a schedule");
        fixture.check(
            &name("timesteps"),
            &as_f32(&schedule.timesteps, |t| t as f64),
        );

        let noise = EditNoise {
            posterior: get("noise_posterior"),
            diffusion: get("noise"),
        };
        let original = model
            .original_latents(get("original"))
            .expect("the condition");
        fixture.check(&name("cond"), &values(&original));
        let clean = model
            .render_latents(get("render"), &noise.posterior)
            .expect("latents");
        fixture.check(&name("z0"), &values(&clean));
        let noisy = schedule.add_noise(clean, noise.diffusion.clone(), schedule.timesteps[0]);
        fixture.check(&name("noisy"), &values(&noisy));

        let embedding = model
            .encode_prompt(text(&params, "prompt"), text(&params, "negative_prompt"))
            .expect("an embedding");
        let (mut first, mut trace) = (Vec::new(), Vec::new());
        let edited = model
            .edit(
                get("render"),
                &original,
                &embedding,
                &settings,
                start,
                &noise,
                &Cancel::default(),
                &mut |step: &EditStep| {
                    if step.done == 1 {
                        first = values(step.prediction);
                    }
                    trace.extend(values(step.latents));
                },
            )
            .expect("an edited picture");
        fixture.check(&name("eps0"), &first);
        fixture.check(&name("trace"), &trace);
        fixture.check(&name("edited"), &values(&edited));
    }
}
