//! Where things are: at the smallest and at a large window nothing overlaps, leaves the window, or goes without a name.

use crate::{
    fake::{Script, fake_worker},
    harness::{Window, open_window},
};
use eframe::egui::Rect;
use egui_kittest::kittest::Queryable as _;
use luxedit::{
    app::{COMMANDS, Menu},
    settings::Settings,
    worker::{Event, Job, Progress, RunState},
};
use std::collections::{BTreeMap, HashSet};

/// A busy window: a run under way, edits, snapshots, a warning.
fn busy(size: [f32; 2]) -> Option<(Script, Window)> {
    let mut script = None;
    let mut window = open_window(size, |gpu| {
        let (ours, worker) = fake_worker(gpu);
        script = Some(ours);
        worker
    })?;
    let script = script?;
    let settings = Settings {
        prompt: "make it a bronze bust".into(),
        model: "/models/instruct-pix2pix".into(),
        ..Settings::default()
    };
    script.open(true, settings);
    script.draw(0.1);
    script.say(Event::State(RunState::Running(Job::Edit)));
    for i in 0..40u32 {
        script.say(Event::Loss {
            step: 3000 + i,
            loss: 0.1 + 0.02 * (i as f32).sin(),
        });
        script.edit(i);
    }
    for id in 0..16 {
        script.snapshot(id);
    }
    script.say(Event::Warning("a photo was left out".into()));
    script.progress(Progress {
        job: Some(Job::Edit),
        done: 1240,
        total: 7500,
        steps_per_sec: 12.3,
        eta_secs: Some(510.0),
        loss: Some(0.1),
        splats: 600,
        splat_cap: None,
        waiting: None,
        detail: "editing view 7 of 45, denoising 12 of 20".into(),
    });
    window.until_settled();
    Some((script, window))
}

#[test]
fn panels_fit_small_and_large_windows() {
    for size in [[1024.0, 700.0], [1920.0, 1080.0]] {
        let Some((_script, mut window)) = busy(size) else {
            return;
        };
        window.keep_picture(&format!("busy_{}x{}", size[0], size[1]));
        let whole = Rect::from_min_size(
            eframe::egui::pos2(8.0, 8.0),
            eframe::egui::vec2(size[0], size[1]),
        )
        .expand(0.5);
        // A slider and the number beside it share a name; the slider comes first.
        let place = |label: &str| {
            let mut found = window.harness.get_all_by_label(label);
            found.next().expect("the first of at least one").rect()
        };
        let viewport = place("Viewport");
        assert!(
            viewport.width() > 0.55 * size[0],
            "the scene has the most room: {viewport:?}"
        );
        assert!(
            viewport.height() > 0.5 * size[1],
            "the scene has the most room: {viewport:?}"
        );
        for label in [
            "Viewport",
            "Instruction",
            "Instruction strength",
            "Faithfulness to photo",
            "Steps",
            "Edit model",
            "Pause",
            "Stop",
            "Live scene",
            "Restore",
            "Compare",
            "Home",
        ] {
            let rect = place(label);
            assert!(
                whole.contains_rect(rect),
                "{label} at {rect:?} leaves the window {whole:?}"
            );
            assert!(rect.is_positive(), "{label} has a size");
        }
        for label in ["Instruction", "Pause", "Stop", "Live scene", "Restore"] {
            let rect = place(label);
            assert!(
                !viewport.intersects(rect.shrink(1.0)),
                "{label} at {rect:?} covers the scene"
            );
        }
        let (pause, stop) = (place("Pause"), place("Stop"));
        assert!((pause.width() - stop.width()).abs() < 1.0 && pause.top() == stop.top());
        assert!(pause.height() >= 24.0, "large enough to hit");
        let edges =
            ["Instruction strength", "Faithfulness to photo", "Steps"].map(|l| place(l).left());
        assert!(
            edges.iter().all(|x| (x - edges[0]).abs() < 1.0),
            "controls line up: {edges:?}"
        );
    }
}

#[test]
fn every_control_has_a_name_of_its_own_in_sentence_case() {
    let Some((_script, mut window)) = busy([1280.0, 800.0]) else {
        return;
    };
    let viewport = window.get("Viewport").rect();
    window.click("Advanced");
    window.steps(40);
    assert_eq!(
        window.get("Viewport").rect(),
        viewport,
        "the side panel keeps its width"
    );
    window.keep_picture("advanced");
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (role, name, rect) in window.controls() {
        assert!(
            !name.trim().is_empty(),
            "a {role:?} at {rect:?} has no name"
        );
        let first = name.chars().next().unwrap_or(' ');
        assert!(
            first.is_uppercase() || first.is_numeric(),
            "\"{name}\" is not in sentence case"
        );
        let shouts = name.split(' ').skip(1).any(|word| {
            !["PLY"].contains(&word) && word.len() > 1 && word.chars().all(char::is_uppercase)
        });
        assert!(!shouts, "\"{name}\" is not in sentence case");
        *names.entry(name).or_default() += 1;
    }
    let doubled: Vec<_> = names.iter().filter(|(_, n)| **n > 1).collect();
    // A slider and the number beside it share a name: they are one control.
    let is_slider = |name: &str| {
        luxedit::settings::SETTINGS
            .iter()
            .any(|s| s.label == name && matches!(s.kind, luxedit::settings::Kind::Float { .. }))
    };
    let unexplained: Vec<_> = doubled
        .into_iter()
        .filter(|(name, _)| !is_slider(name))
        .collect();
    assert!(
        unexplained.is_empty(),
        "names that are not unique: {unexplained:?}"
    );
}

#[test]
fn start_page_and_contact_sheet_say_what_to_do() {
    let mut script = None;
    let Some(mut window) = open_window([1024.0, 700.0], |gpu| {
        let (ours, worker) = fake_worker(gpu);
        script = Some(ours);
        worker
    }) else {
        return;
    };
    let script: Script = script.expect("just made");
    window.steps(3);
    window.keep_picture("start");
    assert!(window.has("Turn a captured 3D scene into something else"));
    assert!(window.has("drop a capture"));
    let (folder, file) = (
        window.get("Open capture folder…").rect(),
        window.get("Open file…").rect(),
    );
    assert!(
        (folder.width() - file.width()).abs() < 1.0,
        "two buttons of one size"
    );
    let middle = 0.5 * (folder.left() + file.right());
    assert!(
        (middle - 520.0).abs() < 4.0,
        "in the middle of the window: {middle}"
    );

    script.open(false, Settings::default());
    window.steps(6);
    window.keep_picture("contact_sheet");
    assert!(window.has("12 photos, 1 of them held out"));
    assert!(!window.is_disabled("Reconstruct this capture"));
    assert!(!window.is_disabled("Reconstruct"));
}

#[test]
fn the_table_of_commands_is_consistent() {
    let mut labels = HashSet::new();
    for info in COMMANDS {
        assert!(labels.insert(info.label), "{} twice", info.label);
        assert!(!info.tooltip.ends_with('.'), "{}: no full stop", info.label);
        assert!(
            info.command.info().label == info.label,
            "the index of {} is right",
            info.label
        );
    }
    // Only pause and resume share a key, and never can both be done.
    let mut shortcuts = BTreeMap::new();
    for info in COMMANDS {
        if let Some(shortcut) = info.shortcut {
            let key = format!("{shortcut:?}");
            shortcuts
                .entry(key)
                .or_insert_with(Vec::new)
                .push(info.label);
        }
    }
    for (key, users) in shortcuts {
        assert!(
            users.len() == 1 || users == ["Pause", "Resume"],
            "{key}: {users:?}"
        );
    }
    for menu in Menu::ALL {
        assert!(
            COMMANDS.iter().any(|c| c.menu == menu),
            "{} is empty",
            menu.label()
        );
    }
}

#[test]
fn menus_hold_the_whole_table() {
    let Some((_script, mut window)) = busy([1280.0, 800.0]) else {
        return;
    };
    for menu in Menu::ALL {
        window.click(menu.label());
        window.keep_picture(&format!("menu_{}", menu.label()));
        for info in COMMANDS.iter().filter(|c| c.menu == menu) {
            assert!(
                window.has(info.label),
                "{} is in {}",
                info.label,
                menu.label()
            );
        }
        window.press(eframe::egui::Modifiers::NONE, eframe::egui::Key::Escape);
    }
}
