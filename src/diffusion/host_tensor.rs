//! The elements of tensors that live on the CPU backend, so that code of our own reads them in place.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// A tensor's elements, row-major.
pub(crate) enum HostTensor {
    Shared(FlexTensor),
    /// From another device.
    Copied(Vec<f32>),
}

impl HostTensor {
    pub fn of<const D: usize>(x: &Tensor<D>) -> Self {
        match x.clone().try_into_primitive::<Flex>() {
            Ok(flex) if flex.dtype() == DType::F32 => Self::Shared(if flex.is_contiguous() {
                flex
            } else {
                flex.to_contiguous()
            }),
            _ => Self::Copied(x.to_data().iter::<f32>().collect()),
        }
    }

    pub fn values(&self) -> &[f32] {
        match self {
            Self::Shared(flex) => flex.as_slice().unwrap_or_default(),
            Self::Copied(values) => values,
        }
    }
}

/// Row-major `values` as a tensor on the CPU.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}
