//! Whether a device computes right: drivers have bugs, and a wrong convolution gives pictures that look like a bad
//! instruction. A small network of the edit model's own layers runs on the device, and its output is compared with what
//! diffusers computed in float64 (`assets/self_test/make.py`).

use super::layers::silu;
use super::resnet::{ResnetBlock, ResnetConfig, Upsample};
use super::transformer::{PromptKeys, SpatialTransformer, TransformerConfig};
use super::weights::{Scope, Source, Weights};
use crate::{Error, Result};
use burn::tensor::{Device, Tensor};

const FILE: &[u8] = include_bytes!("../../assets/self_test/self_test.safetensors");
/// Single precision reaches 1e-6; a wrong layer is off by more than 1e-1.
const TOLERANCE: f64 = 1e-3;

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

/// Run the network on `device`.
///
/// # Errors
/// [`Error::Gpu`] when the device fails altogether.
pub fn self_test(device: &Device) -> Result<SelfTest> {
    let source = Source::bundled("the built-in self-test", FILE);
    let table = source.safetensors()?;
    let weights = Weights::new(source, table, device);
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
    let values = |tensor: Tensor<4>| {
        let data = tensor
            .try_into_data()
            .map_err(|e| Error::Gpu(format!("the device failed in the self-test: {e:?}")))?;
        data.try_to_vec::<f32>()
            .map_err(|e| Error::Gpu(format!("the device gave no single-precision result: {e:?}")))
    };
    let (computed, stored) = (values(computed)?, values(stored)?);
    let sum = |terms: &mut dyn Iterator<Item = f64>| terms.map(|x| x * x).sum::<f64>().sqrt();
    let error = sum(&mut computed
        .iter()
        .zip(&stored)
        .map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let norm = sum(&mut stored.iter().map(|x| f64::from(*x)));
    Ok(SelfTest {
        relative_error: error / norm,
        tolerance: TOLERANCE,
    })
}
