//! The types of number that weights are stored in, apart from all the others that a file may hold: whoever has an
//! [`Element`] can read it. And the type that a device keeps them and what flows between layers in: half precision takes
//! half the memory, and sums, means and exponentials are taken in single precision all the same.

use super::weights::Precision;
use burn::tensor::{DType, Device};
use safetensors::Dtype;

/// A floating-point type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    BF16,
    F32,
    F64,
}

impl Element {
    /// `None`: not a floating-point type that weights are stored in.
    pub fn of(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            Dtype::F32 => Self::F32,
            Dtype::F64 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Little-endian `bytes` of this type.
    pub fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => convert(bytes, f32::from_le_bytes),
            Self::F64 => convert(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::F16 => convert(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
            Self::BF16 => convert(bytes, |b| half::bf16::from_le_bytes(b).to_f32()),
        }
    }

    /// Little-endian `bytes` of this type, rounded to half precision.
    pub fn to_f16(self, bytes: &[u8]) -> Vec<half::f16> {
        match self {
            Self::F16 => convert(bytes, half::f16::from_le_bytes),
            Self::BF16 => convert(bytes, |b| {
                half::f16::from_f32(half::bf16::from_le_bytes(b).to_f32())
            }),
            Self::F32 => convert(bytes, |b| half::f16::from_f32(f32::from_le_bytes(b))),
            Self::F64 => convert(bytes, |b| half::f16::from_f64(f64::from_le_bytes(b))),
        }
    }
}

fn convert<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|b| convert(*b))
        .collect()
}

/// What a network's tensors are kept in on `device`: half precision where it is asked for and the device computes in it.
/// On the CPU backend matrices keep the type of their file and everything else is single.
pub(crate) fn stored(precision: Precision, device: &Device) -> DType {
    let half = precision == Precision::Half && *device != Device::flex();
    if half && device.supports_dtype(DType::F16) {
        DType::F16
    } else {
        DType::F32
    }
}

/// Why a model asked for in half precision runs in single precision on `device`, in words; `None` where it does not.
pub fn precision_notice(precision: Precision, device: &Device, name: &str) -> Option<String> {
    let refused = precision == Precision::Half
        && *device != Device::flex()
        && stored(precision, device) == DType::F32;
    refused.then(|| {
        format!(
            "{name} does not compute in half precision: the edit model runs in single precision, which takes twice the memory"
        )
    })
}
