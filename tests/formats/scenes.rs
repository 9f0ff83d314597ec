//! Small captures and splats to test with, made on the spot.

use luxedit::error::Cancel;
use luxedit::formats::{LoadOptions, open_dataset, picture::write_png};
use luxedit::scene::{Dataset, Photo, Splats};
use luxedit::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A photo whose red and green grow with column and row.
pub fn ramp(width: u32, height: u32) -> Photo {
    let rgb = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [(x * 4) as u8, (y * 4) as u8, 77]))
        .collect();
    Photo::new(width, height, rgb)
}

/// Camera-to-world in OpenGL axes as JSON: cameras on a tilted circle around (10, 20, 30), looking inwards.
pub fn pose(i: usize, n: usize) -> Value {
    use glam::{DMat4, DVec3};
    let angle = i as f64 / n as f64 * std::f64::consts::TAU;
    let turn = DMat4::from_rotation_x(0.4) * DMat4::from_rotation_z(angle);
    let target = DVec3::new(10.0, 20.0, 30.0);
    let eye = target + turn.transform_vector3(DVec3::new(5.0, 0.0, 2.0));
    let up = turn.transform_vector3(DVec3::Z);
    let back = (eye - target).normalize();
    let right = up.cross(back).normalize();
    let true_up = back.cross(right);
    json!([
        [right.x, true_up.x, back.x, eye.x],
        [right.y, true_up.y, back.y, eye.y],
        [right.z, true_up.z, back.z, eye.z],
        [0.0, 0.0, 0.0, 1.0]
    ])
}

/// A nerfstudio capture of `n` photos of 40 × 30, described but for what `edit` changes.
pub fn transforms_capture(folder: &Path, n: usize, edit: impl FnOnce(&mut Value)) -> PathBuf {
    std::fs::create_dir_all(folder.join("images")).unwrap();
    let frames: Vec<Value> = (0..n)
        .map(|i| {
            let name = format!("images/{i:03}.png");
            write_png(&folder.join(&name), &ramp(40, 30)).unwrap();
            json!({ "file_path": name, "transform_matrix": pose(i, n) })
        })
        .collect();
    let mut value = json!({ "w": 40.0, "h": 30, "fl_x": 45.0, "fl_y": 46.0, "cx": 20.0, "cy": 15.0, "frames": frames });
    edit(&mut value);
    let path = folder.join("transforms.json");
    std::fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
    path
}

pub fn open(path: &Path) -> Result<Dataset> {
    open_with(path, &LoadOptions::default())
}

pub fn open_with(path: &Path, options: &LoadOptions) -> Result<Dataset> {
    open_dataset(path, options, &|_, _| {}, &Cancel::default())
}

/// The error's sentence, which must name `path` and contain `parts`.
pub fn assert_says<T>(result: Result<T>, path: &Path, parts: &[&str]) -> String {
    let Err(error) = result else {
        panic!("no error, expected one with {parts:?}");
    };
    assert!(!matches!(error, Error::Cancelled));
    let sentence = error.to_string();
    for part in parts
        .iter()
        .copied()
        .chain([path.to_string_lossy().as_ref()])
    {
        assert!(
            sentence.contains(part),
            "\"{sentence}\" does not contain \"{part}\""
        );
    }
    sentence
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::write(&target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// `n` splats of awkward values.
pub fn splats(n: usize, sh_degree: u32) -> Splats {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut values = |count: usize| -> Vec<f32> {
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / 1e5 - 80.0
            })
            .collect()
    };
    let rest = Splats::rest_count_of(sh_degree);
    let mut splats = Splats {
        sh_degree,
        antialiased: false,
        means: values(n * 3),
        quats: values(n * 4),
        log_scales: values(n * 3),
        logit_opacities: values(n),
        sh_dc: values(n * 3),
        sh_rest: values(n * rest * 3),
    };
    splats.means[0] = -0.0;
    splats.means[1] = f32::MIN_POSITIVE / 4.0;
    splats.means[2] = f32::MAX;
    splats
}
