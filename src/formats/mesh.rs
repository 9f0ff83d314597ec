//! Meshes and point clouds out: PLY and OBJ in the scene's frame, GLB in glTF's, whose y points up where a scene's z does.
//! All keep a color at each vertex. PLY and OBJ hold display values, as every tool reads them; glTF defines vertex colors
//! to be linear light, and the material says that the light is in them already.

use super::{glb, write_atomic};
use crate::{
    Error, Result,
    scene::{Mesh, PointCloud},
};
use serde_json::json;
use std::{fmt::Write as _, path::Path};

/// A file format that holds a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeshFormat {
    /// Binary.
    Ply,
    /// With colors behind the positions, as MeshLab and Blender read them.
    Obj,
    Glb,
}

impl MeshFormat {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Ply, "ply"), (Self::Obj, "obj"), (Self::Glb, "glb")];

    /// # Errors
    /// An ending that no format has; all are listed.
    pub fn of_name(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        Self::ALL
            .into_iter()
            .find(|(_, name)| ending.as_deref() == Some(name))
            .map(|(format, _)| format)
            .ok_or_else(|| {
                Error::file(
                    path,
                    "has no ending that a mesh is written as; take one of .ply, .obj, .glb",
                )
            })
    }
}

/// # Errors
/// The mesh is larger than the format allows, or the file cannot be written; one that was there stays as it was.
pub fn write_mesh(path: &Path, mesh: &Mesh, format: MeshFormat) -> Result<()> {
    let bytes = match format {
        MeshFormat::Ply => ply(mesh),
        MeshFormat::Obj => obj(mesh).into_bytes(),
        MeshFormat::Glb => glb_of(path, mesh)?,
    };
    write_atomic(path, |out| out.write_all(&bytes))
}

/// Points with colors, as binary PLY.
///
/// # Errors
/// As [`write_mesh`].
pub fn write_points(path: &Path, points: &PointCloud) -> Result<()> {
    let positions = points.positions.iter().map(|p| p.as_vec3().to_array());
    let mesh = Mesh {
        positions: positions.collect(),
        colors: points.colors.clone(),
        triangles: Vec::new(),
    };
    write_mesh(path, &mesh, MeshFormat::Ply)
}

fn ply(mesh: &Mesh) -> Vec<u8> {
    let has_faces = !mesh.triangles.is_empty();
    let mut header = format!(
        "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n",
        mesh.positions.len()
    );
    if has_faces {
        header.push_str("property float nx\nproperty float ny\nproperty float nz\n");
    }
    header.push_str("property uchar red\nproperty uchar green\nproperty uchar blue\n");
    if has_faces {
        header.push_str(&format!(
            "element face {}\nproperty list uchar uint vertex_indices\n",
            mesh.triangles.len()
        ));
    }
    header.push_str("end_header\n");
    let mut bytes = header.into_bytes();
    let normals = if has_faces {
        mesh.normals()
    } else {
        Vec::new()
    };
    for (i, (position, color)) in mesh.positions.iter().zip(&mesh.colors).enumerate() {
        let numbers = position.iter().chain(normals.get(i).into_iter().flatten());
        bytes.extend(numbers.flat_map(|v| v.to_le_bytes()));
        bytes.extend(color);
    }
    for triangle in &mesh.triangles {
        bytes.push(3);
        bytes.extend(triangle.iter().flat_map(|i| i.to_le_bytes()));
    }
    bytes
}

fn obj(mesh: &Mesh) -> String {
    let mut text = String::from("# luxedit: x y z r g b\n");
    let mut line = |args: std::fmt::Arguments<'_>| {
        // A string takes everything.
        if text.write_fmt(args).is_err() {
            log::error!("a line of an OBJ file was lost");
        }
    };
    for ([x, y, z], color) in mesh.positions.iter().zip(&mesh.colors) {
        let [r, g, b] = color.map(|v| f32::from(v) / 255.0);
        line(format_args!("v {x} {y} {z} {r:.4} {g:.4} {b:.4}\n"));
    }
    for [x, y, z] in mesh.normals() {
        line(format_args!("vn {x:.5} {y:.5} {z:.5}\n"));
    }
    for [a, b, c] in mesh.triangles.iter().map(|t| t.map(|i| i + 1)) {
        line(format_args!("f {a}//{a} {b}//{b} {c}//{c}\n"));
    }
    text
}

/// glTF's y is up: a quarter turn about x.
fn y_up([x, y, z]: [f32; 3]) -> [f32; 3] {
    [x, z, -y]
}

/// Linear light of a display value (IEC 61966-2-1), over the whole range of 16 bits.
fn linear16(v: u8) -> u16 {
    let v = f64::from(v) / 255.0;
    let linear = if v <= 0.04045 {
        v / 12.92
    } else {
        ((v + 0.055) / 1.055).powf(2.4)
    };
    (linear * 65535.0).round() as u16
}

fn glb_of(path: &Path, mesh: &Mesh) -> Result<Vec<u8>> {
    const FLOAT: u32 = 5126;
    const UNSIGNED_SHORT: u32 = 5123;
    const UNSIGNED_INT: u32 = 5125;
    const VERTICES: u32 = 34962;
    const INDICES: u32 = 34963;
    let n = mesh.positions.len();
    let turned = Mesh {
        positions: mesh.positions.iter().map(|&p| y_up(p)).collect(),
        colors: Vec::new(),
        triangles: mesh.triangles.clone(),
    };
    let floats = |rows: &[[f32; 3]]| -> Vec<u8> {
        rows.iter()
            .flatten()
            .flat_map(|v| v.to_le_bytes())
            .collect()
    };
    let colors = mesh.colors.iter().flat_map(|&[r, g, b]| {
        let linear = [linear16(r), linear16(g), linear16(b), u16::MAX];
        linear.into_iter().flat_map(u16::to_le_bytes)
    });
    let indices = mesh.triangles.iter().flatten();
    let parts = [
        (floats(&turned.positions), VERTICES),
        (floats(&turned.normals()), VERTICES),
        (colors.collect(), VERTICES),
        (indices.flat_map(|i| i.to_le_bytes()).collect(), INDICES),
    ];
    let mut binary = Vec::new();
    let mut views = Vec::new();
    for (content, target) in &parts {
        views.push(json!({ "buffer": 0, "byteOffset": binary.len(), "byteLength": content.len(), "target": target }));
        binary.extend_from_slice(content);
    }
    let [low, high] = turned.bounds().unwrap_or_default();
    let accessor = |view: usize, component: u32, count: usize, kind: &str| json!({ "bufferView": view, "componentType": component, "count": count, "type": kind });
    let mut accessors = [
        accessor(0, FLOAT, n, "VEC3"),
        accessor(1, FLOAT, n, "VEC3"),
        accessor(2, UNSIGNED_SHORT, n, "VEC4"),
        accessor(3, UNSIGNED_INT, 3 * mesh.triangles.len(), "SCALAR"),
    ];
    accessors[0]["min"] = json!(low);
    accessors[0]["max"] = json!(high);
    accessors[2]["normalized"] = json!(true);
    let document = json!({
        "asset": { "version": "2.0", "generator": concat!("luxedit ", env!("CARGO_PKG_VERSION")) },
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0 }],
        "materials": [{
            "pbrMetallicRoughness": { "metallicFactor": 0.0, "roughnessFactor": 1.0 },
            "extensions": { "KHR_materials_unlit": {} },
        }],
        "meshes": [{ "primitives": [{
            "attributes": { "POSITION": 0, "NORMAL": 1, "COLOR_0": 2 },
            "indices": 3,
            "material": 0,
        }] }],
        "buffers": [{ "byteLength": binary.len() }],
        "bufferViews": views,
        "accessors": accessors,
    });
    glb::encode(path, &document, binary)
}
