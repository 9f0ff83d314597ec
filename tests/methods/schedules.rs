//! Schedules and presets, without a scene.

use luxedit::bundle::{ModelNotes, Preset};
use luxedit::edit::{Schedule, StepPlan};
use luxedit::settings::{Loss, Method, Precision, SETTINGS, Scheduler, Settings, Speed, Value};
use std::collections::BTreeSet;

fn of(method: Method) -> Settings {
    Settings::of(method, Speed::Published)
}

/// Step and view of every edit until `steps`; the schedule passes through JSON now and then, as through a saved project.
fn edits(settings: &Settings, views: usize, steps: u32) -> Vec<(u32, usize)> {
    let mut schedule = Schedule::new(settings.seed, views);
    let mut found = Vec::new();
    let expected = schedule.edits_ahead(settings, steps);
    while schedule.steps_done() < steps {
        let plan = schedule.plan_edit(settings);
        assert_eq!(plan, schedule.plan_edit(settings), "asking twice");
        match plan {
            StepPlan::EditOnly { position, .. } => {
                found.push((schedule.steps_done(), position));
                schedule.finish_edit(settings);
            }
            StepPlan::EditAndStep { position, .. } => {
                found.push((schedule.steps_done(), position));
                schedule.finish_edit(settings);
                schedule.finish_step(&plan);
            }
            StepPlan::Step { .. } | StepPlan::Distill { .. } => schedule.finish_step(&plan),
        }
        let left = schedule.edits_ahead(settings, steps);
        assert_eq!(left + found.len() as u64, expected, "after {found:?}");
        if schedule.steps_done() % 7 == 3 {
            let saved = serde_json::to_string(&schedule).unwrap();
            schedule = serde_json::from_str(&saved).unwrap();
        }
    }
    found
}

#[test]
fn in2n_edits_one_view_every_rate_steps_in_one_order() {
    let settings = of(Method::In2n);
    let views = 7;
    let found = edits(&settings, views, 200);
    let steps: Vec<u32> = found.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (0..200).step_by(10).collect::<Vec<u32>>());
    let order: Vec<usize> = found[..views].iter().map(|(_, view)| *view).collect();
    let all: BTreeSet<usize> = order.iter().copied().collect();
    assert_eq!(all.len(), views, "{order:?} leaves views out");
    assert_ne!(order, (0..views).collect::<Vec<_>>(), "not shuffled");
    for (i, (_, view)) in found.iter().enumerate() {
        assert_eq!(*view, order[i % views], "another order in the second round");
    }
    assert_eq!(found, edits(&settings, views, 200), "the same seed");
    let other = Settings {
        seed: 1,
        ..settings
    };
    assert_ne!(found, edits(&other, views, 200), "another seed");
}

#[test]
fn in2n_edits_several_views_at_once() {
    let settings = Settings {
        edit_rate: 4,
        edit_count: 3,
        ..of(Method::In2nSmall)
    };
    let found = edits(&settings, 5, 10);
    let steps: Vec<u32> = found.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [0, 0, 0, 4, 4, 4, 8, 8, 8]);
}

#[test]
fn in2n_draws_noise_levels_from_its_whole_range() {
    let settings = of(Method::In2n);
    let mut schedule = Schedule::new(3, 4);
    let mut drawn = Vec::new();
    for _ in 0..500 {
        drawn.push(schedule.draw_edit(&settings).timestep);
        schedule.finish_edit(&settings);
    }
    let (low, high) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
    assert!(
        (20..60).contains(low) && (940..=980).contains(high),
        "{low} {high}"
    );
}

#[test]
fn sweeps_are_as_before() {
    let settings = Settings {
        sweep_interval: 8,
        ..of(Method::Igs2gs)
    };
    let found = edits(&settings, 3, 20);
    let expected = [0, 1, 2, 8, 9, 10, 16, 17, 18];
    assert_eq!(found.iter().map(|e| e.0).collect::<Vec<_>>(), expected);
    let views = [0, 1, 2, 0, 1, 2, 0, 1, 2];
    assert_eq!(found.iter().map(|e| e.1).collect::<Vec<_>>(), views);
}

#[test]
fn distillation_looks_at_every_view_and_shows_some() {
    let settings = Settings {
        edit_rate: 4,
        ..of(Method::Sds)
    };
    let mut schedule = Schedule::new(0, 6);
    let (mut seen, mut streams) = (BTreeSet::new(), BTreeSet::new());
    for step in 0..12 {
        let plan = schedule.plan_edit(&settings);
        let StepPlan::Distill {
            position,
            sweep,
            is_shown,
        } = plan
        else {
            panic!("{plan:?}");
        };
        assert_eq!(is_shown, step % 4 == 0);
        assert_eq!(sweep, step / 6);
        seen.insert((sweep, position));
        streams.insert(schedule.draw_edit(&settings).noise_stream);
        schedule.finish_edit(&settings);
        schedule.finish_step(&plan);
    }
    assert_eq!((seen.len(), streams.len()), (12, 12));
    assert_eq!(schedule.edits_ahead(&settings, 100), 0);
}

#[test]
fn a_method_is_a_preset() {
    let numbers = |m: Method| {
        let s = of(m);
        (
            s.guidance_scale,
            s.image_guidance_scale,
            s.lower_bound,
            s.upper_bound,
            s.edit_steps,
        )
    };
    assert_eq!(of(Method::Igs2gs), Settings::default());
    assert_eq!(numbers(Method::Igs2gs), (12.5, 1.5, 0.7, 0.98, 7500));
    assert_eq!(numbers(Method::In2n), (7.5, 1.5, 0.02, 0.98, 15_000));
    assert_eq!(numbers(Method::In2nSmall), (7.5, 1.5, 0.02, 0.98, 30_000));
    let weights = |m: Method| (of(m).precision, of(m).loss);
    assert_eq!(weights(Method::Igs2gs), (Precision::Half, Loss::Auto));
    assert_eq!(weights(Method::In2n), (Precision::Full, Loss::Auto));
    assert_eq!(weights(Method::In2nSmall), (Precision::Half, Loss::Auto));
    assert_eq!(weights(Method::In2nTiny), (Precision::Half, Loss::L1));
    let fast = Settings::of(Method::In2n, Speed::Fast);
    assert_eq!(
        (fast.scheduler, fast.diffusion_steps),
        (Scheduler::DpmPlusPlus, 10)
    );
}

#[test]
fn choosing_a_method_sets_its_defaults_and_leaves_the_rest() {
    let mut settings = Settings {
        prompt: "bronze".into(),
        seed: 9,
        ..Settings::default()
    };
    let method = Settings::info("method").unwrap();
    method
        .set(&mut settings, Value::Text("in2n".into()))
        .unwrap();
    assert_eq!((settings.guidance_scale, settings.lower_bound), (7.5, 0.02));
    assert_eq!((settings.prompt.as_str(), settings.seed), ("bronze", 9));
    // Only what differs from the method's own defaults counts as changed.
    let changed: Vec<&str> = SETTINGS
        .iter()
        .filter(|s| s.is_changed(&settings))
        .map(|s| s.key)
        .collect();
    assert_eq!(changed, ["prompt", "method", "seed"]);
    // Naming the same method again takes nothing back.
    settings.guidance_scale = 9.0;
    method
        .set(&mut settings, Value::Text("in2n".into()))
        .unwrap();
    assert_eq!(settings.guidance_scale, 9.0);
}

/// A choice stands over what the model recommends, that over the method's values, those over the table's.
#[test]
fn choices_recommendations_methods_and_the_table_stand_in_this_order() {
    let row = |key: &str| Settings::info(key).unwrap();
    let text = |text: &str| Value::Text(text.into());
    let recommended = serde_json::json!({"guidance_scale": 3.0, "diffusion_steps": 4});
    let notes = ModelNotes {
        settings: recommended.as_object().unwrap().clone(),
        ..ModelNotes::default()
    };
    let model = Preset::of(&notes, false).unwrap();
    let plain = Preset::default();
    let mut settings = Settings::default();
    model.replace(&plain, &mut settings).unwrap();
    model
        .choose(row("method"), &mut settings, text("in2n"))
        .unwrap();
    let numbers = |s: &Settings| (s.guidance_scale, s.lower_bound, s.edit_steps);
    assert_eq!(numbers(&settings), (3.0, 0.02, 15_000));
    model
        .choose(row("edit_steps"), &mut settings, Value::Int(500))
        .unwrap();
    model
        .choose(row("method"), &mut settings, text("in2n-small"))
        .unwrap();
    model
        .choose(row("speed"), &mut settings, text("fast"))
        .unwrap();
    assert_eq!(numbers(&settings), (3.0, 0.02, 500));
    assert_eq!(settings.precision, Precision::Half);
    assert_eq!(settings.scheduler, Scheduler::DpmPlusPlus);
    assert_eq!(settings.diffusion_steps, 4);
    let baseline = model.baseline(row("guidance_scale"), &settings);
    assert_eq!(baseline, Value::Float(3.0));
    // A model that recommends nothing: what was recommended goes back to method and speed.
    plain.replace(&model, &mut settings).unwrap();
    assert_eq!(numbers(&settings), (7.5, 0.02, 500));
    assert_eq!(settings.diffusion_steps, 10);
    plain
        .choose(row("method"), &mut settings, text("igs2gs"))
        .unwrap();
    assert_eq!(numbers(&settings), (12.5, 0.7, 500));
}

#[test]
fn settings_that_contradict_are_refused() {
    let usable = Settings {
        prompt: "bronze".into(),
        model: "somewhere".into(),
        ..of(Method::In2n)
    };
    usable.check_edit().unwrap();
    let refused = |settings: Settings, word: &str| {
        let message = settings.check_edit().unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    };
    refused(
        Settings {
            diffusion_steps: 21,
            ..usable.clone()
        },
        "--lower-bound",
    );
    refused(
        Settings {
            guidance_low: 0.6,
            guidance_high: 0.4,
            ..usable.clone()
        },
        "guidance",
    );
    // Distillation denoises nothing.
    Settings {
        diffusion_steps: 21,
        ..Settings {
            method: Method::Sds,
            ..usable
        }
    }
    .check_edit()
    .unwrap();
}
