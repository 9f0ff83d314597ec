//! Splats in PLY as the 3D Gaussian Splatting reference code (Kerbl et al. 2023) writes them: log scales, opacity before
//! the sigmoid, quaternions (w, x, y, z), SH channel by channel (all of red, then green, then blue).

use super::body::Body;
use super::header::{Element, Header};
use super::{Kind, SH_C0, compressed};
use crate::formats::atomic::write_atomic;
use crate::formats::splats::codec;
use crate::scene::Splats;
use crate::{Error, Result};
use std::io::Write;
use std::path::Path;

const GEOMETRY: [&str; 11] = [
    "x", "y", "z", "rot_0", "rot_1", "rot_2", "rot_3", "scale_0", "scale_1", "scale_2", "opacity",
];

/// Records encoded at a time when writing.
const BATCH: usize = 4096;

/// The splats of a PLY file, plain or PlayCanvas' compressed one, in the file's frame. Of a plain one, any order, type and
/// encoding of the properties will do; those that are not known are skipped. `red`, `green`, `blue` stand in for missing
/// SH. See [`codec::usable`] for values that are not finite numbers.
///
/// # Errors
/// No PLY file; a point cloud; a property is missing; a truncated file (with the record and the byte); not one usable
/// splat.
pub fn read_splats(path: &Path) -> Result<Splats> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    decode(path, &bytes)
}

/// [`read_splats`] of a file in memory.
///
/// # Errors
/// As there.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Splats> {
    let header = Header::parse(path, bytes)?;
    let vertex = header.vertex(path)?;
    let Kind::Splats {
        sh_degree,
        is_compressed,
        ..
    } = Kind::of_header(path, &header)?
    else {
        return Err(Error::file(
            path,
            "is a point cloud, not a splat scene: its vertices have no opacity, scale_0 … and rot_0 …",
        ));
    };
    if is_compressed {
        return compressed::read(path, bytes, &header);
    }
    let column = |name: &str| {
        vertex
            .find(name)
            .ok_or_else(|| Error::file(path, format!("is a splat PLY without the property {name}")))
    };
    let mut columns = GEOMETRY
        .iter()
        .map(|name| column(name))
        .collect::<Result<Vec<_>>>()?;
    let from_rgb = vertex.find("f_dc_0").is_none() && vertex.find("red").is_some();
    let dc_names = if from_rgb {
        ["red", "green", "blue"]
    } else {
        ["f_dc_0", "f_dc_1", "f_dc_2"]
    };
    for name in dc_names {
        columns.push(column(name)?);
    }
    let rest = Splats::rest_count_of(sh_degree);
    for i in 0..rest * 3 {
        // Channel-major in the file; the order of `columns` makes it channel-last.
        let (coefficient, channel) = (i / 3, i % 3);
        columns.push(column(&format!("f_rest_{}", channel * rest + coefficient))?);
    }
    let body = Body::new(path, bytes, &header)?;
    let n = body.capacity();
    let mut splats = codec::with_capacity(n, sh_degree);
    splats.antialiased = header.is_antialiased;
    let mut values = vec![0.0f32; columns.len()];
    body.rows(&columns, |row| {
        for (to, from) in values.iter_mut().zip(row) {
            *to = *from as f32;
        }
        splats.means.extend_from_slice(&values[0..3]);
        splats.quats.extend_from_slice(&values[3..7]);
        splats.log_scales.extend_from_slice(&values[7..10]);
        splats.logit_opacities.push(values[10]);
        if from_rgb {
            let dc = |v: f32| ((f64::from(v) / 255.0 - 0.5) / SH_C0) as f32;
            splats.sh_dc.extend(values[11..14].iter().map(|&v| dc(v)));
        } else {
            splats.sh_dc.extend_from_slice(&values[11..14]);
        }
        splats.sh_rest.extend_from_slice(&values[14..]);
    })?;
    codec::usable(path, splats)
}

/// From the number of `f_rest_*` properties: 0, 9, 24 or 45.
pub(super) fn sh_degree(path: &Path, vertex: &Element) -> Result<u32> {
    let count = vertex
        .properties
        .iter()
        .filter(|p| p.name.starts_with("f_rest_"))
        .count();
    (0..=3)
        .find(|&degree| Splats::rest_count_of(degree) * 3 == count)
        .ok_or_else(|| {
            Error::file(
                path,
                format!("has {count} f_rest properties; spherical harmonics of degree 0 to 3 have 0, 9, 24 or 45"),
            )
        })
}

/// Write `splats` as binary little-endian PLY with the reference code's properties in its order (normals are zero). Each
/// of `comments` becomes a comment line of the header.
///
/// # Errors
/// The arrays of `splats` disagree; the file cannot be written, in which case one that was there stays as it was.
pub fn write_splats(path: &Path, splats: &Splats, comments: &[String]) -> Result<()> {
    if !splats.is_consistent() {
        return Err(Error::invalid(format!(
            "{}: the splats' arrays have lengths that do not fit each other",
            path.display()
        )));
    }
    let header = header_text(splats, comments);
    write_atomic(path, |out: &mut dyn Write| {
        out.write_all(header.as_bytes())?;
        let mut batch = Vec::new();
        for start in (0..splats.len()).step_by(BATCH) {
            batch.clear();
            for i in start..(start + BATCH).min(splats.len()) {
                push_record(&mut batch, splats, i);
            }
            out.write_all(bytemuck::cast_slice(&batch))?;
        }
        Ok(())
    })
}

/// No property tells how splats are to be drawn: a comment does.
pub(super) const ANTIALIASED: &str = "rasterization antialiased";

fn header_text(splats: &Splats, comments: &[String]) -> String {
    let mut header = String::from("ply\nformat binary_little_endian 1.0\n");
    for comment in comments {
        header += &format!("comment {}\n", comment.replace(['\n', '\r'], " "));
    }
    if splats.antialiased {
        header += &format!("comment {ANTIALIASED}\n");
    }
    header += &format!("element vertex {}\n", splats.len());
    let mut property = |name: &str| header += &format!("property float {name}\n");
    for name in [
        "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2",
    ] {
        property(name);
    }
    for i in 0..splats.rest_count() * 3 {
        property(&format!("f_rest_{i}"));
    }
    for name in [
        "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
    ] {
        property(name);
    }
    header + "end_header\n"
}

/// The values of splat `i` in the file's byte order.
fn push_record(record: &mut Vec<[u8; 4]>, splats: &Splats, i: usize) {
    let Splats {
        sh_degree: _,
        antialiased: _,
        means,
        quats,
        log_scales,
        logit_opacities,
        sh_dc,
        sh_rest,
    } = splats;
    let rest = splats.rest_count();
    let mut push = |v: f32| record.push(v.to_le_bytes());
    means[i * 3..][..3].iter().for_each(|&v| push(v));
    [0.0; 3].into_iter().for_each(&mut push);
    sh_dc[i * 3..][..3].iter().for_each(|&v| push(v));
    let sh_rest = &sh_rest[i * rest * 3..][..rest * 3];
    for channel in 0..3 {
        (0..rest).for_each(|coefficient| push(sh_rest[coefficient * 3 + channel]));
    }
    push(logit_opacities[i]);
    log_scales[i * 3..][..3].iter().for_each(|&v| push(v));
    quats[i * 4..][..4].iter().for_each(|&v| push(v));
}
