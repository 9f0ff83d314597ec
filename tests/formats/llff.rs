//! LLFF's poses_bounds.npy.

use super::scenes::{assert_says, open, open_with, ramp};
use super::small_captures::{llff_row, npy};
use glam::DVec3;
use luxedit::formats::{LoadOptions, Normalize, picture::write_png};
use luxedit::scene::{DatasetKind, WorldFromFile};
use std::path::{Path, PathBuf};

fn capture(folder: &Path, photos: usize) -> PathBuf {
    std::fs::create_dir_all(folder.join("images")).unwrap();
    for i in 0..photos {
        let name = format!("images/{i:03}.png");
        write_png(&folder.join(name), &ramp(40, 30)).unwrap();
    }
    folder.join("poses_bounds.npy")
}

fn bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn llff_cameras_stand_where_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), 9);
    let rows: Vec<f64> = (0..9).flat_map(llff_row).collect();
    let by_columns: Vec<f64> = (0..17 * 9).map(|i| llff_row(i % 9)[i / 9]).collect();
    let floats: Vec<u8> = rows
        .iter()
        .flat_map(|&v| (v as f32).to_le_bytes())
        .collect();
    let files = [
        npy("<f8", false, "9, 17", &bytes(&rows)),
        npy("<f8", true, "9, 17", &bytes(&by_columns)),
        npy("<f4", false, "9, 17", &floats),
    ];
    for file in files {
        std::fs::write(&path, file).unwrap();
        let options = LoadOptions {
            normalize: Some(Normalize::NOTHING),
            ..Default::default()
        };
        for opened in [folder.path(), path.as_path()] {
            let dataset = open_with(opened, &options).unwrap();
            assert_eq!(dataset.kind, DatasetKind::Llff);
            assert_eq!(dataset.split.eval, [0, 8]);
            for (i, view) in dataset.views.iter().enumerate() {
                let camera = view.camera;
                assert_eq!(view.name, format!("images/{i:03}.png"));
                let centre = DVec3::new(i as f64, 2.0, 3.0);
                assert!(camera.position().abs_diff_eq(centre, 1e-12));
                assert!(camera.forward().abs_diff_eq(-DVec3::Z, 1e-12));
                assert!(camera.up().abs_diff_eq(DVec3::Y, 1e-12));
                let k = camera.intrinsics;
                assert_eq!((k.width, k.height), (40, 30));
                assert_eq!((k.fx, k.fy, k.cx, k.cy), (45.0, 45.0, 20.0, 15.0));
            }
        }
    }
    let half = LoadOptions {
        downscale: Some(2),
        ..Default::default()
    };
    let k = open_with(&path, &half).unwrap().views[0].camera.intrinsics;
    assert_eq!((k.width, k.height, k.fx), (20, 15, 22.5));
    // Other photos than those at full size are not needed.
    std::fs::rename(folder.path().join("images"), folder.path().join("images_2")).unwrap();
    for i in 0..9 {
        let photo = folder.path().join(format!("images_2/{i:03}.png"));
        write_png(&photo, &ramp(20, 15)).unwrap();
    }
    assert_eq!(open(&path).unwrap().views[3].photo, ramp(20, 15));
}

/// nerfstudio reads no such file.
#[test]
fn no_run_of_nerfstudio_had_these_cameras() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), 3);
    let rows: Vec<f64> = (0..3).flat_map(llff_row).collect();
    std::fs::write(&path, npy("<f8", false, "3, 17", &bytes(&rows))).unwrap();
    let options = LoadOptions {
        frame: Some(WorldFromFile::IDENTITY),
        ..Default::default()
    };
    let refused = open_with(folder.path(), &options).unwrap_err().to_string();
    assert!(
        refused.contains("poses_bounds.npy") && refused.contains("nerfstudio"),
        "{refused}"
    );
}

#[test]
fn poses_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path(), 2);
    let two: Vec<f64> = (0..2).flat_map(llff_row).collect();
    let mirrored: Vec<f64> = two
        .iter()
        .enumerate()
        .map(|(i, v)| if i % 17 == 1 { -v } else { *v })
        .collect();
    let flat: Vec<f64> = two
        .iter()
        .enumerate()
        .map(|(i, v)| if i % 17 == 14 { 0.0 } else { *v })
        .collect();
    let three: Vec<f64> = (0..3).flat_map(llff_row).collect();
    let cases: [(Vec<u8>, &[&str]); 9] = [
        (
            npy("<f8", false, "2, 17", &bytes(&mirrored)),
            &["000.png", "mirrors"],
        ),
        (
            npy("<f8", false, "2, 17", &bytes(&flat)),
            &["000.png", "focal length 0"],
        ),
        (
            npy("<f8", false, "3, 17", &bytes(&three)),
            &["3 photos", "holds 2"],
        ),
        (npy("<f8", false, "2, 15", &bytes(&two)), &["15 numbers"]),
        (npy("<f8", false, "34,", &bytes(&two)), &["(34,)"]),
        (
            npy("<f8", false, "9999999999999, 17", &bytes(&two)),
            &["cut"],
        ),
        (npy("<i8", false, "2, 17", &bytes(&two)), &["<i8"]),
        (b"\x93NUMPY\x01\x00\xff".to_vec(), &["NumPy"]),
        (b"poses".to_vec(), &["NumPy"]),
    ];
    for (file, parts) in cases {
        std::fs::write(&path, file).unwrap();
        assert_says(open(folder.path()), &path, parts);
    }
}
