//! glTF 2.0 and GLB with the extension KHR_gaussian_splatting. Own code on `serde_json`: the crate `gltf` refuses the
//! extension's attribute names.
//!
//! glTF's frame is left-up-front (as SPZ's documentation names it), half a turn about z from PLY's right-down-front; node
//! transforms are applied first. Opacities are as drawn. Scales are standard deviations, as in the files of all known
//! writers; a draft stored their logarithms: where any scale is negative, all are taken for logarithms.

use super::bytes::Bytes;
use super::codec;
use super::turn::Similarity;
use crate::formats::glb::{self, BINARY_CHUNK, JSON_CHUNK, MAGIC};
use crate::scene::Splats;
use crate::{Error, Result};
use glam::{DMat4, DQuat, DVec3};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::Path;

pub const EXTENSION: &str = "KHR_gaussian_splatting";

const FLOAT: u64 = 5126;
const UNSIGNED_BYTE: u64 = 5121;

/// Nodes deeper than this are taken for a cycle.
const MAX_DEPTH: usize = 256;

struct Document<'a> {
    file: Bytes<'a>,
    json: Value,
    binary: Option<&'a [u8]>,
    /// Decoded or loaded, once each.
    buffers: Vec<Cow<'a, [u8]>>,
}

/// The splats of all nodes of the file's scene, in PLY's frame.
///
/// # Errors
/// No glTF 2.0; no splats in it; an accessor that points outside of its buffer; a node that stretches its splats; a
/// compression extension.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Splats> {
    let file = Bytes {
        path,
        what: "a glTF file",
        bytes,
    };
    let (text, binary) = if bytes.starts_with(MAGIC) {
        chunks(&file)?
    } else {
        (bytes, None)
    };
    let json: Value = serde_json::from_slice(text)
        .map_err(|e| file.error(format!("whose JSON cannot be understood: {e}")))?;
    let mut document = Document {
        file,
        json,
        binary,
        buffers: Vec::new(),
    };
    document.load_buffers()?;
    let mut splats = Splats::default();
    let mut parts = 0;
    let mut visited = vec![false; document.list("nodes").len()];
    for node in document.roots() {
        document.visit(
            node,
            DMat4::IDENTITY,
            0,
            &mut visited,
            &mut splats,
            &mut parts,
        )?;
    }
    if parts == 0 {
        return Err(document.file.error(format!(
            "without Gaussian splats: no mesh of its scene has {EXTENSION}"
        )));
    }
    Similarity::half_turn(2).apply(&mut splats);
    codec::usable(path, splats)
}

fn chunks<'a>(file: &Bytes<'a>) -> Result<(&'a [u8], Option<&'a [u8]>)> {
    let version = file.u32(4)?;
    if version != 2 {
        return Err(file.error(format!("of version {version}; version 2 is known")));
    }
    let mut at = 12;
    let mut text = None;
    let mut binary = None;
    while at + 8 <= file.bytes.len() {
        let (len, kind) = (file.size(at)?, file.u32(at + 4)?);
        let content = file.slice(at + 8, len, "chunks")?;
        match kind {
            JSON_CHUNK if text.is_none() => text = Some(content),
            BINARY_CHUNK if binary.is_none() => binary = Some(content),
            _ => {}
        }
        at += 8 + len;
    }
    let text = text.ok_or_else(|| file.error("without its JSON chunk"))?;
    Ok((text, binary))
}

fn index(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

impl<'a> Document<'a> {
    fn list(&self, name: &str) -> &[Value] {
        self.json[name].as_array().map_or(&[], Vec::as_slice)
    }

    fn item(&self, list: &str, index: Option<usize>) -> Result<&Value> {
        index.and_then(|i| self.list(list).get(i)).ok_or_else(|| {
            self.file.error(format!(
                "that refers to one of its {list} that is not there"
            ))
        })
    }

    fn load_buffers(&mut self) -> Result<()> {
        let file = self.file;
        for buffer in self.list("buffers").to_vec() {
            let content: Cow<'a, [u8]> = match buffer["uri"].as_str() {
                None => Cow::Borrowed(
                    self.binary
                        .ok_or_else(|| file.error("whose binary chunk is missing"))?,
                ),
                Some(uri) => match uri.strip_prefix("data:") {
                    Some(data) => Cow::Owned(
                        data.split_once(";base64,")
                            .and_then(|(_, text)| base64_decode(text.as_bytes()))
                            .ok_or_else(|| file.error("whose embedded buffer is no base64"))?,
                    ),
                    None => {
                        // A file that was downloaded must not reach outside of its folder.
                        if uri.contains("..") || uri.contains([':', '\\']) || uri.starts_with('/') {
                            return Err(
                                file.error(format!("whose buffer \"{uri}\" is no file beside it"))
                            );
                        }
                        let path = file.path.parent().unwrap_or(Path::new(".")).join(uri);
                        Cow::Owned(std::fs::read(&path).map_err(Error::io(&path))?)
                    }
                },
            };
            self.buffers.push(content);
        }
        Ok(())
    }

    /// Nodes of the default scene, or of the first; without scenes, those that are no other's child.
    fn roots(&self) -> Vec<usize> {
        let scenes = self.list("scenes");
        if let Some(scene) = scenes.get(index(&self.json["scene"]).unwrap_or(0)) {
            return scene["nodes"]
                .as_array()
                .map_or(Vec::new(), |n| n.iter().filter_map(index).collect());
        }
        let nodes = self.list("nodes");
        let mut is_child = vec![false; nodes.len()];
        for node in nodes {
            for child in node["children"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(index)
            {
                if let Some(is_child) = is_child.get_mut(child) {
                    *is_child = true;
                }
            }
        }
        (0..nodes.len()).filter(|&i| !is_child[i]).collect()
    }

    fn visit(
        &self,
        node: usize,
        parent: DMat4,
        depth: usize,
        visited: &mut [bool],
        splats: &mut Splats,
        parts: &mut usize,
    ) -> Result<()> {
        let value = self.item("nodes", Some(node))?;
        if depth > MAX_DEPTH || std::mem::replace(&mut visited[node], true) {
            return Err(self
                .file
                .error(format!("whose node {node} is reached twice")));
        }
        let world_from_node = parent * self.local(value, node)?;
        if !value["mesh"].is_null() {
            let mesh = self.item("meshes", index(&value["mesh"]))?;
            for primitive in mesh["primitives"].as_array().into_iter().flatten() {
                if primitive["extensions"][EXTENSION].is_null() {
                    continue;
                }
                let mut part = self.primitive(primitive)?;
                Similarity::of_matrix(world_from_node)
                    .ok_or_else(|| {
                        self.file.error(format!(
                            "whose node {node} stretches its splats unevenly, which splats cannot follow; apply the \
                             node's scale in the tool it came from"
                        ))
                    })?
                    .apply(&mut part);
                codec::append(splats, part);
                *parts += 1;
            }
        }
        for child in value["children"].as_array().into_iter().flatten() {
            let child = index(child).unwrap_or(usize::MAX);
            self.visit(child, world_from_node, depth + 1, visited, splats, parts)?;
        }
        Ok(())
    }

    fn local(&self, node: &Value, number: usize) -> Result<DMat4> {
        let numbers = |name: &str| -> Result<Option<Vec<f64>>> {
            let Some(list) = node[name].as_array() else {
                return Ok(None);
            };
            let values: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
            let wanted = match name {
                "matrix" => 16,
                "rotation" => 4,
                _ => 3,
            };
            if values.len() == wanted {
                Ok(Some(values))
            } else {
                Err(self.file.error(format!(
                    "whose node {number} has a {name} that is not {wanted} numbers"
                )))
            }
        };
        if let Some(matrix) = numbers("matrix")? {
            return Ok(DMat4::from_cols_slice(&matrix));
        }
        let vector = |values: Option<Vec<f64>>, default: DVec3| {
            values.map_or(default, |v| DVec3::from_slice(&v))
        };
        Ok(DMat4::from_scale_rotation_translation(
            vector(numbers("scale")?, DVec3::ONE),
            numbers("rotation")?.map_or(DQuat::IDENTITY, |q| DQuat::from_slice(&q).normalize()),
            vector(numbers("translation")?, DVec3::ZERO),
        ))
    }

    fn primitive(&self, primitive: &Value) -> Result<Splats> {
        let extension = &primitive["extensions"][EXTENSION];
        let attributes = &primitive["attributes"];
        let named = |name: &str| &attributes[format!("{EXTENSION}:{name}")];
        if let Some(name) = extension["extensions"]
            .as_object()
            .and_then(|e| e.keys().find(|name| name.contains("compression")))
        {
            return Err(self.file.error(format!(
                "whose splats are packed with {name}, which is not read; convert it without"
            )));
        }
        for (name, known) in [("kernel", "ellipse"), ("colorSpace", "srgb_rec709_display")] {
            if let Some(value) = extension[name].as_str().filter(|&value| value != known) {
                log::warn!(
                    "{}: {name} \"{value}\" is taken for \"{known}\"",
                    self.file.path.display()
                );
            }
        }
        let means = self.accessor(&attributes["POSITION"], 3)?;
        let count = means.len() / 3;
        let required = |value: &Value, name: &str, width: usize| -> Result<Vec<f32>> {
            if value.is_null() {
                return Err(self.file.error(format!("whose splats have no {name}")));
            }
            let values = self.accessor(value, width)?;
            if values.len() == count * width {
                Ok(values)
            } else {
                Err(self.file.error(format!(
                    "with {} values of {name} for {count} splats",
                    values.len() / width
                )))
            }
        };
        let rotations = required(named("ROTATION"), "ROTATION", 4)?;
        let scales = required(named("SCALE"), "SCALE", 3)?;
        let opacities = required(named("OPACITY"), "OPACITY", 1)?;
        let are_logarithms = scales.iter().any(|&v| v < 0.0);
        let dc = named("SH_DEGREE_0_COEF_0");
        let sh_dc = if dc.is_null() {
            self.color(&attributes["COLOR_0"], count)?
        } else {
            required(dc, "SH_DEGREE_0_COEF_0", 3)?
        };
        let mut sh_degree = 0;
        let mut coefficients: Vec<Vec<f32>> = Vec::new();
        for degree in 1..=3 {
            if named(&format!("SH_DEGREE_{degree}_COEF_0")).is_null() {
                break;
            }
            for k in 0..=2 * degree {
                let name = format!("SH_DEGREE_{degree}_COEF_{k}");
                coefficients.push(required(named(&name), &name, 3)?);
            }
            sh_degree = degree;
        }
        let mut sh_rest = Vec::with_capacity(count * coefficients.len() * 3);
        for i in 0..count {
            for values in &coefficients {
                sh_rest.extend_from_slice(&values[i * 3..][..3]);
            }
        }
        Ok(Splats {
            sh_degree,
            antialiased: false,
            means,
            quats: rotations
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|&[x, y, z, w]| codec::normalized([w, x, y, z]))
                .collect(),
            log_scales: if are_logarithms {
                scales
            } else {
                scales.into_iter().map(f32::ln).collect()
            },
            logit_opacities: opacities.into_iter().map(codec::logit).collect(),
            sh_dc,
            sh_rest,
        })
    }

    /// DC terms from the points' fallback colour; grey without one.
    fn color(&self, accessor: &Value, count: usize) -> Result<Vec<f32>> {
        if accessor.is_null() {
            return Ok(vec![0.0; count * 3]);
        }
        let is_rgba = self.item("accessors", index(accessor))?["type"] == "VEC4";
        let width = if is_rgba { 4 } else { 3 };
        let colors = self.accessor(accessor, width)?;
        if colors.len() != count * width {
            return Err(self.file.error(format!(
                "with {} colours for {count} splats",
                colors.len() / width
            )));
        }
        let rgb = colors.chunks_exact(width).flat_map(|color| &color[..3]);
        Ok(rgb.map(|&v| codec::dc_of_color(v)).collect())
    }

    /// `[n, width]`. Integers are scaled to [0, 1] or [-1, 1] where the accessor says so.
    fn accessor(&self, reference: &Value, width: usize) -> Result<Vec<f32>> {
        let file = &self.file;
        let accessor = self.item("accessors", index(reference))?;
        let kind = ["", "SCALAR", "VEC2", "VEC3", "VEC4"][width];
        if accessor["type"] != kind {
            return Err(file.error(format!(
                "with an accessor of type {} instead of {kind}",
                accessor["type"]
            )));
        }
        if !accessor["sparse"].is_null() {
            return Err(file.error("with sparse accessors, which are not read"));
        }
        let component = accessor["componentType"].as_u64().unwrap_or(0);
        let (size, read): (usize, fn(&[u8]) -> f32) = match component {
            5120 => (1, |b| f32::from(b[0] as i8)),
            UNSIGNED_BYTE => (1, |b| f32::from(b[0])),
            5122 => (2, |b| f32::from(i16::from_le_bytes([b[0], b[1]]))),
            5123 => (2, |b| f32::from(u16::from_le_bytes([b[0], b[1]]))),
            FLOAT => (4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            _ => {
                return Err(file.error(format!(
                    "with component type {component}, which splats cannot have"
                )));
            }
        };
        let largest = match component {
            _ if accessor["normalized"] != true => 1.0,
            5120 => 127.0,
            UNSIGNED_BYTE => 255.0,
            5122 => 32767.0,
            5123 => 65535.0,
            _ => 1.0,
        };
        let view = self.item("bufferViews", index(&accessor["bufferView"]))?;
        let number = |value: &Value, default: usize| -> Result<usize> {
            match value {
                Value::Null => Ok(default),
                value => index(value)
                    .ok_or_else(|| file.error(format!("with {value} where a size should be"))),
            }
        };
        let buffer = self
            .buffers
            .get(number(&view["buffer"], usize::MAX)?)
            .ok_or_else(|| file.error("that refers to a buffer that is not there"))?;
        let content = Bytes {
            bytes: buffer,
            ..*file
        };
        let len = number(&view["byteLength"], 0)?;
        let content = content.slice(number(&view["byteOffset"], 0)?, len, "buffers")?;
        let count = number(&accessor["count"], 0)?;
        let stride = number(&view["byteStride"], size * width)?;
        let offset = number(&accessor["byteOffset"], 0)?;
        let needed = match count.checked_sub(1) {
            None => Some(0),
            Some(last) => last
                .checked_mul(stride)
                .and_then(|at| at.checked_add(offset)?.checked_add(size * width)),
        };
        if stride < size * width || needed.is_none_or(|needed| needed > content.len()) {
            return Err(file.error(format!(
                "with an accessor of {count} values in a view of {len} bytes"
            )));
        }
        let mut values = Vec::with_capacity(count * width);
        for i in 0..count {
            let record = &content[offset + i * stride..][..size * width];
            values.extend(record.chunks_exact(size).map(|bytes| {
                let value = read(bytes) / largest;
                if largest > 1.0 {
                    value.max(-1.0)
                } else {
                    value
                }
            }));
        }
        Ok(values)
    }
}

/// Standard base64, padded or not; `None` for anything else.
pub fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.chunks(4) {
        if chunk.len() == 1 {
            return None;
        }
        let mut bits = 0u32;
        for &c in chunk {
            let six = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

/// A GLB: one mesh of points with all attributes as floats, in glTF's frame, and colours for viewers without splats.
///
/// # Errors
/// More than 4 GiB.
pub fn encode(path: &Path, splats: &Splats) -> Result<Vec<u8>> {
    let mut turned = splats.clone();
    Similarity::half_turn(2).apply(&mut turned);
    let n = turned.len();
    let mut binary: Vec<u8> = Vec::with_capacity(n * (60 + turned.rest_count() * 12));
    let mut views = Vec::new();
    let mut accessors = Vec::new();
    let mut attributes = serde_json::Map::new();
    let mut add = |name: String, kind: &str, component: u64, content: &[u8]| {
        views.push(json!({ "buffer": 0, "byteOffset": binary.len(), "byteLength": content.len(), "target": 34962 }));
        accessors.push(json!({ "bufferView": accessors.len(), "componentType": component, "count": n, "type": kind }));
        attributes.insert(name, json!(accessors.len() - 1));
        binary.extend_from_slice(content);
    };
    let floats =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let named = |name: &str| format!("{EXTENSION}:{name}");
    add("POSITION".into(), "VEC3", FLOAT, &floats(&turned.means));
    let alphas: Vec<f32> = turned
        .logit_opacities
        .iter()
        .map(|&v| codec::sigmoid(v))
        .collect();
    let colors: Vec<u8> = turned
        .sh_dc
        .as_chunks::<3>()
        .0
        .iter()
        .zip(&alphas)
        .flat_map(|(dc, &alpha)| {
            let [r, g, b] = dc.map(codec::color_of_dc);
            [r, g, b, alpha].map(codec::unorm8)
        })
        .collect();
    add("COLOR_0".into(), "VEC4", UNSIGNED_BYTE, &colors);
    let quats: Vec<f32> = turned
        .quats
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|&q| {
            let [w, x, y, z] = codec::normalized(q);
            [x, y, z, w]
        })
        .collect();
    add(named("ROTATION"), "VEC4", FLOAT, &floats(&quats));
    let scales: Vec<f32> = turned.log_scales.iter().map(|v| v.exp()).collect();
    add(named("SCALE"), "VEC3", FLOAT, &floats(&scales));
    add(named("OPACITY"), "SCALAR", FLOAT, &floats(&alphas));
    add(
        named("SH_DEGREE_0_COEF_0"),
        "VEC3",
        FLOAT,
        &floats(&turned.sh_dc),
    );
    let rest = turned.rest_count();
    for degree in 1..=turned.sh_degree as usize {
        for k in 0..=2 * degree {
            let at = degree * degree - 1 + k;
            let values: Vec<f32> = (0..n)
                .flat_map(|i| &turned.sh_rest[(i * rest + at) * 3..][..3])
                .copied()
                .collect();
            add(
                named(&format!("SH_DEGREE_{degree}_COEF_{k}")),
                "VEC3",
                FLOAT,
                &floats(&values),
            );
        }
    }
    accessors[1]["normalized"] = json!(true);
    let bound = |start: f32, pick: fn(f32, f32) -> f32| {
        let bounds = turned
            .means
            .as_chunks::<3>()
            .0
            .iter()
            .fold([start; 3], |b, m| {
                [pick(b[0], m[0]), pick(b[1], m[1]), pick(b[2], m[2])]
            });
        json!(bounds)
    };
    accessors[0]["min"] = bound(f32::INFINITY, f32::min);
    accessors[0]["max"] = bound(f32::NEG_INFINITY, f32::max);
    let document = json!({
        "asset": { "version": "2.0", "generator": concat!("luxedit ", env!("CARGO_PKG_VERSION")) },
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0 }],
        "meshes": [{ "primitives": [{
            "attributes": attributes,
            "mode": 0,
            "extensions": { EXTENSION: {
                "kernel": "ellipse",
                "colorSpace": "srgb_rec709_display",
                "projection": "perspective",
                "sortingMethod": "cameraDistance",
            } },
        }] }],
        "buffers": [{ "byteLength": binary.len() }],
        "bufferViews": views,
        "accessors": accessors,
    });
    glb::encode(path, &document, binary)
}
