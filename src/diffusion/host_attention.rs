//! Attention for the CPU. burn's CPU backend takes one scalar exponential a score, which on the small networks of tests
//! and demos is nine tenths of a denoising step. Here a few queries at a time meet all keys: scores, softmax and the
//! weighted sum run over vectors of keys, with the scores of those queries as the only
//! scratch memory. Exact softmax, f32.

use super::host_simd::{Kernel, LANES as PADDING, dispatch, exp2, multiply_add, total};
use rayon::prelude::*;

/// Queries that share one pass over the keys.
const QUERIES: usize = 6;
/// Keys in a panel of scores.
const LANES: usize = 16;
/// Keys whose weights stay in the first-level cache during the weighted sum.
const BLOCK: usize = 1024;

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
    fn padded(&self) -> usize {
        self.keys.next_multiple_of(PADDING)
    }

    /// Elements of one head's packed keys or values.
    fn head(&self) -> usize {
        self.width * self.padded()
    }
}

/// Softmax(q kᵀ / √width) v, laid out as `q`.
pub(crate) fn attention(q: &[f32], k: &[f32], v: &[f32], shape: Shape) -> Vec<f32> {
    let inner = shape.heads * shape.width;
    // Keys in panels of [width, LANES], values as [width, keys]: both are then read in order.
    let padded = shape.padded();
    let keys = pack(k, shape, |key, d| {
        (key / LANES) * LANES * shape.width + d * LANES + key % LANES
    });
    let values = pack(v, shape, |key, d| d * padded + key);
    let mut out = vec![0.0; q.len()];
    let rows = (64 * QUERIES).min(shape.queries.next_multiple_of(QUERIES));
    let tasks = shape.queries.div_ceil(rows);
    // A task is some queries of one batch element: chunks of the output that lie in one piece.
    let mut pieces: Vec<(usize, usize, &mut [f32])> = Vec::with_capacity(shape.batch * tasks);
    for (batch, element) in out.chunks_mut((shape.queries * inner).max(1)).enumerate() {
        for (task, piece) in element.chunks_mut(rows * inner).enumerate() {
            pieces.push((batch, task * rows, piece));
        }
    }
    pieces.into_par_iter().for_each(|(batch, first, piece)| {
        let mut scratch = Scratch::new(shape);
        let start = (batch * shape.queries + first) * inner;
        let queries = &q[start..start + piece.len()];
        for head in 0..shape.heads {
            let at = (batch * shape.heads + head) * shape.head();
            let task = Task {
                queries,
                keys: &keys[at..at + shape.head()],
                values: &values[at..at + shape.head()],
                head,
                shape,
            };
            dispatch(Run(&task, &mut scratch, piece));
        }
    });
    out
}

/// `[batch, heads]` of packed heads; `place` says where (key, column) goes within one. Padding is zero.
fn pack(x: &[f32], shape: Shape, place: impl Fn(usize, usize) -> usize + Sync) -> Vec<f32> {
    let inner = shape.heads * shape.width;
    let mut packed = vec![0.0; shape.batch * shape.heads * shape.head()];
    packed
        .par_chunks_mut(shape.head())
        .enumerate()
        .for_each(|(i, head)| {
            let (batch, column) = (i / shape.heads, (i % shape.heads) * shape.width);
            for key in 0..shape.keys {
                let row = &x[(batch * shape.keys + key) * inner + column..][..shape.width];
                for (d, value) in row.iter().enumerate() {
                    head[place(key, d)] = *value;
                }
            }
        });
    packed
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

struct Scratch {
    /// `[QUERIES, width]`, scaled.
    queries: Vec<f32>,
    /// `[QUERIES, padded keys]`: scores, then weights.
    scores: Vec<f32>,
    /// `[QUERIES, width]`.
    sums: Vec<f32>,
}

impl Scratch {
    fn new(shape: Shape) -> Self {
        Self {
            queries: vec![0.0; QUERIES * shape.width],
            scores: vec![0.0; QUERIES * shape.padded()],
            sums: vec![0.0; QUERIES * shape.width],
        }
    }
}

/// One task, its scratch memory and where its result goes.
struct Run<'a, 'b>(&'b Task<'a>, &'b mut Scratch, &'b mut [f32]);

impl Kernel for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        run::<FUSED>(self.0, self.1, self.2);
    }
}

#[inline(always)]
fn run<const FUSED: bool>(task: &Task, scratch: &mut Scratch, out: &mut [f32]) {
    let Task {
        queries,
        keys,
        values,
        head,
        shape,
    } = *task;
    let width = shape.width;
    let inner = shape.heads * width;
    let padded = shape.padded();
    // Base-2 exponentials: the factor goes into the queries.
    let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
    let count = queries.len() / inner;
    for first in (0..count).step_by(QUERIES) {
        // Past the end, the last query is computed again and dropped.
        for r in 0..QUERIES {
            let row = (first + r).min(count - 1);
            let source = &queries[row * inner + head * width..][..width];
            for (to, from) in scratch.queries[r * width..][..width].iter_mut().zip(source) {
                *to = from * scale;
            }
        }
        for panel in 0..padded / LANES {
            let panel_keys = &keys[panel * LANES * width..][..LANES * width];
            let tile = dot::<FUSED>(&scratch.queries, panel_keys, width);
            for (r, row) in tile.iter().enumerate() {
                scratch.scores[r * padded + panel * LANES..][..LANES].copy_from_slice(row);
            }
        }
        let mut totals = [0.0; QUERIES];
        for (r, total) in totals.iter_mut().enumerate() {
            let scores = &mut scratch.scores[r * padded..][..padded];
            *total = softmax::<FUSED>(scores, shape.keys);
        }
        scratch.sums.fill(0.0);
        for start in (0..padded).step_by(BLOCK) {
            let n = BLOCK.min(padded - start);
            for d in 0..width {
                let column = &values[d * padded + start..][..n];
                for r in 0..QUERIES {
                    let weights = &scratch.scores[r * padded + start..][..n];
                    scratch.sums[r * width + d] += weighted::<FUSED>(weights, column);
                }
            }
        }
        for r in 0..QUERIES.min(count - first) {
            let to = &mut out[(first + r) * inner + head * width..][..width];
            for (to, sum) in to.iter_mut().zip(&scratch.sums[r * width..]) {
                *to = sum / totals[r];
            }
        }
    }
}

/// Scores of all queries with one panel of keys.
#[inline(always)]
fn dot<const FUSED: bool>(queries: &[f32], panel: &[f32], width: usize) -> [[f32; LANES]; QUERIES] {
    let mut tile = [[0.0; LANES]; QUERIES];
    let rows: [&[f32]; QUERIES] = std::array::from_fn(|r| &queries[r * width..][..width]);
    for (d, keys) in panel.as_chunks::<LANES>().0.iter().enumerate().take(width) {
        for r in 0..QUERIES {
            let q = rows[r][d];
            for lane in 0..LANES {
                tile[r][lane] = multiply_add::<FUSED>(q, keys[lane], tile[r][lane]);
            }
        }
    }
    tile
}

/// 2^(score − highest) in place, zero for the padding behind `keys`; their sum.
#[inline(always)]
fn softmax<const FUSED: bool>(scores: &mut [f32], keys: usize) -> f32 {
    scores[keys..].fill(f32::NEG_INFINITY);
    let mut highest = [f32::NEG_INFINITY; PADDING];
    for chunk in scores.as_chunks::<PADDING>().0 {
        for lane in 0..PADDING {
            highest[lane] = if chunk[lane] > highest[lane] {
                chunk[lane]
            } else {
                highest[lane]
            };
        }
    }
    let highest = highest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = [0.0; PADDING];
    for chunk in scores.as_chunks_mut::<PADDING>().0 {
        for lane in 0..PADDING {
            chunk[lane] = exp2::<FUSED>(chunk[lane] - highest);
            sum[lane] += chunk[lane];
        }
    }
    scores[keys..].fill(0.0);
    total(&sum)
}

/// Σ weight · value over the keys.
#[inline(always)]
fn weighted<const FUSED: bool>(weights: &[f32], values: &[f32]) -> f32 {
    let mut sum = [0.0; PADDING];
    let values = values.as_chunks::<PADDING>().0;
    for (w, v) in weights.as_chunks::<PADDING>().0.iter().zip(values) {
        for lane in 0..PADDING {
            sum[lane] = multiply_add::<FUSED>(w[lane], v[lane], sum[lane]);
        }
    }
    total(&sum)
}
