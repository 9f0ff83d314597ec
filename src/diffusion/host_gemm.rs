//! Matrix products for the CPU: the work of every convolution and linear layer. Both factors are brought into panels
//! that the inner loop reads in order: 12 rows of the left, 32 columns of the right, as many sums as registers hold.
//! Weights are packed once, on load, in half precision where the file has that: a denoising step at the coarse levels of
//! a large UNet is bound by the reading of weights, so half the bytes is nearly half the time, and half the memory.
//! What is multiplied is f32 in either case. Each sum is taken in a fixed order, whatever the number of threads.

use super::element::Element;
use super::host_simd::{Kernel, dispatch, has_wide_vectors, multiply_add};
use half::f16;
use half::slice::HalfFloatSliceExt;
use half::vec::HalfBitsVecExt;
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// Rows of the left factor in a panel.
pub(crate) const ROWS: usize = 12;
/// Columns of the right factor in a panel.
pub(crate) const COLUMNS: usize = 32;
/// Depth at a time: a panel of the right factor then fits the first-level cache.
const DEPTH: usize = 256;
/// Multiplications that are not worth a second thread.
const SERIAL: usize = 1 << 18;

/// A factor of a product, `W` of whose rows (left) or columns (right) make a panel.
pub(crate) trait Factor<const W: usize>: Sync {
    /// Some depth of a panel as `[depth][W]`, which fills `to`. What lies beyond the last row is arbitrary.
    fn pack(&self, panel: usize, depth: Range<usize>, to: &mut [f32]);

    /// The same without a copy, where it lies so.
    fn packed(&self, _panel: usize, _depth: Range<usize>) -> Option<&[f32]> {
        None
    }
}

/// A matrix `[rows, depth]` as a file stores it.
#[derive(Clone, Copy)]
pub(crate) struct StoredMatrix<'a> {
    /// Little-endian, row-major.
    pub bytes: &'a [u8],
    pub element: Element,
    pub rows: usize,
    pub depth: usize,
}

impl StoredMatrix<'_> {
    /// Some of the rows.
    pub fn narrow(self, rows: Range<usize>) -> Self {
        let row_bytes = self.bytes.len() / self.rows.max(1);
        Self {
            bytes: &self.bytes[rows.start * row_bytes..rows.end * row_bytes],
            rows: rows.len(),
            ..self
        }
    }
}

/// Weights `[rows, depth]` in panels of `W` rows.
pub(crate) struct Panels<const W: usize> {
    pub rows: usize,
    pub depth: usize,
    values: Values,
}

/// `[panel][depth][W]`; rows beyond the last are zero.
enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
}

impl<const W: usize> Panels<W> {
    pub fn pack(matrix: StoredMatrix) -> Self {
        let StoredMatrix {
            bytes, rows, depth, ..
        } = matrix;
        let size = (rows, depth);
        let values = match matrix.element {
            // As integers, whose zeros the system gives for nothing.
            Element::F16 => {
                let bits = pack_rows::<W, 2, _>(bytes, size, u16::from_le_bytes);
                Values::F16(bits.reinterpret_into())
            }
            Element::F32 => Values::F32(pack_rows::<W, 4, _>(bytes, size, f32::from_le_bytes)),
            Element::BF16 => {
                let read = |b| half::bf16::from_le_bytes(b).to_f32();
                Values::F32(pack_rows::<W, 2, _>(bytes, size, read))
            }
            Element::F64 => {
                let read = |b| f64::from_le_bytes(b) as f32;
                Values::F32(pack_rows::<W, 8, _>(bytes, size, read))
            }
        };
        Self {
            rows,
            depth,
            values,
        }
    }

    /// Row-major `[rows, depth]`.
    pub fn from_f32(values: &[f32], rows: usize, depth: usize) -> Self {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let values = Values::F32(pack_rows::<W, 4, _>(
            bytes,
            (rows, depth),
            f32::from_ne_bytes,
        ));
        Self {
            rows,
            depth,
            values,
        }
    }

    /// Row-major `[rows, depth]`.
    pub fn unpack(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.depth];
        out.par_chunks_mut((W * self.depth).max(1))
            .enumerate()
            .for_each(|(panel, rows)| {
                let mut packed = vec![0.0; W * self.depth];
                self.pack_panel(panel, 0..self.depth, &mut packed);
                for (r, row) in rows.chunks_mut(self.depth).enumerate() {
                    for (value, column) in row.iter_mut().zip(packed.chunks(W)) {
                        *value = column[r];
                    }
                }
            });
        out
    }

    fn place(&self, panel: usize, depth: Range<usize>) -> Range<usize> {
        let start = panel * self.depth * W;
        start + depth.start * W..start + depth.end * W
    }

    fn pack_panel(&self, panel: usize, depth: Range<usize>, to: &mut [f32]) {
        let place = self.place(panel, depth);
        match &self.values {
            Values::F32(values) => to.copy_from_slice(&values[place]),
            Values::F16(values) => values[place].convert_to_f32_slice(to),
        }
    }
}

impl<const W: usize> Factor<W> for Panels<W> {
    fn pack(&self, panel: usize, depth: Range<usize>, to: &mut [f32]) {
        self.pack_panel(panel, depth, to);
    }

    fn packed(&self, panel: usize, depth: Range<usize>) -> Option<&[f32]> {
        match &self.values {
            Values::F32(values) => Some(&values[self.place(panel, depth)]),
            Values::F16(_) => None,
        }
    }
}

fn pack_rows<const W: usize, const BYTES: usize, T: Copy + Default + Send>(
    bytes: &[u8],
    (rows, depth): (usize, usize),
    read: impl Fn([u8; BYTES]) -> T + Sync,
) -> Vec<T> {
    let elements = bytes.as_chunks::<BYTES>().0;
    let mut packed = vec![T::default(); rows.div_ceil(W) * W * depth];
    packed
        .par_chunks_mut((W * depth).max(1))
        .enumerate()
        .for_each(|(panel, to)| {
            for r in 0..W.min(rows - panel * W) {
                let row = &elements[(panel * W + r) * depth..][..depth];
                for (to, from) in to[r..].iter_mut().step_by(W).zip(row) {
                    *to = read(*from);
                }
            }
        });
    packed
}

/// Rows of a matrix `[rows, depth]` in memory, `W` a panel.
pub(crate) struct Rows<'a> {
    pub values: &'a [f32],
    pub depth: usize,
}

impl<const W: usize> Factor<W> for Rows<'_> {
    fn pack(&self, panel: usize, depth: Range<usize>, to: &mut [f32]) {
        let rows = self.values.len() / self.depth;
        // Beyond the last row, the last one again.
        let rows: [&[f32]; W] = std::array::from_fn(|r| {
            let row = (panel * W + r).min(rows - 1);
            &self.values[row * self.depth..][depth.clone()]
        });
        for (k, to) in to.as_chunks_mut::<W>().0.iter_mut().enumerate() {
            for (to, row) in to.iter_mut().zip(rows) {
                *to = row[k];
            }
        }
    }
}

/// Where a product goes: column c of row r lies at `(c / run) · jump + c % run + r · row`.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    /// What counts as the first column.
    pub first: usize,
    pub run: usize,
    pub jump: usize,
    pub row: usize,
}

thread_local! {
    /// Packed factors; kept, because fresh memory costs about as much as what is done with it.
    static SCRATCH: [Cell<Vec<f32>>; 2] = const { [Cell::new(Vec::new()), Cell::new(Vec::new())] };
}

/// `out` += `left` · `right`, for `[rows, columns, depth]` of the product.
///
/// # Panics
/// When `places` lead out of `out`.
pub(crate) fn multiply(
    left: &impl Factor<ROWS>,
    right: &impl Factor<COLUMNS>,
    [rows, columns, depth]: [usize; 3],
    out: &mut [f32],
    places: Places,
) {
    if rows == 0 || columns == 0 || depth == 0 {
        return;
    }
    let last = places.first + columns - 1;
    // The last element of each run is the farthest of its kind.
    let farthest =
        (last / places.run) * places.jump + (places.run - 1).min(last) + (rows - 1) * places.row;
    assert!(
        farthest < out.len(),
        "a product of {rows} × {columns} does not fit its target"
    );
    let threads = rayon::current_num_threads();
    let serial = threads == 1 || rows * columns * depth < SERIAL;
    let length = if serial { usize::MAX } else { 1 };
    let panels = [rows.div_ceil(ROWS), columns.div_ceil(COLUMNS)];
    let tasks = tasks(panels, if serial { 1 } else { 4 * threads });
    let target = Target(out.as_mut_ptr());
    let [mut a, mut b] = SCRATCH.with(|scratch| [scratch[0].take(), scratch[1].take()]);
    let step = depth.div_ceil(depth.div_ceil(DEPTH));
    for start in (0..depth).step_by(step) {
        let range = start..(start + step).min(depth);
        let n = range.len();
        if left.packed(0, range.clone()).is_none() {
            a.resize(a.len().max(panels[0] * ROWS * n), 0.0);
            a[..panels[0] * ROWS * n]
                .par_chunks_mut(ROWS * n)
                .with_min_len(length)
                .enumerate()
                .for_each(|(panel, to)| left.pack(panel, range.clone(), to));
        }
        if right.packed(0, range.clone()).is_none() {
            b.resize(b.len().max(panels[1] * COLUMNS * n), 0.0);
            b[..panels[1] * COLUMNS * n]
                .par_chunks_mut(COLUMNS * n)
                .with_min_len(length)
                .enumerate()
                .for_each(|(panel, to)| right.pack(panel, range.clone(), to));
        }
        tasks.par_iter().with_min_len(length).for_each(|task| {
            let mut tile = [[0.0; COLUMNS]; ROWS];
            for j in task[1].clone() {
                let right = right
                    .packed(j, range.clone())
                    .unwrap_or_else(|| &b[j * COLUMNS * n..][..COLUMNS * n]);
                for i in task[0].clone() {
                    let left = left
                        .packed(i, range.clone())
                        .unwrap_or_else(|| &a[i * ROWS * n..][..ROWS * n]);
                    dispatch(Tile {
                        left,
                        right,
                        tile: &mut tile,
                    });
                    let at = [i * ROWS, j * COLUMNS];
                    let size = [ROWS.min(rows - at[0]), COLUMNS.min(columns - at[1])];
                    dispatch(Add {
                        target: &target,
                        tile: &tile,
                        size,
                        at,
                        places,
                    });
                }
            }
        });
    }
    SCRATCH.with(|scratch| {
        scratch[0].set(a);
        scratch[1].set(b);
    });
}

/// About `count` rectangles of panels that cover the product.
fn tasks([rows, columns]: [usize; 2], count: usize) -> Vec<[Range<usize>; 2]> {
    let across = columns.min(count);
    let down = rows.min(count.div_ceil(across));
    let split = |n: usize, parts: usize, i: usize| n * i / parts..n * (i + 1) / parts;
    (0..across)
        .flat_map(|j| (0..down).map(move |i| [split(rows, down, i), split(columns, across, j)]))
        .collect()
}

/// The memory of a product while its tasks, none of which shares an element with another, add to it.
struct Target(*mut f32);

// SAFETY: tasks write disjoint elements.
unsafe impl Sync for Target {}

/// Adds the first `size` (rows, columns) of a tile at row and column `at`.
struct Add<'a> {
    target: &'a Target,
    tile: &'a [[f32; COLUMNS]; ROWS],
    size: [usize; 2],
    at: [usize; 2],
    places: Places,
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Places {
            first,
            run,
            jump,
            row,
        } = self.places;
        let [rows, columns] = self.size;
        let mut done = 0;
        while done < columns {
            let column = first + self.at[1] + done;
            let offset = column % run;
            let length = (run - offset).min(columns - done);
            let start = column / run * jump + offset + self.at[0] * row;
            for (r, sums) in self.tile.iter().enumerate().take(rows) {
                // SAFETY: `multiply` checked that all places lie within the target, and no other task has them.
                let to = unsafe {
                    std::slice::from_raw_parts_mut(self.target.0.add(start + r * row), length)
                };
                for (to, sum) in to.iter_mut().zip(&sums[done..done + length]) {
                    *to += sum;
                }
            }
            done += length;
        }
    }
}

/// The products of one panel with another.
pub(crate) struct Tile<'a> {
    /// `[depth][ROWS]`.
    pub left: &'a [f32],
    /// `[depth][COLUMNS]`.
    pub right: &'a [f32],
    pub tile: &'a mut [[f32; COLUMNS]; ROWS],
}

impl Kernel for Tile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let left = self.left.as_chunks::<ROWS>().0;
        let right = self.right.as_chunks::<COLUMNS>().0;
        if has_wide_vectors() {
            *self.tile = corner::<FUSED, ROWS, COLUMNS, 0, 0>(left, right);
        } else {
            // As many sums as sixteen registers of eight lanes, or thirty-two of four, hold.
            put(self.tile, [0, 0], corner::<FUSED, 6, 16, 0, 0>(left, right));
            put(
                self.tile,
                [0, 16],
                corner::<FUSED, 6, 16, 0, 16>(left, right),
            );
            put(self.tile, [6, 0], corner::<FUSED, 6, 16, 6, 0>(left, right));
            put(
                self.tile,
                [6, 16],
                corner::<FUSED, 6, 16, 6, 16>(left, right),
            );
        }
    }
}

#[inline(always)]
fn put(tile: &mut [[f32; COLUMNS]; ROWS], [row, column]: [usize; 2], sums: [[f32; 16]; 6]) {
    for (to, sums) in tile[row..].iter_mut().zip(&sums) {
        to[column..column + 16].copy_from_slice(sums);
    }
}

/// `R` × `C` sums from row `ROW` and column `COLUMN` on. All four are constants and the sums a value of its own, without
/// which the compiler keeps them in memory.
#[inline(always)]
fn corner<
    const FUSED: bool,
    const R: usize,
    const C: usize,
    const ROW: usize,
    const COLUMN: usize,
>(
    left: &[[f32; ROWS]],
    right: &[[f32; COLUMNS]],
) -> [[f32; C]; R] {
    let mut sums = [[0.0; C]; R];
    for (a, b) in left.iter().zip(right) {
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = multiply_add::<FUSED>(a[ROW + r], b[COLUMN + c], sums[r][c]);
            }
        }
    }
    sums
}
