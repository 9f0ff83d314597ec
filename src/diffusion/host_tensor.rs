//! The elements of tensors that live on the CPU backend, so that code of our own reads them in place.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::ops::Range;

/// A tensor's elements, row-major.
pub(crate) enum HostTensor {
    /// Row-major in a range of its storage.
    Shared(FlexTensor, Range<usize>),
    /// From another device, or of another type.
    Copied(Vec<f32>),
}

impl HostTensor {
    pub fn of<const D: usize>(x: &Tensor<D>) -> Self {
        let shared = x.clone().try_into_primitive::<Flex>().ok();
        let shared = shared.filter(|flex| flex.dtype() == DType::F32);
        let shared = shared.map(|flex| match flex.is_contiguous() {
            true => flex,
            false => flex.to_contiguous(),
        });
        let range = |flex: &FlexTensor| flex.layout().contiguous_offsets();
        match shared.and_then(|flex| range(&flex).map(|range| (flex, range))) {
            Some((flex, (start, end))) => Self::Shared(flex, start..end),
            None => Self::Copied(x.to_data().iter::<f32>().collect()),
        }
    }

    pub fn values(&self) -> &[f32] {
        match self {
            Self::Shared(flex, range) => &flex.storage()[range.clone()],
            Self::Copied(values) => values,
        }
    }
}

/// Row-major `values` as a tensor on the CPU.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}
