//! PLY, the field's common file for splats and for point clouds. Files come from dozens of tools: the header decides
//! where each value is and of which type, and what is not known is skipped.

mod body;
pub mod compressed;
mod header;
mod splats;

pub use splats::{decode, read_splats, write_splats};

use crate::formats::files;
use crate::formats::splats::codec;
use crate::scene::PointCloud;
use crate::{Error, Result};
use body::Body;
use glam::DVec3;
use header::{Header, Type};
use std::path::Path;

/// The zeroth real spherical harmonic, 1 / (2 √π).
const SH_C0: f64 = 0.282_094_791_773_878_14;

/// What a PLY file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Splats {
        count: u64,
        sh_degree: u32,
        /// PlayCanvas' packed layout.
        is_compressed: bool,
    },
    Points {
        count: u64,
        /// Of a mesh, whose vertices the points are.
        faces: u64,
    },
}

impl Kind {
    /// From the header only.
    ///
    /// # Errors
    /// No PLY file, or one without vertices.
    pub fn of(path: &Path) -> Result<Self> {
        Self::of_header(path, &Header::read(path)?)
    }

    fn of_header(path: &Path, header: &Header) -> Result<Self> {
        let vertex = header.vertex(path)?;
        let has = |name: &str| vertex.find(name).is_some();
        if compressed::is_compressed(vertex) {
            return Ok(Self::Splats {
                count: vertex.count,
                sh_degree: compressed::degree(path, header)?,
                is_compressed: true,
            });
        }
        if !(has("x") && has("y") && has("z")) {
            return Err(Error::file(
                path,
                "has vertices without x, y, z: it is neither a splat scene nor a point cloud",
            ));
        }
        if has("opacity") && has("scale_0") && has("rot_0") {
            Ok(Self::Splats {
                count: vertex.count,
                sh_degree: splats::sh_degree(path, vertex)?,
                is_compressed: false,
            })
        } else {
            let faces = header.elements.iter().find(|e| e.name == "face");
            Ok(Self::Points {
                count: vertex.count,
                faces: faces.map_or(0, |faces| faces.count),
            })
        }
    }
}

/// Whether a file calls itself PLY.
pub fn is_ply(path: &Path) -> bool {
    let mut magic = [0u8; 4];
    std::fs::File::open(path)
        .and_then(|mut f| std::io::Read::read_exact(&mut f, &mut magic))
        .is_ok_and(|()| magic == *b"ply\n" || magic == *b"ply\r")
}

/// The vertices of any PLY file as a point cloud, in the file's frame. Colours are `red`, `green`, `blue` (bytes, or
/// floats in [0, 1]), or the DC term of a splat; grey where there is neither. Points that are not finite are kept.
///
/// # Errors
/// No PLY file, or a truncated one (with the record and the byte).
pub fn read_points(path: &Path) -> Result<PointCloud> {
    let bytes = files::read(path)?;
    let header = Header::parse(path, &bytes)?;
    if let Kind::Splats {
        is_compressed: true,
        ..
    } = Kind::of_header(path, &header)?
    {
        let splats = compressed::read(path, &bytes, &header)?;
        let (means, dc) = (
            splats.means.as_chunks::<3>().0,
            splats.sh_dc.as_chunks::<3>().0,
        );
        return Ok(PointCloud {
            positions: means
                .iter()
                .map(|m| DVec3::from_array(m.map(f64::from)))
                .collect(),
            colors: dc
                .iter()
                .map(|dc| dc.map(|v| codec::unorm8(codec::color_of_dc(v))))
                .collect(),
        });
    }
    let vertex = header.vertex(path)?;
    let find = |names: [&str; 3]| -> Option<[usize; 3]> {
        let [a, b, c] = names.map(|name| vertex.find(name));
        Some([a?, b?, c?])
    };
    let rgb = find(["red", "green", "blue"]).or_else(|| find(["r", "g", "b"]));
    let dc = find(["f_dc_0", "f_dc_1", "f_dc_2"]);
    let mut columns: Vec<usize> = find(["x", "y", "z"]).into_iter().flatten().collect();
    columns.extend(rgb.or(dc).into_iter().flatten());
    let to_byte = |v: f64| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    let unit = rgb.is_some_and(|rgb| vertex.scalar(rgb[0]).is_some_and(Type::is_float));
    let body = Body::new(path, &bytes, &header)?;
    let mut cloud = PointCloud::default();
    let capacity = body.capacity();
    cloud.positions.reserve_exact(capacity);
    cloud.colors.reserve_exact(capacity);
    body.rows(&columns, |row| {
        cloud.positions.push(DVec3::new(row[0], row[1], row[2]));
        cloud.colors.push(match row[3..] {
            [r, g, b] if rgb.is_some() && unit => [r, g, b].map(to_byte),
            [r, g, b] if rgb.is_some() => [r, g, b].map(|v| v.clamp(0.0, 255.0) as u8),
            [r, g, b] => [r, g, b].map(|v| to_byte(0.5 + SH_C0 * v)),
            _ => [128; 3],
        });
    })?;
    Ok(cloud)
}
