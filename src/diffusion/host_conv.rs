//! Convolution for the CPU: patches of the picture are gathered into panels a few thousand pixels at a time, and
//! [`multiply`] does the rest. What comes before a convolution in these networks (normalization and SiLU) is applied
//! while the picture is copied into its padded form, so that it costs no pass over memory of its own.

use super::host_gemm::{COLUMNS, Factor, Panels, Places, ROWS, multiply};
use super::host_simd::{Kernel, dispatch, multiply_add, silu};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// Output pixels at a time: their patches stay in the cache of the last level.
const PIXELS: usize = 1 << 13;

/// How a square window moves over a picture.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub side: usize,
    /// Along rows and columns.
    pub stride: [usize; 2],
    /// Zeros before and after the rows, and the columns.
    pub padding: [(usize, usize); 2],
}

impl Window {
    /// Output rows and columns for an input of `size`.
    pub fn output(&self, size: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let (before, after) = self.padding[axis];
            (size[axis] + before + after - self.side) / self.stride[axis] + 1
        })
    }
}

/// A picture as it enters a convolution: `[batch, channels, height, width]`.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub values: &'a [f32],
    pub shape: [usize; 4],
    /// Scale and shift of each picture and channel, `[batch · channels]`, with SiLU after it.
    pub normed: Option<(&'a [f32], &'a [f32])>,
}

/// `weight`: `[out, channels · side · side]`. `out` is `[batch, out, height, width]`, to which the result is added.
pub(crate) fn convolve(weight: &Panels<ROWS>, window: Window, input: Input, out: &mut [f32]) {
    let [batch, channels, height, width] = input.shape;
    let [rows, columns] = window.output([height, width]);
    let places = Places {
        first: 0,
        run: rows * columns,
        jump: weight.rows * rows * columns,
        row: rows * columns,
    };
    let total = batch * rows;
    let band = (PIXELS / columns.max(1)).clamp(1, total.max(1));
    // A band takes rows of one picture, or of several small ones.
    for first in (0..total).step_by(band) {
        let chunk = Chunk::new(window, input, first..(first + band).min(total));
        let depth = channels * window.side * window.side;
        let size = [weight.rows, chunk.starts.len(), depth];
        let first = first * columns;
        multiply(weight, &chunk, size, out, Places { first, ..places });
        chunk.recycle();
    }
}

thread_local! {
    /// The padded picture of the last convolution: memory to use again.
    static PADDED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Padded rows of a picture, and where in them the patch of each output pixel starts.
struct Chunk {
    /// `[channels, plane]`.
    padded: Vec<f32>,
    plane: usize,
    width: usize,
    side: usize,
    starts: Vec<usize>,
    /// So many patches lie beside each other, always: 32, 16, 8, 4 or 1.
    unit: usize,
}

/// Rows of one picture in a chunk.
struct Segment {
    picture: usize,
    /// First row of the padded picture.
    first: usize,
    count: usize,
}

impl Chunk {
    /// `rows`: output rows, counted through all pictures.
    fn new(window: Window, input: Input, rows: Range<usize>) -> Self {
        let [_, channels, height, width] = input.shape;
        let [out_rows, out_columns] = window.output([height, width]);
        let [stride, step] = window.stride;
        let (left, right) = window.padding[1];
        let padded_width = left + width + right;
        let mut segments = Vec::new();
        let mut starts = Vec::with_capacity(rows.len() * out_columns);
        let (mut row, mut above) = (rows.start, 0);
        while row < rows.end {
            let (picture, first) = (row / out_rows, row % out_rows);
            let count = (out_rows - first).min(rows.end - row);
            for y in 0..count {
                let start = (above + y * stride) * padded_width;
                starts.extend((0..out_columns).map(|x| start + x * step));
            }
            let padded_rows = (count - 1) * stride + window.side;
            segments.push(Segment {
                picture,
                first: first * stride,
                count: padded_rows,
            });
            above += padded_rows;
            row += count;
        }
        let plane = above * padded_width;
        let mut padded = PADDED.take();
        padded.resize(channels * plane, 0.0);
        padded
            .par_chunks_mut(plane.max(1))
            .enumerate()
            .for_each(|(channel, plane)| {
                let mut to = plane;
                for segment in &segments {
                    let (rows, rest) = to.split_at_mut(segment.count * padded_width);
                    let index = segment.picture * channels + channel;
                    dispatch(Pad {
                        from: &input.values[index * height * width..][..height * width],
                        width,
                        padding: [window.padding[0].0, left],
                        first: segment.first,
                        padded_width,
                        normed: input
                            .normed
                            .map(|(scale, shift)| (scale[index], shift[index])),
                        to: rows,
                    });
                    to = rest;
                }
            });
        let unit = [COLUMNS, 16, 8, 4].into_iter().find(|&unit| {
            step == 1
                && starts
                    .chunks(unit)
                    .all(|c| c[c.len() - 1] - c[0] == c.len() - 1)
                && starts.len().is_multiple_of(unit)
        });
        Self {
            padded,
            plane,
            width: padded_width,
            side: window.side,
            starts,
            unit: unit.unwrap_or(1),
        }
    }

    fn recycle(self) {
        PADDED.set(self.padded);
    }

    fn gather<const UNIT: usize>(&self, panel: usize, depth: Range<usize>, to: &mut [f32]) {
        let area = self.side * self.side;
        let first = panel * COLUMNS;
        let last = (first + COLUMNS).min(self.starts.len());
        for (to, k) in to.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(depth) {
            let (channel, tap) = (k / area, k % area);
            let offset = channel * self.plane + tap / self.side * self.width + tap % self.side;
            let from = &self.padded[offset..];
            let units = to.as_chunks_mut::<UNIT>().0.iter_mut();
            for (to, start) in units.zip(self.starts[first..last].iter().step_by(UNIT)) {
                to.copy_from_slice(&from[*start..][..UNIT]);
            }
        }
    }
}

impl Factor<COLUMNS> for Chunk {
    fn pack(&self, panel: usize, depth: Range<usize>, to: &mut [f32]) {
        match self.unit {
            COLUMNS => self.gather::<COLUMNS>(panel, depth, to),
            16 => self.gather::<16>(panel, depth, to),
            8 => self.gather::<8>(panel, depth, to),
            4 => self.gather::<4>(panel, depth, to),
            _ => self.gather::<1>(panel, depth, to),
        }
    }
}

/// One channel of some rows into its padded form.
struct Pad<'a> {
    /// `[height, width]`.
    from: &'a [f32],
    width: usize,
    /// Rows above and columns to the left.
    padding: [usize; 2],
    /// First row of the padded picture.
    first: usize,
    padded_width: usize,
    normed: Option<(f32, f32)>,
    to: &'a mut [f32],
}

impl Kernel for Pad<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let [above, left] = self.padding;
        for (i, to) in self.to.chunks_mut(self.padded_width).enumerate() {
            let row = (self.first + i).checked_sub(above);
            let from = row.and_then(|row| self.from.get(row * self.width..(row + 1) * self.width));
            let Some(from) = from else {
                to.fill(0.0);
                continue;
            };
            to[..left].fill(0.0);
            to[left + self.width..].fill(0.0);
            let inside = to[left..][..self.width].iter_mut().zip(from);
            match self.normed {
                Some((scale, shift)) => {
                    for (to, x) in inside {
                        *to = silu::<FUSED>(multiply_add::<FUSED>(*x, scale, shift));
                    }
                }
                None => to[left..][..self.width].copy_from_slice(from),
            }
        }
    }
}
