//! Buffers that are larger than what an adapter binds at once: a kernel runs once for each part of the rows, with that
//! part bound. Software adapters bind 128 MiB, which three bands of spherical harmonics pass at 745 000 splats, though
//! buffers may be far larger.

use crate::gpu::Gpu;

/// A part of the rows of a buffer, `[first, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub first: u32,
    pub end: u32,
}

/// So many rows of any whole number of words begin where a binding may.
const ALIGNMENT: u64 = 64;

impl Rows {
    /// Parts of `count` rows of `words` 32-bit words each, none of which passes what `gpu` binds; at least one.
    pub fn parts(gpu: &Gpu, count: u32, words: u32) -> Vec<Self> {
        let each = most_rows(gpu, words);
        let each = (each - each % ALIGNMENT).max(ALIGNMENT);
        let parts = u64::from(count).div_ceil(each).max(1);
        let end_of = |part: u64| u32::try_from(part * each).map_or(count, |end| end.min(count));
        (0..parts)
            .map(|part| Self {
                first: end_of(part),
                end: end_of(part + 1),
            })
            .collect()
    }

    pub fn count(self) -> u32 {
        self.end - self.first
    }

    /// This part of `buffer`, whose rows are of `words` words.
    pub fn of(self, buffer: &wgpu::Buffer, words: u32) -> wgpu::BindingResource<'_> {
        let bytes = |rows: u32| u64::from(rows) * u64::from(words) * 4;
        match wgpu::BufferSize::new(bytes(self.count())) {
            Some(size) => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: bytes(self.first),
                size: Some(size),
            }),
            // Nothing of it is read.
            None => buffer.as_entire_binding(),
        }
    }
}

/// Rows of `words` words that one binding holds.
pub(super) fn most_rows(gpu: &Gpu, words: u32) -> u64 {
    gpu.binding_limit() / (4 * u64::from(words.max(1)))
}
