//! A capture made of a splat file: what it shows is the scene, and an edit can start from it.

use super::runs::{MODEL, has_adapter, json, luxedit, manifest, path, reconstruct};
use glam::DVec3;
use luxedit::{
    Error,
    scene::{
        Splats,
        orbit::{Gaze, around},
        rig::{RigShape, Stance, cameras, stance},
    },
};
use std::path::Path;
use tempfile::TempDir;

/// Small opaque balls at `means`.
fn balls(means: &[DVec3], radius: f64) -> Splats {
    let n = means.len();
    Splats {
        sh_degree: 0,
        antialiased: false,
        means: means.iter().flat_map(|m| m.as_vec3().to_array()).collect(),
        quats: [1.0, 0.0, 0.0, 0.0].repeat(n),
        log_scales: vec![radius.ln() as f32; 3 * n],
        logit_opacities: vec![4.0; n],
        sh_dc: vec![0.5; 3 * n],
        sh_rest: Vec::new(),
    }
}

/// Points on a sphere, evenly.
fn sphere(count: usize, center: DVec3, radius: f64) -> Vec<DVec3> {
    let point = |i: usize| {
        let z = 1.0 - 2.0 * (i as f64 + 0.5) / count as f64;
        let a = 2.399963 * i as f64;
        let r = (1.0 - z * z).sqrt();
        center + radius * DVec3::new(r * a.cos(), r * a.sin(), z)
    };
    (0..count).map(point).collect()
}

const SHAPE: RigShape = RigShape {
    count: 24,
    arc_degrees: 360.0,
    fov_degrees: 50.0,
    side: 64,
};

#[test]
fn a_lone_object_is_seen_from_all_around_and_fills_the_pictures() {
    let center = DVec3::new(3.0, -2.0, 5.0);
    let splats = balls(&sphere(2000, center, 1.0), 0.05);
    for up in [DVec3::Z, DVec3::NEG_Y] {
        let found = stance(&splats, up, &SHAPE).unwrap();
        assert!(found.center.distance(center) < 0.1, "{found:?}");
        let rig = cameras(&splats, &found, &SHAPE).unwrap();
        assert_eq!(rig.len(), SHAPE.count);
        let middle = rig.iter().map(|c| c.position()).sum::<DVec3>() / rig.len() as f64;
        let off_axis = (middle - center).reject_from(up).length();
        assert!(off_axis < 0.2, "they surround it: {off_axis}");
        for camera in &rig {
            assert!(camera.up().dot(up) > 0.5);
            let (pixel, depth) = camera.project(center);
            assert!((pixel - glam::DVec2::splat(32.0)).length() < 2.0);
            let radius = camera.intrinsics.fx / depth;
            assert!(radius > 8.0 && radius < 40.0, "{radius} pixels");
        }
    }
}

#[test]
fn what_stands_behind_a_wall_is_left_out_or_moved_before_it() {
    let mut means = sphere(1500, DVec3::ZERO, 1.0);
    // A wall across the way of cameras on the side of −x.
    for i in 0..60 {
        for j in 0..60 {
            means.push(DVec3::new(
                -3.2,
                (i as f64 - 30.0) * 0.2,
                (j as f64 - 30.0) * 0.2,
            ));
        }
    }
    let splats = balls(&means, 0.12);
    let from = Stance {
        center: DVec3::ZERO,
        eye: DVec3::new(4.0, 0.0, 0.5),
        up: DVec3::Z,
    };
    let rig = cameras(&splats, &from, &SHAPE).unwrap();
    assert!(rig.len() > SHAPE.count / 2);
    for camera in &rig {
        assert!(
            camera.position().x > -3.2,
            "a view from behind the wall: {}",
            camera.position()
        );
    }
}

#[test]
fn an_empty_scene_and_a_look_away_are_refused_in_words() {
    let nothing = stance(&balls(&[], 0.1), DVec3::Z, &SHAPE);
    assert!(matches!(nothing, Err(Error::Invalid(m)) if m.contains("nothing to see")));
    let splats = balls(&sphere(500, DVec3::ZERO, 1.0), 0.05);
    let away = Stance {
        center: DVec3::new(100.0, 0.0, 0.0),
        eye: DVec3::new(110.0, 0.0, 0.0),
        up: DVec3::Z,
    };
    let refusal = cameras(&splats, &away, &SHAPE).unwrap_err().to_string();
    assert!(refusal.contains("0 of 24"), "{refusal}");
}

/// Cameras of a narrow arc that look down lean together; the world does not lean with them.
#[test]
fn a_narrow_arc_does_not_tilt_the_turntable() {
    let splats = balls(&sphere(2000, DVec3::ZERO, 1.0), 0.05);
    let shape = RigShape {
        arc_degrees: 40.0,
        ..SHAPE
    };
    let above = Stance {
        center: DVec3::ZERO,
        eye: DVec3::new(2.0, 0.0, 2.0),
        up: DVec3::Z,
    };
    let rig = cameras(&splats, &above, &shape).unwrap();
    let leaning = Gaze::of(&rig);
    assert!(leaning.up.dot(DVec3::Z) < 0.85, "{:?}", leaning.up);
    assert_eq!(Gaze::upright(&rig, Some(DVec3::Z)).up, DVec3::Z);
    assert_eq!(Gaze::upright(&rig, None), leaning);
    // The loop's pictures stand: no camera rolls about its axis.
    for camera in around(&rig, Some(DVec3::Z), 12) {
        let right = camera.camera_to_world().x_axis.truncate();
        assert!(right.z.abs() < 1e-9, "{right}");
    }
}

#[test]
fn a_splat_file_is_edited_from_views_made_of_it() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let scene = format!("{}/scene.ply", reconstruct(&dir));
    let (capture, edited) = (path(&dir, "views"), path(&dir, "edited.luxedit"));
    let made = [
        "views", &scene, "-o", &capture, "--count", "12", "--size", "64", "--json",
    ];
    let report = json(&dir, &made);
    assert_eq!(report["settings"]["rig_count"], 12);
    let again = luxedit(&dir, &made);
    assert!(
        !again.0 && again.2.contains("holds something already"),
        "{}",
        again.2
    );

    let read = |folder: &str| {
        let options = Default::default();
        luxedit::formats::open_dataset(Path::new(folder), &options, &|_, _| {}, &Default::default())
    };
    assert_eq!(read(&capture).unwrap().up, Some(DVec3::Z));
    let file = Path::new(&capture).join("transforms.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut wrong: serde_json::Value = serde_json::from_str(&text).unwrap();
    wrong["luxedit_up"] = serde_json::json!([0.0, 0.0, 0.0]);
    std::fs::write(&file, wrong.to_string()).unwrap();
    assert!(matches!(read(&capture), Err(e) if e.to_string().contains("luxedit_up")));
    std::fs::write(&file, text).unwrap();

    // The capture is in the scene's frame: its pictures are the scene's own renders.
    let renders = path(&dir, "renders");
    json(
        &dir,
        &[
            "render",
            &scene,
            "--cameras",
            &capture,
            "-o",
            &renders,
            "--json",
        ],
    );
    let mut views = 0;
    for entry in std::fs::read_dir(Path::new(&capture).join("images")).unwrap() {
        let file = entry.unwrap().path();
        let render = Path::new(&renders)
            .join("images")
            .join(file.file_name().unwrap());
        let photo = luxedit::formats::picture::read_photo(&file, [0.0; 3]).unwrap();
        let render = luxedit::formats::picture::read_photo(&render, [0.0; 3]).unwrap();
        let (photo, render) = (&photo.rgb, &render.rgb);
        let worst = photo
            .iter()
            .zip(render.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(worst <= 2, "{worst}");
        assert!(photo.iter().any(|&v| v > 40), "it shows something");
        views += 1;
    }
    assert!((4..=12).contains(&views), "{views}");

    let args = [
        "edit",
        &capture,
        "--scene",
        &scene,
        "-o",
        &edited,
        "--prompt",
        "turn it into bronze",
    ];
    let more = [
        "--model",
        MODEL,
        "--steps",
        "12",
        "--diffusion-steps",
        "2",
        "--sweep-views",
        "4",
        "--json",
    ];
    json(&dir, &[&args[..], &more[..]].concat());
    let kept = manifest(&edited);
    let edits = kept["edits"].as_array().unwrap();
    assert!(!edits.is_empty());
    let mut empty = 0;
    for edit in edits {
        let name = edit["view"].as_str().unwrap();
        let photo = image::open(Path::new(&capture).join(name))
            .unwrap()
            .to_rgba8();
        let file = Path::new(&edited)
            .join("edits")
            .join(edit["edited"].as_str().unwrap());
        let edited = image::open(file).unwrap().to_rgb8();
        let pairs = photo.pixels().zip(edited.pixels());
        let void: Vec<_> = pairs.filter(|(p, _)| p[3] == 0).map(|(_, e)| e.0).collect();
        assert!(void.iter().all(|e| *e == [0; 3]), "nothing stays nothing");
        empty += void.len();
    }
    assert!(empty > 0, "the capture is of an object before nothing");
}
