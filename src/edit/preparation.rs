//! What a graphics card does once: the first time that it meets a size, several kernels are compiled and timed for each
//! operation and the quickest is kept. That takes from seconds to minutes, within operations that look like any other, so
//! that a person who is not told would think that the edit hangs. It happens where the edit runs, on the worker's thread;
//! the window goes on.

use super::{EditUpdate, Watch};
use std::collections::HashSet;

/// Height and width of pictures, and how many are edited at once.
pub(super) type Size = ([usize; 2], usize);

/// Which sizes of picture a card is prepared for.
pub(super) struct Preparation {
    is_needed: bool,
    sizes: HashSet<Size>,
}

/// A part of an edit that has kernels of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Instruction,
    Photo,
    FirstStep,
    Picture,
}

impl Stage {
    const COUNT: u32 = 4;

    fn text(self) -> String {
        let (number, what) = match self {
            Self::Instruction => (1, "reading the instruction"),
            Self::Photo => (2, "encoding the photo"),
            Self::FirstStep => (3, "the first denoising step"),
            Self::Picture => (4, "decoding the picture"),
        };
        format!(
            "preparing the edit model for pictures of this size, once in each run ({number} of {}: {what})",
            Self::COUNT
        )
    }
}

impl Preparation {
    /// `is_needed`: the networks run on a graphics card.
    pub fn new(is_needed: bool) -> Self {
        Self {
            is_needed,
            sizes: HashSet::new(),
        }
    }

    /// Whether `size` is still to be prepared for.
    pub fn lacks(&self, size: Size) -> bool {
        self.is_needed && !self.sizes.contains(&size)
    }

    pub fn finish(&mut self, size: Size) {
        self.sizes.insert(size);
    }
}

/// Tell of `stage` where it `is_first`.
pub(super) fn tell(watch: &mut Watch<'_>, is_first: bool, stage: Stage) {
    if is_first {
        (watch.on_update)(EditUpdate::Preparing(stage.text()));
    }
}
