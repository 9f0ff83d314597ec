//! What frames cost on this adapter, learned from the ones that were drawn. A frame has a part that does not depend on
//! its size (projecting and sorting splats) and one that does; a rule of three from a small frame would take the first
//! for the second, shrink the next frame, and so on down to the smallest.

/// Frames whose pixels differ by less than this share count as of one size.
const SAME_SIZE: f64 = 0.1;
const SIZES: usize = 12;
/// Growth of a known cost when a frame took longer. Frames queue behind the trainer's work: the lesser time is nearer to
/// the true cost.
const FORGETTING: f64 = 1.15;

/// Seconds of frames by their size.
#[derive(Default)]
pub struct FrameCost {
    /// Pixels and seconds, by size.
    samples: Vec<(f64, f64)>,
}

impl FrameCost {
    pub fn add(&mut self, pixels: f64, secs: f64) {
        let pixels = pixels.max(1.0);
        // A cost of fixed + slope × pixels bounds those of other sizes: one slow frame must not keep its size from ever
        // being tried again.
        for (other, known) in &mut self.samples {
            *known = known.min(secs * (*other / pixels).max(1.0));
        }
        let known = self
            .samples
            .iter_mut()
            .find(|(p, _)| (*p - pixels).abs() < SAME_SIZE * pixels);
        match known {
            Some(sample) => *sample = (pixels, secs.min(sample.1 * FORGETTING)),
            None => {
                if self.samples.len() == SIZES {
                    self.samples.clear();
                }
                self.samples.push((pixels, secs));
                self.samples.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
        }
    }

    /// Seconds that do not depend on the size, and seconds a pixel: the line through the smallest and the largest frame.
    /// From one size alone, half of its cost counts as either.
    fn line(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        Some(if last.0 > first.0 {
            let slope = ((last.1 - first.1) / (last.0 - first.0)).max(0.0);
            ((first.1 - slope * first.0).max(0.0), slope)
        } else {
            (0.5 * first.1, 0.5 * first.1 / first.0)
        })
    }

    pub fn is_known(&self) -> bool {
        !self.samples.is_empty()
    }

    /// 0 while nothing is known.
    pub fn secs(&self, pixels: f64) -> f64 {
        self.line()
            .map_or(0.0, |(fixed, slope)| fixed + slope * pixels)
    }
}
