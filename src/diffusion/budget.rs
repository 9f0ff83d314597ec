//! The memory that an edit needs, told before it starts. Weights are counted from the files' tables; what lies between
//! layers is counted by walking the networks' shapes as a forward pass does, and taking the largest sum of tensors that
//! are alive together. On the CPU backend that is all there is, beside scratch memory of a fixed size; on a graphics
//! card, convolutions may unfold their input, and scores of attention are materialized where burn has no fused kernel.

use crate::{Error, Result};

/// Scores of attention that are held at once, elements.
pub(crate) const SCORES: usize = 1 << 26;

/// Scratch memory of products on the CPU: packed factors and a padded band of a picture.
const HOST_SCRATCH: u64 = 32 << 20;

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryNeed {
    /// All networks, as they lie on the device.
    pub weights: u64,
    /// Beside them, a denoising step with the three rows of guidance.
    pub denoising: u64,
    /// Beside them, a picture through the autoencoder.
    pub autoencoder: u64,
}

impl MemoryNeed {
    pub fn total(&self) -> u64 {
        self.weights + self.denoising.max(self.autoencoder)
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

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Memory of the machine that programs can still take; `None` where the system does not tell as Linux does.
pub fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Counts tensors of a forward pass: what is alive, and the most that ever was. Elements of f32.
pub(crate) struct Walk {
    batch: usize,
    on_host: bool,
    /// Output pixels that a convolution takes at a time.
    band: usize,
    kept: usize,
    peak: usize,
}

impl Walk {
    pub fn new(batch: usize, on_host: bool, band: usize) -> Self {
        Self {
            batch,
            on_host,
            band,
            kept: 0,
            peak: 0,
        }
    }

    /// A tensor that stays until [`Self::release`].
    pub fn keep(&mut self, channels: usize, area: usize) {
        self.kept += self.batch * channels * area;
        self.peak = self.peak.max(self.kept);
    }

    pub fn release(&mut self, channels: usize, area: usize) {
        self.kept -= self.batch * channels * area;
    }

    /// `channels` of `area` alive beside what is kept, and `unfolded` channels that a convolution reads by patches of
    /// nine.
    fn work(&mut self, channels: usize, area: usize, unfolded: usize) {
        let tensors = self.batch * channels * area;
        let patches = if self.on_host {
            0
        } else {
            self.batch * 9 * unfolded * area.min(self.band)
        };
        self.peak = self.peak.max(self.kept + tensors + patches);
    }

    pub fn conv(&mut self, from: usize, to: usize, area: usize) {
        self.work(from + to, area, from);
    }

    /// Norm, SiLU, convolution, twice, and the shortcut.
    pub fn resnet(&mut self, from: usize, to: usize, area: usize) {
        // Beside input and both results: the normed input, which only graphics cards write down.
        let normed = if self.on_host { 0 } else { 2 * from.max(to) };
        let shortcut = if from == to { 0 } else { to };
        self.work(from + 2 * to + shortcut + normed, area, from.max(to));
    }

    /// Attention between pixels, then to `tokens` of the prompt, then a layer four times as wide.
    pub fn transformer(&mut self, channels: usize, heads: usize, area: usize) {
        // Picture, tokens, normed tokens, queries, keys, values, their packed copies and the result.
        self.attention(9 * channels, heads, area);
        // Picture, tokens, normed tokens, hidden, gate and their product.
        self.work(3 * channels + 12 * channels, area, 0);
    }

    /// `channels` alive around the scores of every pixel with every pixel.
    pub fn attention(&mut self, channels: usize, heads: usize, area: usize) {
        let scores = if self.on_host {
            0
        } else {
            // Before and after softmax.
            2 * (self.batch * heads * area * area).min(SCORES)
        };
        self.peak = self
            .peak
            .max(self.kept + self.batch * channels * area + scores);
    }

    /// Bytes.
    pub fn finish(self) -> u64 {
        4 * self.peak as u64 + if self.on_host { HOST_SCRATCH } else { 0 }
    }
}
