//! Captures: archives, camera files of every tool, and the paths that cameras take.

use crate::cameras_of_programs::{
    REALITY_CAPTURE_COLUMNS, metashape, metashape_camera, metashape_sensor, pose_matrix,
    reality_capture_row,
};
use crate::harness::{Attack, HEADER, peak_of, put};
use crate::small_captures::{fixtures, llff_row, npy, ramp, transforms_capture};
use crate::zips::{self, Packed};
use luxedit::Result;
use luxedit::formats::picture::{read_photo, write_png};
use luxedit::formats::{read_camera_path, read_capture, write_camera_path};
use luxedit::scene::{Camera, Intrinsics};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// As [`Attack::memory`].
const MEMORY: (usize, usize) = (1 << 20, 100);

/// Attack `file`, one of the files of the capture at `capture`.
fn attack_file(name: &str, file: &Path, focus: Range<usize>, capture: &Path) {
    let whole = std::fs::read(file).unwrap();
    let attack = Attack {
        name,
        bytes: &whole,
        focus,
        memory: MEMORY,
    };
    attack.run(|bytes| {
        put(file, bytes);
        let capture = read_capture(capture, None)?;
        assert!(!capture.frames.is_empty());
        assert!(
            capture
                .frames
                .iter()
                .all(|frame| frame.world_to_camera.is_finite())
        );
        Ok(())
    });
    std::fs::write(file, whole).unwrap();
}

#[test]
fn archives() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    transforms_capture(&capture, 3, |_| {});
    let mut files = Vec::new();
    zips::pack(&capture, "", &mut files);
    let whole = zips::archive(&files);
    let directory = whole
        .windows(4)
        .position(|w| w == b"PK\x01\x02")
        .expect("a directory");
    let attack = Attack {
        name: "capture.zip",
        bytes: &whole,
        focus: directory..whole.len(),
        memory: (2 << 20, 300),
    };
    let mut count = 0;
    attack.run(|bytes| {
        // Directories of archives are kept by path, length and time: every one has a name of its own.
        count += 1;
        let path = folder.path().join(format!("{count}.zip"));
        std::fs::write(&path, bytes).unwrap();
        let read = read_everything(&path);
        std::fs::remove_file(&path).unwrap();
        read
    });
}

/// A capture and its photos.
fn read_everything(path: &Path) -> Result<()> {
    for frame in read_capture(path, None)?.frames {
        read_photo(&frame.image_path, [0.0; 3])?;
    }
    Ok(())
}

/// An entry that is packed a thousandfold, and entries that all are one place of the archive.
#[test]
fn archives_that_unpack_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.zip");
    let mut spaces = vec![b' '; 200 << 20];
    spaces.extend(b"{}");
    let bomb = Packed::new("transforms.json", &spaces, true);
    drop(spaces);
    std::fs::write(&path, zips::archive(&[bomb])).unwrap();
    let (result, peak) = peak_of(|| read_capture(&path, None));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("times its size"), "{error}");
    assert!(peak < 1 << 20, "it held {peak} bytes");
}

#[test]
fn matrices_of_numpy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    for i in 0..4 {
        write_png(
            &folder.path().join(format!("images/{i}.png")),
            &ramp(40, 30),
        )
        .unwrap();
    }
    let poses = folder.path().join("poses_bounds.npy");
    let rows: Vec<f64> = (0..4).flat_map(llff_row).collect();
    let bytes: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
    for (name, is_by_columns) in [("NumPy by rows", false), ("NumPy by columns", true)] {
        // Poses by columns are none, unless they are put in that order.
        let body: Vec<u8> = match is_by_columns {
            false => bytes.clone(),
            true => (0..17 * 4)
                .flat_map(|i| rows[i % 4 * 17 + i / 4].to_le_bytes())
                .collect(),
        };
        std::fs::write(&poses, npy("<f8", is_by_columns, "4, 17", &body)).unwrap();
        attack_file(name, &poses, 0..128, folder.path());
    }
}

#[test]
fn cameras_of_photogrammetry() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    let mut cameras = String::new();
    let mut rows = REALITY_CAPTURE_COLUMNS.to_owned();
    for i in 0..4 {
        let pose = pose_matrix(i, 4);
        cameras += &metashape_camera(&i.to_string(), "component_id=\"0\"", pose);
        rows += &reality_capture_row(&i.to_string(), pose, "40.5,0.01,0,0.1,0,0,0,0.02,0");
        let photo = folder.path().join(format!("images/{i}.png"));
        write_png(&photo, &ramp(40, 30)).unwrap();
    }
    let sensor = metashape_sensor("frame", "<f>45</f><cx>1</cx><k1>0.1</k1><p1>0.01</p1>");
    let component = "<components><component id=\"0\"><transform><rotation>1 0 0 0 1 0 0 0 1</rotation>\
                     <translation>1 2 3</translation><scale>2</scale></transform></component></components>";
    for (name, file, text) in [
        (
            "cameras.xml",
            "cameras.xml",
            metashape(&sensor, &cameras, component),
        ),
        (
            "cameras.xml without components",
            "cameras.xml",
            metashape(&sensor, &cameras, ""),
        ),
        ("cameras.csv", "cameras.csv", rows),
    ] {
        let file = folder.path().join(file);
        std::fs::write(&file, &text).unwrap();
        attack_file(name, &file, 0..text.len(), &file);
    }
}

#[test]
fn paths_of_cameras() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("path.json");
    let intrinsics = Intrinsics {
        fx: 45.0,
        fy: 45.0,
        cx: 20.0,
        cy: 15.0,
        width: 40,
        height: 30,
    };
    let camera = Camera::from_opengl(glam::DMat4::IDENTITY, intrinsics);
    write_camera_path(&path, &[camera; 3], 24.0, false).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let attack = Attack {
        name: "camera path",
        bytes: &whole,
        focus: 0..whole.len(),
        memory: MEMORY,
    };
    attack.run(|bytes| {
        put(&path, bytes);
        let film = read_camera_path(&path)?;
        assert!(!film.cameras.is_empty() && film.frames_per_sec.is_finite());
        Ok(())
    });
}

#[test]
fn transforms() {
    let folder = tempfile::tempdir().unwrap();
    let file = transforms_capture(folder.path(), 3, |value| {
        value["camera_model"] = "OPENCV".into();
        value["k1"] = 0.01.into();
        value["train_filenames"] = serde_json::json!(["images/000.png", "images/001.png"]);
        value["orientation_override"] = "none".into();
        value["ply_file_path"] = "points.ply".into();
    });
    std::fs::write(
        folder.path().join("points.ply"),
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n",
    )
    .unwrap();
    let len = std::fs::metadata(&file).unwrap().len() as usize;
    attack_file("transforms.json", &file, 0..len, folder.path());
}

/// A copy of the fixture's photos, with its model in the form `sparse`.
fn colmap(folder: &Path, sparse: &str) -> PathBuf {
    let from = fixtures().join("colmap");
    let to = folder.join(sparse).join("0");
    std::fs::create_dir_all(&to).unwrap();
    std::fs::create_dir_all(folder.join("images")).unwrap();
    for entry in std::fs::read_dir(from.join(sparse).join("0")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    for entry in std::fs::read_dir(from.join("images")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, folder.join("images").join(path.file_name().unwrap())).unwrap();
        }
    }
    to
}

fn attack_colmap(sparse: &str, ending: &str) {
    let folder = tempfile::tempdir().unwrap();
    let model = colmap(folder.path(), sparse);
    for part in ["cameras", "images", "points3D"] {
        let name = format!("{part}.{ending}");
        attack_file(&name, &model.join(&name), HEADER, folder.path());
    }
}

#[test]
fn binary_models_of_colmap() {
    attack_colmap("sparse", "bin");
}

#[test]
fn text_models_of_colmap() {
    attack_colmap("sparse_txt", "txt");
}
