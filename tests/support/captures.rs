//! Small captures, made on the spot.

use luxedit::formats::picture::write_png;
use luxedit::scene::Photo;
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

/// A NumPy file of version 1.
pub fn npy(kind: &str, is_by_columns: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let order = if is_by_columns { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({shape}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(values);
    file
}

/// The camera at (i, 2, 3) looks along −z of the file, its picture's right is the file's x, its up the file's y: LLFF's axes
/// down, right, backwards are −y, x, z.
pub fn llff_row(i: usize) -> [f64; 17] {
    [
        0.0, 1.0, 0.0, i as f64, 30.0, //
        -1.0, 0.0, 0.0, 2.0, 40.0, //
        0.0, 0.0, 1.0, 3.0, 45.0, //
        0.5, 9.0,
    ]
}
