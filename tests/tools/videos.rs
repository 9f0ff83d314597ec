//! Videos, by the real ffmpeg where it is on the PATH.

use luxedit::scene::Photo;
use luxedit::tools::{Program, VideoWriter, is_video};
use std::path::Path;

fn has_ffmpeg() -> bool {
    let found = Program::FFMPEG.find("");
    if let Err(why) = &found {
        println!("SKIPPED: {why}");
    }
    found.is_ok()
}

fn picture(i: u8, width: u32, height: u32) -> Photo {
    let rgb = (0..width * height)
        .flat_map(|p| [i * 20, (p % width) as u8 * 4, 90])
        .collect();
    Photo::new(width, height, rgb)
}

/// What ffmpeg says of a file when it decodes all of it.
fn decoded(path: &Path) -> String {
    let out = std::process::Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(out.status.success());
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn a_video_has_its_pictures_its_size_and_its_rate() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("turn.mp4", "h264"),
        ("turn.webm", "vp9"),
        ("turn.mkv", "h264"),
    ] {
        let path = dir.path().join(name);
        let mut video = VideoWriter::begin("", &path, (65, 48), 12.0).unwrap();
        for i in 0..10 {
            video.add(&picture(i, 65, 48)).unwrap();
        }
        assert!(!path.exists(), "it appears when it is whole");
        video.finish().unwrap();
        let said = decoded(&path);
        for part in [codec, "64x48", "12 fps", "frame=   10"] {
            assert!(said.contains(part), "{name}: {part} is not in {said}");
        }
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_video_that_cannot_be_written_says_why_and_leaves_nothing() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turn.nothing");
    let written = VideoWriter::begin("", &path, (64, 48), 12.0).and_then(|mut video| {
        for i in 0..10 {
            video.add(&picture(i, 64, 48))?;
        }
        video.finish()
    });
    let sentence = written.unwrap_err().to_string();
    assert!(sentence.contains("ffmpeg could not write"), "{sentence}");
    let path = dir.path().join("turn.mp4");
    let mut video = VideoWriter::begin("", &path, (64, 48), 12.0).unwrap();
    assert!(video.add(&picture(0, 32, 48)).is_err(), "another size");
    drop(video);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_ffmpeg_the_person_is_told_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere").display().to_string();
    let path = dir.path().join("turn.mp4");
    let Err(error) = VideoWriter::begin(&nowhere, &path, (64, 48), 12.0) else {
        panic!("there is no such program");
    };
    let sentence = error.to_string();
    assert!(
        sentence.contains("--ffmpeg") && sentence.contains(".gif"),
        "{sentence}"
    );
    assert!(is_video(Path::new("a/B.MOV")) && !is_video(Path::new("mov")));
}

#[cfg(unix)]
#[test]
fn a_video_without_poses_becomes_a_capture() {
    use super::scripts::{calls, working};
    use luxedit::error::Cancel;
    use luxedit::settings::Settings;
    use luxedit::tools::{PoseOptions, Unposed, find_poses};
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("walk.mp4");
    let mut video = VideoWriter::begin("", &path, (64, 48), 30.0).unwrap();
    for i in 0..60 {
        video.add(&picture(i % 12, 64, 48)).unwrap();
    }
    video.finish().unwrap();
    assert_eq!(Unposed::of(&path).unwrap(), Some(Unposed::Video));
    let colmap = working(dir.path());
    let options = PoseOptions {
        colmap: colmap.display().to_string(),
        video_frames: 12,
        ..PoseOptions::of(&Settings::default())
    };
    let folder = dir.path().join("capture");
    let found = find_poses(
        &path,
        &folder,
        &options,
        &Cancel::default(),
        &mut |_, _, _| {},
    )
    .unwrap();
    assert!((11..=13).contains(&found.photos), "{found}");
    assert!(
        calls(&colmap).contains("sequential_matcher"),
        "a video is in order"
    );
    assert!(folder.join("images/frame_00001.jpg").is_file());
    // No video, though it is called so.
    std::fs::write(&path, "nothing").unwrap();
    let error = find_poses(
        &path,
        &dir.path().join("b"),
        &options,
        &Cancel::default(),
        &mut |_, _, _| {},
    )
    .unwrap_err();
    assert!(error.to_string().contains("not a video"), "{error}");
}
