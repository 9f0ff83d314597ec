//! The blocks of a Luxen in float64, as plainly as their papers state them: what the kernels are compared with, itself
//! compared with the references.

use luxedit::luxen::{Batch, CELLS, GridLevel};

pub type V3 = [f64; 3];

fn hash(vertex: [u32; 3]) -> u32 {
    vertex[0] ^ vertex[1].wrapping_mul(2_654_435_761) ^ vertex[2].wrapping_mul(805_459_861)
}

fn row(level: &GridLevel, vertex: [u32; 3]) -> usize {
    let index = if level.is_dense != 0 {
        vertex[0] + level.resolution * (vertex[1] + level.resolution * vertex[2])
    } else {
        hash(vertex)
    };
    (level.first + index % level.entries) as usize
}

/// The eight corners of `x`'s cell at a level: row, weight, d weight / d x.
fn corners(level: &GridLevel, shift: f64, x: V3) -> [(usize, f64, V3); 8] {
    let scale = f64::from(level.scale);
    let at = x.map(|v| v * scale + shift);
    let low = at.map(f64::floor);
    std::array::from_fn(|corner| {
        let upper = [0, 1, 2].map(|axis| corner >> axis & 1);
        let vertex = [0, 1, 2].map(|axis| low[axis] as u32 + upper[axis] as u32);
        let parts = [0, 1, 2].map(|axis| {
            let share = at[axis] - low[axis];
            if upper[axis] == 1 {
                (share, scale)
            } else {
                (1.0 - share, -scale)
            }
        });
        let weight = parts[0].0 * parts[1].0 * parts[2].0;
        let slope = [
            parts[0].1 * parts[1].0 * parts[2].0,
            parts[0].0 * parts[1].1 * parts[2].0,
            parts[0].0 * parts[1].0 * parts[2].1,
        ];
        (row(level, vertex), weight, slope)
    })
}

/// A feature as a table in half precision keeps it: as an f16, in units of 1/64.
pub fn halved(feature: f64) -> f64 {
    let most = half::f16::MAX.to_f64();
    let scaled = (64.0 * feature).clamp(-most, most);
    half::f16::from_f64(scaled).to_f64() / 64.0
}

/// Two features a level.
pub fn encode(levels: &[GridLevel], shift: f64, table: &[f64], x: V3) -> Vec<f64> {
    let mut features = Vec::with_capacity(2 * levels.len());
    for level in levels {
        let mut sum = [0.0; 2];
        for (row, weight, _) in corners(level, shift, x) {
            sum[0] += weight * table[2 * row];
            sum[1] += weight * table[2 * row + 1];
        }
        features.extend(sum);
    }
    features
}

/// dL/d(table), added to `d_table`, and dL/dx.
pub fn encode_backward(
    levels: &[GridLevel],
    shift: f64,
    table: &[f64],
    x: V3,
    d: &[f64],
    d_table: &mut [f64],
) -> V3 {
    let mut d_x = [0.0; 3];
    for (level, d) in levels.iter().zip(d.chunks_exact(2)) {
        for (row, weight, slope) in corners(level, shift, x) {
            for f in 0..2 {
                d_table[2 * row + f] += weight * d[f];
                for axis in 0..3 {
                    d_x[axis] += slope[axis] * table[2 * row + f] * d[f];
                }
            }
        }
    }
    d_x
}

/// tiny-cuda-nn's sixteen harmonics (signs of 3D Gaussian Splatting).
pub fn harmonics([x, y, z]: V3) -> [f64; 16] {
    let (s, c) = (x * y, x * x - y * y);
    [
        0.2820947917738781,
        -0.48860251190292 * y,
        0.48860251190292 * z,
        -0.48860251190292 * x,
        1.0925484305920792 * s,
        -1.0925484305920792 * y * z,
        0.9461746957575601 * z * z - 0.3153915652525201,
        -1.0925484305920792 * x * z,
        0.5462742152960395 * c,
        -0.5900435899266435 * y * (3.0 * x * x - y * y),
        2.890611442640554 * s * z,
        (0.4570457994644658 - 2.285228997322329 * z * z) * y,
        z * (1.865881662950577 * z * z - 1.119528997770346),
        (0.4570457994644658 - 2.285228997322329 * z * z) * x,
        1.445305721320277 * z * c,
        -0.5900435899266435 * x * (x * x - 3.0 * y * y),
    ]
}

/// All of space into a cube of side 4.
pub fn contract(x: V3) -> V3 {
    let norm = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if norm <= 1.0 {
        return x;
    }
    x.map(|v| (2.0 - 1.0 / norm) * v / norm)
}

/// dL/dx of [`contract`].
pub fn contract_backward(x: V3, d: V3) -> V3 {
    let norm = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if norm <= 1.0 {
        return d;
    }
    let factor = 2.0 / norm - 1.0 / (norm * norm);
    let slope = -2.0 / (norm * norm) + 2.0 / norm.powi(3);
    let along: f64 = x.iter().zip(d).map(|(x, d)| x * d).sum();
    let largest = x.iter().position(|v| v.abs() == norm).unwrap();
    std::array::from_fn(|axis| {
        let through_norm = if axis == largest {
            slope * x[axis].signum() * along
        } else {
            0.0
        };
        factor * d[axis] + through_norm
    })
}

pub fn spacing(x: f64) -> f64 {
    if x < 1.0 { x / 2.0 } else { 1.0 - 0.5 / x }
}

fn spacing_inverse(s: f64) -> f64 {
    if s < 0.5 { 2.0 * s } else { 0.5 / (1.0 - s) }
}

/// Distance of a bin edge; the planes are given after [`spacing`].
pub fn distance(u: f64, near: f64, far: f64) -> f64 {
    spacing_inverse(u * far + (1.0 - u) * near)
}

/// First and last bin edge of the part of a ray that may see something: a walk in steps of a cell's side through a box of
/// `CELLS`³ cells, a step more at both ends. `None`: nothing.
pub fn span(
    origin: V3,
    direction: V3,
    half_side: f64,
    [near, far]: [f64; 2],
    is_occupied: impl Fn([usize; 3]) -> bool,
) -> Option<[f64; 2]> {
    let side = 2.0 * half_side / f64::from(CELLS);
    let (mut enter, mut leave) = (near, far);
    for k in 0..3 {
        let planes = [-half_side, half_side].map(|plane| (plane - origin[k]) / direction[k]);
        enter = enter.max(planes[0].min(planes[1]));
        leave = leave.min(planes[0].max(planes[1]));
    }
    let middles = (0..).map(|i| enter + (f64::from(i) + 0.5) * side);
    let occupied: Vec<f64> = middles
        .take_while(|&t| t < leave)
        .filter(|t| {
            is_occupied([0, 1, 2].map(|k| {
                let at = (origin[k] + t * direction[k] + half_side) / side;
                at.clamp(0.0, f64::from(CELLS - 1)) as usize
            }))
        })
        .collect();
    let begin = (occupied.first()? - 1.5 * side).max(enter);
    let end = (occupied.last()? + 1.5 * side).min(leave);
    let [low, high] = [spacing(near), spacing(far)];
    Some([begin, end].map(|t| (spacing(t) - low) / (high - low)))
}

/// New edges from a histogram; `at(k, n)` places edge k of n in [0, 1).
pub fn resample(
    edges: &[f64],
    weights: &[f64],
    samples: usize,
    at: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let mut padded: Vec<f64> = weights.iter().map(|w| w + 0.01).collect();
    let missing = (1e-5 - padded.iter().sum::<f64>()).max(0.0);
    for w in &mut padded {
        *w += missing / weights.len() as f64;
    }
    let sum: f64 = padded.iter().sum();
    let mut cdf = vec![0.0];
    for w in &padded {
        cdf.push((cdf[cdf.len() - 1] + w / sum).min(1.0));
    }
    let last = edges.len() - 1;
    (0..=samples)
        .map(|k| {
            let u = at(k, samples + 1);
            let above = cdf.partition_point(|&c| c <= u);
            let (low, high) = ((above - 1).min(last), above.min(last));
            let width = cdf[high] - cdf[low];
            let share = if width > 0.0 {
                ((u - cdf[low]) / width).clamp(0.0, 1.0)
            } else {
                0.0
            };
            edges[low] + share * (edges[high] - edges[low])
        })
        .collect()
}

/// Weights and the transmittance before each sample.
pub fn composite(density: &[f64], delta: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut depth = 0.0;
    let mut result = (Vec::new(), Vec::new());
    for (sigma, delta) in density.iter().zip(delta) {
        let before = f64::exp(-depth);
        result.0.push(before * (1.0 - (-sigma * delta).exp()));
        result.1.push(before);
        depth += sigma * delta;
    }
    result
}

/// dL/d(density) from dL/d(weight).
pub fn composite_backward(density: &[f64], delta: &[f64], d_weight: &[f64]) -> Vec<f64> {
    let (weights, before) = composite(density, delta);
    (0..density.len())
        .map(|i| {
            let after = before[i] - weights[i];
            let behind: f64 = (i + 1..density.len())
                .map(|j| d_weight[j] * weights[j])
                .sum();
            delta[i] * (d_weight[i] * after - behind)
        })
        .collect()
}

/// A ray's distortion, and its gradient in the weights.
pub fn distortion(edges: &[f64], weights: &[f64]) -> (f64, Vec<f64>) {
    let n = weights.len();
    let middle = |i: usize| 0.5 * (edges[i] + edges[i + 1]);
    let mut loss = 0.0;
    let mut gradient = vec![0.0; n];
    for i in 0..n {
        for j in 0..n {
            let apart = (middle(i) - middle(j)).abs();
            loss += weights[i] * weights[j] * apart;
            gradient[i] += 2.0 * weights[j] * apart;
        }
        let width = edges[i + 1] - edges[i];
        loss += weights[i] * weights[i] * width / 3.0;
        gradient[i] += 2.0 / 3.0 * weights[i] * width;
    }
    (loss, gradient)
}

/// A ray's interlevel loss summed over the final samples, and its gradient in the proposal's weights.
pub fn interlevel(
    edges: &[f64],
    weights: &[f64],
    proposal_edges: &[f64],
    proposal: &[f64],
) -> (f64, Vec<f64>) {
    let m = proposal.len();
    let mut loss = 0.0;
    let mut gradient = vec![0.0; m];
    for (i, w) in weights.iter().enumerate() {
        let low = proposal_edges[..m].partition_point(|&e| e <= edges[i]);
        let low = low.saturating_sub(1);
        let high = proposal_edges[1..].partition_point(|&e| e <= edges[i + 1]);
        let high = high.min(m - 1);
        let outer: f64 = proposal[low..=high].iter().sum();
        let excess = (w - outer).max(0.0);
        loss += excess * excess / (w + 1e-7);
        for g in &mut gradient[low..=high] {
            *g -= 2.0 * excess / (w + 1e-7);
        }
    }
    (loss, gradient)
}

/// The kernels' random numbers.
pub fn random(batch: &Batch, ray: u32, purpose: u32) -> f64 {
    fn pcg(value: u32) -> u32 {
        let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
        (word >> 22) ^ word
    }
    let key = pcg(purpose.wrapping_add(pcg(batch.step ^ pcg(batch.seed))));
    f64::from(pcg(ray ^ key) >> 8) / f64::from(1 << 24)
}
