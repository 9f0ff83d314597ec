//! DPM-Solver++ against diffusers, step by step, and against the published twenty DDIM steps on the tiny model.

use crate::diffusion::{cpu, model, param_cases, row, tensor, text, values};
use crate::fixture::{Array, Fixture, path_or_skip};
use luxedit::diffusion::{
    DpmSolver, EditNoise, EditSettings, EditSolver, Guidance, GuidanceRange, Prediction,
    SchedulerConfig,
};
use luxedit::error::Cancel;

#[test]
fn dpm_solver_steps() {
    let Some(fixture) = Fixture::open("fixtures/dpm_solver.safetensors") else {
        return;
    };
    let Some(folder) = path_or_skip("ip2p_tiny/scheduler_ddim") else {
        return;
    };
    for (case, params) in param_cases(&fixture) {
        let name = |what: &str| format!("{case}.{what}");
        let get = |what: &str| tensor::<4>(&fixture.get(&name(what)), &cpu());
        let mut config = SchedulerConfig::load(&folder).expect("a scheduler");
        config.prediction = match text(&params, "prediction") {
            "epsilon" => Prediction::Epsilon,
            _ => Prediction::Velocity,
        };
        let timesteps: Vec<usize> = params["timesteps"]
            .as_array()
            .expect("timesteps")
            .iter()
            .map(|t| t.as_u64().expect("a timestep") as usize)
            .collect();
        let solver = DpmSolver::at(&config, timesteps.clone());
        let mut sample = solver.add_noise(get("clean"), get("noise"), 0);
        fixture.check(&name("noisy"), &values(&sample));
        let outputs = fixture.get(&name("outputs"));
        let (mut last_clean, mut trace) = (None, Vec::new());
        for index in 0..timesteps.len() {
            let output: Array = row(&outputs, index);
            let output = tensor::<4>(&output, &cpu());
            sample = solver.step(output, index, sample, &mut last_clean);
            trace.extend(values(&sample));
        }
        fixture.check(&name("trace"), &trace);
    }
}

#[test]
fn dpm_solver_starts_from_the_published_noise() {
    let Some(folder) = path_or_skip("ip2p_tiny/scheduler_ddim") else {
        return;
    };
    let config = SchedulerConfig::load(&folder).expect("a scheduler");
    for (start, steps, first) in [(980, 10, 932), (700, 10, 666), (35, 8, 20), (20, 10, 20)] {
        let solver = DpmSolver::starting_at(&config, steps, start).expect("a schedule");
        assert_eq!(solver.timesteps.len(), steps);
        assert_eq!(solver.timesteps[0], first, "{start}");
        assert!(solver.timesteps.windows(2).all(|w| w[0] > w[1]));
        assert!(*solver.timesteps.last().expect("a step") > 0);
    }
    for (start, steps) in [(10, 20), (1001, 10), (500, 0)] {
        assert!(DpmSolver::starting_at(&config, steps, start).is_err());
    }
}

/// Fewer steps end nearer to the converged picture than as many of DDIM, and near to the published twenty.
#[test]
fn ten_steps_do_for_twenty() {
    let Some(fixture) = Fixture::open("fixtures/in2n_edit.safetensors") else {
        return;
    };
    let Some(model) = model() else { return };
    for (case, start) in [("t980", 980), ("t500_rect", 500)] {
        let get = |what: &str| tensor::<4>(&fixture.get(&format!("{case}.{what}")), &cpu());
        let embedding = model
            .encode_prompt("turn him into a clown", "")
            .expect("an embedding");
        let original = model.original_latents(get("original")).expect("latents");
        let noise = EditNoise {
            posterior: get("noise_posterior"),
            diffusion: get("noise"),
        };
        let edit = |solver, diffusion_steps, guidance_range| {
            let settings = EditSettings {
                guidance: Guidance {
                    guidance_scale: 7.5,
                    image_guidance_scale: 1.5,
                },
                diffusion_steps,
                solver,
                guidance_range,
            };
            let edited = model
                .edit(
                    get("render"),
                    &original,
                    &embedding,
                    &settings,
                    start,
                    &noise,
                    &Cancel::default(),
                    &mut |_| {},
                )
                .expect("an edited picture");
            values(&edited)
        };
        let psnr = |a: &[f32], b: &[f32]| {
            let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            -10.0 * (sum / a.len() as f64).log10()
        };
        let all = GuidanceRange::ALL;
        let published = edit(EditSolver::Ddim, 20, all);
        let converged = edit(EditSolver::DpmPlusPlus, 100, all);
        let ten = edit(EditSolver::DpmPlusPlus, 10, all);
        let ddim_ten = edit(EditSolver::Ddim, 10, all);
        let fast = edit(
            EditSolver::DpmPlusPlus,
            10,
            GuidanceRange {
                low: 0.1,
                high: 1.0,
            },
        );
        println!(
            "{case}: to the published 20: dpm++ 10 {:.1} dB, fast {:.1} dB, ddim 10 {:.1} dB; to dpm++ 100: dpm++ 10 \
             {:.1} dB, ddim 20 {:.1} dB",
            psnr(&ten, &published),
            psnr(&fast, &published),
            psnr(&ddim_ten, &published),
            psnr(&ten, &converged),
            psnr(&published, &converged),
        );
        assert!(psnr(&ten, &published) >= 30.0);
        assert!(psnr(&fast, &published) >= 25.0);
        assert!(fast != ten, "the guidance range changed nothing");
    }
}
