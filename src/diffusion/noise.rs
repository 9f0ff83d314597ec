//! Standard normal noise from a seed: the same numbers on every device, because the host draws them.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Where a run takes its standard normal noise from, in the order in which it needs it.
pub trait NoiseSource {
    fn next(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4>;
}

/// ChaCha8 and the Box–Muller transform.
pub struct SeededNoise(ChaCha8Rng);

impl SeededNoise {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// One of the seed's independent streams.
    pub fn on_stream(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// `n` standard normal numbers.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(n + 1);
        while values.len() < n {
            // (0, 1]: the logarithm stays finite.
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
            values.push((radius * cos) as f32);
            values.push((radius * sin) as f32);
        }
        values.truncate(n);
        values
    }

    /// [0, 1), 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl NoiseSource for SeededNoise {
    fn next(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let values = self.normals(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// The noise of one scene edit, `[1, latent channels, h, w]` each.
#[derive(Clone)]
pub struct EditNoise {
    /// Picks the sample of the autoencoder's posterior.
    pub posterior: Tensor<4>,
    /// Added at the first timestep.
    pub diffusion: Tensor<4>,
}

impl EditNoise {
    /// `stream` numbers the edits of a run: each has noise of its own.
    pub fn seeded(seed: u64, stream: u64, shape: [usize; 4], device: &Device) -> Self {
        let mut source = SeededNoise::on_stream(seed, stream);
        Self {
            posterior: source.next(shape, device),
            diffusion: source.next(shape, device),
        }
    }
}
