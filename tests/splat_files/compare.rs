//! How far two scenes are apart, value by value, in units that a format's rounding is known in.

use luxedit::scene::Splats;

/// Largest differences.
#[derive(Clone, Copy, Debug)]
pub struct Differences {
    /// Of the scene's extent.
    pub place: f32,
    /// Radians, up to sign.
    pub rotation: f32,
    /// Of log scales.
    pub scale: f32,
    /// Of opacities in [0, 1].
    pub opacity: f32,
    /// Of colours, 1 for the full range.
    pub color: f32,
    pub sh: f32,
}

impl Differences {
    /// Of splat `order[i]` of `a` and splat `i` of `b`, over the bands that both have.
    pub fn of(a: &Splats, b: &Splats, order: &[usize]) -> Self {
        assert_eq!(b.len(), order.len());
        assert!(a.is_consistent() && b.is_consistent());
        let extent = (0..3)
            .map(|k| {
                let axis = || a.means.iter().skip(k).step_by(3).copied();
                axis().fold(f32::MIN, f32::max) - axis().fold(f32::MAX, f32::min)
            })
            .fold(0.0, f32::max);
        let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
        let mut most = Self {
            place: 0.0,
            rotation: 0.0,
            scale: 0.0,
            opacity: 0.0,
            color: 0.0,
            sh: 0.0,
        };
        let bands = a.rest_count().min(b.rest_count()) * 3;
        for (j, &i) in order.iter().enumerate() {
            let triple = |list: &[f32], i: usize| [list[i * 3], list[i * 3 + 1], list[i * 3 + 2]];
            let apart =
                |x: [f32; 3], y: [f32; 3]| (0..3).map(|k| (x[k] - y[k]).abs()).fold(0.0, f32::max);
            most.place = most
                .place
                .max(apart(triple(&a.means, i), triple(&b.means, j)) / extent);
            most.scale = most
                .scale
                .max(apart(triple(&a.log_scales, i), triple(&b.log_scales, j)));
            let color = |list: &[f32], i: usize| triple(list, i).map(|dc| 0.5 + 0.282_094_8 * dc);
            most.color = most
                .color
                .max(apart(color(&a.sh_dc, i), color(&b.sh_dc, j)));
            let opacity = sigmoid(a.logit_opacities[i]) - sigmoid(b.logit_opacities[j]);
            most.opacity = most.opacity.max(opacity.abs());
            most.rotation = most
                .rotation
                .max(angle(&a.quats[i * 4..][..4], &b.quats[j * 4..][..4]));
            let rest = |s: &Splats, i: usize, k: usize| s.sh_rest[i * s.rest_count() * 3 + k];
            for k in 0..bands {
                most.sh = most.sh.max((rest(a, i, k) - rest(b, j, k)).abs());
            }
        }
        most
    }

    #[track_caller]
    pub fn assert_within(&self, limits: Self, what: &str) {
        println!("{what}: {self:?}");
        for (name, value, limit) in [
            ("place", self.place, limits.place),
            ("rotation", self.rotation, limits.rotation),
            ("scale", self.scale, limits.scale),
            ("opacity", self.opacity, limits.opacity),
            ("color", self.color, limits.color),
            ("sh", self.sh, limits.sh),
        ] {
            assert!(
                value <= limit,
                "{what}: {name} differs by {value}, more than {limit}"
            );
        }
    }
}

/// Between the rotations of two quaternions of any length.
fn angle(a: &[f32], b: &[f32]) -> f32 {
    let wide = |q: &[f32]| -> Vec<f64> { q.iter().map(|&v| f64::from(v)).collect() };
    let (a, b) = (wide(a), wide(b));
    let length = |q: &[f64]| q.iter().map(|v| v * v).sum::<f64>().sqrt();
    let (la, lb) = (length(&a), length(&b));
    let apart = |sign: f64| -> f64 {
        let difference: Vec<f64> = a
            .iter()
            .zip(&b)
            .map(|(x, y)| x / la - sign * y / lb)
            .collect();
        length(&difference)
    };
    (4.0 * (apart(1.0).min(apart(-1.0)) / 2.0).min(1.0).asin()) as f32
}
