//! Animated GIF: the one moving picture that every page shows without a player. Each frame brings its own palette (a
//! scene on a turn has other colors every moment), found by NeuQuant.

use super::write_atomic;
use crate::{Error, Result, scene::Photo};
use gif::{Encoder, Frame, Repeat};
use rayon::prelude::*;
use std::path::Path;

/// Every how many pixels NeuQuant looks at one: the best palettes cost 1, this is where they stop to look better.
const QUANTIZER_STRIDE: i32 = 8;

/// Write `frames` as an endless loop, each shown for `delay_centisecs` hundredths of a second.
///
/// # Errors
/// There is no frame, the sizes differ or exceed the format's 65535 pixels, or the file cannot be written; one that was
/// there before stays as it was.
pub fn write_gif(path: &Path, frames: &[Photo], delay_centisecs: u16) -> Result<()> {
    let Some(first) = frames.first() else {
        return Err(Error::file(path, "an animation needs at least one picture"));
    };
    if frames
        .iter()
        .any(|f| (f.width, f.height) != (first.width, first.height))
    {
        return Err(Error::file(
            path,
            "the pictures of an animation must have one size",
        ));
    }
    let side = |n: u32| {
        u16::try_from(n).map_err(|_| {
            Error::file(
                path,
                "a GIF has no more than 65535 pixels a side; choose a smaller --size",
            )
        })
    };
    let (width, height) = (side(first.width)?, side(first.height)?);
    let encoded: Vec<Frame<'static>> = frames
        .par_iter()
        .map(|photo| {
            let mut frame = Frame::from_rgb_speed(width, height, &photo.rgb, QUANTIZER_STRIDE);
            frame.delay = delay_centisecs;
            frame.make_lzw_pre_encoded();
            frame
        })
        .collect();
    write_atomic(path, |out| {
        let mut encoder = Encoder::new(out, width, height, &[]).map_err(std::io::Error::other)?;
        encoder
            .set_repeat(Repeat::Infinite)
            .map_err(std::io::Error::other)?;
        for frame in &encoded {
            encoder
                .write_lzw_pre_encoded_frame(frame)
                .map_err(std::io::Error::other)?;
        }
        encoder
            .into_inner()
            .map(|_| ())
            .map_err(std::io::Error::other)
    })
}
