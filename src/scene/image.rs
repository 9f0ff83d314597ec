//! Two kinds of picture: [`Photo`], eight bits as cameras and edits deliver them, small enough to keep hundreds; and
//! [`FloatImage`], what renders and networks work on. Both are display-referred sRGB values, never linearized: splats
//! and InstructPix2Pix are both trained on them.

use std::sync::Arc;

/// An 8-bit RGB picture, rows top to bottom, shared without copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    pub width: u32,
    pub height: u32,
    /// `[height, width, 3]`.
    pub rgb: Arc<[u8]>,
}

/// An RGB picture of `[height, width, 3]` floats in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct FloatImage {
    pub width: u32,
    pub height: u32,
    pub rgb: Vec<f32>,
}

impl Photo {
    /// # Panics
    /// If `rgb` does not hold `width * height * 3` bytes (a programming error).
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width as usize * height as usize * 3);
        Self {
            width,
            height,
            rgb: rgb.into(),
        }
    }

    pub fn to_float(&self) -> FloatImage {
        FloatImage {
            width: self.width,
            height: self.height,
            rgb: self.rgb.iter().map(|&v| f32::from(v) / 255.0).collect(),
        }
    }

    /// Box average over `divisor`² pixels, sides floored.
    pub fn downscaled(&self, divisor: u32) -> Self {
        if divisor <= 1 {
            return self.clone();
        }
        let (w, h) = (
            (self.width / divisor).max(1),
            (self.height / divisor).max(1),
        );
        let (dx, dy) = (divisor.min(self.width), divisor.min(self.height));
        let mut rgb = Vec::with_capacity(w as usize * h as usize * 3);
        for y in 0..h {
            for x in 0..w {
                let mut sum = [0u32; 3];
                for sy in 0..dy {
                    for sx in 0..dx {
                        let i = ((y * dy + sy) as usize * self.width as usize
                            + (x * dx + sx) as usize)
                            * 3;
                        for c in 0..3 {
                            sum[c] += u32::from(self.rgb[i + c]);
                        }
                    }
                }
                let n = dx * dy;
                rgb.extend(sum.map(|s| ((s + n / 2) / n) as u8));
            }
        }
        Self::new(w, h, rgb)
    }
}

impl FloatImage {
    pub fn new(width: u32, height: u32, rgb: Vec<f32>) -> Self {
        assert_eq!(rgb.len(), width as usize * height as usize * 3);
        Self { width, height, rgb }
    }

    /// Clamped to [0, 1] and rounded to eight bits.
    pub fn to_photo(&self) -> Photo {
        Photo::new(
            self.width,
            self.height,
            self.rgb
                .iter()
                .map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8)
                .collect(),
        )
    }
}
