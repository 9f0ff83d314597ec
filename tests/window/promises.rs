//! What the window promises whatever the worker does: it asks only for what can be done, never floods, never waits, and
//! loses no event while it is hidden.

use crate::{
    fake::{Script, VIEWS, fake_worker},
    harness::{Window, difference, open_window},
};
use eframe::egui::{self, Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use luxedit::{
    settings::Settings,
    worker::{Command, Event, Job, Progress, RunState, SnapshotId},
};

fn start() -> Option<(Script, Window)> {
    start_at([1280.0, 800.0])
}

fn start_at(size: [f32; 2]) -> Option<(Script, Window)> {
    let mut script = None;
    let window = open_window(size, |gpu| {
        let (ours, worker) = fake_worker(gpu);
        script = Some(ours);
        worker
    })?;
    Some((script?, window))
}

fn ready() -> Settings {
    Settings {
        prompt: "make it bronze".into(),
        model: "/models/ip2p".into(),
        ..Settings::default()
    }
}

#[test]
fn an_empty_instruction_is_refused_with_a_reason() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(
        true,
        Settings {
            model: "/models/ip2p".into(),
            ..Settings::default()
        },
    );
    script.draw(0.2);
    window.until_label("Start edit");
    assert!(window.is_disabled("Start edit"));
    assert!(window.has("Type an instruction first"));
    window.press(Modifiers::COMMAND, Key::Enter);
    window.steps(2);
    assert!(
        window.get("Instruction").is_focused(),
        "the refusal leads to the instruction"
    );
    window.type_into("Instruction", "   ");
    assert!(
        window.is_disabled("Start edit"),
        "blanks are no instruction"
    );
    window.press(Modifiers::COMMAND, Key::Enter);
    let started = script.asked().iter().any(|c| matches!(c, Command::Edit));
    assert!(!started, "nothing was started");

    window.type_into("Instruction", "make it bronze");
    assert!(!window.is_disabled("Start edit"));
    window.press(Modifiers::COMMAND, Key::Enter);
    let asked = script.asked();
    let last = asked.len() - 1;
    assert!(matches!(asked[last], Command::Edit), "{asked:?}");
    let settings = asked.iter().rev().find_map(|c| match c {
        Command::Settings(settings) => Some(settings.prompt.clone()),
        _ => None,
    });
    assert_eq!(
        settings.as_deref(),
        Some("make it bronze"),
        "the settings went first"
    );
}

#[test]
fn a_scrub_keeps_only_the_newest_wish() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    for id in 0..8 {
        script.snapshot(id);
    }
    window.until_label("Snapshot 7 of step 1750");
    script.asked();
    window.get("Viewport").focus();
    window.steps(2);
    for _ in 0..6 {
        window.press(Modifiers::NONE, Key::ArrowLeft);
    }
    let shows = |commands: &[Command]| -> Vec<Option<SnapshotId>> {
        commands
            .iter()
            .filter_map(|c| match c {
                Command::Show(id) => Some(*id),
                _ => None,
            })
            .collect()
    };
    assert_eq!(
        shows(&script.asked()),
        [Some(SnapshotId(7))],
        "one is under way"
    );
    script.say(Event::Shown(Some(SnapshotId(7))));
    window.steps(2);
    assert_eq!(
        shows(&script.asked()),
        [Some(SnapshotId(2))],
        "then the newest, none between"
    );
    script.say(Event::Shown(Some(SnapshotId(2))));
    window.steps(2);
    assert!(window.has("Snapshot of step 500"));
    window.press(Modifiers::NONE, Key::L);
    assert_eq!(shows(&script.asked()), [None]);
}

#[test]
fn dragging_along_the_timeline_scrubs() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    for id in 0..8 {
        script.snapshot(id);
    }
    window.until_label("Snapshot 7 of step 1750");
    script.asked();
    let at = |window: &Window, label: &str| window.get(label).rect().center();
    let (from, to) = (
        at(&window, "Live scene"),
        at(&window, "Snapshot 3 of step 750"),
    );
    window.harness.drag_at(from);
    window.steps(2);
    for i in 1..=10 {
        window
            .harness
            .hover_at(from + (to - from) * (i as f32 / 10.0));
        window.steps(1);
        for command in script.asked() {
            if let Command::Show(id) = command {
                script.say(Event::Shown(id));
            }
        }
    }
    window.steps(3);
    assert!(
        window.has("Snapshot of step 750"),
        "the scene follows the pointer"
    );
    window.harness.drop_at(to);
    window.steps(3);
    assert!(
        window.has("Snapshot of step 750"),
        "and stays where it was left"
    );
}

#[test]
fn an_edit_started_on_a_snapshot_restores_it_first() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    script.snapshot(0);
    script.snapshot(1);
    script.say(Event::Shown(Some(SnapshotId(0))));
    window.until_label("Start edit from this snapshot");
    script.asked();
    window.click("Start edit from this snapshot");
    let asked = script.asked();
    let of = |wanted: fn(&Command) -> bool| asked.iter().position(wanted);
    let restored = of(|c| matches!(c, Command::Restore(SnapshotId(0))));
    let edited = of(|c| matches!(c, Command::Edit));
    assert!(restored.is_some() && restored < edited, "{asked:?}");
}

#[test]
fn a_hidden_window_still_takes_in_every_event() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    window.until_settled();
    let ctx = window.harness.ctx.clone();
    // More than the channel holds at once, with no frame drawn.
    for round in 0..4u32 {
        for i in 0..20_000 {
            script.say(Event::Loss {
                step: round * 20_000 + i,
                loss: 0.1,
            });
        }
        while script.waiting() > 0 {
            window.harness.state_mut().drain(&ctx);
        }
    }
    script.say(Event::Done {
        job: Job::Edit,
        finished: true,
        step: 80_000,
    });
    window.harness.state_mut().drain(&ctx);
    window.steps(2);
    assert!(window.has("Edit finished at step 80\u{a0}000"));
}

#[test]
fn new_parameters_and_moves_reach_the_viewport() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    let first = window.viewport_pixels();
    script.draw(0.7);
    let second = window.viewport_pixels();
    assert!(difference(&first, &second) > 1.0, "another colour");
    script.draw(0.2);
    let again = window.viewport_pixels();
    assert!(difference(&first, &again) < 0.01, "and back");

    let center = window.get("Viewport").rect().center();
    window.harness.drag_at(center);
    window.steps(2);
    window.harness.hover_at(center + egui::vec2(120.0, 30.0));
    window.steps(2);
    window.harness.drop_at(center + egui::vec2(120.0, 30.0));
    window.steps(10);
    let orbited = window.viewport_pixels();
    assert!(
        difference(&first, &orbited) > 0.05,
        "a drag turns the scene"
    );
    window.press(Modifiers::NONE, Key::Home);
    let home = window.viewport_pixels();
    assert!(difference(&first, &home) < 0.05, "home is where it began");
}

#[test]
fn looking_through_a_view_compares_with_its_photo() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    window.until_settled();
    assert!(window.is_disabled("Compare"), "nothing to compare with yet");
    window.press(Modifiers::NONE, Key::Period);
    window.until_label("View 0 · images/0000.jpg · held out");
    window.press(Modifiers::NONE, Key::Comma);
    window.until_label(&format!("View {} ·", VIEWS - 1));
    let scene = window.viewport_pixels();
    window.click("Compare");
    window.until_label("Before and after wipe");
    let wiped = window.viewport_pixels();
    let half = scene.width() / 2 - 30;
    let part = |picture: &image::RgbaImage, x: u32| {
        image::imageops::crop_imm(picture, x, 0, half, picture.height()).to_image()
    };
    assert!(
        difference(&part(&scene, 0), &part(&wiped, 0)) > 2.0,
        "the photo is on the left"
    );
    let right = scene.width() - half;
    assert!(
        difference(&part(&scene, right), &part(&wiped, right)) < 0.05,
        "the scene on the right"
    );
    window.click("Leave training view");
    window.steps(30);
    assert!(!window.has("images/0011.jpg"));
}

#[test]
fn the_scene_before_the_edit_is_kept_for_comparison() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    let before = window.viewport_pixels();
    window.click("Start edit");
    script.say(Event::State(RunState::Running(Job::Edit)));
    script.draw(0.7);
    window.steps(3);
    window.click("Compare");
    window.until_label("Before and after wipe");
    script.say(Event::State(RunState::Idle));
    let wiped = window.viewport_pixels();
    let half = before.width() / 2 - 30;
    let left =
        |p: &image::RgbaImage| image::imageops::crop_imm(p, 0, 0, half, p.height()).to_image();
    let same = difference(&left(&before), &left(&wiped));
    assert!(same < 0.05, "the left half is the scene before: {same:.3}");
    assert!(
        difference(&before, &wiped) > 0.5,
        "the right half is the new one"
    );
}

#[test]
fn errors_are_a_banner_and_warnings_a_badge() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    script.say(Event::Error("the disk is full: free some space".into()));
    script.say(Event::Warning("2 photos were left out".into()));
    window.until_label("The disk is full: free some space");
    window.click("Dismiss");
    assert!(!window.has("The disk is full"));
    window.click("1 warning");
    assert!(window.has("2 photos were left out"));
    window.keep_picture("warnings");
    window.press(Modifiers::NONE, Key::Escape);
    assert!(!window.has("2 photos were left out"));
}

#[test]
fn dropped_files_are_opened() {
    #[derive(Debug)]
    struct Dropped(std::path::PathBuf);
    impl egui::DroppedFile for Dropped {
        fn path(&self) -> &std::path::Path {
            &self.0
        }
        fn bytes(&self) -> std::result::Result<Vec<u8>, String> {
            std::fs::read(&self.0).map_err(|e| e.to_string())
        }
    }
    let Some((script, mut window)) = start() else {
        return;
    };
    for name in ["/captures/fox", "/captures/other"] {
        let file = std::sync::Arc::new(Dropped(name.into()));
        window.harness.input_mut().dropped_files.push(file);
    }
    window.steps(3);
    let asked = script.asked();
    let opened: Vec<_> = asked
        .iter()
        .filter_map(|c| match c {
            Command::Open(path) => Some(path.display().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(opened, ["/captures/fox"]);
    assert!(window.has("1 warning"), "what was not opened is named");
}

#[test]
fn the_palette_finds_and_runs_any_command() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    window.until_settled();
    window.press(Modifiers::COMMAND, Key::K);
    window.keep_picture("palette");
    window.type_into("Command", "measure");
    window.press(Modifiers::NONE, Key::Enter);
    let asked = script.asked();
    assert!(
        asked.iter().any(|c| matches!(c, Command::Evaluate)),
        "{asked:?}"
    );
    assert!(
        window.harness.query_by_label("Command").is_none(),
        "the palette closed"
    );
    window.press(Modifiers::NONE, Key::F1);
    assert!(window.has("Keyboard shortcuts"));
    window.keep_picture("shortcuts");
    for info in luxedit::app::COMMANDS
        .iter()
        .filter(|c| c.shortcut.is_some())
    {
        assert!(
            window.has(info.label.trim_end_matches('…')),
            "{} is listed",
            info.label
        );
    }
}

#[test]
fn closing_waits_for_the_worker_to_save() {
    let Some((mut script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    window.steps(3);
    window.press(Modifiers::COMMAND, Key::Q);
    assert!(window.has("saving the project"));
    assert!(
        script
            .asked()
            .iter()
            .any(|c| matches!(c, Command::ShutDown))
    );
    assert!(
        !window.harness.state().has_closed(),
        "the worker has not ended yet"
    );
    script.end();
    window.until("the end", |h| h.state().has_closed());
}

#[test]
fn a_worker_that_dies_is_an_error_in_words() {
    let Some((mut script, mut window)) = start() else {
        return;
    };
    script.open(true, ready());
    window.steps(3);
    script.end();
    window.until_label("The background thread ended unexpectedly");
}

#[test]
fn a_splat_file_offers_views_made_from_where_the_artist_stands() {
    let Some((script, mut window)) = start() else {
        return;
    };
    script.open_splat_file(ready());
    script.draw(0.2);
    window.until_label("Make views to edit");
    assert!(!window.has("Start edit"), "there is nothing to edit yet");
    window.set_number("Views", 20.0);
    window.keep_picture("splat-file");
    for (role, name, rect) in window.controls() {
        let is_inside = rect.min.x >= -1.0 && rect.max.x <= 1281.0;
        assert!(is_inside, "{role:?} {name} is cut off: {rect:?}");
    }
    window.click("Make views to edit");
    window.click("Turn another axis up");
    window.click("Make views to edit");
    window.steps(2);
    let asked = script.asked();
    let stances: Vec<_> = asked
        .iter()
        .filter_map(|c| match c {
            Command::MakeViews {
                stance: Some(stance),
                folder: None,
                opens: true,
            } => Some(stance),
            _ => None,
        })
        .collect();
    assert_eq!(stances.len(), 2, "{asked:?}");
    assert_eq!(stances[0].up, glam::DVec3::Z);
    assert_eq!(stances[1].up, glam::DVec3::NEG_Y);
    for stance in stances {
        assert!(stance.center.length() < 1e-6, "around what is looked at");
        assert!((stance.eye.length() - 4.0).abs() < 1e-6);
    }
    let settings = asked.iter().rev().find_map(|c| match c {
        Command::Settings(settings) => Some(settings),
        _ => None,
    });
    assert_eq!(settings.expect("they go first").rig_count, 20);
}

#[test]
fn a_lost_remote_editor_is_said_where_the_progress_is() {
    // Tall: the row is one of many.
    let Some((script, mut window)) = start_at([1280.0, 1500.0]) else {
        return;
    };
    script.open(true, ready());
    script.draw(0.2);
    window.until_label("Start edit");
    // Chosen in the panel, and typed: what is no address is refused before anything starts.
    window.click("Advanced");
    window.steps(20);
    window.click("Edit on");
    window.click("Remote");
    window.type_into("Addresses of remote editors", "ws://gpu-box");
    window.until_label("it has no port");
    assert!(window.is_disabled("Start edit"));
    window.type_into("Addresses of remote editors", "ws://gpu-box:7860");
    assert!(!window.is_disabled("Start edit"));
    window.keep_picture("remote_chosen");
    window.click("Start edit");
    let asked = script.asked();
    // Half of the address may have gone before.
    let device = asked.iter().rev().find_map(|c| match c {
        Command::Settings(settings) => Some(settings.edit_device.to_string()),
        _ => None,
    });
    assert_eq!(device.as_deref(), Some("ws://gpu-box:7860"));

    script.say(Event::State(RunState::Running(Job::Edit)));
    let reason = "Waiting for the remote editor: ws://gpu-box:7860 cannot be reached (it was closed). The edit goes on \
                  when it is back";
    let mut progress = Progress {
        job: Some(Job::Edit),
        done: 12,
        total: 100,
        waiting: Some(reason.into()),
        detail: "editing view 7 of 45, denoising 12 of 20".into(),
        ..Progress::default()
    };
    script.progress(progress.clone());
    window.until_label("cannot be reached");
    assert!(window.has("Waiting…"));
    window.keep_picture("remote_waiting");
    progress.waiting = None;
    script.progress(progress);
    window.until_label("Editing view 7 of 45");
    assert!(!window.has("cannot be reached"));
}
