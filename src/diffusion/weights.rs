//! Weights by memory map: tensors are handed out by name and shape, and what a file lacks, has too much of or has in
//! another shape is collected and reported at once, with the names. Files may hold f64, f32, f16 or bf16; on a device,
//! matrices lie as [`super::element::stored`] says, everything of one axis (biases, norms) in f32. Where the names come from (a safetensors header, a checkpoint's pickle) is settled before: here a part of a model
//! is a table of places in a file.

use super::budget::{Cut, Place};
use super::element::{Element, stored};
use super::hash::Fnv;
use super::host_gemm::StoredMatrix;
use crate::formats::torch::{self, Stored};
use crate::{Error, Result};
use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Which file of a model part is preferred: `X.safetensors` or `X.fp16.safetensors`. The other one serves where the
/// preferred one is absent. On a graphics card that computes in half precision, also what weights and the tensors
/// between layers are kept in there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    Full,
    Half,
}

/// At most this many names in one error.
const LISTED: usize = 8;

/// Name of a tensor → its place.
pub(crate) type Table = BTreeMap<String, Stored>;

/// The bytes that tables point into.
pub(crate) struct Source {
    pub path: PathBuf,
    bytes: Content,
}

enum Content {
    Mapped(memmap2::Mmap),
    Bundled(&'static [u8]),
}

impl Source {
    /// Map the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        let file = std::fs::File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is read-only; a file that another process shortens while it is mapped is outside the
        // contract, as for every reader of mapped weights.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            bytes: Content::Mapped(map),
        }))
    }

    /// Bytes that are part of the program; `name` stands for a path in errors.
    pub fn bundled(name: &str, bytes: &'static [u8]) -> Arc<Self> {
        Arc::new(Self {
            path: name.into(),
            bytes: Content::Bundled(bytes),
        })
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Content::Mapped(map) => map,
            Content::Bundled(bytes) => bytes,
        }
    }

    /// Count these bytes as read: their pages need not stay mapped. They can be read again.
    fn forget(&self, range: &Range<usize>) {
        #[cfg(unix)]
        if let Content::Mapped(map) = &self.bytes {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is of a file and read-only, so that a page that is let go is read again from the file.
            let done = unsafe { map.unchecked_advise_range(advice, range.start, range.len()) };
            if let Err(e) = done {
                log::debug!("{}: pages stay mapped: {e}", self.path.display());
            }
        }
    }

    /// The tensors of a safetensors file.
    ///
    /// # Errors
    /// When the header is damaged, or the length does not fit it.
    pub fn safetensors(&self) -> Result<Table> {
        let bytes = self.bytes();
        let damaged = |e: safetensors::SafeTensorError| {
            Error::file(
                &self.path,
                format!(
                    "is not a whole safetensors file ({e}); {} bytes: download or copy it again",
                    bytes.len()
                ),
            )
        };
        let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        SafeTensors::deserialize(bytes).map_err(damaged)?;
        let data = header + 8;
        let table = metadata.offset_keys().into_iter().filter_map(|name| {
            let info = metadata.info(&name)?;
            let (start, end) = info.data_offsets;
            let stored = Stored {
                dtype: info.dtype,
                shape: info.shape.clone(),
                range: data + start..data + end,
            };
            Some((name, stored))
        });
        Ok(table.collect())
    }

    /// The tensors of a checkpoint's `state_dict`, or of a checkpoint that is nothing but one.
    ///
    /// # Errors
    /// As [`torch::Checkpoint::read`]; when the file holds no tensors by name.
    pub fn state_dict(&self) -> Result<Table> {
        let checkpoint = torch::Checkpoint::read(&self.path, self.bytes())?;
        let root = checkpoint.root();
        let dict = root.get("state_dict").unwrap_or(root);
        let mut table = Table::new();
        for (name, value) in dict.entries() {
            let Some(name) = name.as_str() else { continue };
            if let Some(stored) = checkpoint.tensor(name, value)? {
                table.insert(name.to_owned(), stored);
            }
        }
        if table.is_empty() {
            return Err(Error::file(&self.path, "is a checkpoint without tensors"));
        }
        Ok(table)
    }
}

/// What [`Weights`] found when they only look: nothing is copied to a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub path: PathBuf,
    pub tensors: usize,
    pub parameters: u64,
    pub bytes: u64,
    /// Tensors by element type.
    pub dtypes: BTreeMap<String, usize>,
    /// Tensors with an infinite or undefined element.
    pub not_finite: Vec<String>,
}

/// The tensors of one part of a model.
pub(crate) struct Weights {
    source: Arc<Source>,
    table: Table,
    device: Device,
    /// Of tensors of more than one axis.
    stored: DType,
    pub cut: Cut,
    /// Present: look, don't load.
    tally: Option<Rc<RefCell<Tally>>>,
    /// Look at the table only.
    counting: bool,
    used: RefCell<HashSet<String>>,
    missing: RefCell<Vec<String>>,
    misshapen: RefCell<Vec<String>>,
    /// Where the last tensor lies.
    last: RefCell<Range<usize>>,
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
            Some(path) => {
                let source = Source::open(path)?;
                let table = source.safetensors()?;
                Ok(Self::new(source, table, device).kept_in(precision))
            }
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

    /// A whole file: safetensors, or a checkpoint as PyTorch saves it.
    ///
    /// # Errors
    /// As [`Source::open`], [`Source::safetensors`] and [`Source::state_dict`].
    pub fn open_file(path: &Path, device: &Device) -> Result<Self> {
        let source = Source::open(path)?;
        let table = if torch::is_checkpoint(source.bytes()) {
            source.state_dict()?
        } else {
            source.safetensors()?
        };
        Ok(Self::new(source, table, device))
    }

    pub fn new(source: Arc<Source>, table: Table, device: &Device) -> Self {
        Self {
            source,
            table,
            device: device.clone(),
            stored: DType::F32,
            cut: Cut::WHOLE,
            tally: None,
            counting: false,
            used: RefCell::default(),
            missing: RefCell::default(),
            misshapen: RefCell::default(),
            last: RefCell::default(),
        }
    }

    /// In the type that `precision` means on the device, instead of f32.
    pub fn kept_in(self, precision: Precision) -> Self {
        Self {
            stored: stored(precision, &self.device),
            ..self
        }
    }

    /// For layers that work in such parts.
    pub fn cut_into(self, cut: Cut) -> Self {
        Self { cut, ..self }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Where they go, and what they are kept in there.
    pub fn place(&self) -> Place {
        match (self.device == Device::flex(), self.stored) {
            (true, _) => Place::Processor,
            (false, DType::F16) => Place::Card(Precision::Half),
            (false, _) => Place::Card(Precision::Full),
        }
    }

    /// Only look at the tensors that are asked for: count them and search them for what is not finite.
    pub fn looking(self, tally: Rc<RefCell<Tally>>) -> Self {
        tally.borrow_mut().path.clone_from(&self.source.path);
        Self {
            tally: Some(tally),
            ..self
        }
    }

    /// Only check the table: no tensor is read.
    pub fn counting(self) -> Self {
        Self {
            counting: true,
            ..self
        }
    }

    /// Bytes of all tensors as they lie at `place`.
    pub fn resident_bytes(&self, place: Place) -> u64 {
        let bytes = self.table.iter().map(|(name, stored)| {
            let is_half = match place {
                Place::Processor if is_table(name) => stored.dtype == Dtype::F16,
                Place::Card(_) if is_table(name) => return 0,
                _ if stored.shape.len() < 2 => false,
                Place::Processor => stored.dtype == Dtype::F16 && !name.contains("_embedding"),
                Place::Card(precision) => precision == Precision::Half,
            };
            stored.shape.iter().product::<usize>() as u64 * if is_half { 2 } else { 4 }
        });
        bytes.sum()
    }

    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Count `name` as known without reading it.
    pub fn ignore(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The tensor, in the type that it is kept in. What is missing or has another shape is remembered for [`Self::finish`], and a
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
        match self.find(name, stored) {
            Some((bytes, element)) if D > 1 && self.stored == DType::F16 => {
                let data = TensorData::new(element.to_f16(bytes), shape);
                Tensor::from_data(data, (&self.device, DType::F16))
            }
            Some((bytes, element)) => {
                Tensor::from_data(TensorData::new(element.to_f32(bytes), shape), &self.device)
            }
            None => Tensor::zeros([1; D], &self.device),
        }
    }

    /// A tensor of `[rows, depth]` elements as it is stored, in one of the shapes `stored`. `None`: there is nothing to
    /// load, which is remembered for [`Self::finish`] where it is a fault.
    pub fn matrix(
        &self,
        name: &str,
        [rows, depth]: [usize; 2],
        stored: &[&[usize]],
    ) -> Option<StoredMatrix<'_>> {
        let (bytes, element) = self.find(name, stored)?;
        Some(StoredMatrix {
            bytes,
            element,
            rows,
            depth,
        })
    }

    /// A table of `[rows, width]` elements that stays in the processor's memory, in the file's type.
    pub fn rows(&self, name: &str, [rows, width]: [usize; 2]) -> Rows {
        let found = self.find(name, &[&[rows, width]]);
        let (bytes, element) = found.unwrap_or((&[], Element::F32));
        Rows {
            bytes: bytes.into(),
            element,
            width,
        }
    }

    /// The elements of a tensor of floats, unless it is missing or misshapen, or only looked at.
    fn find(&self, name: &str, stored: &[&[usize]]) -> Option<(&[u8], Element)> {
        self.used.borrow_mut().insert(name.to_owned());
        let Some(stored_as) = self.table.get(name) else {
            self.missing.borrow_mut().push(name.to_owned());
            return None;
        };
        if !stored.contains(&stored_as.shape.as_slice()) {
            self.misshapen.borrow_mut().push(format!(
                "{name} is {:?}, the config asks for {:?}",
                stored_as.shape, stored[0]
            ));
            return None;
        }
        self.source
            .forget(&self.last.replace(stored_as.range.clone()));
        let bytes = &self.source.bytes()[stored_as.range.clone()];
        let dtype = stored_as.dtype;
        let Some(element) = Element::of(dtype) else {
            self.misshapen
                .borrow_mut()
                .push(format!("{name} is stored as {dtype:?}, not as floats"));
            return None;
        };
        if self.counting {
            return None;
        }
        let Some(tally) = &self.tally else {
            return Some((bytes, element));
        };
        let data = element.to_f32(bytes);
        let mut tally = tally.borrow_mut();
        tally.tensors += 1;
        tally.parameters += data.len() as u64;
        tally.bytes += bytes.len() as u64;
        *tally.dtypes.entry(format!("{dtype:?}")).or_default() += 1;
        if !data.iter().all(|value| value.is_finite()) {
            tally.not_finite.push(name.to_owned());
        }
        None
    }

    /// Check that the table was used up. The result identifies the weights: a hash of each tensor's name, type, shape
    /// and ends.
    ///
    /// # Errors
    /// Tensors that are missing, misshapen or unknown, by name.
    pub fn finish(self) -> Result<String> {
        let used = self.used.borrow();
        let unknown: Vec<String> = self
            .table
            .keys()
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
            return Err(Error::file(&self.source.path, problems.join("; ")));
        }
        let mut hash = Fnv::new();
        for (name, stored) in &self.table {
            let bytes = &self.source.bytes()[stored.range.clone()];
            hash.write(format!("{name} {:?} {:?}", stored.dtype, stored.shape).as_bytes());
            hash.write(&bytes[..bytes.len().min(64)]);
            hash.write(&bytes[bytes.len().saturating_sub(64)..]);
        }
        Ok(hash.finish())
    }
}

/// A table that rows are looked up in.
pub(crate) struct Rows {
    bytes: Box<[u8]>,
    element: Element,
    width: usize,
}

impl Rows {
    /// `[indices, width]` elements of the rows of `indices`; zeros for a row that the table does not have.
    pub fn select(&self, indices: impl Iterator<Item = usize>) -> Vec<f32> {
        let row_bytes = self.width * self.element.bytes();
        let mut values = Vec::new();
        for index in indices {
            let row = self.bytes.get(index * row_bytes..(index + 1) * row_bytes);
            match row {
                Some(row) => values.extend(self.element.to_f32(row)),
                None => values.resize(values.len() + self.width, 0.0),
            }
        }
        values
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

/// Whether a tensor stays in the processor's memory as [`Rows`].
fn is_table(name: &str) -> bool {
    name.ends_with("token_embedding.weight")
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

    pub fn device(&self) -> Device {
        self.weights.device().clone()
    }

    /// The parts in which layers work.
    pub fn cut(&self) -> Cut {
        self.weights.cut
    }

    /// What tensors of more than one axis are kept in.
    pub fn stored(&self) -> DType {
        self.weights.stored
    }

    /// Whether tensors are for the CPU backend.
    pub fn on_host(&self) -> bool {
        *self.weights.device() == Device::flex()
    }

    pub fn ignore(&self, name: &str) {
        self.weights.ignore(&format!("{}{name}", self.prefix));
    }

    pub fn matrix(
        &self,
        name: &str,
        size: [usize; 2],
        stored: &[&[usize]],
    ) -> Option<StoredMatrix<'_>> {
        self.weights
            .matrix(&format!("{}{name}", self.prefix), size, stored)
    }

    pub fn rows(&self, name: &str, size: [usize; 2]) -> Rows {
        self.weights.rows(&format!("{}{name}", self.prefix), size)
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
