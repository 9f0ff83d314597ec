//! Normalization and activations for the CPU, over vectors and on all cores.

use super::host_simd::{Kernel, LANES, dispatch, gelu, multiply_add, total};
use rayon::prelude::*;

/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Mean and reciprocal standard deviation of each row of `[rows, length]`.
pub(crate) fn moments(x: &[f32], length: usize, eps: f64) -> Vec<(f32, f32)> {
    let one = |row: &[f32]| {
        // Two passes: the variance of activations with a large mean would drown in that of one.
        let mean = sum_of(row, 0.0, false) / length as f64;
        let variance = sum_of(row, mean as f32, true) / length as f64;
        (mean as f32, (1.0 / (variance + eps).sqrt()) as f32)
    };
    if x.len() < CHUNK {
        x.chunks(length.max(1)).map(one).collect()
    } else {
        x.par_chunks(length.max(1)).map(one).collect()
    }
}

/// Σ (x − mean), or Σ (x − mean)², in double precision from block to block.
fn sum_of(row: &[f32], mean: f32, squared: bool) -> f64 {
    struct Sum<'a>(&'a [f32], f32, bool);
    impl Kernel for Sum<'_> {
        type Output = f32;

        #[inline(always)]
        fn run<const FUSED: bool>(self) -> f32 {
            let Self(x, mean, squared) = self;
            let (chunks, rest) = x.as_chunks::<LANES>();
            let mut sums = [0.0; LANES];
            let mut last = [mean; LANES];
            last[..rest.len()].copy_from_slice(rest);
            for chunk in chunks.iter().chain([&last]) {
                for lane in 0..LANES {
                    let x = chunk[lane] - mean;
                    sums[lane] = if squared {
                        multiply_add::<FUSED>(x, x, sums[lane])
                    } else {
                        sums[lane] + x
                    };
                }
            }
            total(&sums)
        }
    }
    row.chunks(4096)
        .map(|block| f64::from(dispatch(Sum(block, mean, squared))))
        .sum()
}

/// `hidden` · GELU(`gate`).
pub(crate) fn gated(hidden: &[f32], gate: &[f32]) -> Vec<f32> {
    struct Gated<'a>(&'a [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Gated<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            for ((to, hidden), gate) in self.2.iter_mut().zip(self.0).zip(self.1) {
                *to = hidden * gelu::<FUSED>(*gate);
            }
        }
    }
    let mut out = vec![0.0; hidden.len()];
    out.par_chunks_mut(CHUNK)
        .zip(hidden.par_chunks(CHUNK).zip(gate.par_chunks(CHUNK)))
        .for_each(|(out, (hidden, gate))| dispatch(Gated(hidden, gate, out)));
    out
}

/// x · scale + shift of each plane of `[planes, area]`.
pub(crate) fn scaled(x: &[f32], area: usize, scale: &[f32], shift: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(area.max(1))
        .zip(x.par_chunks(area.max(1)))
        .zip(scale.par_iter().zip(shift))
        .for_each(|((out, x), (scale, shift))| {
            for (to, x) in out.iter_mut().zip(x) {
                *to = x * scale + shift;
            }
        });
    out
}

/// What a sum starts from: each row of `[rows, length]` the bias, plus the residual.
pub(crate) fn start(
    out: &mut [f32],
    length: usize,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) {
    let rows = (CHUNK / length.max(1)).max(1);
    out.par_chunks_mut((rows * length).max(1))
        .enumerate()
        .for_each(|(chunk, out)| {
            if let Some(residual) = residual {
                out.copy_from_slice(&residual[chunk * rows * length..][..out.len()]);
            }
            if let Some(bias) = bias {
                for row in out.chunks_mut(length) {
                    for (to, bias) in row.iter_mut().zip(bias) {
                        *to += bias;
                    }
                }
            }
        });
}

/// Side of the squares in which pictures are turned into tokens and back.
const SQUARE: usize = 16;

/// x · scale + shift of `[batch, channels, area]` as `[batch, area, channels]`.
pub(crate) fn tokens(
    x: &[f32],
    [channels, area]: [usize; 2],
    scale: &[f32],
    shift: &[f32],
) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let bands = area.div_ceil(SQUARE);
    let pictures = out.par_chunks_mut((channels * area).max(1)).enumerate();
    pictures.for_each(|(picture, out)| {
        let x = &x[picture * channels * area..][..channels * area];
        let bands = out.par_chunks_mut(SQUARE * channels).take(bands);
        bands.enumerate().for_each(|(band, out)| {
            let first = band * SQUARE;
            let count = out.len() / channels;
            for start in (0..channels).step_by(SQUARE) {
                let end = (start + SQUARE).min(channels);
                for c in start..end {
                    let index = picture * channels + c;
                    let from = &x[c * area + first..][..count];
                    for (token, x) in from.iter().enumerate() {
                        out[token * channels + c] = x * scale[index] + shift[index];
                    }
                }
            }
        });
    });
    out
}

/// `x` `[batch, channels, area]` plus `tokens` `[batch, area, channels]`.
pub(crate) fn add_tokens(x: &[f32], tokens: &[f32], [channels, area]: [usize; 2]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let band = SQUARE * area;
    let pictures = out.par_chunks_mut((channels * area).max(1)).enumerate();
    pictures.for_each(|(picture, out)| {
        let all = picture * channels * area..(picture + 1) * channels * area;
        let (x, tokens) = (&x[all.clone()], &tokens[all]);
        out.par_chunks_mut(band.max(1))
            .enumerate()
            .for_each(|(index, out)| {
                let first = index * SQUARE;
                let x = &x[first * area..][..out.len()];
                for start in (0..area).step_by(SQUARE) {
                    let end = (start + SQUARE).min(area);
                    for (c, (to, from)) in out.chunks_mut(area).zip(x.chunks(area)).enumerate() {
                        for token in start..end {
                            to[token] = from[token] + tokens[token * channels + first + c];
                        }
                    }
                }
            });
    });
    out
}

/// Layer normalization of each row of `[rows, features]`.
pub(crate) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], eps: f64) -> Vec<f32> {
    struct Row<'a> {
        from: &'a [f32],
        to: &'a mut [f32],
        gamma: &'a [f32],
        beta: &'a [f32],
        moments: (f32, f32),
    }
    impl Kernel for Row<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let (mean, inverse) = self.moments;
            let affine = self.gamma.iter().zip(self.beta);
            for ((to, from), (gamma, beta)) in self.to.iter_mut().zip(self.from).zip(affine) {
                *to = multiply_add::<FUSED>((from - mean) * inverse, *gamma, *beta);
            }
        }
    }
    let length = gamma.len().max(1);
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(length)
        .zip(x.par_chunks(length))
        .zip(moments(x, length, eps))
        .with_min_len((CHUNK / length).max(1))
        .for_each(|((to, from), moments)| {
            dispatch(Row {
                from,
                to,
                gamma,
                beta,
                moments,
            });
        });
    out
}
