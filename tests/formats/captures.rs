//! Real captures and splats, where they are on this machine: in `LUXEDIT_DATA`, else in `../shared/data`.

use super::scenes::{open, open_with};
use luxedit::formats::ply::{Kind, read_points, read_splats, write_splats};
use luxedit::formats::{Distortion, Info, LoadOptions, inspect};
use luxedit::scene::DatasetKind;
use std::path::{Path, PathBuf};

/// A path of the data folder, or `None`, said aloud.
fn data(relative: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LUXEDIT_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(relative);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: {} does not exist", path.display());
    None
}

#[test]
fn fox_has_fifty_usable_frames_of_sixty_seven() {
    let Some(path) = data("captures/fox") else {
        return;
    };
    let start = std::time::Instant::now();
    let info = inspect(&path).unwrap();
    println!("{info}inspected in {:.3} s", start.elapsed().as_secs_f64());
    let Info::Capture(info) = info else {
        panic!("a capture")
    };
    assert_eq!(
        (info.listed_frames, info.usable_frames, info.missing.len()),
        (67, 50, 17)
    );
    for name in &info.missing {
        assert!(!path.join(name).exists(), "{name} is there");
    }
    assert_eq!(info.lenses.len(), 1);
    let lens = info.lenses[0].lens;
    assert_eq!(
        (lens.intrinsics.width, lens.intrinsics.height),
        (1080, 1920)
    );
    assert!(matches!(lens.distortion, Distortion::Brown { .. }));
    assert!(info.camera_bounds.is_some());
}

#[test]
fn fox_shrunk_four_times_is_fox_quarter() {
    let (Some(path), Some(quarter)) = (data("captures/fox"), data("captures/fox_quarter")) else {
        return;
    };
    let start = std::time::Instant::now();
    let options = LoadOptions {
        downscale: Some(4),
        ..Default::default()
    };
    let dataset = open_with(&path, &options).unwrap();
    println!(
        "fox at a quarter: {} views, {:.2} s",
        dataset.views.len(),
        start.elapsed().as_secs_f64()
    );
    let quarter = open(&quarter).unwrap();
    assert_eq!((dataset.views.len(), dataset.listed), (50, 67));
    for (a, b) in dataset.views.iter().zip(&quarter.views) {
        assert_eq!(a.name, b.name);
        assert_eq!(
            (a.photo.width, a.photo.height),
            (b.photo.width, b.photo.height)
        );
        assert!(
            a.camera
                .world_to_camera
                .abs_diff_eq(b.camera.world_to_camera, 1e-9)
        );
        assert!((a.camera.intrinsics.cx - b.camera.intrinsics.cx).abs() < 1e-3);
        let difference: f64 = a
            .photo
            .rgb
            .iter()
            .zip(b.photo.rgb.iter())
            .map(|(a, b)| f64::from(a.abs_diff(*b)))
            .sum();
        assert!(
            difference / (a.photo.rgb.len() as f64) < 6.0,
            "{}: {difference}",
            a.name
        );
    }
}

#[test]
fn fox_quarter_opens() {
    let Some(path) = data("captures/fox_quarter") else {
        return;
    };
    let start = std::time::Instant::now();
    let dataset = open(&path).unwrap();
    let k = dataset.views[0].camera.intrinsics;
    println!(
        "fox_quarter: {} views, {k:?}, {:.2} s",
        dataset.views.len(),
        start.elapsed().as_secs_f64()
    );
    assert_eq!(
        (dataset.kind, dataset.views.len()),
        (DatasetKind::Nerfstudio, 50)
    );
    assert_eq!(
        (dataset.split.train.len(), dataset.split.eval.len()),
        (45, 5)
    );
    assert!(
        k.width > 255 && k.width <= 275 && k.height > 455 && k.height <= 490,
        "{k:?}"
    );
    assert!(dataset.warnings.is_empty(), "{:?}", dataset.warnings);
}

#[test]
fn lego_opens() {
    let Some(path) = data("captures/lego") else {
        return;
    };
    let dataset = open(&path).unwrap();
    assert_eq!(
        (
            dataset.kind,
            dataset.split.train.len(),
            dataset.split.eval.len()
        ),
        (DatasetKind::Blender, 100, 25)
    );
    let photo = &dataset.views[0].photo;
    assert_eq!((photo.width, photo.height), (400, 400));
    assert_eq!(photo.rgb[..3], [255; 3], "white around the object");
}

#[test]
fn ethiopian_head_opens_with_masks() {
    let Some(path) = data("captures/ethiopian_head") else {
        return;
    };
    let dataset = open(&path).unwrap();
    assert_eq!((dataset.views.len(), dataset.missing.len()), (66, 0));
    for view in &dataset.views {
        let mask = view.mask.as_ref().expect("a mask");
        let kept = mask.iter().filter(|&&m| m > 0).count() as f64 / mask.len() as f64;
        assert!(kept > 0.02 && kept < 0.98, "{}: {kept}", view.name);
    }
}

#[test]
fn brush_tiny_opens() {
    let Some(path) = data("captures/brush_tiny") else {
        return;
    };
    let dataset = open(&path).unwrap();
    assert_eq!((dataset.views.len(), dataset.views[0].photo.width), (1, 50));
    assert!(dataset.views[0].camera.world_to_camera.is_finite());
    assert!(dataset.world_from_file.scale.is_finite());
}

#[test]
fn every_ply_opens_or_says_why_not() {
    let Some(folder) = data("splats") else { return };
    let mut open = vec![folder];
    let (mut splats, mut points, mut compressed) = (0, 0, 0);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            if path.extension().is_none_or(|e| e != "ply") {
                continue;
            }
            match Kind::of(&path).unwrap() {
                Kind::Splats {
                    count,
                    sh_degree,
                    is_compressed,
                } => {
                    compressed += usize::from(is_compressed);
                    let scene = read_splats(&path).unwrap();
                    println!(
                        "{}: {} splats of degree {sh_degree}",
                        path.display(),
                        scene.len()
                    );
                    assert!(scene.len() as u64 <= count && scene.is_consistent());
                    let copy = tempfile::tempdir().unwrap();
                    let copy = copy.path().join("copy.ply");
                    write_splats(&copy, &scene, &[]).unwrap();
                    assert!(read_splats(&copy).unwrap() == scene);
                    splats += 1;
                }
                Kind::Points { count, .. } => {
                    assert_eq!(read_points(&path).unwrap().positions.len() as u64, count);
                    points += 1;
                }
            }
        }
    }
    println!("{splats} splat files, {compressed} of them compressed, {points} point clouds");
    assert!(splats + points > 0, "the folder has no .ply");
}
