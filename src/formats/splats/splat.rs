//! `.splat`, the 32-byte records of antimatter15's web viewer: position and linear scales as floats, colour with opacity
//! and rotation as bytes. It has no header and no spherical harmonics; the frame is that of the PLY it was made from.

use super::bytes::{Bytes, f32_at};
use super::codec;
use crate::Result;
use crate::scene::Splats;
use std::path::Path;

const RECORD: usize = 32;

/// Whether `bytes`, the beginning of a file of `len` bytes, look like records: there is no magic number.
pub fn is_likely(bytes: &[u8], len: u64) -> bool {
    len > 0
        && len.is_multiple_of(RECORD as u64)
        && bytes.chunks_exact(RECORD).take(64).all(|record| {
            let place = (0..3).all(|i| f32_at(record, i).abs() < 1e7);
            let scale = (3..6).all(|i| (0.0..1e6).contains(&f32_at(record, i)));
            let length: f32 = record[28..].iter().map(|&b| component(b).powi(2)).sum();
            place && scale && (0.8..1.2).contains(&length)
        })
}

fn component(byte: u8) -> f32 {
    (f32::from(byte) - 128.0) / 128.0
}

/// # Errors
/// A cut-off record; no usable splat.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Splats> {
    let file = Bytes {
        path,
        what: "a .splat file",
        bytes,
    };
    if !bytes.len().is_multiple_of(RECORD) {
        return Err(file.error(format!(
            "that ends early: its {} bytes are no multiple of {RECORD}, the size of a splat",
            bytes.len()
        )));
    }
    let mut splats = codec::with_capacity(bytes.len() / RECORD, 0);
    for record in bytes.chunks_exact(RECORD) {
        splats.means.extend((0..3).map(|i| f32_at(record, i)));
        splats
            .log_scales
            .extend((3..6).map(|i| f32_at(record, i).ln()));
        let color = |i: usize| f32::from(record[24 + i]) / 255.0;
        splats
            .sh_dc
            .extend((0..3).map(|i| codec::dc_of_color(color(i))));
        splats.logit_opacities.push(codec::logit(color(3)));
        let quat = [28, 29, 30, 31].map(|i: usize| component(record[i]));
        splats.quats.extend(codec::normalized(quat));
    }
    codec::usable(path, splats)
}

/// The file's bytes. Colours are clamped to [0, 1]; SH above the DC term is left out.
pub fn encode(splats: &Splats) -> Vec<u8> {
    let mut out = Vec::with_capacity(splats.len() * RECORD);
    // Viewers draw while the file loads: the most visible splats come first.
    let mut order: Vec<usize> = (0..splats.len()).collect();
    let weights: Vec<f32> = order
        .iter()
        .map(|&i| {
            let volume: f32 = splats.log_scales[i * 3..][..3].iter().sum();
            codec::sigmoid(splats.logit_opacities[i]).ln() + volume
        })
        .collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    for i in order {
        let mut float = |v: f32| out.extend(v.to_le_bytes());
        splats.means[i * 3..][..3].iter().for_each(|&v| float(v));
        splats.log_scales[i * 3..][..3]
            .iter()
            .for_each(|&v| float(v.exp()));
        let dc = &splats.sh_dc[i * 3..][..3];
        out.extend(dc.iter().map(|&v| codec::unorm8(codec::color_of_dc(v))));
        out.push(codec::unorm8(codec::sigmoid(splats.logit_opacities[i])));
        let mut quat = [0.0; 4];
        quat.copy_from_slice(&splats.quats[i * 4..][..4]);
        let byte = |v: f32| (v * 128.0 + 128.0).round().clamp(0.0, 255.0) as u8;
        out.extend(codec::normalized(quat).map(byte));
    }
    out
}
