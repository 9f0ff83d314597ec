//! Pictures of any size, seeds, and stops.

use crate::common::{Folder, device, gradient, tiny};
use burn::tensor::Tensor;
use luxedit::diffusion::{
    EditNoise, EditSettings, EditSolver, EditStep, Guidance, GuidanceRange, InstructPix2Pix,
    Precision, SchedulerConfig, SeededNoise, image_to_tensor, read, tensor_to_image,
};
use luxedit::error::Cancel;
use luxedit::scene::FloatImage;
use luxedit::{Error, Result};

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
