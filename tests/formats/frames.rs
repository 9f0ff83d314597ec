//! What loading does to a capture: order, split, normalization, resolutions, masks, cameras.

use super::scenes::{
    assert_says, copy_folder, fixtures, open, open_with, pose, ramp, transforms_capture,
};
use glam::DVec3;
use luxedit::Error;
use luxedit::error::Cancel;
use luxedit::formats::picture::write_png;
use luxedit::formats::{EvalSplit, Info, LoadOptions, Normalize, inspect, open_dataset};
use luxedit::scene::{DatasetKind, Photo};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn eval_splits_are_nerfstudios() {
    let names: Vec<String> = (0..100).map(|i| format!("{i}.png")).collect();
    let split = |split: EvalSplit, n: usize| {
        let names: Vec<&str> = names[..n].iter().map(String::as_str).collect();
        split.split(&names).unwrap()
    };
    assert_eq!(split(EvalSplit::Fraction(0.9), 10).eval, [8]);
    assert_eq!(
        split(EvalSplit::Fraction(0.9), 10).train,
        [0, 1, 2, 3, 4, 5, 6, 7, 9]
    );
    // numpy: set(range(50)) - set(linspace(0, 49, 45, dtype=int)).
    assert_eq!(
        split(EvalSplit::Fraction(0.9), 50).eval,
        [9, 19, 29, 39, 48]
    );
    assert_eq!(split(EvalSplit::Fraction(0.5), 6).train, [0, 2, 5]);
    assert_eq!(split(EvalSplit::Fraction(0.9), 1).train, [0]);
    assert_eq!(split(EvalSplit::Fraction(0.9), 0).train, [0usize; 0]);
    assert_eq!(split(EvalSplit::Interval(8), 20).eval, [0, 8, 16]);
    assert_eq!(
        split(EvalSplit::All, 3).train,
        split(EvalSplit::All, 3).eval
    );
    let by_name = EvalSplit::Filename
        .split(&["train/eval_1.png", "a/train_2.png"])
        .unwrap();
    assert_eq!((by_name.eval, by_name.train), (vec![0], vec![1]));
    for wrong in [
        EvalSplit::Fraction(0.0),
        EvalSplit::Fraction(f64::NAN),
        EvalSplit::Interval(0),
        EvalSplit::Filename,
    ] {
        assert!(
            matches!(wrong.split(&["a.png"]), Err(Error::Invalid(_))),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_capture_is_put_upright_around_the_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 12, |_| {});
    let dataset = open(&path).unwrap();
    assert_eq!(dataset.kind, DatasetKind::Nerfstudio);
    assert_eq!(
        (dataset.views.len(), dataset.listed, dataset.missing.len()),
        (12, 12, 0)
    );
    let mean = dataset
        .views
        .iter()
        .map(|v| v.camera.position())
        .sum::<DVec3>()
        / 12.0;
    assert!(mean.length() < 1e-12, "{mean}");
    let up = dataset
        .views
        .iter()
        .map(|v| v.camera.up())
        .sum::<DVec3>()
        .normalize();
    assert!(up.abs_diff_eq(DVec3::Z, 1e-12), "{up}");
    let largest = dataset
        .views
        .iter()
        .map(|v| v.camera.position().abs().max_element())
        .fold(0.0, f64::max);
    assert!((largest - 1.0).abs() < 1e-12, "{largest}");
    // The same point is at the same pixel, before and after.
    let raw = open_with(
        &path,
        &LoadOptions {
            normalize: Some(Normalize::NOTHING),
            ..Default::default()
        },
    )
    .unwrap();
    let point = DVec3::new(10.5, 19.7, 30.2);
    for (a, b) in raw.views.iter().zip(&dataset.views) {
        let (pixel, depth) = a.camera.project(point);
        let (moved, moved_depth) = b.camera.project(dataset.world_from_file.point(point));
        assert!(pixel.abs_diff_eq(moved, 1e-9), "{pixel} {moved}");
        assert!((depth * dataset.world_from_file.scale - moved_depth).abs() < 1e-12);
        assert!((b.camera.world_to_camera.determinant() - 1.0).abs() < 1e-12);
    }
    let back = dataset
        .world_from_file
        .file_point(dataset.world_from_file.point(point));
    assert!(back.abs_diff_eq(point, 1e-12));
}

#[test]
fn cameras_that_hang_upside_down_are_turned() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 3, |value| {
        for (i, frame) in value["frames"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .enumerate()
        {
            // Camera y is exactly −z of the file.
            frame["transform_matrix"] =
                json!([[1, 0, 0, i], [0, 0, 1, 2], [0, -1, 0, 3], [0, 0, 0, 1]]);
        }
    });
    let dataset = open(&path).unwrap();
    for view in &dataset.views {
        assert!(view.camera.up().abs_diff_eq(DVec3::Z, 1e-12));
        assert!((view.camera.world_to_camera.determinant() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn orientation_override_keeps_the_frame_upright_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 5, |value| {
        value["orientation_override"] = json!("none")
    });
    let dataset = open(&path).unwrap();
    let rotation = glam::DMat3::from_mat4(dataset.world_from_file.rotation_translation);
    assert_eq!(rotation, glam::DMat3::IDENTITY);
    assert!(dataset.world_from_file.scale < 1.0);
}

#[test]
fn frames_are_sorted_and_lists_of_names_split_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 6, |value| {
        value["frames"].as_array_mut().unwrap().reverse();
        value["frames"][0]["file_path"] = json!("./images\\005.png");
        value["train_filenames"] = json!(["images/000.png", "./images/004.png", "images/002.png"]);
        value["test_filenames"] = json!(["images/005.png"]);
        value["val_filenames"] = json!(["images/001.png"]);
    });
    let dataset = open(&path).unwrap();
    let names: Vec<_> = dataset.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(
        names,
        (0..6)
            .map(|i| format!("images/{i:03}.png"))
            .collect::<Vec<_>>()
    );
    assert_eq!(dataset.split.train, [0, 2, 4]);
    assert_eq!(dataset.split.eval, [5]);
    let interval = LoadOptions {
        split: Some(EvalSplit::Interval(3)),
        ..Default::default()
    };
    assert_eq!(open_with(&path, &interval).unwrap().split.eval, [0, 3]);
}

#[test]
fn missing_photos_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 12, |_| {});
    std::fs::remove_file(folder.path().join("images/003.png")).unwrap();
    std::fs::remove_file(folder.path().join("images/007.png")).unwrap();
    let dataset = open(folder.path()).unwrap();
    assert_eq!(dataset.missing, ["images/003.png", "images/007.png"]);
    assert_eq!((dataset.listed, dataset.views.len()), (12, 10));
    assert_eq!(
        dataset.split.eval,
        [8],
        "the split is of the photos that exist"
    );
    let Info::Capture(info) = inspect(&path).unwrap() else {
        panic!("a capture")
    };
    assert_eq!((info.listed_frames, info.usable_frames), (12, 10));
    assert_eq!(info.missing, dataset.missing);
    let shown = Info::Capture(info).to_string();
    assert!(
        shown.contains("10 usable of 12 listed") && shown.contains("images/007.png"),
        "{shown}"
    );
}

#[test]
fn smaller_photos_come_from_their_folder_or_by_averaging() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 3, |_| {});
    let half = LoadOptions {
        downscale: Some(2),
        ..Default::default()
    };
    let averaged = open_with(&path, &half).unwrap();
    let k = averaged.views[0].camera.intrinsics;
    assert_eq!((k.width, k.height, k.fx, k.cy), (20, 15, 22.5, 7.5));
    assert_eq!(averaged.views[0].photo, ramp(40, 30).downscaled(2));
    std::fs::create_dir(folder.path().join("images_2")).unwrap();
    let green = Photo::new(20, 15, [0, 200, 0].repeat(300));
    write_png(&folder.path().join("images_2/001.png"), &green).unwrap();
    let mixed = open_with(&path, &half).unwrap();
    assert_eq!(mixed.views[0].photo, averaged.views[0].photo);
    assert_eq!(mixed.views[1].photo, green);
    assert_eq!(mixed.views[1].camera.intrinsics, k);
    assert!(mixed.warnings.is_empty(), "{:?}", mixed.warnings);
    assert!(matches!(
        open_with(
            &path,
            &LoadOptions {
                downscale: Some(0),
                ..Default::default()
            }
        ),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn photos_that_exist_only_smaller_are_used() {
    let folder = tempfile::tempdir().unwrap();
    for listed in [true, false] {
        let path = transforms_capture(folder.path(), 3, |value| {
            if !listed {
                let top = value.as_object_mut().unwrap();
                top.remove("w");
                top.remove("h");
            }
        });
        std::fs::rename(folder.path().join("images"), folder.path().join("images_2")).unwrap();
        for i in 0..3 {
            write_png(
                &folder.path().join(format!("images_2/{i:03}.png")),
                &ramp(20, 15),
            )
            .unwrap();
        }
        let dataset = open(&path).unwrap();
        let k = dataset.views[2].camera.intrinsics;
        assert_eq!((k.width, k.height, k.fx, k.cx), (20, 15, 22.5, 10.0));
        std::fs::remove_dir_all(folder.path().join("images_2")).unwrap();
    }
}

#[test]
fn large_photos_are_taken_from_a_smaller_folder_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 2, |value| {
        (value["w"], value["h"], value["cx"], value["cy"]) =
            (json!(4000), json!(3000), json!(2000), json!(1500));
        (value["fl_x"], value["fl_y"]) = (json!(4500), json!(4500));
    });
    for (divisor, side) in [(2, 2000), (4, 1000)] {
        let smaller = folder.path().join(format!("images_{divisor}"));
        std::fs::create_dir(&smaller).unwrap();
        for i in 0..2 {
            let grey = Photo::new(
                side,
                side / 4 * 3,
                vec![9; (side * side / 4 * 3 * 3) as usize],
            );
            write_png(&smaller.join(format!("{i:03}.png")), &grey).unwrap();
        }
    }
    let k = open(&path).unwrap().views[0].camera.intrinsics;
    assert_eq!((k.width, k.height, k.fx, k.cx), (1000, 750, 1125.0, 500.0));
}

#[test]
fn photos_of_another_size_are_scaled_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 3, |value| {
        (value["w"], value["h"], value["cx"], value["cy"]) =
            (json!(80), json!(60), json!(40), json!(30));
    });
    let dataset = open(&path).unwrap();
    let k = dataset.views[0].camera.intrinsics;
    assert_eq!((k.width, k.height, k.fx, k.cx), (40, 30, 22.5, 20.0));
    assert!(
        dataset.warnings[0].contains("3 of 3 photos"),
        "{:?}",
        dataset.warnings
    );
    let rotated = folder.path().join("images/002.png");
    write_png(&rotated, &ramp(30, 40)).unwrap();
    assert_says(open(&path), &rotated, &["30x40", "80x60"]);
}

#[test]
fn masks_are_read_and_missing_ones_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 2, |value| {
        value["frames"][0]["mask_path"] = json!("mask.png");
        value["frames"][1]["mask_path"] = json!("none.png");
    });
    let rgb = (0..30)
        .flat_map(|y| [if y < 10 { 0 } else { 255 }; 120])
        .collect();
    write_png(&folder.path().join("mask.png"), &Photo::new(40, 30, rgb)).unwrap();
    let dataset = open(&path).unwrap();
    let mask = dataset.views[0].mask.as_ref().unwrap();
    assert_eq!(mask.len(), 1200);
    assert_eq!(mask.iter().filter(|&&m| m == 0).count(), 400);
    assert!(dataset.views[1].mask.is_none());
    assert!(
        dataset.warnings[0].contains("mask"),
        "{:?}",
        dataset.warnings
    );
}

#[test]
fn the_top_level_wins_over_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 2, |value| {
        value["frames"][0]["fl_x"] = json!(99.0);
        value["frames"][1]["k1"] = json!(0.1);
        value["k2"] = json!(0.0);
    });
    let Info::Capture(info) = inspect(&path).unwrap() else {
        panic!("a capture")
    };
    assert!(
        info.lenses
            .iter()
            .all(|group| group.lens.intrinsics.fx == 45.0)
    );
    assert_eq!(
        info.lenses.len(),
        2,
        "k1 is absent at the top: the frame's holds"
    );
}

fn blender(folder: &Path, file: &str, names: &[&str]) {
    let frames: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(i, name)| json!({ "file_path": format!("./{name}"), "transform_matrix": pose(i, names.len()) }))
        .collect();
    let value = json!({ "camera_angle_x": 0.8, "frames": frames });
    std::fs::write(folder.join(file), value.to_string()).unwrap();
    for name in names {
        let path = folder.join(format!("{name}.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let half_transparent = image::RgbaImage::from_pixel(16, 12, image::Rgba([200, 100, 0, 51]));
        half_transparent.save(path).unwrap();
    }
}

#[test]
fn blender_scenes_keep_their_frame_and_stand_on_white() {
    let folder = tempfile::tempdir().unwrap();
    blender(
        folder.path(),
        "transforms_train.json",
        &["train/r_0", "train/r_10", "train/r_2"],
    );
    blender(folder.path(), "transforms_val.json", &["val/r_0"]);
    let with_val = open(folder.path()).unwrap();
    assert_eq!(with_val.split.eval, [3]);
    blender(
        folder.path(),
        "transforms_test.json",
        &["test/r_0", "test/r_1"],
    );
    for path in [
        folder.path().to_owned(),
        folder.path().join("transforms_train.json"),
    ] {
        let dataset = open(&path).unwrap();
        assert_eq!(dataset.kind, DatasetKind::Blender);
        assert_eq!(
            (
                dataset.split.train.as_slice(),
                dataset.split.eval.as_slice()
            ),
            ([0, 1, 2].as_slice(), [3, 4].as_slice())
        );
        let names: Vec<_> = dataset.views.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "train/r_0",
                "train/r_10",
                "train/r_2",
                "test/r_0",
                "test/r_1"
            ]
        );
        assert_eq!(
            dataset.world_from_file,
            luxedit::scene::WorldFromFile::IDENTITY
        );
        assert_eq!(dataset.background, [1.0; 3]);
        let k = dataset.views[0].camera.intrinsics;
        let focal = 8.0 / 0.4f64.tan();
        assert!(
            (k.fx - focal).abs() < 1e-12 && k.fy == k.fx && (k.cx, k.cy) == (8.0, 6.0),
            "{k:?}"
        );
        // 0.2 · (200, 100, 0) + 0.8 · 255.
        assert_eq!(dataset.views[0].photo.rgb[..3], [244, 224, 204]);
    }
}

#[test]
fn colmap_is_found_from_every_folder_of_it() {
    let source = fixtures().join("colmap");
    if !source.is_dir() {
        println!("SKIPPED: {} does not exist", source.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layouts = ["sparse/0", "sparse", "colmap/sparse/0", "sparse_txt/0", "."];
    for (i, layout) in layouts.iter().enumerate() {
        let root = folder.path().join(i.to_string());
        copy_folder(&source.join("images"), &root.join("images"));
        copy_folder(
            &source.join(if i % 2 == 0 {
                "sparse/0"
            } else {
                "sparse_txt/0"
            }),
            &root.join(layout),
        );
        let mut openings = vec![root.clone(), root.join(layout)];
        if layout.ends_with("/0") {
            openings.push(root.join(layout).parent().unwrap().to_owned());
        }
        for opening in openings {
            let dataset = open(&opening).unwrap();
            assert_eq!(dataset.kind, DatasetKind::Colmap);
            assert!(
                dataset.views.len() > 1 && dataset.missing.is_empty(),
                "{}",
                opening.display()
            );
            assert_eq!(
                dataset.split.eval.first(),
                Some(&0),
                "every 8th is held out"
            );
            for view in &dataset.views {
                assert_eq!(view.photo.width, view.camera.intrinsics.width);
                assert_eq!(view.photo.height, view.camera.intrinsics.height);
            }
            assert!(
                dataset
                    .points
                    .as_ref()
                    .is_some_and(|p| !p.positions.is_empty())
            );
        }
    }
}

#[test]
fn the_largest_colmap_model_wins() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("images")).unwrap();
    let cameras = "# nothing\n1 PINHOLE 40 30 45 46 20 15\n";
    for (model, images) in [("0", 1), ("1", 3), ("10", 2)] {
        let sparse = root.join("sparse").join(model);
        std::fs::create_dir_all(&sparse).unwrap();
        std::fs::write(sparse.join("cameras.txt"), cameras).unwrap();
        let mut text = String::from("# images\n");
        for i in 0..images {
            let name = format!("{model} {i}.png");
            write_png(&root.join("images").join(&name), &ramp(40, 30)).unwrap();
            text += &format!("{} 2 0 0 0 0.5 0 {i} 1 {name}\n\n", 100 - i);
        }
        std::fs::write(sparse.join("images.txt"), text).unwrap();
    }
    let dataset = open(root).unwrap();
    let names: Vec<_> = dataset.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(
        names,
        ["1 2.png", "1 1.png", "1 0.png"],
        "in order of their ids"
    );
    assert!(
        dataset.warnings[0].contains("3 COLMAP models"),
        "{:?}",
        dataset.warnings
    );
    assert!(dataset.points.is_none());
}

#[test]
fn progress_counts_up_and_stop_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = transforms_capture(folder.path(), 8, |_| {});
    let (calls, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = |done: usize, total: usize| {
        assert_eq!(total, 8);
        calls.fetch_add(1, Ordering::Relaxed);
        most.fetch_max(done, Ordering::Relaxed);
    };
    open_dataset(
        &path,
        &LoadOptions::default(),
        &progress,
        &Cancel::default(),
    )
    .unwrap();
    assert_eq!((calls.into_inner(), most.into_inner()), (9, 8));
    let cancel = Cancel::default();
    let stop_at_two = |done: usize, _: usize| {
        if done == 2 {
            cancel.cancel();
        }
    };
    let stopped = open_dataset(&path, &LoadOptions::default(), &stop_at_two, &cancel);
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

#[test]
fn transparency_goes_the_way_of_its_photo() {
    let folder = tempfile::tempdir().unwrap();
    // Opaque on the left, half on the right, with color only where it is opaque: what the photo shows tells its alpha.
    let path = transforms_capture(folder.path(), 3, |file| {
        file["camera_model"] = "OPENCV".into();
        file["k1"] = 0.08.into();
    });
    let full = open(&path).unwrap();
    assert!(
        full.views.iter().all(|v| v.alpha.is_none()),
        "opaque photos have none"
    );
    for view in &full.views {
        let size = image::image_dimensions(&view.image_path).unwrap();
        let picture = image::RgbaImage::from_fn(size.0, size.1, |x, _| {
            image::Rgba([255, 255, 255, if x < size.0 / 2 { 255 } else { 102 }])
        });
        picture
            .save_with_format(&view.image_path, image::ImageFormat::Png)
            .unwrap();
    }
    for downscale in [1, 2] {
        let options = LoadOptions {
            downscale: Some(downscale),
            ..Default::default()
        };
        let dataset = open_with(&path, &options).unwrap();
        for view in &dataset.views {
            let alpha = view.alpha.as_ref().expect("it is partly transparent");
            assert_eq!(alpha.len(), (view.photo.width * view.photo.height) as usize);
            // White over black: the photo is its alpha.
            let worst = view.photo.rgb.iter().step_by(3).zip(alpha.iter());
            let worst = worst.map(|(p, a)| p.abs_diff(*a)).max().unwrap();
            assert!(worst <= 1, "{worst}");
            assert!(alpha.contains(&255) && alpha.iter().any(|a| a.abs_diff(102) <= 1));
        }
    }
}
