//! The try-out on one view: against a worker that plays a script, and on the real one.

use crate::{
    fake::{Script, fake_worker},
    harness::{Window, open_window},
};
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use luxedit::{
    scene::Photo,
    settings::Settings,
    worker::{Command, Event, Job, Progress, RunState, Trial, TrialPreview, Tried, WorkerHandle},
};
use std::path::Path;

fn start(size: [f32; 2]) -> Option<(Script, Window)> {
    let mut script = None;
    let mut window = open_window(size, |gpu| {
        let (ours, worker) = fake_worker(gpu);
        script = Some(ours);
        worker
    })?;
    let script = script?;
    let settings = Settings {
        prompt: "make it bronze".into(),
        model: "/models/ip2p".into(),
        ..Settings::default()
    };
    script.open(true, settings);
    script.draw(0.2);
    window.until_label("Start edit");
    script.asked();
    Some((script, window))
}

fn flat(level: u8) -> Photo {
    Photo::new(96, 72, vec![level; 96 * 72 * 3])
}

fn asked_trials(script: &Script) -> (usize, String, Vec<Trial>) {
    let asked = script.asked();
    let found = asked.into_iter().find_map(|c| match c {
        Command::TryOut {
            view,
            prompt,
            trials,
        } => Some((view, prompt, trials)),
        _ => None,
    });
    found.expect("a try-out was asked for")
}

fn answer(script: &Script, trials: &[Trial]) {
    for (i, trial) in trials.iter().enumerate() {
        script.say(Event::Tried(Box::new(Tried {
            trial: *trial,
            picture: flat(40 + 20 * i as u8),
            duration_secs: 1.0,
        })));
    }
}

fn done(script: &Script, finished: bool) {
    script.say(Event::State(RunState::Idle));
    script.say(Event::Done {
        job: Job::TryOut,
        finished,
        step: 0,
    });
}

#[test]
fn what_is_kept_becomes_the_settings_of_the_panel() {
    for size in [[1024.0, 700.0], [1440.0, 900.0]] {
        let Some((script, mut window)) = start(size) else {
            return;
        };
        window.press(Modifiers::COMMAND, Key::T);
        window.until_label("Keep this setting");
        assert!(window.is_disabled("Keep this setting"));
        window.type_into("Instruction to try", "make it snow");
        window.click("Try 9 settings");
        let (view, prompt, trials) = asked_trials(&script);
        assert!(view != 0, "a held-out view is not the first choice");
        assert_eq!(prompt, "make it snow");
        assert_eq!(trials.len(), 9);
        assert_eq!(trials[0].guidance_scale, 12.5, "the present setting first");

        // Half way: a preview in its cell, what is next says so.
        script.say(Event::State(RunState::Running(Job::TryOut)));
        script.say(Event::TryOutBegan {
            view,
            render: flat(20),
        });
        answer(&script, &trials[..4]);
        script.previewing(TrialPreview {
            trial: trials[4],
            done: 12,
            steps: 20,
            picture: Some(flat(200)),
        });
        script.progress(Progress {
            job: Some(Job::TryOut),
            done: 92,
            total: 180,
            eta_secs: Some(95.0),
            detail: "setting 5 of 9, denoising 12 of 20".into(),
            ..Progress::default()
        });
        window.until_label("Setting 5 of 9, denoising 12 of 20, 2 min left");
        window.keep_picture(&format!("try_out_running_{}", size[0]));
        assert!(window.is_disabled("Strength 17.5, faithfulness 1.8"));
        window.click("Stop trying");
        assert!(script.asked().iter().any(|c| matches!(c, Command::Stop)));
        done(&script, false);
        window.until_label("Try 5 settings");

        // The rest, then a wider grid: only what is missing is tried.
        window.click("Try 5 settings");
        let (_, _, rest) = asked_trials(&script);
        assert_eq!(rest, trials[4..]);
        answer(&script, &rest);
        done(&script, true);
        window.steps(3);
        window.click("Another value: Faithfulness to photo");
        window.click("Try 3 settings");
        let (_, _, wider) = asked_trials(&script);
        assert!(
            wider.iter().all(|t| t.image_guidance_scale == 2.1),
            "{wider:?}"
        );
        answer(&script, &wider);
        done(&script, true);
        window.steps(3);
        window.keep_picture(&format!("try_out_done_{}", size[0]));

        let whole = window.harness.ctx.content_rect();
        for (role, name, rect) in window.controls() {
            if name == "Keep this setting" || name == "Close" || name.starts_with("Strength") {
                assert!(
                    whole.contains_rect(rect),
                    "{role:?} {name} leaves the window"
                );
            }
        }
        window.click("Strength 17.5, faithfulness 2.1");
        assert!(window.has("Chosen picture"));
        assert!(window.has("Instruction strength 17.5 · Faithfulness to photo 2.1 · Seed 0"));
        window.click("Keep this setting");
        assert!(!window.has("Keep this setting"), "the dialog closed");
        assert_eq!(
            window.get("Instruction").value().as_deref(),
            Some("make it snow")
        );
        window.click("Start edit");
        let settings = script.asked().into_iter().rev().find_map(|c| match c {
            Command::Settings(settings) => Some(settings),
            _ => None,
        });
        let settings = settings.expect("the settings go before the edit");
        assert_eq!(settings.prompt, "make it snow");
        assert_eq!(settings.guidance_scale, 17.5);
        assert_eq!(settings.image_guidance_scale, 2.1);
    }
}

#[test]
fn closing_stops_and_changes_nothing() {
    let Some((script, mut window)) = start([1280.0, 800.0]) else {
        return;
    };
    window.click("Try on one view…");
    window.type_into("Instruction to try", " ");
    assert!(window.has("Type an instruction first"));
    assert!(window.is_disabled("Try 9 settings"));
    window.type_into("Instruction to try", "make it snow");
    window.click("View after");
    window.click("Try 9 settings");
    let (_, _, trials) = asked_trials(&script);
    script.say(Event::State(RunState::Running(Job::TryOut)));
    window.steps(3);
    window.press(Modifiers::NONE, Key::Escape);
    assert!(script.asked().iter().any(|c| matches!(c, Command::Stop)));
    assert!(!window.has("Keep this setting"));
    answer(&script, &trials[..1]);
    done(&script, false);
    window.steps(3);
    assert_eq!(
        window.get("Instruction").value().as_deref(),
        Some("make it bronze")
    );

    // What failed is said in the dialog.
    window.press(Modifiers::COMMAND, Key::T);
    window.click("Try 9 settings");
    script.say(Event::Error("/models/ip2p: there is no such model".into()));
    done(&script, false);
    window.steps(3);
    window.keep_picture("try_out_error");
    let said = window
        .harness
        .get_all_by_label_contains("there is no such model");
    assert!(said.count() >= 2, "in the banner behind and in the dialog");
}

#[test]
fn a_view_is_tried_on_the_real_worker() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(mut window) = open_window([1440.0, 900.0], |gpu| {
        Box::new(WorkerHandle::spawn(gpu, || {}).expect("the worker starts"))
    }) else {
        return;
    };
    window.click("Open capture folder…");
    window.until_label("Open this path");
    window.type_into("Path", &root.join("assets/tiny").display().to_string());
    window.click("Open this path");
    window.until_label("held out to measure quality");
    // Before there is a scene, and with nothing typed yet.
    window.press(Modifiers::COMMAND, Key::T);
    window.type_into("Instruction to try", "make it a bronze bust");
    window.until_label("Try 9 settings");
    window.click("Try 9 settings");
    window.until_label("Click the picture that you like best");
    window.until("all settings to be tried", |h| {
        h.query_by_label("Try")
            .is_some_and(|node| node.accesskit_node().is_disabled())
    });
    window.keep_picture("try_out_real");
    let cells: Vec<String> = window
        .controls()
        .into_iter()
        .filter_map(|(_, name, _)| name.starts_with("Strength").then_some(name))
        .collect();
    assert!(cells.len() >= 6, "{cells:?}");
    window.click(cells.last().expect("not empty"));
    window.click("Keep this setting");
    assert!(!window.has("Dismiss"), "nothing went wrong");
    window.press(Modifiers::COMMAND, Key::Q);
    window.until("the worker to end", |h| h.state().has_closed());
}
