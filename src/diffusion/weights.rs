//! safetensors files by memory map: tensors are handed out by name and shape, and what a file lacks, has too much of
//! or has in another shape is collected and reported at once, with the names. Storage may be f64, f32, f16 or bf16;
//! arithmetic is f32.

use super::hash::Fnv;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::Metadata};
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Which file of a model part is preferred: `X.safetensors` or `X.fp16.safetensors`. The other one serves where the
/// preferred one is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    Full,
    Half,
}

/// At most this many names in one error.
const LISTED: usize = 8;

/// The tensors of one file.
pub(crate) struct Weights {
    path: PathBuf,
    map: memmap2::Mmap,
    /// Byte at which the data begins.
    data_start: usize,
    metadata: Metadata,
    device: Device,
    used: RefCell<HashSet<String>>,
    missing: RefCell<Vec<String>>,
    misshapen: RefCell<Vec<String>>,
}

impl Weights {
    /// Open `folder/stem[.fp16].safetensors`.
    ///
    /// # Errors
    /// When there is no such file, or it is damaged.
    pub fn open(folder: &Path, stem: &str, precision: Precision, device: &Device) -> Result<Self> {
        let full = folder.join(format!("{stem}.safetensors"));
        let half = folder.join(format!("{stem}.fp16.safetensors"));
        let order = match precision {
            Precision::Full => [&full, &half],
            Precision::Half => [&half, &full],
        };
        match order.into_iter().find(|path| path.is_file()) {
            Some(path) => Self::open_file(path, device),
            None if folder
                .join(format!("{stem}.safetensors.index.json"))
                .is_file() =>
            {
                Err(Error::file(
                    folder,
                    format!(
                        "`{stem}` is split into several files, which is not supported; save it in one file"
                    ),
                ))
            }
            None if folder.join(format!("{stem}.bin")).is_file()
                || folder.join("pytorch_model.bin").is_file() =>
            {
                Err(Error::file(
                    folder,
                    format!(
                        "has no {stem}.safetensors, only a .bin file; convert it to safetensors"
                    ),
                ))
            }
            None => Err(Error::file(
                folder,
                format!("has neither {stem}.safetensors nor {stem}.fp16.safetensors"),
            )),
        }
    }

    /// # Errors
    /// When the file cannot be read, its header is damaged, or its length does not fit the header.
    pub fn open_file(path: &Path, device: &Device) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is read-only; a file that another process shortens while it is mapped is outside the
        // contract, as for every reader of mapped weights.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io(path))?;
        let damaged = |e: safetensors::SafeTensorError| {
            Error::file(
                path,
                format!(
                    "is not a whole safetensors file ({e}); {} bytes: download or copy it again",
                    map.len()
                ),
            )
        };
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(damaged)?;
        SafeTensors::deserialize(&map).map_err(damaged)?;
        Ok(Self {
            path: path.to_owned(),
            data_start: header + 8,
            map,
            metadata,
            device: device.clone(),
            used: RefCell::default(),
            missing: RefCell::default(),
            misshapen: RefCell::default(),
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// Count `name` as known without reading it.
    pub fn ignore(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The tensor in f32. What is missing or has another shape is remembered for [`Self::finish`], and a
    /// one-element stand-in returned.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.tensor_any(name, shape, &[&shape])
    }

    /// Like [`Self::tensor`], accepting any of the shapes `stored` in the file, which hold the same elements.
    pub fn tensor_any<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        stored: &[&[usize]],
    ) -> Tensor<D> {
        let stand_in = || Tensor::zeros([1; D], &self.device);
        self.used.borrow_mut().insert(name.to_owned());
        let Some(info) = self.metadata.info(name) else {
            self.missing.borrow_mut().push(name.to_owned());
            return stand_in();
        };
        if !stored.contains(&info.shape.as_slice()) {
            self.misshapen.borrow_mut().push(format!(
                "{name} is {:?}, the config asks for {:?}",
                info.shape, stored[0]
            ));
            return stand_in();
        }
        let (start, end) = info.data_offsets;
        let bytes = &self.map[self.data_start + start..self.data_start + end];
        let Some(data) = to_f32(bytes, info.dtype) else {
            self.misshapen.borrow_mut().push(format!(
                "{name} is stored as {:?}, not as floats",
                info.dtype
            ));
            return stand_in();
        };
        Tensor::from_data(TensorData::new(data, shape), &self.device)
    }

    /// Check that the file was used up. The result identifies the weights: a hash of the header, the size, and the
    /// ends of each tensor.
    ///
    /// # Errors
    /// Tensors that are missing, misshapen or unknown, by name.
    pub fn finish(self) -> Result<String> {
        let used = self.used.borrow();
        let mut names = self.metadata.offset_keys();
        let unknown: Vec<String> = names
            .iter()
            .filter(|name| !used.contains(*name))
            .cloned()
            .collect();
        let problems: Vec<String> = [
            ("missing", self.missing.borrow().clone()),
            ("of a wrong shape or type", self.misshapen.borrow().clone()),
            ("unknown", unknown),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(what, list)| summary(what, list))
        .collect();
        if !problems.is_empty() {
            return Err(Error::file(&self.path, problems.join("; ")));
        }
        let mut hash = Fnv::new();
        hash.write(&self.map[..self.data_start]);
        hash.write(&(self.map.len() as u64).to_le_bytes());
        names.sort();
        for info in names.iter().filter_map(|name| self.metadata.info(name)) {
            let (start, end) = info.data_offsets;
            let bytes = &self.map[self.data_start + start..self.data_start + end];
            hash.write(&bytes[..bytes.len().min(64)]);
            hash.write(&bytes[bytes.len().saturating_sub(64)..]);
        }
        Ok(hash.finish())
    }
}

fn summary(what: &str, mut list: Vec<String>) -> String {
    list.sort();
    let count = list.len();
    let noun = if count == 1 { "tensor" } else { "tensors" };
    list.truncate(LISTED);
    let more = match count - list.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("{count} {noun} {what}: {}{more}", list.join(", "))
}

fn to_f32(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => convert(bytes, f32::from_le_bytes),
        Dtype::F64 => convert(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => convert(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => convert(bytes, |b| half::bf16::from_le_bytes(b).to_f32()),
        _ => return None,
    })
}

fn convert<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|b| convert(*b))
        .collect()
}

/// A name prefix within a file, so that a block asks for `conv1.weight` wherever it sits.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl<'a> Scope<'a> {
    pub fn root(weights: &'a Weights) -> Self {
        Self {
            weights,
            prefix: String::new(),
        }
    }

    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            weights: self.weights,
            prefix: format!("{}{name}.", self.prefix),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.has(&format!("{}{name}", self.prefix))
    }

    pub fn ignore(&self, name: &str) {
        self.weights.ignore(&format!("{}{name}", self.prefix));
    }

    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.weights
            .tensor(&format!("{}{name}", self.prefix), shape)
    }

    pub fn tensor_any<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        stored: &[&[usize]],
    ) -> Tensor<D> {
        self.weights
            .tensor_any(&format!("{}{name}", self.prefix), shape, stored)
    }
}
