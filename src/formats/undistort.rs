//! Straightening photos and masks: one pass from the photo as it lies on the disk to the pinhole picture that is
//! trained on.

use super::distortion::Lens;
use crate::scene::{Intrinsics, Photo};

/// The photo of `lens` as the pinhole camera `straight` ([`Lens::straightened`]) would have taken it, sampled
/// bilinearly. The sizes of `photo` are those of `lens`.
pub fn straighten_photo(photo: &Photo, lens: &Lens, straight: &Intrinsics) -> Photo {
    let mut rgb = Vec::with_capacity(straight.width as usize * straight.height as usize * 3);
    for y in 0..straight.height {
        for x in 0..straight.width {
            let source = lens.source_of(straight, x, y);
            rgb.extend(bilinear(photo, source.x - 0.5, source.y - 0.5));
        }
    }
    Photo::new(straight.width, straight.height, rgb)
}

/// The mask (`width` × `height`, which may differ from the photo's size) in the pixels of `straight`, nearest neighbour.
pub fn straighten_mask(
    (width, height, mask): &(u32, u32, Vec<u8>),
    lens: &Lens,
    straight: &Intrinsics,
) -> Vec<u8> {
    let k = &lens.intrinsics;
    let (scale_x, scale_y) = (
        f64::from(*width) / f64::from(k.width),
        f64::from(*height) / f64::from(k.height),
    );
    let nearest = |v: f64, side: u32| (v.max(0.0) as usize).min(side as usize - 1);
    let mut straightened = Vec::with_capacity(straight.width as usize * straight.height as usize);
    for y in 0..straight.height {
        for x in 0..straight.width {
            let source = lens.source_of(straight, x, y);
            let (column, row) = (
                nearest(source.x * scale_x, *width),
                nearest(source.y * scale_y, *height),
            );
            straightened.push(mask[row * *width as usize + column]);
        }
    }
    straightened
}

/// `x` and `y` in pixels from the centre of the first pixel; the border is repeated.
fn bilinear(photo: &Photo, x: f64, y: f64) -> [u8; 3] {
    let (right, bottom) = (photo.width as usize - 1, photo.height as usize - 1);
    let x = (x as f32).clamp(0.0, right as f32);
    let y = (y as f32).clamp(0.0, bottom as f32);
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(right), (y0 + 1).min(bottom));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let width = photo.width as usize;
    let [a, b, c, d] = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| {
        let i = (y * width + x) * 3;
        &photo.rgb[i..i + 3]
    });
    std::array::from_fn(|channel| {
        let [a, b, c, d] = [a, b, c, d].map(|pixel| f32::from(pixel[channel]));
        let top = a + (b - a) * fx;
        let low = c + (d - c) * fx;
        (top + (low - top) * fy).round() as u8
    })
}
