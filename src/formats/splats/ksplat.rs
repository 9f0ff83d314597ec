//! `.ksplat` of GaussianSplats3D (mkkellogg): sections of splats whose positions are, at compression levels 1 and 2, 16-bit
//! offsets from the centres of buckets. SH up to degree 2, as floats, halves or bytes. Read only: its own viewer is the
//! only one that prefers it.

use super::bytes::{Bytes, f16_at, f32_at, u16_at};
use super::codec;
use crate::Result;
use crate::scene::Splats;
use std::path::Path;

const HEADER: usize = 4096;
const SECTION_HEADER: usize = 1024;

/// Whether the first bytes of a file of `len` bytes are such a header: there is no magic number.
pub fn is_likely(head: &[u8], len: u64) -> bool {
    // Not every writer fills in the other counts.
    let Some(section) = head.get(HEADER..HEADER + 42) else {
        return false;
    };
    let u32_at = |bytes: &[u8], at: usize| u64::from(u32::from_le_bytes(first_four(&bytes[at..])));
    let (sections, splats) = (u32_at(head, 4), u32_at(head, 16));
    let (count, capacity) = (u32_at(section, 0), u32_at(section, 4));
    head[0] == 0
        && head[1] >= 1
        && head[2..4] == [0, 0]
        && u16_at(head, 10) <= 2
        && splats > 0
        && count <= capacity.min(splats)
        && u16_at(section, 20) <= 3
        && HEADER as u64 + sections * SECTION_HEADER as u64 + splats * 24 <= len
}

/// Where the parts of a record are.
struct Layout {
    /// Bytes of a float of scale and rotation.
    float: usize,
    scale: usize,
    rotation: usize,
    color: usize,
    rest: usize,
    /// Bytes of an SH coefficient.
    rest_float: usize,
    default_range: u32,
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        float: 4,
        scale: 12,
        rotation: 24,
        color: 40,
        rest: 44,
        rest_float: 4,
        default_range: 1,
    },
    Layout {
        float: 2,
        scale: 6,
        rotation: 12,
        color: 20,
        rest: 24,
        rest_float: 2,
        default_range: 32767,
    },
    Layout {
        float: 2,
        scale: 6,
        rotation: 12,
        color: 20,
        rest: 24,
        rest_float: 1,
        default_range: 32767,
    },
];

/// # Errors
/// An unknown version or compression level; a section that the file is too short for.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Splats> {
    let file = Bytes {
        path,
        what: "a .ksplat file",
        bytes,
    };
    let (major, minor) = (file.u8(0)?, file.u8(1)?);
    if major != 0 || minor < 1 {
        return Err(file.error(format!(
            "of version {major}.{minor}; 0.1 and later 0.x are known"
        )));
    }
    let sections = file.size(4)?;
    let level = file.u16(20)?;
    let Some(layout) = LAYOUTS.get(usize::from(level)) else {
        return Err(file.error(format!(
            "of compression level {level}; 0, 1 and 2 are known"
        )));
    };
    let or = |value: f32, default: f32| if value == 0.0 { default } else { value };
    let (low, high) = (or(file.f32(36)?, -1.5), or(file.f32(40)?, 1.5));
    let headers = sections.saturating_mul(SECTION_HEADER);
    file.slice(HEADER, headers, "section headers")?;
    let mut at = HEADER + headers;
    let mut splats = Splats::default();
    for section in 0..sections {
        let (part, end) = Section::new(&file, HEADER + section * SECTION_HEADER, at, layout)?;
        codec::append(&mut splats, part.read(layout, low..high)?);
        at = end;
    }
    codec::usable(path, splats)
}

struct Section<'a> {
    degree: u32,
    count: usize,
    stride: usize,
    /// World units of a step of a position's offset.
    step: f32,
    range: f32,
    bucket_size: usize,
    full_buckets: usize,
    centers: &'a [u8],
    center_stride: usize,
    partial_sizes: &'a [u8],
    records: &'a [u8],
}

impl<'a> Section<'a> {
    /// The section whose header is at `header` and whose data begin at `data`, and where they end.
    fn new(file: &Bytes<'a>, header: usize, data: usize, layout: &Layout) -> Result<(Self, usize)> {
        let count = file.size(header)?;
        let capacity = file.size(header + 4)?;
        let bucket_size = file.size(header + 8)?;
        let buckets = file.size(header + 12)?;
        let block = file.f32(header + 16)?;
        let bucket_bytes = usize::from(file.u16(header + 20)?);
        let range = match file.u32(header + 24)? {
            0 => layout.default_range,
            range => range,
        };
        let full_buckets = file.size(header + 32)?;
        let partial = file.size(header + 36)?;
        let degree = u32::from(file.u16(header + 40)?);
        if degree > 3 {
            return Err(file.error(format!(
                "with spherical harmonics of degree {degree}; at most 3 are known"
            )));
        }
        let stride = layout.rest + Splats::rest_count_of(degree) * 3 * layout.rest_float;
        let partial_sizes = file.slice(data, partial.saturating_mul(4), "bucket sizes")?;
        let buckets_at = data + partial_sizes.len();
        let centers = file.slice(buckets_at, buckets.saturating_mul(bucket_bytes), "buckets")?;
        if !centers.is_empty() && bucket_bytes < 12 {
            return Err(file.error("whose buckets are too small for a centre"));
        }
        let records_at = buckets_at + centers.len();
        if count > capacity {
            return Err(file.error(format!("with {count} splats in a section for {capacity}")));
        }
        let records = file.slice(records_at, count.saturating_mul(stride), "splats")?;
        // What follows the last section need not be there in full.
        let end = records_at.saturating_add(capacity.saturating_mul(stride));
        let section = Self {
            degree,
            count,
            stride,
            step: block / 2.0 / range as f32,
            range: range as f32,
            bucket_size,
            full_buckets,
            centers,
            center_stride: bucket_bytes,
            partial_sizes,
            records,
        };
        Ok((section, end))
    }

    fn read(&self, layout: &Layout, sh_range: std::ops::Range<f32>) -> Result<Splats> {
        let mut splats = codec::with_capacity(self.count, self.degree);
        let float = |record: &[u8], at: usize, i: usize| match layout.float {
            4 => f32_at(&record[at..], i),
            _ => f16_at(&record[at..], i),
        };
        let rest = Splats::rest_count_of(self.degree);
        let mut partial = 0;
        let mut partial_end = self.full_buckets.saturating_mul(self.bucket_size);
        for (i, record) in self.records.chunks_exact(self.stride).enumerate() {
            if layout.float == 4 {
                splats.means.extend((0..3).map(|k| f32_at(record, k)));
            } else {
                let full_end = self.full_buckets.saturating_mul(self.bucket_size);
                let bucket = if i < full_end {
                    i / self.bucket_size.max(1)
                } else {
                    // The first partial bucket begins at the end of the full ones.
                    while i >= partial_end && (partial + 1) * 4 <= self.partial_sizes.len() {
                        let size =
                            u32::from_le_bytes(first_four(&self.partial_sizes[partial * 4..]));
                        partial_end = partial_end.saturating_add(size as usize);
                        partial += 1;
                    }
                    self.full_buckets.saturating_add(partial.saturating_sub(1))
                };
                // A bucket that is not there leaves its splats without a place.
                let center = |k: usize| {
                    bucket
                        .checked_mul(self.center_stride)
                        .and_then(|at| self.centers.get(at..at.checked_add(12)?))
                        .map_or(f32::NAN, |center| f32_at(center, k))
                };
                splats.means.extend(
                    (0..3).map(|k| {
                        (f32::from(u16_at(record, k)) - self.range) * self.step + center(k)
                    }),
                );
            }
            splats
                .log_scales
                .extend((0..3).map(|k| float(record, layout.scale, k).ln()));
            let quat = [0, 1, 2, 3].map(|k| float(record, layout.rotation, k));
            splats.quats.extend(codec::normalized(quat));
            let color = |k: usize| f32::from(record[layout.color + k]) / 255.0;
            splats
                .sh_dc
                .extend((0..3).map(|k| codec::dc_of_color(color(k))));
            splats.logit_opacities.push(codec::logit(color(3)));
            for k in 0..rest {
                for channel in 0..3 {
                    let place = place_of(k, channel);
                    let stored = &record[layout.rest..];
                    splats.sh_rest.push(match layout.rest_float {
                        4 => f32_at(stored, place),
                        2 => f16_at(stored, place),
                        _ => {
                            let t = f32::from(stored[place]) / 255.0;
                            sh_range.start + t * (sh_range.end - sh_range.start)
                        }
                    });
                }
            }
        }
        Ok(splats)
    }
}

/// Which of a record's SH values is coefficient `k` of `channel`: band by band, in a band channel by channel.
fn place_of(k: usize, channel: usize) -> usize {
    let (first, width) = match k {
        0..3 => (0, 3),
        3..8 => (3, 5),
        _ => (8, 7),
    };
    first * 3 + channel * width + (k - first)
}

fn first_four(bytes: &[u8]) -> [u8; 4] {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[..4]);
    array
}
