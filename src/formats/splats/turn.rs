//! Turning, scaling and moving splats, spherical harmonics included: tools disagree about which way is up, and glTF nodes
//! carry transforms. A rotation of a band of real spherical harmonics is linear in its coefficients; the matrix is found
//! by evaluating the band before and after in enough directions.

use crate::scene::Splats;
use glam::{DMat3, DMat4, DQuat, DVec3};

/// A change of frame that keeps angles: `x ↦ scale · turn · x + translation`.
#[derive(Clone, Copy, Debug)]
pub struct Similarity {
    pub scale: f64,
    /// Orthogonal. Its determinant is −1 for a mirror.
    pub turn: DMat3,
    pub translation: DVec3,
}

impl Similarity {
    pub const IDENTITY: Self = Self {
        scale: 1.0,
        turn: DMat3::IDENTITY,
        translation: DVec3::ZERO,
    };

    /// Half a turn about axis 0, 1 or 2: the other two axes change sign.
    pub fn half_turn(axis: usize) -> Self {
        let mut diagonal = [-1.0; 3];
        if let Some(kept) = diagonal.get_mut(axis) {
            *kept = 1.0;
        }
        Self {
            turn: DMat3::from_diagonal(DVec3::from_array(diagonal)),
            ..Self::IDENTITY
        }
    }

    /// `None` where the matrix stretches one direction more than another, is singular, or projective.
    pub fn of_matrix(matrix: DMat4) -> Option<Self> {
        let linear = DMat3::from_mat4(matrix);
        let scale = linear.determinant().abs().cbrt();
        if !(scale.is_finite() && scale > 0.0) || matrix.row(3).truncate().length() > 1e-6 {
            return None;
        }
        let turn = linear * (1.0 / scale);
        let rest = turn * turn.transpose() - DMat3::IDENTITY;
        let largest = rest
            .to_cols_array()
            .into_iter()
            .map(f64::abs)
            .fold(0.0, f64::max);
        (largest < 1e-4).then_some(Self {
            scale,
            turn,
            translation: matrix.w_axis.truncate(),
        })
    }

    pub fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.turn == DMat3::IDENTITY && self.translation == DVec3::ZERO
    }

    /// Change the frame of `splats`.
    pub fn apply(&self, splats: &mut Splats) {
        if self.is_identity() {
            return;
        }
        let Self {
            scale,
            turn,
            translation,
        } = *self;
        for mean in splats.means.as_chunks_mut::<3>().0 {
            let p = turn * DVec3::from_array(mean.map(f64::from)) * scale + translation;
            *mean = p.to_array().map(|v| v as f32);
        }
        // An ellipsoid is its own mirror image through its centre.
        let proper = if turn.determinant() < 0.0 {
            -turn
        } else {
            turn
        };
        let quat = DQuat::from_mat3(&proper);
        for q in splats.quats.as_chunks_mut::<4>().0 {
            let [w, x, y, z] = q.map(f64::from);
            let r = quat * DQuat::from_xyzw(x, y, z, w);
            *q = [r.w, r.x, r.y, r.z].map(|v| v as f32);
        }
        if scale != 1.0 {
            let log = scale.ln() as f32;
            splats.log_scales.iter_mut().for_each(|v| *v += log);
        }
        turn_sh(splats, turn);
    }
}

fn turn_sh(splats: &mut Splats, turn: DMat3) {
    let width = splats.rest_count() * 3;
    if width == 0 || turn == DMat3::IDENTITY {
        return;
    }
    let bands: Vec<(usize, Vec<f64>)> = (1..=splats.sh_degree as usize)
        .map(|band| (band, band_matrix(band, turn)))
        .collect();
    let mut old = vec![0.0; width];
    for rest in splats.sh_rest.chunks_exact_mut(width) {
        for (to, from) in old.iter_mut().zip(rest.iter()) {
            *to = f64::from(*from);
        }
        for (band, matrix) in &bands {
            let (first, m) = (band * band - 1, 2 * band + 1);
            for row in 0..m {
                for channel in 0..3 {
                    let sum: f64 = (0..m)
                        .map(|k| matrix[row * m + k] * old[(first + k) * 3 + channel])
                        .sum();
                    rest[(first + row) * 3 + channel] = sum as f32;
                }
            }
        }
    }
}

/// `[2·band + 1]²`, row-major: the coefficients of the turned function from those of the original.
fn band_matrix(band: usize, turn: DMat3) -> Vec<f64> {
    const DIRECTIONS: usize = 48;
    let m = 2 * band + 1;
    // Least squares: (BᵀB) M = BᵀC, with B the band in the directions and C in the directions turned back.
    let mut normal = vec![0.0; m * m];
    let mut right = vec![0.0; m * m];
    for i in 0..DIRECTIONS {
        let z = 1.0 - (2.0 * i as f64 + 1.0) / DIRECTIONS as f64;
        let angle = i as f64 * 2.399_963_229_728_653;
        let r = (1.0 - z * z).sqrt();
        let direction = DVec3::new(r * angle.cos(), r * angle.sin(), z);
        let after = &basis(direction)[band * band - 1..][..m];
        let before = &basis(turn.transpose() * direction)[band * band - 1..][..m];
        for row in 0..m {
            for column in 0..m {
                normal[row * m + column] += after[row] * after[column];
                right[row * m + column] += after[row] * before[column];
            }
        }
    }
    solve(&mut normal, &mut right, m);
    for v in &mut right {
        // Quarter and half turns only swap signs and places: keep those exact.
        if (*v - v.round()).abs() < 1e-12 {
            *v = v.round();
        }
    }
    right
}

/// Gauss–Jordan of the symmetric positive `a`; `b` becomes `a⁻¹ b`.
fn solve(a: &mut [f64], b: &mut [f64], m: usize) {
    for pivot in 0..m {
        let inverse = 1.0 / a[pivot * m + pivot];
        for k in 0..m {
            a[pivot * m + k] *= inverse;
            b[pivot * m + k] *= inverse;
        }
        for row in (0..m).filter(|&row| row != pivot) {
            let factor = a[row * m + pivot];
            for k in 0..m {
                a[row * m + k] -= factor * a[pivot * m + k];
                b[row * m + k] -= factor * b[pivot * m + k];
            }
        }
    }
}

/// Bands 1 to 3 in the unit direction `d`, with the field's signs and order.
fn basis(d: DVec3) -> [f64; 15] {
    let DVec3 { x, y, z } = d;
    let (xx, yy, zz) = (x * x, y * y, z * z);
    [
        -0.488_602_511_902_919_9 * y,
        0.488_602_511_902_919_9 * z,
        -0.488_602_511_902_919_9 * x,
        1.092_548_430_592_079_2 * x * y,
        -1.092_548_430_592_079_2 * y * z,
        0.315_391_565_252_520_05 * (2.0 * zz - xx - yy),
        -1.092_548_430_592_079_2 * x * z,
        0.546_274_215_296_039_6 * (xx - yy),
        -0.590_043_589_926_643_5 * y * (3.0 * xx - yy),
        2.890_611_442_640_554 * x * y * z,
        -0.457_045_799_464_465_8 * y * (4.0 * zz - xx - yy),
        0.373_176_332_590_115_4 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy),
        -0.457_045_799_464_465_8 * x * (4.0 * zz - xx - yy),
        1.445_305_721_320_277 * z * (xx - yy),
        -0.590_043_589_926_643_5 * x * (xx - 3.0 * yy),
    ]
}
