//! A box that cuts a scene down to its subject, with sides along the world's axes.

use crate::{Error, Result};
use glam::DVec3;

/// World space; `low` is less than `high` in every axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropBox {
    pub low: DVec3,
    pub high: DVec3,
}

impl CropBox {
    /// From six numbers, two corners, as [`Self`] is displayed. `None` for an empty text: no box.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is something else, or a box without extent.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let words = text.split([' ', ',']).filter(|w| !w.is_empty());
        let numbers: Vec<Option<f64>> = words
            .map(|w| w.parse().ok().filter(|v: &f64| v.is_finite()))
            .collect();
        match numbers[..] {
            [] => Ok(None),
            [Some(x0), Some(y0), Some(z0), Some(x1), Some(y1), Some(z1)]
                if x0 < x1 && y0 < y1 && z0 < z1 =>
            {
                Ok(Some(Self {
                    low: DVec3::new(x0, y0, z0),
                    high: DVec3::new(x1, y1, z1),
                }))
            }
            _ => Err(Error::Invalid(format!(
                "a crop box is six numbers, x y z of its least and its greatest corner, not \"{text}\""
            ))),
        }
    }

    /// The eight corners; bit 0 of an index is x, bit 1 y, bit 2 z.
    pub fn corners(&self) -> [DVec3; 8] {
        std::array::from_fn(|i| {
            let pick = |bit: usize, low: f64, high: f64| if i >> bit & 1 == 0 { low } else { high };
            DVec3::new(
                pick(0, self.low.x, self.high.x),
                pick(1, self.low.y, self.high.y),
                pick(2, self.low.z, self.high.z),
            )
        })
    }
}

impl std::fmt::Display for CropBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [x0, y0, z0] = self.low.to_array();
        let [x1, y1, z1] = self.high.to_array();
        write!(f, "{x0} {y0} {z0} {x1} {y1} {z1}")
    }
}
