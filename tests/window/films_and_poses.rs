//! Photos that have no poses, films of a scene, and what is said beside a job without being a fault.

use crate::{
    fake::{Script, fake_worker},
    harness::{Window, open_window},
};
use eframe::egui::{Key, Modifiers};
use luxedit::{
    formats::picture::write_png,
    scene::Photo,
    settings::Settings,
    worker::{Command, Event, Job, RenderFormat, RunState},
};
use std::path::Path;

fn start(settings: Settings) -> Option<(Script, Window)> {
    let mut script = None;
    let mut window = open_window([1280.0, 800.0], |gpu| {
        let (ours, worker) = fake_worker(gpu);
        script = Some(ours);
        worker
    })?;
    let script = script?;
    script.open(true, settings);
    script.draw(0.2);
    window.until_label("Start edit");
    Some((script, window))
}

/// Type `path` where the window asks for one.
fn choose(window: &mut Window, command: &str, path: &Path, confirm: &str) {
    window.press(Modifiers::COMMAND, Key::K);
    window.type_into("Command", command);
    window.press(Modifiers::NONE, Key::Enter);
    window.until_label("Path");
    window.type_into("Path", &path.display().to_string());
    window.click(confirm);
    window.steps(2);
}

#[test]
fn photos_without_poses_are_offered_to_colmap() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("walk");
    std::fs::create_dir(&photos).unwrap();
    for i in 0..4 {
        let photo = Photo::new(8, 6, vec![i; 144]);
        write_png(&photos.join(format!("{i}.png")), &photo).unwrap();
    }
    let colmap = dir.path().join("colmap");
    for is_there in [false, true] {
        if is_there {
            std::fs::write(&colmap, "").unwrap();
        }
        let settings = Settings {
            colmap: colmap.display().to_string(),
            ..Settings::default()
        };
        let Some((script, mut window)) = start(settings) else {
            return;
        };
        script.asked();
        choose(
            &mut window,
            "open capture folder",
            &photos,
            "Open this path",
        );
        window.until_label("Find camera poses");
        assert!(window.has("walk holds 4 photos"));
        assert_eq!(window.is_disabled("Find poses"), !is_there);
        if !is_there {
            assert!(window.has("--colmap names the program"), "why not");
            window.keep_picture("find-poses-refused");
            window.click("Cancel");
            assert!(!window.has("Find camera poses"));
            let asked = script.asked();
            assert!(
                !asked.iter().any(|c| matches!(c, Command::Open(_))),
                "{asked:?}"
            );
            continue;
        }
        window.keep_picture("find-poses");
        window.click("Find poses");
        window.steps(2);
        let asked = script.asked();
        assert!(
            asked.iter().any(|c| matches!(
                c,
                Command::FindPoses { photos: p, folder: None, opens: true } if *p == photos
            )),
            "{asked:?}"
        );
        assert!(!window.has("Find camera poses"));
        script.say(Event::State(RunState::Running(Job::Poses)));
        window.until_label("Finding poses…");
        window.click("Stop");
        assert!(matches!(script.asked()[..], [Command::Stop]));
    }
}

#[test]
fn a_film_is_what_its_name_says() {
    let Some((script, mut window)) = start(Settings::default()) else {
        return;
    };
    for (name, expected) in [
        ("loop.gif", RenderFormat::Gif),
        ("loop", RenderFormat::Video),
        ("loop.json", RenderFormat::CameraPath),
    ] {
        script.asked();
        choose(&mut window, "export film", Path::new(name), "Export here");
        let asked = script.asked();
        assert!(
            asked.iter().any(|c| matches!(
                c,
                Command::Render { orbit: Some(_), format, .. } if *format == expected
            )),
            "{name}: {asked:?}"
        );
    }
    choose(
        &mut window,
        "export film",
        Path::new("loop.txt"),
        "Export here",
    );
    assert!(window.has("has no ending of a film"));
}

#[test]
fn what_is_no_fault_is_no_warning() {
    let Some((script, mut window)) = start(Settings::default()) else {
        return;
    };
    script.say(Event::State(RunState::Running(Job::Edit)));
    script.say(Event::Note(
        "the edit goes without LPIPS, with L1 as loss".into(),
    ));
    window.until_label("The edit goes without LPIPS");
    assert!(!window.has("1 warning"));
    window.keep_picture("note");
}
