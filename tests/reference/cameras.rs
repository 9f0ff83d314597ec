//! Cameras of COLMAP models and `transforms.json` files against `expected.json`: poses, intrinsics, and where the lens
//! model puts known points.

use super::fixture::path_or_skip;
use glam::{DMat4, DVec2, DVec3};
use luxedit::formats::capture::{Capture, Frame};
use luxedit::formats::{Distortion, Lens, colmap, ply, read_capture};
use luxedit::scene::Camera;
use serde_json::Value;
use std::path::Path;

/// Numbers of `expected.json` are read to the last bit but one.
const POSE_TOLERANCE: f64 = 1e-9;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("expected.json")).expect("expected.json")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value)
        .iter()
        .map(|v| v.as_f64().expect("a number"))
        .collect()
}

fn vector(value: &Value) -> DVec3 {
    DVec3::from_slice(&numbers(value))
}

/// Rows in the file; 3 or 4 of them.
fn matrix(value: &Value) -> DMat4 {
    let mut rows = [[0.0, 0.0, 0.0, 1.0]; 4];
    for (row, value) in rows.iter_mut().zip(list(value)) {
        row.copy_from_slice(&numbers(value));
    }
    DMat4::from_cols_array_2d(&rows).transpose()
}

/// Parameters in COLMAP's order for `model`.
fn params(lens: &Lens, model: &str) -> Vec<f64> {
    let i = &lens.intrinsics;
    let (k, p) = match lens.distortion {
        Distortion::None => ([0.0; 4], [0.0; 2]),
        Distortion::Brown { k, p } => (k, p),
        Distortion::Fisheye { k } => (k, [0.0; 2]),
        other => panic!("unexpected {other:?}"),
    };
    match model {
        "SIMPLE_PINHOLE" => vec![i.fx, i.cx, i.cy],
        "PINHOLE" => vec![i.fx, i.fy, i.cx, i.cy],
        "SIMPLE_RADIAL" => vec![i.fx, i.cx, i.cy, k[0]],
        "RADIAL" => vec![i.fx, i.cx, i.cy, k[0], k[1]],
        "OPENCV" => vec![i.fx, i.fy, i.cx, i.cy, k[0], k[1], p[0], p[1]],
        "OPENCV_FISHEYE" => vec![i.fx, i.fy, i.cx, i.cy, k[0], k[1], k[2], k[3]],
        other => panic!("unexpected model {other}"),
    }
}

/// Compare a frame with its entry; returns the worst projection error in pixels.
fn check_frame(frame: &Frame, entry: &Value, points: &[DVec3], atol_px: f64) -> f64 {
    let name = &frame.name;
    let expected_pose = matrix(&entry["w2c_opencv"]);
    assert!(
        frame
            .world_to_camera
            .abs_diff_eq(expected_pose, POSE_TOLERANCE),
        "{name}: world_to_camera is {}, expected {expected_pose}",
        frame.world_to_camera
    );
    let camera = Camera {
        world_to_camera: frame.world_to_camera,
        intrinsics: frame.lens.intrinsics,
    };
    let expected_opengl = matrix(&entry["c2w_opengl"]);
    assert!(
        camera
            .camera_to_world_opengl()
            .abs_diff_eq(expected_opengl, POSE_TOLERANCE),
        "{name}: c2w_opengl"
    );
    if !entry["centre"].is_null() {
        assert!(
            camera
                .position()
                .abs_diff_eq(vector(&entry["centre"]), POSE_TOLERANCE),
            "{name}: centre"
        );
    }
    let size = (frame.lens.intrinsics.width, frame.lens.intrinsics.height);
    let expected_size = (entry["width"].as_u64(), entry["height"].as_u64());
    assert_eq!(
        (Some(size.0.into()), Some(size.1.into())),
        expected_size,
        "{name}: size"
    );
    let model = text(&entry["model"]);
    for (got, expected) in params(&frame.lens, model)
        .iter()
        .zip(numbers(&entry["params"]))
    {
        assert!(
            (got - expected).abs() <= 1e-9 * (1.0 + expected.abs()),
            "{name}: {model} {got} vs {expected}"
        );
    }
    let projections = list(&entry["projections"]);
    let depths = numbers(&entry["depths"]);
    assert_eq!(projections.len(), points.len(), "{name}: projections");
    let mut worst = 0.0f64;
    for (i, point) in points.iter().enumerate() {
        let in_camera = frame.world_to_camera.transform_point3(*point);
        assert!(
            (in_camera.z - depths[i]).abs() < 1e-8,
            "{name}: depth of point {i}"
        );
        if projections[i].is_null() {
            continue;
        }
        let expected = DVec2::from_slice(&numbers(&projections[i]));
        let got = frame.lens.project(in_camera);
        let error = (got - expected).abs().max_element();
        assert!(
            error <= atol_px,
            "{name}: point {i} at {got}, expected {expected}"
        );
        worst = worst.max(error);
        let normalized = DVec2::new(in_camera.x, in_camera.y) / in_camera.z;
        if let Some(back) = frame
            .lens
            .distortion
            .undistort(frame.lens.distortion.distort_point(in_camera))
        {
            assert!(
                back.abs_diff_eq(normalized, 1e-6),
                "{name}: point {i} undistorts to {back}, not {normalized}"
            );
        }
    }
    worst
}

fn frame_of<'a>(capture: &'a Capture, folder: &Path, name: &str) -> &'a Frame {
    capture
        .frames
        .iter()
        .find(|frame| frame.name == name || frame.image_path == folder.join(name))
        .unwrap_or_else(|| panic!("no frame {name}"))
}

fn test_points(expected: &Value) -> (Vec<DVec3>, f64) {
    let points = list(&expected["test_points"]).iter().map(vector).collect();
    (points, expected["atol_px"].as_f64().expect("atol_px"))
}

#[test]
fn colmap_models_match_the_reference() {
    let Some(folder) = path_or_skip("colmap") else {
        return;
    };
    let expected = read(&folder.join("expected.json"));
    let (points, atol_px) = test_points(&expected);
    let images = list(&expected["images"]);
    for sparse in ["sparse/0", "sparse_txt/0"] {
        let model = colmap::read_model(&folder.join(sparse)).expect("a model");
        let capture = read_capture(&folder.join(sparse), Some(1)).expect("a capture");
        assert_eq!(capture.frames.len(), images.len(), "{sparse}: images");
        let mut worst = 0.0f64;
        for entry in images {
            let name = text(&entry["name"]);
            worst = worst.max(check_frame(
                frame_of(&capture, &folder, name),
                entry,
                &points,
                atol_px,
            ));
            let image = model
                .images
                .iter()
                .find(|i| i.name == name)
                .expect("the image");
            assert_eq!(
                Some(u64::from(image.id)),
                entry["image_id"].as_u64(),
                "{name}: id"
            );
            assert_eq!(
                Some(u64::from(image.camera_id)),
                entry["camera_id"].as_u64(),
                "{name}: camera"
            );
            assert_eq!(
                Some(image.keypoints as u64),
                entry["n_points2d"].as_u64(),
                "{name}: keypoints"
            );
            assert_eq!(
                Some(image.triangulated as u64),
                entry["n_points2d_with_3d"].as_u64(),
                "{name}"
            );
            let camera = &model.cameras[&image.camera_id];
            assert_eq!(camera.model, text(&entry["model"]), "{name}: model");
            let expected_params = numbers(&entry["params"]);
            assert_eq!(camera.params.len(), expected_params.len(), "{name}: params");
        }
        let expected_points = list(&expected["points"]);
        let got = model.points.as_ref().expect("points3D");
        assert_eq!(got.len(), expected_points.len(), "{sparse}: points");
        for entry in expected_points {
            let id = entry["id"].as_u64().expect("an id");
            let point = got
                .iter()
                .find(|p| p.id == id)
                .unwrap_or_else(|| panic!("no point {id}"));
            assert!(
                point.position.abs_diff_eq(vector(&entry["xyz"]), 1e-12),
                "point {id}"
            );
            assert_eq!(
                point.color.map(f64::from).to_vec(),
                numbers(&entry["rgb"]),
                "point {id}"
            );
            assert!((point.error - entry["error"].as_f64().expect("an error")).abs() < 1e-9);
            assert_eq!(
                point.track_len,
                list(&entry["track"]).len(),
                "point {id}: track"
            );
        }
        println!(
            "colmap/{sparse}: {} cameras, worst projection {worst:.1e} px",
            images.len()
        );
    }
    let binary = colmap::read_model(&folder.join("sparse/0")).expect("binary");
    let text = colmap::read_model(&folder.join("sparse_txt/0")).expect("text");
    assert!(binary == text, "the text model differs from the binary one");
}

#[test]
fn transforms_match_the_reference() {
    let Some(folder) = path_or_skip("transforms") else {
        return;
    };
    let expected = read(&folder.join("expected.json"));
    let (points, atol_px) = test_points(&expected);
    let files = expected["files"].as_object().expect("files");
    assert!(!files.is_empty());
    let mut clouds = 0;
    for (file, entries) in files {
        let entries = list(entries);
        let capture = read_capture(&folder.join(file), Some(1)).expect("a capture");
        assert_eq!(capture.frames.len(), entries.len(), "{file}: frames");
        let mut worst = 0.0f64;
        for entry in entries {
            let frame = frame_of(&capture, &folder, text(&entry["name"]));
            worst = worst.max(check_frame(frame, entry, &points, atol_px));
        }
        println!(
            "transforms/{file}: {} cameras, worst projection {worst:.1e} px",
            entries.len()
        );
        if let Some(cloud) = &capture.points {
            clouds += 1;
            let expected_cloud = &expected["ply"];
            assert_eq!(cloud.positions.len(), list(&expected_cloud["xyz"]).len());
            for (got, expected) in cloud.positions.iter().zip(list(&expected_cloud["xyz"])) {
                assert!(
                    got.abs_diff_eq(vector(expected), 1e-6),
                    "{file}: {got} vs {expected}"
                );
            }
            for (got, expected) in cloud.colors.iter().zip(list(&expected_cloud["rgb"])) {
                assert_eq!(got.map(f64::from).to_vec(), numbers(expected), "{file}");
            }
        }
    }
    assert!(clouds > 0, "no file named the point cloud");
    assert!(ply::read_splats(&folder.join("points.ply")).is_err());
}
