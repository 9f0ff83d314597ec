//! nerfstudio's camera paths.

use super::scenes::assert_says;
use glam::{DMat4, DVec2, DVec3};
use luxedit::formats::{read_camera_path, write_camera_path};
use luxedit::scene::{Camera, Intrinsics};
use serde_json::{Value, json};

/// As nerfstudio's render panel writes it: the camera at (1, 2, 3) looks along −x of the world, z up.
fn nerfstudio() -> Value {
    json!({
        "default_fov": 75.0,
        "default_transition_sec": 2.0,
        "keyframes": [],
        "camera_type": "perspective",
        "render_height": 480,
        "render_width": 640,
        "fps": 30,
        "seconds": 0.1,
        "is_cycle": false,
        "smoothness_value": 0.0,
        "camera_path": [{
            "camera_to_world": [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0, 0.0, 1.0, 0.0, 3.0, 0.0, 0.0, 0.0, 1.0],
            "fov": 90.0,
            "aspect": 4.0 / 3.0,
        }],
    })
}

#[test]
fn a_path_of_nerfstudio_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("path.json");
    std::fs::write(&file, nerfstudio().to_string()).unwrap();
    let path = read_camera_path(&file).unwrap();
    assert_eq!((path.cameras.len(), path.frames_per_sec), (1, 30.0));
    let camera = path.cameras[0];
    assert!(
        camera
            .position()
            .abs_diff_eq(DVec3::new(1.0, 2.0, 3.0), 1e-12)
    );
    assert!(camera.forward().abs_diff_eq(-DVec3::X, 1e-12));
    assert!(camera.up().abs_diff_eq(DVec3::Z, 1e-12));
    let k = camera.intrinsics;
    assert_eq!((k.width, k.height, k.cx, k.cy), (640, 480, 320.0, 240.0));
    assert!((k.fx - 240.0).abs() < 1e-9 && k.fx == k.fy, "90° of height");
    // Two units ahead and one unit up, by the definition of the angle: the upper edge's half.
    let (pixel, depth) = camera.project(DVec3::new(-1.0, 2.0, 4.0));
    assert!(pixel.abs_diff_eq(DVec2::new(320.0, 120.0), 1e-9), "{pixel}");
    assert!((depth - 2.0).abs() < 1e-12);
    let mut cropped = nerfstudio();
    cropped["crop"] = json!({ "crop_center": [0, 0, 0] });
    std::fs::write(&file, cropped.to_string()).unwrap();
    assert!(read_camera_path(&file).unwrap().warnings[0].contains("crop"));
}

#[test]
fn what_is_written_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("path.json");
    let intrinsics = Intrinsics {
        fx: 300.0,
        fy: 300.0,
        cx: 160.0,
        cy: 90.0,
        width: 320,
        height: 180,
    };
    let cameras: Vec<Camera> = (0..30)
        .map(|i| {
            let angle = f64::from(i) * 0.2;
            let eye = DVec3::new(angle.cos(), angle.sin(), 0.3) * 2.0;
            Camera::look_at(eye, DVec3::ZERO, DVec3::Z, intrinsics)
        })
        .collect();
    write_camera_path(&file, &cameras, 15.0, true).unwrap();
    let back = read_camera_path(&file).unwrap();
    assert_eq!((back.frames_per_sec, back.cameras.len()), (15.0, 30));
    for (a, b) in cameras.iter().zip(&back.cameras) {
        assert!(a.world_to_camera.abs_diff_eq(b.world_to_camera, 1e-12));
        assert!((a.intrinsics.fy - b.intrinsics.fy).abs() < 1e-9);
        assert_eq!(a.intrinsics.width, b.intrinsics.width);
    }
    // What nerfstudio's panel reads back.
    let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(value["seconds"], 2.0);
    assert_eq!(value["is_cycle"], true);
    let keyframes = value["keyframes"].as_array().unwrap();
    assert_eq!(keyframes.len(), 12);
    assert_eq!(
        keyframes[6]["matrix"],
        value["camera_path"][15]["camera_to_world"]
    );
    let mut odd = cameras.clone();
    odd[3].intrinsics.width = 100;
    let other = folder.path().join("other.json");
    assert_says(
        write_camera_path(&other, &odd, 15.0, false),
        &other,
        &["one size"],
    );
    assert_says(
        write_camera_path(&other, &[], 15.0, false),
        &other,
        &["at least one"],
    );
    assert!(!other.exists());
    let only = [Camera {
        world_to_camera: DMat4::IDENTITY,
        intrinsics,
    }];
    write_camera_path(&other, &only, 15.0, false).unwrap();
    assert_eq!(read_camera_path(&other).unwrap().cameras.len(), 1);
}

#[test]
fn paths_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("path.json");
    let cases: [(&dyn Fn(&mut Value), &[&str]); 8] = [
        (&|v| v["camera_path"] = json!([]), &["camera_path"]),
        (
            &|v| v["camera_type"] = json!("equirectangular"),
            &["equirectangular"],
        ),
        (&|v| v["render_width"] = json!(0), &["render_width"]),
        (&|v| v["render_height"] = Value::Null, &["render_height"]),
        (&|v| v["fps"] = json!(0), &["0 pictures a second"]),
        (
            &|v| v["camera_path"][0]["fov"] = json!(180),
            &["frame 0", "fov"],
        ),
        (
            &|v| v["camera_path"][0]["camera_to_world"] = json!([1, 2]),
            &["frame 0", "16 numbers"],
        ),
        (
            &|v| v["camera_path"][0]["camera_to_world"][2] = json!(-1),
            &["frame 0", "mirrors"],
        ),
    ];
    for (change, parts) in cases {
        let mut value = nerfstudio();
        change(&mut value);
        std::fs::write(&file, value.to_string()).unwrap();
        assert_says(read_camera_path(&file), &file, parts);
    }
}
