//! The memory that an edit needs, told before it starts. Weights are counted from the files' tables; what lies between
//! layers is counted by walking the networks' shapes as a forward pass does, and taking the largest sum of tensors that
//! are alive together. On the CPU backend that is all there is, beside scratch memory of a fixed size; a graphics card
//! writes down more, the scores of attention among it.

use super::weights::Precision;
use crate::{Error, Result};

/// Scratch memory of products on the CPU: packed factors and a padded band of a picture.
const HOST_SCRATCH: u64 = 32 << 20;

/// Whose memory an edit takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Processor,
    /// A graphics card, and what it keeps weights and the tensors between layers in.
    Card(Precision),
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [
        Self::Processor,
        Self::Card(Precision::Full),
        Self::Card(Precision::Half),
    ];
}

/// Into what parts an edit is cut on a graphics card. The result is the same; small parts take longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Scores of attention that are held at once, elements.
    pub scores: usize,
    /// Output pixels of the autoencoder that a convolution takes at a time.
    pub band: usize,
    /// The text encoder stays in the processor's memory.
    pub text_on_processor: bool,
}

impl Cut {
    /// From the quickest to the smallest.
    pub const ALL: [Self; 5] = [
        Self {
            scores: 1 << 26,
            band: 1 << 17,
            text_on_processor: false,
        },
        Self {
            scores: 1 << 24,
            band: 1 << 17,
            text_on_processor: false,
        },
        Self {
            scores: 1 << 22,
            band: 1 << 15,
            text_on_processor: false,
        },
        Self {
            scores: 1 << 22,
            band: 1 << 15,
            text_on_processor: true,
        },
        Self {
            scores: 1 << 20,
            band: 1 << 13,
            text_on_processor: true,
        },
    ];
    pub const WHOLE: Self = Self::ALL[0];
}

/// What an edit model may take of a graphics card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    pub bytes: u64,
    /// Height and width of the pictures that are to fit.
    pub size: [usize; 2],
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryNeed {
    /// All networks, as they lie on the device.
    pub weights: u64,
    /// Beside them, a denoising step with the three rows of guidance of each view.
    pub denoising: u64,
    /// Beside them, a picture through the autoencoder.
    pub autoencoder: u64,
}

impl MemoryNeed {
    pub fn total(&self) -> u64 {
        self.weights + self.denoising.max(self.autoencoder)
    }

    /// # Errors
    /// [`Error::Invalid`] with the numbers when a graphics card may be taken `limit` bytes of.
    pub fn check_limit(&self, limit: u64) -> Result<()> {
        if self.total() <= limit {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the edit needs {self}, but --edit-memory allows {}; edit smaller pictures (--edited-side), in half precision \
             (--precision half), on the processor (--edit-device cpu) or with a smaller model",
            gib(limit)
        )))
    }

    /// # Errors
    /// [`Error::Invalid`] with the numbers when `available` bytes are too few.
    pub fn check(&self, available: u64) -> Result<()> {
        if self.total() <= available {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the edit needs {self}, but only {} are free; close other programs, edit smaller pictures or take a smaller \
             model",
            gib(available)
        )))
    }
}

impl std::fmt::Display for MemoryNeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of memory (weights {}, a denoising step {}, the autoencoder {})",
            gib(self.total()),
            gib(self.weights),
            gib(self.denoising),
            gib(self.autoencoder)
        )
    }
}

pub(crate) fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Memory of the machine that programs can still take; `None` where the system does not tell as Linux does.
pub fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Counts tensors of a forward pass: what is alive, and the most that ever was. Bytes. What a graphics card writes down
/// beside a layer's input and result is what burn's portable kernels do there: convolutions take their input and their
/// weights channel-last, attention its operands head by head, and in half precision both want single-precision copies.
pub(crate) struct Walk {
    batch: usize,
    place: Place,
    cut: Cut,
    kept: usize,
    peak: usize,
}

/// Bytes of single precision.
const SINGLE: usize = 4;

impl Walk {
    pub fn new(batch: usize, place: Place, cut: Cut) -> Self {
        Self {
            batch,
            place,
            cut,
            kept: 0,
            peak: 0,
        }
    }

    fn on_card(&self) -> bool {
        self.place != Place::Processor
    }

    /// Bytes of a tensor between layers.
    fn stored(&self, channels: usize, area: usize) -> usize {
        let element = match self.place {
            Place::Card(Precision::Half) => 2,
            Place::Card(Precision::Full) | Place::Processor => SINGLE,
        };
        self.batch * channels * area * element
    }

    /// Bytes of a tensor within a layer.
    fn single(&self, channels: usize, area: usize) -> usize {
        self.batch * channels * area * SINGLE
    }

    /// A tensor that stays until [`Self::release`].
    pub fn keep(&mut self, channels: usize, area: usize) {
        self.kept += self.stored(channels, area);
        self.peak = self.peak.max(self.kept);
    }

    pub fn release(&mut self, channels: usize, area: usize) {
        self.kept -= self.stored(channels, area);
    }

    /// `bytes` alive beside what is kept.
    fn alive(&mut self, bytes: usize) {
        self.peak = self.peak.max(self.kept + bytes);
    }

    /// What a 3×3 convolution of `area` writes down beside its input and its result as they are stored.
    fn conv_scratch(&self, from: usize, to: usize, area: usize) -> usize {
        let weights = 9 * from * to * SINGLE;
        let band = area.min(self.cut.band);
        match self.place {
            Place::Processor => 0,
            // The input channel-last; the weights, too.
            Place::Card(Precision::Full) => self.single(from, band) + weights,
            // Both in single precision before; the result in single precision.
            Place::Card(Precision::Half) => self.single(2 * from + to, band) + 2 * weights,
        }
    }

    pub fn conv(&mut self, from: usize, to: usize, area: usize) {
        let bands = if area > self.cut.band { to } else { 0 };
        self.alive(self.stored(from + to + bands, area) + self.conv_scratch(from, to, area));
    }

    /// Norm, SiLU, convolution, twice, and the shortcut.
    pub fn resnet(&mut self, from: usize, to: usize, area: usize) {
        let shortcut = if from == to { 0 } else { to };
        let bands = if area > self.cut.band { to } else { 0 };
        // What is normed, which the CPU backend does not write down.
        let normed = |channels: usize| match self.on_card() {
            true => self.single(channels, area.min(self.cut.band)),
            false => 0,
        };
        let first =
            self.stored(from + to + bands, area) + normed(from) + self.conv_scratch(from, to, area);
        let second = self.stored(from + 2 * to + shortcut + bands, area)
            + normed(to)
            + self.conv_scratch(to, to, area);
        self.alive(first.max(second));
    }

    /// Attention between pixels, then to the prompt, then a layer four times as wide.
    pub fn transformer(&mut self, channels: usize, heads: usize, area: usize) {
        // Picture and tokens.
        self.attention(2, channels, heads, area);
        // Picture, tokens, normed tokens, hidden, gate and their product.
        self.alive(self.stored(3 * channels + 12 * channels, area));
    }

    /// Attention between pixels, with `beside` tensors alive.
    pub fn attention(&mut self, beside: usize, channels: usize, heads: usize, area: usize) {
        // Normed tokens, queries, keys, values and the result.
        let stored = self.stored((beside + 5) * channels, area);
        // Before and after softmax, and the operands head by head.
        let scores = 2 * (self.batch * heads * area * area).min(self.cut.scores) * SINGLE;
        let scratch = match self.on_card() {
            true => scores + self.single(4 * channels, area),
            false => 0,
        };
        self.alive(stored + scratch);
    }

    /// Bytes.
    pub fn finish(self) -> u64 {
        self.peak as u64 + if self.on_card() { 0 } else { HOST_SCRATCH }
    }
}
