//! Attention for the CPU. burn's CPU backend takes one scalar exponential a score, which on the small networks of tests
//! and demos is nine tenths of a denoising step. Here 32 queries at a time meet all keys, with their scores as the only
//! scratch memory. Scores are kept by key: softmax then runs along vectors of queries without a sum across lanes, and
//! what it leaves is laid out as the right factor of the product with the values. Exact softmax, f32.

use super::host_gemm::{COLUMNS as QUERIES, ROWS, Tile};
use super::host_simd::{Kernel, dispatch, exp2};
use rayon::prelude::*;
use std::ops::Range;

/// Sizes of one attention. Heads lie beside each other in the last dimension: queries are
/// `[batch, queries, heads · width]`, keys and values `[batch, keys, heads · width]`.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub batch: usize,
    pub heads: usize,
    pub width: usize,
    pub queries: usize,
    pub keys: usize,
}

impl Shape {
    fn inner(&self) -> usize {
        self.heads * self.width
    }

    /// Keys, padded to whole panels.
    fn padded_keys(&self) -> usize {
        self.keys.next_multiple_of(ROWS)
    }

    fn padded_width(&self) -> usize {
        self.width.next_multiple_of(ROWS)
    }
}

/// Softmax(q kᵀ / √width) v, laid out as `q`.
pub(crate) fn attention(q: &[f32], k: &[f32], v: &[f32], shape: Shape) -> Vec<f32> {
    let inner = shape.inner();
    // Keys in panels of [width, ROWS keys], values in panels of [keys, ROWS columns].
    let keys = pack(k, shape, shape.padded_keys() * shape.width, |key, d| {
        (key / ROWS * shape.width + d) * ROWS + key % ROWS
    });
    let values = pack(v, shape, shape.keys * shape.padded_width(), |key, d| {
        (d / ROWS * shape.keys + key) * ROWS + d % ROWS
    });
    let mut out = vec![0.0; q.len()];
    // A task is the heads of a few queries: chunks of the output that lie in one piece.
    let mut tasks: Vec<(usize, usize, &mut [f32])> = Vec::new();
    for (batch, element) in out.chunks_mut((shape.queries * inner).max(1)).enumerate() {
        for (task, piece) in element.chunks_mut((QUERIES * inner).max(1)).enumerate() {
            tasks.push((batch, task * QUERIES, piece));
        }
    }
    let scratch = || Scratch {
        queries: vec![0.0; shape.width * QUERIES],
        scores: vec![[0.0; QUERIES]; shape.padded_keys()],
    };
    tasks
        .into_par_iter()
        .for_each_init(scratch, |scratch, (batch, first, piece)| {
            let start = (batch * shape.queries + first) * inner;
            let queries = &q[start..start + piece.len()];
            for head in 0..shape.heads {
                let part = |packed: &Vec<f32>| {
                    let length = packed.len() / (shape.batch * shape.heads);
                    let at = (batch * shape.heads + head) * length;
                    at..at + length
                };
                let task = Task {
                    queries,
                    keys: &keys[part(&keys)],
                    values: &values[part(&values)],
                    head,
                    shape,
                };
                task.run(scratch, piece);
            }
        });
    out
}

/// `[batch, heads]` of packed heads of `length` elements; `place` says where (key, column) goes within one. Padding is
/// zero.
fn pack(
    x: &[f32],
    shape: Shape,
    length: usize,
    place: impl Fn(usize, usize) -> usize + Sync,
) -> Vec<f32> {
    let mut packed = vec![0.0; shape.batch * shape.heads * length];
    packed
        .par_chunks_mut(length.max(1))
        .enumerate()
        .for_each(|(i, head)| {
            let (batch, column) = (i / shape.heads, (i % shape.heads) * shape.width);
            for key in 0..shape.keys {
                let row = &x[(batch * shape.keys + key) * shape.inner() + column..][..shape.width];
                for (d, value) in row.iter().enumerate() {
                    head[place(key, d)] = *value;
                }
            }
        });
    packed
}

struct Scratch {
    /// `[width][QUERIES]`, scaled.
    queries: Vec<f32>,
    /// By key: scores, then weights.
    scores: Vec<[f32; QUERIES]>,
}

/// Some queries of one head.
struct Task<'a> {
    /// `[n, heads · width]`.
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    head: usize,
    shape: Shape,
}

impl Task<'_> {
    fn run(&self, scratch: &mut Scratch, out: &mut [f32]) {
        let Self {
            queries,
            keys,
            values,
            head,
            shape,
        } = *self;
        let (inner, width) = (shape.inner(), shape.width);
        let count = queries.len() / inner;
        let own = head * width..(head + 1) * width;
        // Base-2 exponentials: the factor goes into the queries.
        let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
        for query in 0..QUERIES {
            // Past the end, the last query is computed again and dropped.
            let row = &queries[query.min(count - 1) * inner..][own.clone()];
            for (to, x) in scratch.queries[query..]
                .iter_mut()
                .step_by(QUERIES)
                .zip(row)
            {
                *to = x * scale;
            }
        }
        let panels = keys.chunks((width * ROWS).max(1));
        for (panel, scores) in panels.zip(scratch.scores.as_chunks_mut::<ROWS>().0) {
            dispatch(Tile {
                left: panel,
                right: &scratch.queries,
                tile: scores,
            });
        }
        let scores = &mut scratch.scores[..shape.keys];
        let inverse = dispatch(Softmax(scores));
        let mut tile = [[0.0; QUERIES]; ROWS];
        for (panel, values) in values.chunks((shape.keys * ROWS).max(1)).enumerate() {
            dispatch(Tile {
                left: values,
                right: scores.as_flattened(),
                tile: &mut tile,
            });
            let columns: Range<usize> = panel * ROWS..width.min((panel + 1) * ROWS);
            for (query, out) in out.chunks_mut(inner).enumerate() {
                let out = &mut out[own.clone()][columns.clone()];
                for (to, sums) in out.iter_mut().zip(&tile) {
                    *to = sums[query] * inverse[query];
                }
            }
        }
    }
}

/// 2^(score − highest) in place, by query; what makes their sum one.
struct Softmax<'a>(&'a mut [[f32; QUERIES]]);

impl Kernel for Softmax<'_> {
    type Output = [f32; QUERIES];

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> [f32; QUERIES] {
        let mut highest = [f32::NEG_INFINITY; QUERIES];
        for row in self.0.iter() {
            for lane in 0..QUERIES {
                highest[lane] = if row[lane] > highest[lane] {
                    row[lane]
                } else {
                    highest[lane]
                };
            }
        }
        let mut sums = [0.0; QUERIES];
        for row in self.0.iter_mut() {
            for lane in 0..QUERIES {
                row[lane] = exp2::<FUSED>(row[lane] - highest[lane]);
                sums[lane] += row[lane];
            }
        }
        sums.map(|sum| 1.0 / sum)
    }
}
