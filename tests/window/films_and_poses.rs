//! Photos that have no poses, films of a scene, and what is said beside a job without being a fault.

use crate::{
    fake::{Script, fake_worker},
    harness::{Window, open_window},
};
use eframe::egui::{Key, Modifiers};
use luxedit::{
    app::Recents,
    formats::picture::write_png,
    scene::Photo,
    settings::Settings,
    worker::{Command, Event, Job, RenderFormat, RunState},
};
use std::path::{Path, PathBuf};

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

/// Four photos in a folder `walk` of `dir`.
fn photos_in(dir: &Path) -> PathBuf {
    let photos = dir.join("walk");
    std::fs::create_dir(&photos).unwrap();
    for i in 0..4 {
        let photo = Photo::new(8, 6, vec![i; 144]);
        write_png(&photos.join(format!("{i}.png")), &photo).unwrap();
    }
    photos
}

#[test]
fn photos_without_poses_are_offered_to_colmap() {
    let dir = tempfile::tempdir().unwrap();
    let photos = photos_in(dir.path());
    let (gone, colmap) = (dir.path().join("gone"), dir.path().join("colmap"));
    std::fs::write(&colmap, "").unwrap();
    let settings = Settings {
        colmap: gone.display().to_string(),
        ..Settings::default()
    };
    let Some((script, mut window)) = start(settings) else {
        return;
    };
    let offer = |window: &mut Window| {
        choose(window, "open capture folder", &photos, "Open this path");
        window.until_label("Find camera poses");
        assert!(window.has("walk holds 4 photos"));
    };
    script.asked();
    offer(&mut window);
    assert!(window.is_disabled("Find poses"));
    assert!(window.has("choose where COLMAP is"), "why not");
    assert!(!window.has("--colmap"), "there are no flags in a window");
    window.keep_picture("find-poses-refused");
    window.click("Cancel");
    assert!(!window.has("Find camera poses"));
    let asked = script.asked();
    assert!(
        !asked.iter().any(|c| matches!(c, Command::Open(_))),
        "{asked:?}"
    );
    offer(&mut window);
    window.click("Choose COLMAP…");
    window.until_label("Path");
    window.type_into("Path", &colmap.display().to_string());
    window.click("Use this program");
    window.steps(3);
    assert!(!window.is_disabled("Find poses"));
    assert!(window.has("Use COLMAP on the PATH"));
    window.keep_picture("find-poses");
    window.click("Find poses");
    window.steps(2);
    let asked = script.asked();
    let settings = asked.iter().rev().find_map(|c| match c {
        Command::Settings(settings) => Some(settings.colmap.as_str()),
        _ => None,
    });
    assert_eq!(settings, colmap.to_str(), "{asked:?}");
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

/// Where the programs are is kept with the window's own file.
#[test]
fn where_the_programs_are_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recents.json");
    std::fs::write(&file, r#"{"colmap": "/opt/colmap"}"#).unwrap();
    let mut settings = Settings {
        ffmpeg: "/opt/ffmpeg".into(),
        ..Settings::default()
    };
    Recents::load_from(file).fill_programs(&mut settings);
    assert_eq!(
        (settings.colmap.as_str(), settings.ffmpeg.as_str()),
        ("/opt/colmap", "/opt/ffmpeg")
    );
}

/// Errors of the worker speak of settings by their flags; in the window they have names.
#[test]
fn flags_are_named_as_the_window_names_them() {
    let Some((script, mut window)) = start(Settings::default()) else {
        return;
    };
    script.say(Event::Error(
        "take --loss l1, or --edited-side 256; `luxedit --help` says --more of /shots/a--seed"
            .into(),
    ));
    window.until_label("Take \"Loss\" l1, or \"");
    assert!(window.has("`luxedit --help` says --more of /shots/a--seed"));
    assert!(!window.has("--loss") && !window.has("--edited-side"));
}

#[test]
fn a_film_is_what_its_name_says() {
    let dir = tempfile::tempdir().unwrap();
    let ffmpeg = dir.path().join("ffmpeg");
    let settings = Settings {
        ffmpeg: ffmpeg.display().to_string(),
        ..Settings::default()
    };
    let Some((script, mut window)) = start(settings) else {
        return;
    };
    choose(&mut window, "export film", Path::new("loop"), "Export here");
    assert!(window.has("choose where ffmpeg is (File, Choose ffmpeg…)"));
    std::fs::write(&ffmpeg, "").unwrap();
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
