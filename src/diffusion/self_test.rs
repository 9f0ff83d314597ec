//! Whether a device computes right: drivers have bugs, and a wrong convolution gives pictures that look like a bad
//! instruction. A small network of the edit model's own layers runs on the device, and its output is compared with what
//! diffusers computed in float64 (`assets/self_test/make.py`).

use super::budget::Place;
use super::layers::silu;
use super::picture::read;
use super::resnet::{ResnetBlock, ResnetConfig, Upsample};
use super::transformer::{PromptKeys, SpatialTransformer, TransformerConfig};
use super::weights::{Precision, Scope, Source, Weights};
use crate::Result;
use burn::tensor::{Device, Tensor};

const FILE: &[u8] = include_bytes!("../../assets/self_test/self_test.safetensors");
/// Single precision reaches 1e-6, half precision 1e-3; a wrong layer is off by more than 1e-1.
const TOLERANCE: f64 = 1e-3;
const HALF_TOLERANCE: f64 = 1e-2;

/// What a device made of the network.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct SelfTest {
    /// ‖computed − stored‖ / ‖stored‖; not a number when the device computed none.
    pub relative_error: f64,
    pub tolerance: f64,
}

impl SelfTest {
    pub fn passed(&self) -> bool {
        self.relative_error <= self.tolerance
    }
}

/// Run the network on `device`, in what `precision` means there.
///
/// # Errors
/// [`Error::Gpu`] when the device fails altogether.
pub fn self_test(device: &Device, precision: Precision) -> Result<SelfTest> {
    let source = Source::bundled("the built-in self-test", FILE);
    let table = source.safetensors()?;
    let weights = Weights::new(source, table, device).kept_in(precision);
    let tolerance = match weights.place() {
        Place::Card(Precision::Half) => HALF_TOLERANCE,
        Place::Card(Precision::Full) | Place::Processor => TOLERANCE,
    };
    let root = Scope::root(&weights);
    let (channels, width, time_features, prompt_features, groups) = (16, 32, 24, 24, 8);
    let resnet = ResnetBlock::load(
        &root.at("resnet"),
        channels,
        width,
        ResnetConfig {
            groups,
            eps: 1e-5,
            time_features: Some(time_features),
        },
    );
    let transformer = SpatialTransformer::load(
        &root.at("transformer"),
        TransformerConfig {
            channels: width,
            heads: 4,
            depth: 1,
            prompt_features,
            groups,
            linear_projection: false,
        },
        &mut 0,
    );
    let upsample = Upsample::load(&root.at("upsample"), width);
    let input: Tensor<4> = root.tensor("input", [2, channels, 8, 6]);
    let time: Tensor<2> = root.tensor("time", [1, time_features]);
    let prompt: Tensor<3> = root.tensor("prompt", [2, 5, prompt_features]);
    let stored: Tensor<4> = root.tensor("output", [2, width, 16, 12]);
    weights.finish()?;

    let mut layers = Vec::new();
    transformer.prompt_keys(&prompt, &mut layers);
    let x = resnet.forward(input, Some(&silu(time)));
    let x = transformer.forward(x, &PromptKeys { layers });
    let computed = upsample.forward(x, [16, 12]);
    let (computed, stored) = (read(computed)?, read(stored)?);
    let sum = |terms: &mut dyn Iterator<Item = f64>| terms.map(|x| x * x).sum::<f64>().sqrt();
    let error = sum(&mut computed
        .iter()
        .zip(&stored)
        .map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let norm = sum(&mut stored.iter().map(|x| f64::from(*x)));
    Ok(SelfTest {
        relative_error: error / norm,
        tolerance,
    })
}
