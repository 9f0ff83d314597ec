//! Damaged captures: each ends in an error that names the file and what is wrong with it.

use super::scenes::{assert_says, copy_folder, fixtures, open, ramp, transforms_capture};
use luxedit::formats::{inspect, picture::write_png};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A copy of the COLMAP fixture with its binary model, or `None`, said aloud.
fn colmap_copy(root: &Path) -> Option<PathBuf> {
    let source = fixtures().join("colmap");
    if !source.join("sparse/0/cameras.bin").is_file() {
        println!("SKIPPED: {} does not exist", source.display());
        return None;
    }
    copy_folder(&source.join("images"), &root.join("images"));
    copy_folder(&source.join("sparse"), &root.join("sparse"));
    Some(root.join("sparse/0"))
}

#[test]
fn a_truncated_colmap_file_names_record_and_byte() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = colmap_copy(folder.path()) else {
        return;
    };
    for (file, record) in [
        ("cameras.bin", "camera"),
        ("images.bin", "image"),
        ("points3D.bin", "point"),
    ] {
        let path = model.join(file);
        let whole = std::fs::read(&path).unwrap();
        let cuts = [
            0,
            3,
            8,
            9,
            whole.len() / 3,
            whole.len() / 2,
            whole.len() - 9,
            whole.len() - 1,
        ];
        for cut in cuts {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_says(
                open(folder.path()),
                &path,
                &["truncated", record, "at byte", &format!("{cut} bytes")],
            );
            assert_says(inspect(folder.path()), &path, &["truncated"]);
        }
        // A count, or a length inside of a record, that no memory could hold.
        let mut absurd = whole.clone();
        absurd[..8].fill(0xff);
        std::fs::write(&path, &absurd).unwrap();
        assert_says(
            open(folder.path()),
            &path,
            &["truncated", "18446744073709551615"],
        );
        std::fs::write(&path, &whole).unwrap();
    }
    open(folder.path()).unwrap();
}

#[test]
fn bytes_that_mean_nothing_never_crash_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = colmap_copy(folder.path()) else {
        return;
    };
    let mut state = 1u64;
    for file in ["cameras.bin", "images.bin", "points3D.bin"] {
        let path = model.join(file);
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..300 {
            let mut damaged = whole.clone();
            for _ in 0..3 {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let at = (state >> 33) as usize % damaged.len();
                damaged[at] = (state >> 24) as u8;
            }
            std::fs::write(&path, &damaged).unwrap();
            // Either it still is a capture, or the error is about this one.
            if let Err(error) = inspect(folder.path()) {
                let sentence = error.to_string();
                assert!(sentence.contains("sparse"), "{sentence}");
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn colmap_models_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("sparse/0");
    std::fs::create_dir_all(&model).unwrap();
    std::fs::create_dir_all(folder.path().join("images")).unwrap();
    write_png(&folder.path().join("images/a.png"), &ramp(40, 30)).unwrap();
    let good_camera = "1 PINHOLE 40 30 45 46 20 15\n";
    let good_image = "1 1 0 0 0 0 0 0 1 a.png\n\n";
    let cases: [(&str, &str, &[&str]); 11] = [
        (
            "1 FOV 40 30 45 46 20 15 3.5\n",
            good_image,
            &["camera 1", "field of view 3.5"],
        ),
        (
            "1 PINHOLE 0 30 45 46 20 15\n",
            good_image,
            &["camera 1", "0x30"],
        ),
        (
            "1 PINHOLE 40 30 -45 46 20 15\n",
            good_image,
            &["camera 1", "-45"],
        ),
        (
            "1 PINHOLE 40 30 nan 46 20 15\n",
            good_image,
            &["camera 1", "not finite"],
        ),
        (
            "1 PINHOLE 40 30 45 46\n",
            good_image,
            &["cameras.txt", "line 1", "PARAMS"],
        ),
        (
            "1 CUBE 40 30 45 46\n",
            good_image,
            &["cameras.txt", "line 1", "CUBE"],
        ),
        (
            good_camera,
            "1 0 0 0 0 0 0 0 1 a.png\n\n",
            &["image 1 (a.png)", "pose"],
        ),
        (
            good_camera,
            "1 1 0 0 0 nan 0 0 1 a.png\n\n",
            &["image 1 (a.png)", "pose"],
        ),
        (
            good_camera,
            "1 1 0 0 0 0 0 0 7 a.png\n\n",
            &["image 1 (a.png)", "camera 7"],
        ),
        (good_camera, "# none\n", &["without registered images"]),
        (
            good_camera,
            "1 1 0 0 0 0 0 0 1 b.png\n\n",
            &["none of them exists", "b.png"],
        ),
    ];
    for (cameras, images, parts) in cases {
        std::fs::write(model.join("cameras.txt"), cameras).unwrap();
        std::fs::write(model.join("images.txt"), images).unwrap();
        assert_says(open(folder.path()), folder.path(), parts);
    }
    std::fs::write(model.join("images.txt"), good_image).unwrap();
    std::fs::write(model.join("cameras.txt"), good_camera).unwrap();
    open(folder.path()).unwrap();
    std::fs::remove_file(model.join("cameras.txt")).unwrap();
    assert_says(open(folder.path()), &model, &["cameras.bin or cameras.txt"]);
}

#[test]
fn transforms_that_make_no_sense_are_refused() {
    let cases: [(&dyn Fn(&mut serde_json::Value), &[&str]); 12] = [
        (&|v| v["frames"] = json!([]), &["no frames"]),
        (&|v| v["frames"] = json!(7), &["frames"]),
        (&|v| *v = json!({ "scene": 1 }), &["no \"frames\""]),
        (&|v| *v = json!([1, 2]), &["not an object"]),
        (&|v| v["frames"][2] = json!(3), &["frame 2"]),
        (
            &|v| v["frames"][1]["file_path"] = json!(null),
            &["frame 1", "file_path"],
        ),
        (
            &|v| v["frames"][1]["transform_matrix"] = json!(null),
            &["frame 1 (images/001.png)", "transform_matrix"],
        ),
        (
            &|v| v["frames"][1]["transform_matrix"] = json!([[1, 2], [3, 4]]),
            &["frame 1 (images/001.png)", "4x4"],
        ),
        (
            &|v| v["frames"][2]["transform_matrix"][0] = json!([0, 0, 0, 0]),
            &["frame 2 (images/002.png)", "inverted"],
        ),
        (&|v| v["fl_x"] = json!("wide"), &["fl_x", "not a number"]),
        (&|v| v["fl_y"] = json!(-1), &["focal"]),
        (
            &|v| v["camera_model"] = json!("EQUIRECTANGULAR"),
            &["EQUIRECTANGULAR", "OPENCV"],
        ),
    ];
    for (edit, parts) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = transforms_capture(folder.path(), 3, |value| edit(value));
        assert_says(open(folder.path()), &path, parts);
        assert_says(inspect(&path), &path, parts);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 3, |value| {
        let top = value.as_object_mut().unwrap();
        top.remove("fl_x");
        top.remove("fl_y");
    });
    assert_says(
        open(&path),
        &path,
        &["frame 0 (images/000.png)", "focal length", "camera_angle_x"],
    );
}

#[test]
fn poses_that_are_not_numbers_name_their_frame() {
    for special in ["NaN", "Infinity", "-Infinity"] {
        let folder = tempfile::tempdir().unwrap();
        let path = transforms_capture(folder.path(), 3, |value| {
            value["frames"][1]["transform_matrix"][0][3] = json!("HERE");
            value["title"] = json!("NaN \" and Infinity in a text are harmless");
        });
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("\"HERE\"", special);
        std::fs::write(&path, text).unwrap();
        assert_says(
            open(&path),
            &path,
            &["frame 1 (images/001.png)", "not finite"],
        );
    }
}

#[test]
fn garbage_is_called_what_its_name_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 1, |_| {});
    for garbage in ["", "{\"frames\": [", "\u{1}\u{2}", "{\"frames\": [}]"] {
        std::fs::write(&path, garbage).unwrap();
        assert_says(open(folder.path()), &path, &["not valid JSON", "line"]);
        assert_says(open(&path), &path, &["not valid JSON"]);
    }
    let unknown = folder.path().join("notes.odt");
    std::fs::write(&unknown, "text").unwrap();
    assert_says(
        open(&unknown),
        &unknown,
        &["neither a transforms.json", "splat file"],
    );
    let absent = folder.path().join("absent");
    assert_says(open(&absent), &absent, &[]);
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_says(
        open(&empty),
        &empty,
        &["transforms.json", "Blender", "COLMAP", "sparse/0"],
    );
    let ply = folder.path().join("a.ply");
    luxedit::formats::ply::write_splats(&ply, &super::scenes::splats(2, 0), &[]).unwrap();
    assert_says(open(&ply), &ply, &["splat scene", "not a capture"]);
}

#[test]
fn an_unreadable_photo_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 4, |value| {
        value["frames"][2]["file_path"] = json!("images/broken.jpg");
    });
    let broken = folder.path().join("images/broken.jpg");
    let png = std::fs::read(folder.path().join("images/000.png")).unwrap();
    for bytes in [
        &b"this is not a photo"[..],
        &[],
        &[0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J'],
        &png[..png.len() / 2],
    ] {
        std::fs::write(&broken, bytes).unwrap();
        assert_says(open(&path), &broken, &["not a readable picture"]);
        inspect(&path).expect("sizes are in the file: photos are not looked at");
    }
    std::fs::write(&broken, &png).unwrap();
    open(&path).expect("a PNG by another name");
}

#[test]
fn a_capture_without_any_photo_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 4, |_| {});
    std::fs::remove_dir_all(folder.path().join("images")).unwrap();
    assert_says(
        open(&path),
        &path,
        &["lists 4 frames", "not one", "000.png"],
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_listed_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let permit = |mode| std::fs::set_permissions(&closed, PermissionsExt::from_mode(mode)).unwrap();
    permit(0o000);
    if std::fs::read_dir(&closed).is_ok() {
        println!("SKIPPED: permissions do not bind who runs this test (root)");
    } else {
        assert_says(inspect(&closed), &closed, &["ermission denied"]);
        assert_says(inspect(folder.path()), folder.path(), &["no capture"]);
    }
    permit(0o755);
    assert_says(inspect(&closed), &closed, &["no capture"]);
}

#[test]
fn a_configuration_of_something_else_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = fixtures().join("nerfstudio/nerfacto");
    let checkpoint = folder.path().join("step-000029999.ckpt");
    std::fs::copy(
        run.join("nerfstudio_models/step-000029999.ckpt"),
        &checkpoint,
    )
    .unwrap();
    inspect(&checkpoint).unwrap();
    let config = folder.path().join("config.yml");
    std::fs::write(&config, "server:\n  port: 80\n").unwrap();
    assert_says(inspect(&checkpoint), &config, &["pipeline.model"]);
}
