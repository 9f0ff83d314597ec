//! The arithmetic that splat files share: activations, colours, packed rotations, and what to do with values that no
//! renderer can draw. In one place, so that two formats never disagree about the same byte.

use crate::scene::Splats;
use crate::{Error, Result};
use std::path::Path;

/// The zeroth real spherical harmonic, 1 / (2 √π).
pub const SH_C0: f32 = 0.282_094_8;

/// Opacities of files stay this far from 0 and 1, whose logits are infinite.
const OPACITY_MARGIN: f64 = 1e-6;

/// What stands for ±∞ in an opacity before the sigmoid: 0 and 1 in f32.
const MAX_LOGIT: f32 = 20.0;
/// What stands for −∞ in a log scale, the logarithm of 0 that flat splats have.
const MIN_LOG_SCALE: f32 = -20.0;

/// Opacity before the sigmoid, of one in [0, 1].
pub fn logit(opacity: f32) -> f32 {
    let p = f64::from(opacity).clamp(OPACITY_MARGIN, 1.0 - OPACITY_MARGIN);
    (p / (1.0 - p)).ln() as f32
}

pub fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// The DC coefficient of a colour in [0, 1].
pub fn dc_of_color(color: f32) -> f32 {
    (color - 0.5) / SH_C0
}

pub fn color_of_dc(dc: f32) -> f32 {
    0.5 + SH_C0 * dc
}

/// The nearest of `0..=max` to `x · max`; 0 for NaN.
pub fn unorm(x: f32, max: u32) -> u32 {
    (f64::from(x) * f64::from(max))
        .round()
        .clamp(0.0, f64::from(max)) as u32
}

pub fn unorm8(x: f32) -> u8 {
    unorm(x, 255) as u8
}

/// The unit quaternion in the direction of `q`; the identity where there is none. Component order (w, x, y, z).
pub fn normalized(q: [f32; 4]) -> [f32; 4] {
    let length = q.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 && length.is_finite() {
        q.map(|v| (f64::from(v) / length) as f32)
    } else {
        [1.0, 0.0, 0.0, 0.0]
    }
}

/// A unit quaternion without its largest component, which is positive.
pub struct SmallestThree {
    pub largest: usize,
    /// The other components in order, times √2: in [-1, 1].
    pub others: [f32; 3],
}

impl SmallestThree {
    /// Of a quaternion in any component order.
    pub fn of(q: [f32; 4]) -> Self {
        let q = normalized(q);
        let mut largest = 0;
        for i in 1..4 {
            if q[i].abs() > q[largest].abs() {
                largest = i;
            }
        }
        let factor = std::f32::consts::SQRT_2.copysign(q[largest]);
        let mut others = [0.0; 3];
        let rest = q.iter().enumerate().filter(|&(i, _)| i != largest);
        for (to, (_, &from)) in others.iter_mut().zip(rest) {
            *to = from * factor;
        }
        Self { largest, others }
    }

    /// The unit quaternion in the order that [`Self::of`] was given.
    pub fn quat(&self) -> [f32; 4] {
        let mut q = [0.0; 4];
        let mut rest = self.others.iter();
        let mut sum = 0.0;
        for (i, to) in q.iter_mut().enumerate() {
            if i != self.largest
                && let Some(&other) = rest.next()
            {
                *to = other * std::f32::consts::FRAC_1_SQRT_2;
                sum += *to * *to;
            }
        }
        if let Some(to) = q.get_mut(self.largest) {
            *to = (1.0 - sum).max(0.0).sqrt();
        }
        q
    }
}

/// Splats with room for `n`.
pub fn with_capacity(n: usize, sh_degree: u32) -> Splats {
    Splats {
        sh_degree,
        antialiased: false,
        means: Vec::with_capacity(n * 3),
        quats: Vec::with_capacity(n * 4),
        log_scales: Vec::with_capacity(n * 3),
        logit_opacities: Vec::with_capacity(n),
        sh_dc: Vec::with_capacity(n * 3),
        sh_rest: Vec::with_capacity(n * 3 * Splats::rest_count_of(sh_degree)),
    }
}

/// `from` behind `to`; the lower SH degree of the two is raised with zeros.
pub fn append(to: &mut Splats, mut from: Splats) {
    let degree = to.sh_degree.max(from.sh_degree);
    raise_degree(to, degree);
    raise_degree(&mut from, degree);
    to.means.append(&mut from.means);
    to.quats.append(&mut from.quats);
    to.log_scales.append(&mut from.log_scales);
    to.logit_opacities.append(&mut from.logit_opacities);
    to.sh_dc.append(&mut from.sh_dc);
    to.sh_rest.append(&mut from.sh_rest);
}

fn raise_degree(splats: &mut Splats, degree: u32) {
    let (old, new) = (splats.rest_count() * 3, Splats::rest_count_of(degree) * 3);
    if old == new {
        return;
    }
    let mut sh_rest = vec![0.0; splats.len() * new];
    if old > 0 {
        for (to, from) in sh_rest
            .chunks_exact_mut(new)
            .zip(splats.sh_rest.chunks_exact(old))
        {
            to[..old].copy_from_slice(from);
        }
    }
    splats.sh_rest = sh_rest;
    splats.sh_degree = degree;
}

/// What can be drawn of a file's splats. Opacities of exactly 0 or 1 and scales of exactly 0, whose logarithms are
/// infinite, become finite ones that look the same. Splats with any other value that is not a finite number are left
/// out, and their count is logged.
///
/// # Errors
/// Not one usable splat.
pub fn usable(path: &Path, mut splats: Splats) -> Result<Splats> {
    for v in &mut splats.log_scales {
        if *v == f32::NEG_INFINITY {
            *v = MIN_LOG_SCALE;
        }
    }
    for v in &mut splats.logit_opacities {
        if v.is_infinite() {
            *v = MAX_LOGIT.copysign(*v);
        }
    }
    let n = splats.len();
    let rest = splats.rest_count() * 3;
    let finite = |values: &[f32], i: usize, width: usize| {
        values[i * width..(i + 1) * width]
            .iter()
            .all(|v| v.is_finite())
    };
    let keep: Vec<usize> = (0..n)
        .filter(|&i| {
            finite(&splats.means, i, 3)
                && finite(&splats.quats, i, 4)
                && finite(&splats.log_scales, i, 3)
                && splats.logit_opacities[i].is_finite()
                && finite(&splats.sh_dc, i, 3)
                && finite(&splats.sh_rest, i, rest)
        })
        .collect();
    if keep.is_empty() {
        return Err(Error::file(
            path,
            if n == 0 {
                "holds no splat".to_owned()
            } else {
                format!(
                    "holds no usable splat: {n} records have values that are not finite numbers"
                )
            },
        ));
    }
    if keep.len() == n {
        return Ok(splats);
    }
    log::warn!(
        "{}: {} of {n} splats have values that are not finite numbers; they were left out",
        path.display(),
        n - keep.len()
    );
    Ok(picked(&splats, &keep))
}

/// The splats at `indices`, in that order.
pub fn picked(splats: &Splats, indices: &[usize]) -> Splats {
    let pick = |values: &[f32], width: usize| -> Vec<f32> {
        indices
            .iter()
            .flat_map(|&i| &values[i * width..(i + 1) * width])
            .copied()
            .collect()
    };
    let Splats {
        sh_degree,
        antialiased,
        means,
        quats,
        log_scales,
        logit_opacities,
        sh_dc,
        sh_rest,
    } = splats;
    Splats {
        sh_degree: *sh_degree,
        antialiased: *antialiased,
        means: pick(means, 3),
        quats: pick(quats, 4),
        log_scales: pick(log_scales, 3),
        logit_opacities: pick(logit_opacities, 1),
        sh_dc: pick(sh_dc, 3),
        sh_rest: pick(sh_rest, splats.rest_count() * 3),
    }
}

/// Indices along a space-filling (Morton) curve, so that neighbours in a file are neighbours in space: chunks get tight
/// bounds, textures compress. 21 bits an axis of the scene's bounding box.
pub fn morton_order(splats: &Splats) -> Vec<usize> {
    let means = splats.means.as_chunks::<3>().0;
    let mut min = [f32::INFINITY; 3];
    let mut max = [f32::NEG_INFINITY; 3];
    for mean in means {
        for axis in 0..3 {
            min[axis] = min[axis].min(mean[axis]);
            max[axis] = max[axis].max(mean[axis]);
        }
    }
    let cells = f64::from((1u32 << 21) - 1);
    let mut keyed: Vec<(u64, usize)> = means
        .iter()
        .enumerate()
        .map(|(i, mean)| {
            let mut key = 0;
            for axis in 0..3 {
                let extent = f64::from(max[axis]) - f64::from(min[axis]);
                let t =
                    (f64::from(mean[axis]) - f64::from(min[axis])) / extent.max(f64::MIN_POSITIVE);
                key |= spread((t * cells) as u64) << axis;
            }
            (key, i)
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, i)| i).collect()
}

/// The low 21 bits with two zeros between any two.
fn spread(x: u64) -> u64 {
    let mut x = x & 0x1f_ffff;
    x = (x | x << 32) & 0x001f_0000_0000_ffff;
    x = (x | x << 16) & 0x001f_0000_ff00_00ff;
    x = (x | x << 8) & 0x100f_00f0_0f00_f00f;
    x = (x | x << 4) & 0x10c3_0c30_c30c_30c3;
    (x | x << 2) & 0x1249_2492_4924_9249
}
