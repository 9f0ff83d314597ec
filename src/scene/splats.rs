//! A Gaussian-splat scene on the host, in the field's standard parametrization (3D Gaussian Splatting, Kerbl et al.
//! 2023): what files hold, snapshots keep and the trainer starts from.

use serde::{Deserialize, Serialize};

/// `n` splats. SH coefficients are channel-last; degree `d` has `(d+1)²` of them, the first being the DC term.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Splats {
    /// 0 to 3.
    pub sh_degree: u32,
    /// Made to be drawn antialiased: fainter by as much as the blur of the screen widens them (Mip-Splatting, Yu et al.
    /// 2024, as gsplat's `antialiased` has it).
    #[serde(default)]
    pub antialiased: bool,
    /// `[n, 3]`, world units.
    pub means: Vec<f32>,
    /// `[n, 4]`, (w, x, y, z), normalized on use.
    pub quats: Vec<f32>,
    /// `[n, 3]`, natural logarithm of the standard deviations.
    pub log_scales: Vec<f32>,
    /// `[n]`, opacity before the sigmoid.
    pub logit_opacities: Vec<f32>,
    /// `[n, 3]`.
    pub sh_dc: Vec<f32>,
    /// `[n, (d+1)² − 1, 3]`.
    pub sh_rest: Vec<f32>,
}

impl Splats {
    pub fn len(&self) -> usize {
        self.logit_opacities.len()
    }
    pub fn is_empty(&self) -> bool {
        self.logit_opacities.is_empty()
    }
    /// Coefficients a splat and channel beyond the DC term.
    pub fn rest_count(&self) -> usize {
        Self::rest_count_of(self.sh_degree)
    }
    pub fn rest_count_of(sh_degree: u32) -> usize {
        ((sh_degree + 1) * (sh_degree + 1) - 1) as usize
    }
    /// Whether all arrays agree with [`Self::len`] and the degree.
    pub fn is_consistent(&self) -> bool {
        let n = self.len();
        self.sh_degree <= 3
            && self.means.len() == n * 3
            && self.quats.len() == n * 4
            && self.log_scales.len() == n * 3
            && self.sh_dc.len() == n * 3
            && self.sh_rest.len() == n * 3 * self.rest_count()
    }
}
