//! Which view is edited when, without a scene.

use luxedit::{
    edit::{Schedule, StepPlan},
    settings::{Method, Settings},
};

fn in2n() -> Settings {
    let mut settings = Settings::default();
    Settings::info("method")
        .expect("a row")
        .parse(&mut settings, "in2n")
        .expect("a method");
    settings
}

/// Step before which each view was edited, over `steps` steps; `resume_at` saves and reads the schedule there.
fn run(settings: &Settings, views: usize, steps: u32, resume_at: u32) -> Vec<(u32, usize)> {
    let mut schedule = Schedule::new(7, views);
    let mut edits = Vec::new();
    while schedule.steps_done() < steps {
        if schedule.steps_done() == resume_at {
            let saved = serde_json::to_string(&schedule).unwrap();
            schedule = serde_json::from_str(&saved).unwrap();
        }
        let ahead = schedule.edits_ahead(settings, steps);
        let plan = schedule.plan_edit(settings);
        assert_eq!(plan, schedule.plan_edit(settings), "asking changes nothing");
        match plan {
            StepPlan::EditOnly { position, sweep } => {
                assert_eq!(sweep as usize, edits.len() / views);
                edits.push((schedule.steps_done(), position));
                schedule.finish_edit();
                assert_eq!(schedule.edits_ahead(settings, steps), ahead - 1);
            }
            StepPlan::Step { position } => {
                assert!(position < views);
                schedule.finish_step(&plan);
            }
            StepPlan::EditAndStep { .. } => panic!("in2n edits before the step"),
        }
    }
    edits
}

#[test]
fn in2n_edits_one_view_every_few_steps_in_one_fixed_random_order() {
    let settings = in2n();
    let edits = run(&settings, 9, 200, u32::MAX);
    let steps: Vec<u32> = edits.iter().map(|e| e.0).collect();
    assert_eq!(steps, (0..20).map(|n| 10 * n).collect::<Vec<_>>());
    let order: Vec<usize> = edits.iter().map(|e| e.1).collect();
    let mut sorted = order[..9].to_vec();
    assert_ne!(sorted, (0..9).collect::<Vec<_>>(), "an order of its own");
    sorted.sort_unstable();
    assert_eq!(sorted, (0..9).collect::<Vec<_>>(), "every view once");
    assert_eq!(order[..9], order[9..18], "the same order again");
    assert_eq!(edits, run(&settings, 9, 200, 50), "resumed");
}

#[test]
fn in2n_edits_several_views_at_a_time() {
    let settings = Settings {
        edit_rate: 4,
        edit_count: 3,
        ..in2n()
    };
    let edits = run(&settings, 5, 10, 4);
    let steps: Vec<u32> = edits.iter().map(|e| e.0).collect();
    assert_eq!(steps, [0, 0, 0, 4, 4, 4, 8, 8, 8]);
}

#[test]
fn a_method_is_a_preset_that_other_flags_override() {
    let settings = in2n();
    assert_eq!(settings.method, Method::In2n);
    assert_eq!(
        (
            settings.guidance_scale,
            settings.lower_bound,
            settings.edit_steps
        ),
        (7.5, 0.02, 15_000)
    );
    settings
        .check_prompt_and_model()
        .expect_err("no instruction");
    let mut back = settings;
    Settings::info("method")
        .expect("a row")
        .parse(&mut back, "igs2gs")
        .expect("a method");
    assert_eq!(back, Settings::default());
    assert_eq!(luxedit::settings::SETTINGS[0].key, "method");
}
