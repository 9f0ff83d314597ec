//! Memory that the kernels hand results through. It only grows, and every growth is checked against the adapter, so that
//! a scene that is too large is a sentence with numbers and not a lost device.

use super::rows::Rows;
use crate::{Error, Result, gpu::Gpu};

/// Keys and values of a radix sort, from one side to the other at each pass.
pub(super) struct SortBuffers {
    pub keys: [wgpu::Buffer; 2],
    pub values: [wgpu::Buffer; 2],
}

impl SortBuffers {
    pub fn new(gpu: &Gpu, items: u32) -> Self {
        let words = |label| gpu.storage(label, u64::from(items) * 4);
        Self {
            keys: [words("sort keys"), words("sort keys")],
            values: [words("sort values"), words("sort values")],
        }
    }

    fn all(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        self.keys.iter().chain(&self.values)
    }
}

/// Per splat.
pub(super) struct SplatScratch {
    pub room: u32,
    pub projected: wgpu::Buffer,
    pub slot_ranges: wgpu::Buffer,
    pub depth_sort: SortBuffers,
    /// Slots in depth order, then their prefix sum.
    pub first_slots: wgpu::Buffer,
    /// Chunk sums of that prefix sum.
    pub sums: wgpu::Buffer,
    /// Made by the first backward pass.
    pub d_projected: Option<wgpu::Buffer>,
}

/// Per intersection of a splat with a tile.
pub(super) struct IntersectionScratch {
    pub room: u32,
    pub tile_sort: SortBuffers,
    pub slot_splats: wgpu::Buffer,
    pub intersections: wgpu::Buffer,
    /// In the order of the slots. Made by the first backward pass.
    pub slots: Vec<SlotPart>,
}

/// Slots that are bound together.
pub(super) struct SlotPart {
    pub rows: Rows,
    /// Both halves of each slot.
    pub halves: [wgpu::Buffer; 2],
}

/// Per picture.
pub(super) struct PictureScratch {
    pub pixels: u64,
    pub tiles: u64,
    pub tile_ranges: wgpu::Buffer,
    pub pixel_ends: wgpu::Buffer,
}

const PROJECTED_BYTES: u64 = 48;
/// Splat and slot of an intersection.
const INTERSECTION_BYTES: u64 = 8;
const IMAGE_BYTES: u64 = 16;

impl SplatScratch {
    pub fn new(gpu: &Gpu, count: u32) -> Result<Self> {
        let most = gpu.binding_limit() / PROJECTED_BYTES;
        if u64::from(count) > most {
            return Err(Error::Gpu(format!(
                "{count} splats are more than the {most} that {} can draw; reduce the number of splats",
                gpu.info.name
            )));
        }
        let room = room_for(count, most);
        Ok(Self {
            room,
            projected: gpu.storage("projected splats", u64::from(room) * PROJECTED_BYTES),
            slot_ranges: gpu.storage("slot ranges", u64::from(room) * 8),
            depth_sort: SortBuffers::new(gpu, room),
            first_slots: gpu.storage("first slots", u64::from(room) * 4),
            sums: gpu.storage("slot sums", u64::from(room.div_ceil(64)) * 4),
            d_projected: None,
        })
    }

    pub fn for_backward(&mut self, gpu: &Gpu) -> &wgpu::Buffer {
        self.d_projected.get_or_insert_with(|| {
            gpu.storage("d_projected", u64::from(self.room) * PROJECTED_BYTES)
        })
    }

    fn all(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        [
            &self.projected,
            &self.slot_ranges,
            &self.first_slots,
            &self.sums,
        ]
        .into_iter()
        .chain(self.depth_sort.all())
        .chain(&self.d_projected)
    }
}

impl IntersectionScratch {
    pub fn most(gpu: &Gpu) -> u64 {
        gpu.binding_limit() / INTERSECTION_BYTES
    }

    /// `exact`: no spare room.
    pub fn new(gpu: &Gpu, count: u32, exact: bool) -> Result<Self> {
        let most = Self::most(gpu);
        if u64::from(count) > most {
            return Err(Error::Gpu(format!(
                "this view needs room for {count} tile-splat intersections, and {} has room for {most}; reduce the \
                 number or the size of the splats, or the size of the picture",
                gpu.info.name
            )));
        }
        let room = if exact {
            count.max(1)
        } else {
            room_for(count, most)
        };
        Ok(Self {
            room,
            tile_sort: SortBuffers::new(gpu, room),
            slot_splats: gpu.storage("slot splats", u64::from(room) * 4),
            intersections: gpu.storage("intersections", u64::from(room) * 8),
            slots: Vec::new(),
        })
    }

    /// With room for `floats` in each half of a slot.
    pub fn for_backward(&mut self, gpu: &Gpu, floats: u32) {
        let bytes_of = |rows: Rows| u64::from(rows.count()) * u64::from(floats) * 4;
        let parts = Rows::parts(gpu, self.room, floats);
        let fits = self.slots.len() == parts.len()
            && self.slots.iter().zip(&parts).all(|(slots, rows)| {
                slots.rows == *rows && slots.halves[0].size() >= bytes_of(*rows)
            });
        if !fits {
            self.slots = parts
                .into_iter()
                .map(|rows| SlotPart {
                    rows,
                    halves: ["slots a", "slots b"].map(|label| gpu.storage(label, bytes_of(rows))),
                })
                .collect();
        }
    }

    fn all(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        [&self.slot_splats, &self.intersections]
            .into_iter()
            .chain(self.tile_sort.all())
            .chain(self.slots.iter().flat_map(|slots| &slots.halves))
    }
}

impl PictureScratch {
    pub fn new(gpu: &Gpu, width: u32, height: u32, tiles: u64) -> Result<Self> {
        let pixels = u64::from(width) * u64::from(height);
        let most = gpu.binding_limit() / IMAGE_BYTES;
        if pixels == 0 || pixels > most {
            return Err(Error::Gpu(format!(
                "a picture of {width}×{height} pixels cannot be drawn: {} takes 1 to {most} pixels",
                gpu.info.name
            )));
        }
        Ok(Self {
            pixels,
            tiles,
            tile_ranges: gpu.storage("tile ranges", tiles * 8),
            pixel_ends: gpu.storage("pixel ends", pixels * 8),
        })
    }

    fn all(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        [&self.tile_ranges, &self.pixel_ends].into_iter()
    }
}

/// Every buffer, for tests that fill them with noise.
pub(super) fn all<'a>(
    splats: &'a SplatScratch,
    intersections: &'a IntersectionScratch,
    picture: &'a PictureScratch,
) -> impl Iterator<Item = &'a wgpu::Buffer> {
    splats.all().chain(intersections.all()).chain(picture.all())
}

/// A quarter more than asked for, so that growing step by step stays cheap.
fn room_for(count: u32, most: u64) -> u32 {
    let wanted = (u64::from(count) + u64::from(count) / 4)
        .max(1024)
        .min(most);
    u32::try_from(wanted).unwrap_or(u32::MAX).max(count)
}
