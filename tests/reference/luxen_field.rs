//! A whole Luxen in float64, forwards only: its gradients come from finite differences, so that no kernel's way back is
//! checked against a copy of itself.

use crate::luxen_twin as twin;
use luxedit::luxen::{Background, Batch, FieldShape, LayerWeights, LuxenConfig, ProposalLayout};
use twin::V3;

/// A training ray.
#[derive(Clone, Debug)]
pub struct Ray {
    pub origin: V3,
    pub direction: V3,
    pub color: V3,
    pub weight: f64,
    pub view: usize,
}

/// Parameters as the buffers have them, in float64.
#[derive(Clone)]
pub struct Field<'a> {
    pub config: &'a LuxenConfig,
    pub shape: &'a FieldShape,
    pub groups: Vec<Vec<f64>>,
}

fn layer(values: &[f64], w: &LayerWeights, input: &[f64]) -> Vec<f64> {
    (0..w.rows)
        .map(|row| {
            let bias = w.bias.map_or(0.0, |(first, stride)| {
                values[(first + row * stride) as usize]
            });
            let weighted: f64 = (0..w.columns)
                .map(|column| {
                    let at = w.first + row * w.row_stride + column * w.column_stride;
                    values[at as usize] * input[column as usize]
                })
                .sum();
            bias + weighted
        })
        .collect()
}

fn relu(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|v| v.max(0.0)).collect()
}

impl Field<'_> {
    fn features(&self, level: usize, point: V3) -> Vec<f64> {
        let grid = &self.shape.grids[level];
        let unit = twin::contract(point).map(|v| v / 4.0 + 0.5);
        twin::encode(
            &grid.levels,
            f64::from(grid.shift),
            &self.groups[2 * level],
            unit,
        )
    }

    pub fn proposal(&self, level: usize, point: V3) -> f64 {
        let network = &self.groups[2 * level + 1];
        let [hidden, out] = ProposalLayout::layers();
        let h = relu(layer(
            network,
            &hidden.weights,
            &self.features(level, point),
        ));
        self.config.average_density * layer(network, &out.weights, &h)[0].exp()
    }

    pub fn radiance(&self, point: V3, direction: V3, view: usize) -> (f64, V3) {
        let network = &self.groups[5];
        let [base, geometry, head, head2, color, ray] = self.shape.layout.layers();
        let h = relu(layer(network, &base.weights, &self.features(2, point)));
        let out = layer(network, &geometry.weights, &h);
        let mut input = twin::harmonics(direction).to_vec();
        input.extend_from_slice(&self.groups[6][32 * view..32 * view + 32]);
        let from_ray = layer(network, &ray.weights, &input);
        let first = layer(network, &head.weights, &out[1..])
            .iter()
            .zip(from_ray)
            .map(|(a, b)| a + b)
            .collect();
        let second = relu(layer(network, &head2.weights, &relu(first)));
        let logits = layer(network, &color.weights, &second);
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        (
            self.config.average_density * out[0].exp(),
            [0, 1, 2].map(|c| sigmoid(logits[c])),
        )
    }

    pub fn density(&self, point: V3) -> f64 {
        self.radiance(point, [0.0, 0.0, 1.0], 0).0
    }

    fn distances(&self, bins: &[f64]) -> Vec<f64> {
        let (near, far) = (
            twin::spacing(self.config.near),
            twin::spacing(self.config.far),
        );
        bins.iter().map(|&u| twin::distance(u, near, far)).collect()
    }

    fn along<T>(&self, ray: &Ray, bins: &[f64], at: impl Fn(V3) -> T) -> (Vec<f64>, Vec<T>) {
        let edges = self.distances(bins);
        let delta = edges.windows(2).map(|e| e[1] - e[0]).collect();
        let values = edges
            .windows(2)
            .map(|e| {
                let t = 0.5 * (e[0] + e[1]);
                at([0, 1, 2].map(|k| ray.origin[k] + t * ray.direction[k]))
            })
            .collect();
        (delta, values)
    }

    pub fn proposal_weights(&self, level: usize, ray: &Ray, bins: &[f64]) -> Vec<f64> {
        let (delta, density) = self.along(ray, bins, |p| self.proposal(level, p));
        twin::composite(&density, &delta).0
    }

    /// Weights, and the ray's color.
    pub fn final_weights(&self, ray: &Ray, bins: &[f64]) -> (Vec<f64>, V3) {
        let (delta, samples) = self.along(ray, bins, |p| self.radiance(p, ray.direction, ray.view));
        let density: Vec<f64> = samples.iter().map(|s| s.0).collect();
        let weights = twin::composite(&density, &delta).0;
        let background = match self.config.background {
            Background::LastSample => samples[samples.len() - 1].1,
            Background::Fixed(color) => color.map(f64::from),
        };
        let opacity: f64 = weights.iter().sum();
        let color = [0, 1, 2].map(|c| {
            let sum: f64 = weights.iter().zip(&samples).map(|(w, s)| w * s.1[c]).sum();
            sum + (1.0 - opacity) * background[c]
        });
        (weights, color)
    }

    /// Bins of all levels while training: what the kernels draw.
    pub fn bins(&self, ray: &Ray, number: u32, batch: &Batch) -> [Vec<f64>; 3] {
        let [n0, n1, n2] = self.config.samples.map(|n| n as usize);
        let share = twin::random(batch, number, 3);
        let width = 1.0 / n0 as f64;
        let first: Vec<f64> = (0..=n0)
            .map(|i| {
                let edge = i as f64 * width;
                let (low, high) = ((edge - width / 2.0).max(0.0), (edge + width / 2.0).min(1.0));
                low + (high - low) * share
            })
            .collect();
        let next = |level: usize, bins: &[f64], samples: usize| {
            let weights: Vec<f64> = self
                .proposal_weights(level, ray, bins)
                .iter()
                .map(|w| w.powf(f64::from(batch.anneal)))
                .collect();
            let shift = twin::random(batch, number, 16 + samples as u32);
            twin::resample(bins, &weights, samples, |k, n| {
                (k as f64 + shift) / n as f64
            })
        };
        let second = next(0, &first, n1);
        let third = next(1, &second, n2);
        [first, second, third]
    }

    /// The step's loss on given bins; `frozen`: final weights as the proposals see them.
    pub fn loss(&self, rays: &[Ray], bins: &[[Vec<f64>; 3]], frozen: &[Vec<f64>]) -> f64 {
        let count = rays.len() as f64;
        let mut total = 0.0;
        for ((ray, bins), frozen) in rays.iter().zip(bins).zip(frozen) {
            let (weights, color) = self.final_weights(ray, &bins[2]);
            let squared: f64 = (0..3).map(|c| (color[c] - ray.color[c]).powi(2)).sum();
            total += ray.weight * squared / (3.0 * count);
            total +=
                self.config.loss.distortion_weight * twin::distortion(&bins[2], &weights).0 / count;
            for level in 0..2 {
                let proposal = self.proposal_weights(level, ray, &bins[level]);
                let excess = twin::interlevel(&bins[2], frozen, &bins[level], &proposal).0;
                total +=
                    self.config.loss.interlevel_weight * excess / (count * frozen.len() as f64);
            }
        }
        total
    }
}
