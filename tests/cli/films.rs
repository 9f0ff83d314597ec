//! Films of a scene, and camera paths that nerfstudio reads and writes.

use crate::common::{CAPTURE, assert_says, failure, json, path, reconstruct, run};
use luxedit::error::Cancel;
use luxedit::formats::picture::read_photo;
use luxedit::formats::{LoadOptions, open_dataset};
use luxedit::tools::Program;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn a_camera_path_that_is_written_is_followed() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "60");
    let (loop_of, film) = (path(&dir, "loop"), path(&dir, "path.json"));
    let orbit = ["--orbit", "5", "--size", "48"];
    let render = |to: &str, more: &[&str]| {
        let mut args = vec!["render", &scene, "-o", to, "--json"];
        args.extend(more);
        json(&args)
    };
    render(&loop_of, &orbit);
    render(&film, &orbit);
    let written: Value = serde_json::from_slice(&std::fs::read(&film).unwrap()).unwrap();
    assert_eq!(written["camera_path"].as_array().unwrap().len(), 5);
    assert_eq!(
        (&written["fps"], &written["is_cycle"]),
        (&24.0.into(), &true.into())
    );
    // The same pictures, by way of the file.
    let followed = path(&dir, "followed");
    render(&followed, &["--path", &film]);
    for i in 0..5 {
        let expected = Path::new(&loop_of).join(format!("orbit_{i:04}.png"));
        let found = Path::new(&followed).join(format!("frame_{i:05}.png"));
        let [a, b] = [expected, found].map(|p| read_photo(&p, [0.0; 3]).unwrap());
        assert_eq!((a.width, a.height), (b.width, b.height));
        let worst = a
            .rgb
            .iter()
            .zip(b.rgb.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst <= Some(1), "{i}: {worst:?}");
    }
    depths_in_sixteen_bits_are_those_of_the_scene(&dir, &scene);
    let said = failure(&["render", &scene, "-o", &film, "--orbit", "5"]);
    assert_says(&said, &["exists already"]);
    let other = path(&dir, "other.json");
    let said = failure(&["render", &scene, "-o", &path(&dir, "x"), "--path", &other]);
    assert_says(&said, &["other.json"]);
    let both = run(&[
        "render",
        &scene,
        "-o",
        &other,
        "--path",
        &film,
        "--cameras",
        CAPTURE,
    ]);
    assert_eq!(both.status.code(), Some(2), "one or the other");
}

#[test]
fn a_video_is_written_by_ffmpeg_or_said_how_to_get() {
    let dir = TempDir::new().unwrap();
    let scene = path(&dir, "scene.luxedit");
    reconstruct(&scene, "20");
    let film = path(&dir, "turn.mp4");
    let nowhere = path(&dir, "nowhere");
    let said = failure(&[
        "render", &scene, "-o", &film, "--orbit", "6", "--ffmpeg", &nowhere,
    ]);
    assert_says(&said, &["nowhere", "--ffmpeg"]);
    if let Err(why) = Program::FFMPEG.find("") {
        println!("SKIPPED: {why}");
        return;
    }
    let report = json(&[
        "render", &scene, "-o", &film, "--orbit", "6", "--fps", "12", "--json",
    ]);
    assert_eq!(report["written"][0], film.as_str());
    let said = std::process::Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-i", &film, "-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_says(&said, &["h264", "12 fps", "frame=    6"]);
}

fn depths_in_sixteen_bits_are_those_of_the_scene(dir: &TempDir, scene: &str) {
    let loop_of = ["--orbit", "1", "--size", "48"];
    let render = |to: &str, more: &[&str]| {
        let mut args = vec!["render", scene, "-o", to, "--json"];
        args.extend(loop_of);
        args.extend(more);
        json(&args);
    };
    let (counts, values) = (path(dir, "counts"), path(dir, "values"));
    render(&counts, &["--show", "depth", "--format", "png16"]);
    render(&values, &["--show", "depth", "--format", "exr"]);
    let open = |folder: &str, name: &str| image::open(Path::new(folder).join(name)).unwrap();
    let counts = open(&counts, "orbit_0000.png").into_luma16().into_raw();
    let values = open(&values, "orbit_0000.exr").into_rgb32f().into_raw();
    let options = LoadOptions::default();
    let capture = open_dataset(Path::new(CAPTURE), &options, &|_, _| {}, &Cancel::default());
    let scale = capture.unwrap().world_from_file.scale;
    let mut seen = 0;
    for (count, value) in counts.iter().zip(values.chunks(3)) {
        let expected = (f64::from(value[0]) / scale * 1000.0).min(65535.0);
        assert!(
            (f64::from(*count) - expected).abs() <= 0.51,
            "{count} {expected}"
        );
        seen += usize::from(*count > 0);
    }
    assert!(seen > 100, "{seen}");
    let refused = path(dir, "colors");
    let said = failure(&["render", scene, "-o", &refused, "--format", "png16"]);
    assert_says(&said, &["--show depth"]);
}
