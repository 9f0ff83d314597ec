//! Animated GIF: the one moving picture that every page shows without a player. Each frame brings its own palette (a
//! scene on a turn has other colors every moment), found by NeuQuant, which takes longer than drawing the frame: as many
//! frames as there are threads are encoded together, and no more than those are ever in memory.

use super::atomic::AtomicFile;
use crate::{Error, Result, scene::Photo};
use gif::{Encoder, Frame, Repeat};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Every how many pixels NeuQuant looks at one: the best palettes cost 1, this is where they stop to look better.
const QUANTIZER_STRIDE: i32 = 8;

/// An endless loop that is being written, frame by frame. It appears under its name when it is whole.
pub struct GifWriter {
    path: PathBuf,
    delay_centisecs: u16,
    /// From the first frame on, which says how large they are.
    encoder: Option<Encoder<AtomicFile>>,
    size: (u16, u16),
    /// To be encoded.
    waiting: Vec<Photo>,
}

impl GifWriter {
    /// Each frame is shown for `delay_centisecs` hundredths of a second.
    pub fn begin(path: &Path, delay_centisecs: u16) -> Self {
        Self {
            path: path.to_owned(),
            delay_centisecs,
            encoder: None,
            size: (0, 0),
            waiting: Vec::new(),
        }
    }

    /// # Errors
    /// The frame has another size than the first, or exceeds the format's 65535 pixels a side; the file cannot be written.
    pub fn add(&mut self, photo: Photo) -> Result<()> {
        let side = |n: u32| {
            u16::try_from(n).map_err(|_| {
                Error::file(
                    &self.path,
                    "a GIF has no more than 65535 pixels a side; choose a smaller --size",
                )
            })
        };
        let size = (side(photo.width)?, side(photo.height)?);
        if self.encoder.is_none() {
            let file = AtomicFile::begin(&self.path)?;
            let mut encoder =
                Encoder::new(file, size.0, size.1, &[]).map_err(unwritten(&self.path))?;
            encoder
                .set_repeat(Repeat::Infinite)
                .map_err(unwritten(&self.path))?;
            self.encoder = Some(encoder);
            self.size = size;
        } else if size != self.size {
            return Err(Error::file(
                &self.path,
                "the pictures of an animation must have one size",
            ));
        }
        self.waiting.push(photo);
        if self.waiting.len() < rayon::current_num_threads() {
            return Ok(());
        }
        self.encode()
    }

    /// # Errors
    /// There was no frame, or the file cannot be written; one that was there before stays as it was.
    pub fn finish(mut self) -> Result<()> {
        self.encode()?;
        let Some(encoder) = self.encoder else {
            return Err(Error::file(
                &self.path,
                "an animation needs at least one picture",
            ));
        };
        let file = encoder.into_inner().map_err(unwritten(&self.path))?;
        file.commit()
    }

    fn encode(&mut self) -> Result<()> {
        let Self {
            path,
            delay_centisecs,
            encoder,
            size: (width, height),
            waiting,
        } = self;
        let encoded: Vec<Frame<'static>> = waiting
            .par_iter()
            .map(|photo| {
                let mut frame =
                    Frame::from_rgb_speed(*width, *height, &photo.rgb, QUANTIZER_STRIDE);
                frame.delay = *delay_centisecs;
                frame.make_lzw_pre_encoded();
                frame
            })
            .collect();
        waiting.clear();
        if let Some(encoder) = encoder {
            for frame in &encoded {
                encoder
                    .write_lzw_pre_encoded_frame(frame)
                    .map_err(unwritten(path))?;
            }
        }
        Ok(())
    }
}

fn unwritten(path: &Path) -> impl FnOnce(gif::EncodingError) -> Error {
    let error = Error::io(path);
    |problem| error(std::io::Error::other(problem))
}
