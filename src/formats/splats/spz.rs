//! SPZ of Niantic: one stream an attribute, fixed-point positions, everything else in bytes. Versions 1 to 3 are one gzip
//! stream (or none, raw), version 4 has a table of zstd streams. Own code: crate `spz` (0.0.6) knows no version 4.
//!
//! Its frame is right-up-back, half a turn about x from the right-down-front of PLY files. Some tools write PLY's frame
//! unturned; nothing in the file tells.

use super::bytes::{Budget, Bytes, u16_at, unpack};
use super::codec::{self, SmallestThree};
use super::turn::Similarity;
use crate::scene::Splats;
use crate::{Error, Result};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{Read, Write};
use std::path::Path;

pub const MAGIC: &[u8] = b"NGSP";
pub const GZIP: &[u8] = &[0x1f, 0x8b];

const HEADER: usize = 16;
/// The DC term's factor.
const COLOR_SCALE: f32 = 0.15;
/// Streams of version 4 in their order.
const STREAMS: [&str; 6] = [
    "positions",
    "opacities",
    "colours",
    "scales",
    "rotations",
    "spherical harmonics",
];

/// Whether a gzip file's content begins as SPZ.
pub fn is_gzipped(head: &[u8]) -> bool {
    let mut magic = [0; 4];
    head.starts_with(GZIP) && GzDecoder::new(head).read_exact(&mut magic).is_ok() && magic == *MAGIC
}

struct Header {
    version: u32,
    count: usize,
    degree: u32,
    fraction_bits: u32,
    flags: u8,
}

/// In the flags: the splats are to be drawn antialiased.
const FLAG_ANTIALIASED: u8 = 1;

impl Header {
    fn parse(file: &Bytes<'_>) -> Result<Self> {
        if !file.bytes.starts_with(MAGIC) {
            return Err(file.error("without the letters NGSP at its beginning"));
        }
        let header = Self {
            version: file.u32(4)?,
            count: file.size(8)?,
            degree: u32::from(file.u8(12)?),
            fraction_bits: u32::from(file.u8(13)?),
            flags: file.u8(14)?,
        };
        if !(1..=4).contains(&header.version) {
            return Err(file.error(format!(
                "of version {}; versions 1 to 4 are known",
                header.version
            )));
        }
        if header.degree > 4 {
            return Err(file.error(format!(
                "with spherical harmonics of degree {}; at most 4 are known",
                header.degree
            )));
        }
        if header.fraction_bits > 31 {
            return Err(file.error(format!("with {} fractional bits", header.fraction_bits)));
        }
        Ok(header)
    }

    /// SH coefficients a splat and channel in the file.
    fn rest(&self) -> usize {
        ((self.degree + 1) * (self.degree + 1) - 1) as usize
    }

    /// Bytes of a splat in each of [`STREAMS`].
    fn widths(&self) -> [usize; 6] {
        [
            if self.version == 1 { 6 } else { 9 },
            1,
            3,
            3,
            if self.version < 3 { 3 } else { 4 },
            self.rest() * 3,
        ]
    }
}

/// The splats in PLY's frame. Of degree 4, the first three bands are kept.
///
/// # Errors
/// No SPZ; an unknown version; a stream that is damaged or too short.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Splats> {
    let file = Bytes {
        path,
        what: "an SPZ file",
        bytes,
    };
    let mut budget = Budget::of(bytes.len());
    let mut splats = if bytes.starts_with(GZIP) {
        let mut decoder = GzDecoder::new(bytes);
        let head = unpack(&file, &mut decoder, HEADER, "header")?;
        let header = Header::parse(&Bytes {
            bytes: &head,
            ..file
        })?;
        let width: usize = header.widths().iter().sum();
        let len = header.count.saturating_mul(width);
        budget.take(&file, len)?;
        let body = unpack(&file, decoder, len, "splats")?;
        decode(&header, &split(&file, &header, &body)?)
    } else {
        let header = Header::parse(&file)?;
        if header.version < 4 {
            let body = bytes.get(HEADER..).unwrap_or_default();
            decode(&header, &split(&file, &header, body)?)
        } else {
            let streams = zstd_streams(&file, &header, &mut budget)?;
            decode(&header, &streams.each_ref().map(Vec::as_slice))
        }
    };
    turn(&mut splats);
    codec::usable(path, splats)
}

/// Between PLY's frame and SPZ's, both ways. Ellipsoids are turned half about their own x too, which changes nothing about
/// them, and gives the quaternions that the format's own tools have: (w, x, −y, −z).
fn turn(splats: &mut Splats) {
    Similarity::half_turn(0).apply(splats);
    for q in splats.quats.as_chunks_mut::<4>().0 {
        let [w, x, y, z] = *q;
        *q = [x, -w, -z, y];
    }
}

/// The attributes of versions 1 to 3 lie one after another.
fn split<'a>(file: &Bytes<'a>, header: &Header, body: &'a [u8]) -> Result<[&'a [u8]; 6]> {
    let body = Bytes {
        bytes: body,
        path: file.path,
        what: file.what,
    };
    let mut streams = [&[] as &[u8]; 6];
    let mut at = 0;
    for ((stream, width), name) in streams.iter_mut().zip(header.widths()).zip(STREAMS) {
        *stream = body.slice(at, header.count.saturating_mul(width), name)?;
        at += stream.len();
    }
    Ok(streams)
}

fn zstd_streams(file: &Bytes<'_>, header: &Header, budget: &mut Budget) -> Result<[Vec<u8>; 6]> {
    let count = usize::from(file.u8(15)?);
    let table = file.size(16)?;
    let mut at = table.saturating_add(count * 16);
    let mut streams: [Vec<u8>; 6] = Default::default();
    for (i, ((stream, width), name)) in streams
        .iter_mut()
        .zip(header.widths())
        .zip(STREAMS)
        .enumerate()
    {
        let len = header.count.saturating_mul(width);
        if len == 0 {
            continue;
        }
        if i >= count {
            return Err(file.error(format!("without {name}")));
        }
        let entry = table + i * 16;
        let packed_len = usize::try_from(file.u64(entry)?).unwrap_or(usize::MAX);
        let claimed = file.u64(entry + 8)?;
        if claimed != len as u64 {
            return Err(file.error(format!(
                "whose {name} take {claimed} bytes instead of the {len} of {} splats",
                header.count
            )));
        }
        budget.take(file, len)?;
        let packed = file.slice(at, packed_len, name)?;
        at += packed.len();
        let damaged =
            |e: &dyn std::fmt::Display| file.error(format!("whose {name} cannot be unpacked: {e}"));
        let mut frames = FrameDecoder::new();
        // A frame never looks back further than it is long; encoders round up.
        frames.set_max_window_size((len as u64).next_power_of_two().max(1 << 23));
        let decoder =
            StreamingDecoder::new_with_decoder(packed, frames).map_err(|e| damaged(&e))?;
        *stream = unpack(file, decoder, len, name)?;
    }
    Ok(streams)
}

fn decode(header: &Header, streams: &[&[u8]; 6]) -> Splats {
    let [positions, opacities, colors, scales, rotations, sh] = *streams;
    let degree = header.degree.min(3);
    let mut splats = codec::with_capacity(header.count, degree);
    splats.antialiased = header.flags & FLAG_ANTIALIASED != 0;
    if header.version == 1 {
        let count = positions.len() / 2;
        splats
            .means
            .extend((0..count).map(|i| half::f16::from_bits(u16_at(positions, i)).to_f32()));
    } else {
        let step = 1.0 / (1u64 << header.fraction_bits) as f32;
        splats
            .means
            .extend(positions.as_chunks::<3>().0.iter().map(|&[a, b, c]| {
                // The third byte's sign is the number's.
                (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 * step
            }));
    }
    let byte = |b: &u8| f32::from(*b) / 255.0;
    splats
        .logit_opacities
        .extend(opacities.iter().map(|b| codec::logit(byte(b))));
    splats
        .sh_dc
        .extend(colors.iter().map(|b| (byte(b) - 0.5) / COLOR_SCALE));
    splats
        .log_scales
        .extend(scales.iter().map(|&b| f32::from(b) / 16.0 - 10.0));
    if header.version < 3 {
        for xyz in rotations.as_chunks::<3>().0 {
            let [x, y, z] = xyz.map(|b| f32::from(b) / 127.5 - 1.0);
            let w = (1.0 - x * x - y * y - z * z).max(0.0).sqrt();
            splats.quats.extend(codec::normalized([w, x, y, z]));
        }
    } else {
        for &packed in rotations.as_chunks::<4>().0 {
            let [x, y, z, w] = unpack_quat(u32::from_le_bytes(packed));
            splats.quats.extend([w, x, y, z]);
        }
    }
    let (stored, kept) = (header.rest() * 3, Splats::rest_count_of(degree) * 3);
    if stored > 0 {
        for record in sh.chunks_exact(stored) {
            splats.sh_rest.extend(
                record[..kept]
                    .iter()
                    .map(|&b| (f32::from(b) - 128.0) / 128.0),
            );
        }
    }
    splats
}

/// In (x, y, z, w) order: 2 bits say which is largest, 10 for each other, the last one lowest.
fn unpack_quat(packed: u32) -> [f32; 4] {
    let other = |i: u32| {
        let bits = packed >> (20 - 10 * i);
        let magnitude = (bits & 0x1ff) as f32 / 511.0;
        if bits & 0x200 == 0 {
            magnitude
        } else {
            -magnitude
        }
    };
    SmallestThree {
        largest: (packed >> 30) as usize,
        others: [other(0), other(1), other(2)],
    }
    .quat()
}

fn pack_quat(xyzw: [f32; 4]) -> u32 {
    let SmallestThree { largest, others } = SmallestThree::of(xyzw);
    others.iter().fold(largest as u32, |packed, v| {
        packed << 10 | u32::from(v.is_sign_negative()) << 9 | codec::unorm(v.abs(), 511)
    })
}

/// The file's bytes: version 3, which most tools read. Positions are kept to 2⁻¹⁶ units, less in scenes beyond ±128.
///
/// # Errors
/// More than 2³² splats.
pub fn encode(path: &Path, splats: &Splats) -> Result<Vec<u8>> {
    /// SH values are rounded to multiples of this, of 128 for 1.0: coarser packs better.
    const SH_STEP: [f32; 4] = [1.0, 4.0, 8.0, 8.0];
    let mut turned = splats.clone();
    turn(&mut turned);
    let count = u32::try_from(turned.len())
        .map_err(|_| Error::file(path, "cannot hold more than 4294967295 splats as SPZ"))?;
    let farthest = turned.means.iter().fold(1.0f32, |max, v| max.max(v.abs()));
    let fraction_bits = (23.0 - f64::from(farthest).log2() - 1e-3)
        .floor()
        .clamp(0.0, 16.0) as u32;
    let mut body = Vec::with_capacity(turned.len() * (20 + turned.rest_count() * 3) + HEADER);
    body.extend(MAGIC);
    body.extend(3u32.to_le_bytes());
    body.extend(count.to_le_bytes());
    let flags = if turned.antialiased {
        FLAG_ANTIALIASED
    } else {
        0
    };
    body.extend([turned.sh_degree as u8, fraction_bits as u8, flags, 0]);
    let steps = f64::from(1u32 << fraction_bits);
    for &v in &turned.means {
        let fixed = (f64::from(v) * steps)
            .round()
            .clamp(-8_388_608.0, 8_388_607.0) as i32;
        body.extend(&fixed.to_le_bytes()[..3]);
    }
    body.extend(
        turned
            .logit_opacities
            .iter()
            .map(|&v| codec::unorm8(codec::sigmoid(v))),
    );
    body.extend(
        turned
            .sh_dc
            .iter()
            .map(|&v| codec::unorm8(v * COLOR_SCALE + 0.5)),
    );
    body.extend(
        turned
            .log_scales
            .iter()
            .map(|&v| ((v + 10.0) * 16.0).round().clamp(0.0, 255.0) as u8),
    );
    for &[w, x, y, z] in turned.quats.as_chunks::<4>().0 {
        body.extend(pack_quat([x, y, z, w]).to_le_bytes());
    }
    let width = turned.rest_count() * 3;
    body.extend(turned.sh_rest.iter().enumerate().map(|(i, &v)| {
        let band = match i % width / 3 {
            0..3 => 1,
            3..8 => 2,
            _ => 3,
        };
        let step = SH_STEP[band];
        ((v * 128.0 / step).round() * step + 128.0).clamp(0.0, 255.0) as u8
    }));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(&body)
        .and_then(|()| encoder.finish())
        .map_err(Error::io(path))
}
