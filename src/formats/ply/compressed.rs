//! PlayCanvas' compressed PLY: chunks of 256 splats with their bounds, and in them 16 bytes a splat (11+10+11 bits a
//! position and scale, 2+10+10+10 a rotation, 8 a colour channel and opacity); SH in bytes over [-4, 4] in an element of
//! their own. The frame is that of the PLY it was made from.

use super::body::Body;
use super::header::{Element, Header};
use super::splats::sh_degree;
use crate::formats::splats::codec::{self, SmallestThree};
use crate::scene::Splats;
use crate::{Error, Result};
use std::path::Path;

/// Splats a chunk; all but the last are full.
const CHUNK: usize = 256;

const BOUNDS: [&str; 12] = [
    "min_x",
    "min_y",
    "min_z",
    "max_x",
    "max_y",
    "max_z",
    "min_scale_x",
    "min_scale_y",
    "min_scale_z",
    "max_scale_x",
    "max_scale_y",
    "max_scale_z",
];
/// Missing in older files, whose colours are in [0, 1].
const COLOR_BOUNDS: [&str; 6] = ["min_r", "min_g", "min_b", "max_r", "max_g", "max_b"];
const PACKED: [&str; 4] = [
    "packed_position",
    "packed_rotation",
    "packed_scale",
    "packed_color",
];

/// Log scales are clamped to this: infinite ones would make a chunk's bounds useless.
const MAX_LOG_SCALE: f32 = 20.0;

/// Whether the vertices are packed.
pub fn is_compressed(vertex: &Element) -> bool {
    vertex.find(PACKED[0]).is_some()
}

/// SH degree of a compressed file.
pub fn degree(path: &Path, header: &Header) -> Result<u32> {
    header
        .elements
        .iter()
        .find(|element| element.name == "sh")
        .map_or(Ok(0), |element| sh_degree(path, element))
}

fn columns(path: &Path, element: &Element, names: &[&str]) -> Result<Vec<usize>> {
    names
        .iter()
        .map(|name| {
            element.find(name).ok_or_else(|| {
                Error::file(
                    path,
                    format!(
                        "is a compressed splat PLY whose element {} has no property {name}",
                        element.name
                    ),
                )
            })
        })
        .collect()
}

fn element<'a>(path: &Path, header: &'a Header, name: &str) -> Result<&'a Element> {
    header
        .elements
        .iter()
        .find(|element| element.name == name)
        .ok_or_else(|| {
            Error::file(
                path,
                format!("is a compressed splat PLY without an element {name}"),
            )
        })
}

/// # Errors
/// A missing element or property; fewer chunks than the splats need; a truncated file.
pub fn read(path: &Path, bytes: &[u8], header: &Header) -> Result<Splats> {
    let vertex = header.vertex(path)?;
    let chunk = element(path, header, "chunk")?;
    let mut names = BOUNDS.to_vec();
    let has_colors = chunk.find(COLOR_BOUNDS[0]).is_some();
    if has_colors {
        names.extend(COLOR_BOUNDS);
    }
    let mut chunks: Vec<[f32; 18]> = Vec::new();
    let chunk_columns = columns(path, chunk, &names)?;
    Body::of(path, bytes, header, "chunk")?.rows(&chunk_columns, |row| {
        let mut bounds = [0.0; 18];
        bounds[15..].fill(1.0);
        for (to, from) in bounds.iter_mut().zip(row) {
            *to = *from as f32;
        }
        chunks.push(bounds);
    })?;
    let degree = degree(path, header)?;
    let body = Body::new(path, bytes, header)?;
    if chunks.len() < body.capacity().div_ceil(CHUNK) {
        return Err(Error::file(
            path,
            format!(
                "is a compressed splat PLY with {} chunks, too few for {} splats",
                chunks.len(),
                vertex.count
            ),
        ));
    }
    let mut splats = codec::with_capacity(body.capacity(), degree);
    body.rows(&columns(path, vertex, &PACKED)?, |row| {
        let [position, rotation, scale, color] = [0, 1, 2, 3].map(|i: usize| row[i] as u32);
        let bounds = chunks[splats.len() / CHUNK];
        let between = |axis: usize, first: usize, t: f32| {
            let (min, max) = (bounds[first + axis], bounds[first + 3 + axis]);
            min * (1.0 - t) + max * t
        };
        let vector = |packed: u32, first: usize| {
            let t = [
                (packed >> 21) as f32 / 2047.0,
                (packed >> 11 & 0x3ff) as f32 / 1023.0,
                (packed & 0x7ff) as f32 / 2047.0,
            ];
            [0, 1, 2].map(|axis| between(axis, first, t[axis]))
        };
        splats.means.extend(vector(position, 0));
        splats.log_scales.extend(vector(scale, 6));
        let other = |shift: u32| (rotation >> shift & 0x3ff) as f32 / 511.5 - 1.0;
        let quat = SmallestThree {
            largest: (rotation >> 30) as usize,
            others: [other(20), other(10), other(0)],
        };
        splats.quats.extend(quat.quat());
        let byte = |shift: u32| (color >> shift & 0xff) as f32 / 255.0;
        splats.sh_dc.extend(
            [24, 16, 8]
                .into_iter()
                .enumerate()
                .map(|(channel, shift)| codec::dc_of_color(between(channel, 12, byte(shift)))),
        );
        splats.logit_opacities.push(codec::logit(byte(0)));
    })?;
    if degree > 0 {
        read_sh(path, bytes, header, &mut splats)?;
    }
    codec::usable(path, splats)
}

fn read_sh(path: &Path, bytes: &[u8], header: &Header, splats: &mut Splats) -> Result<()> {
    let sh = element(path, header, "sh")?;
    let rest = splats.rest_count();
    let names: Vec<String> = (0..rest * 3)
        .map(|i| format!("f_rest_{}", i % 3 * rest + i / 3))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Body::of(path, bytes, header, "sh")?.rows(&columns(path, sh, &names)?, |row| {
        splats.sh_rest.extend(row.iter().map(|&byte| {
            // The outermost bytes stand for the ends themselves.
            let t = match byte {
                0.0 => 0.0,
                255.0 => 1.0,
                byte => (byte + 0.5) / 256.0,
            };
            ((t - 0.5) * 8.0) as f32
        }));
    })?;
    if splats.sh_rest.len() != splats.len() * rest * 3 {
        return Err(Error::file(
            path,
            format!(
                "is a compressed splat PLY with spherical harmonics for {} of {} splats",
                sh.count,
                splats.len()
            ),
        ));
    }
    Ok(())
}

/// The file's bytes. Splats are ordered along a space-filling curve ([`codec::morton_order`]).
pub fn encode(splats: &Splats) -> Vec<u8> {
    let rest = splats.rest_count() * 3;
    let order = codec::morton_order(splats);
    let mut out = header_text(splats, order.len().div_ceil(CHUNK)).into_bytes();
    let mut packed: Vec<u8> = Vec::with_capacity(splats.len() * 16);
    for chunk in order.chunks(CHUNK) {
        let means = Bounds::of(chunk, &splats.means, |v| v);
        let scales = Bounds::of(chunk, &splats.log_scales, clamped_scale);
        let colors = Bounds::of(chunk, &splats.sh_dc, codec::color_of_dc);
        for bounds in [&means, &scales, &colors] {
            for v in bounds.min.iter().chain(&bounds.max) {
                out.extend(v.to_le_bytes());
            }
        }
        for &i in chunk {
            let mut quat = [0.0; 4];
            quat.copy_from_slice(&splats.quats[i * 4..][..4]);
            let SmallestThree { largest, others } = SmallestThree::of(quat);
            let rotation = others.iter().fold(largest as u32, |packed, v| {
                packed << 10 | codec::unorm(v * 0.5 + 0.5, 1023)
            });
            let vector = |bounds: &Bounds, values: &[f32], map: fn(f32) -> f32| {
                let t = bounds.place(&values[i * 3..][..3], map);
                codec::unorm(t[0], 2047) << 21
                    | codec::unorm(t[1], 1023) << 11
                    | codec::unorm(t[2], 2047)
            };
            let rgb = colors.place(&splats.sh_dc[i * 3..][..3], codec::color_of_dc);
            let alpha = codec::sigmoid(splats.logit_opacities[i]);
            let color = u32::from_be_bytes([rgb[0], rgb[1], rgb[2], alpha].map(codec::unorm8));
            packed.extend(vector(&means, &splats.means, |v| v).to_le_bytes());
            packed.extend(rotation.to_le_bytes());
            packed.extend(vector(&scales, &splats.log_scales, clamped_scale).to_le_bytes());
            packed.extend(color.to_le_bytes());
        }
    }
    out.append(&mut packed);
    for &i in &order {
        for channel in 0..3 {
            let values = splats.sh_rest[i * rest..][..rest]
                .iter()
                .skip(channel)
                .step_by(3);
            out.extend(values.map(|v| ((v / 8.0 + 0.5) * 256.0).clamp(0.0, 255.0) as u8));
        }
    }
    out
}

fn clamped_scale(v: f32) -> f32 {
    v.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE)
}

struct Bounds {
    min: [f32; 3],
    max: [f32; 3],
}

impl Bounds {
    fn of(chunk: &[usize], values: &[f32], map: fn(f32) -> f32) -> Self {
        let mut bounds = Self {
            min: [f32::INFINITY; 3],
            max: [f32::NEG_INFINITY; 3],
        };
        for &i in chunk {
            for (axis, &v) in values[i * 3..][..3].iter().enumerate() {
                bounds.min[axis] = bounds.min[axis].min(map(v));
                bounds.max[axis] = bounds.max[axis].max(map(v));
            }
        }
        bounds
    }

    /// Where in the bounds, [0, 1]; 0 where they have no extent.
    fn place(&self, values: &[f32], map: fn(f32) -> f32) -> [f32; 3] {
        [0, 1, 2].map(|axis| {
            let extent = self.max[axis] - self.min[axis];
            if extent > 0.0 {
                (map(values[axis]) - self.min[axis]) / extent
            } else {
                0.0
            }
        })
    }
}

fn header_text(splats: &Splats, chunks: usize) -> String {
    let mut header = format!("ply\nformat binary_little_endian 1.0\nelement chunk {chunks}\n");
    for name in BOUNDS.iter().chain(&COLOR_BOUNDS) {
        header += &format!("property float {name}\n");
    }
    header += &format!("element vertex {}\n", splats.len());
    for name in PACKED {
        header += &format!("property uint {name}\n");
    }
    if splats.sh_degree > 0 {
        header += &format!("element sh {}\n", splats.len());
        for i in 0..splats.rest_count() * 3 {
            header += &format!("property uchar f_rest_{i}\n");
        }
    }
    header + "end_header\n"
}
