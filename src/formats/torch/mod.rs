//! PyTorch checkpoints (`torch.save`): a pickle of nested dictionaries, and the numbers that its tensors refer to. Both
//! layouts are read: the ZIP archive of PyTorch 1.6 and later, and the row of pickles before it. The pickle is read as
//! data ([`pickle`]); tensors are told as places in the file, so that gigabytes of weights are mapped, never copied.

mod machine;
pub mod pickle;

use crate::Result;
use crate::formats::splats::bytes::{Budget, Bytes};
use crate::formats::splats::zip::{self, Archive};
use pickle::{Id, Pickle, Value, View};
use safetensors::Dtype;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// First value of a file in the older layout.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// A ten-byte integer, as the older layout begins, after its protocol.
const MAGIC_OPENING: [u8; 4] = [0x80, 0x02, 0x8a, 0x0a];
const PROTOCOL: i64 = 1001;
/// Structure, without the numbers. Real checkpoints stay below one megabyte.
const MOST_STRUCTURE: usize = 32 << 20;

/// A tensor as a place in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Bytes of the file, row-major, little-endian.
    pub range: Range<usize>,
}

/// Whether the content of a file begins as a checkpoint does.
pub fn is_checkpoint(head: &[u8]) -> bool {
    head.starts_with(zip::MAGIC) || head.starts_with(&MAGIC_OPENING)
}

/// The structure of one file.
pub struct Checkpoint<'a> {
    file: Bytes<'a>,
    pickle: Pickle<'a>,
    storages: HashMap<String, Range<usize>>,
}

impl<'a> Checkpoint<'a> {
    /// Read the structure of the file at `path`, whose content is `bytes`.
    ///
    /// # Errors
    /// No checkpoint; a damaged or cut one; one that refers to anything but tensors and plain values, by name.
    pub fn read(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let file = Bytes {
            path,
            what: "a PyTorch checkpoint",
            bytes,
        };
        if bytes.starts_with(zip::MAGIC) {
            Self::read_archive(file)
        } else if bytes.starts_with(&MAGIC_OPENING) {
            Self::read_row(file)
        } else {
            Err(crate::Error::file(path, "is not a PyTorch checkpoint"))
        }
    }

    fn read_archive(file: Bytes<'a>) -> Result<Self> {
        let archive = Archive::new(file)?;
        let mut storages = HashMap::new();
        let mut structure = None;
        for entry in archive.stored() {
            let (name, range) = entry?;
            // The archive's only folder is named after the file when it was written.
            let name = name.split_once('/').map_or(name, |(_, rest)| rest);
            match (name, range) {
                ("data.pkl", Some(range)) => structure = Some(range),
                ("data.pkl", None) => return Err(file.error("whose data.pkl is packed")),
                (name, Some(range)) => {
                    if let Some(key) = name.strip_prefix("data/") {
                        storages.insert(key.to_owned(), range);
                    }
                }
                (_, None) => {}
            }
        }
        let order = archive.read("byteorder", &mut Budget::of(0)).ok();
        if order.is_some_and(|order| matches!(order, Cow::Borrowed(b"big"))) {
            return Err(file.error("of a big-endian machine; save it again on a common one"));
        }
        let Some(structure) = structure else {
            return Err(file.error("without a data.pkl"));
        };
        let part = Bytes {
            bytes: &file.bytes[structure],
            ..file
        };
        let pickle = read_pickle(part, &mut 0)?;
        Ok(Self {
            file,
            pickle,
            storages,
        })
    }

    /// Magic number, protocol, the machine's type sizes, the object, the storages' keys, the storages.
    fn read_row(file: Bytes<'a>) -> Result<Self> {
        let mut at = 0;
        let magic = read_pickle(file, &mut at)?;
        let protocol = read_pickle(file, &mut at)?;
        if !matches!(magic.value(magic.root()), Value::LongInt(bytes) if *bytes == MAGIC)
            || !matches!(protocol.value(protocol.root()), Value::Int(PROTOCOL))
        {
            return Err(file.error("in a layout that is not known"));
        }
        let machine = read_pickle(file, &mut at)?;
        let machine = Item {
            pickle: &machine,
            id: machine.root(),
        };
        if machine.get("little_endian").and_then(Item::as_bool) != Some(true) {
            return Err(file.error("of a big-endian machine; save it again on a common one"));
        }
        let pickle = read_pickle(file, &mut at)?;
        let keys = read_pickle(file, &mut at)?;
        let lengths: HashMap<&str, (usize, Dtype)> = pickle.storages().collect();
        let mut storages = HashMap::new();
        let keys = Item {
            pickle: &keys,
            id: keys.root(),
        };
        for key in keys.items() {
            let Some(key) = key.as_str() else {
                return Err(file.error("whose list of storages is damaged"));
            };
            let Some(&(_, dtype)) = lengths.get(key) else {
                return Err(file.error(format!("with the storage `{key}`, which nothing uses")));
            };
            let len = file.size64(at)?;
            let bytes = len.checked_mul(size_of_element(dtype)).ok_or_else(|| {
                file.error(format!("whose storage `{key}` claims {len} elements"))
            })?;
            file.slice(at + 8, bytes, "storages")?;
            storages.insert(key.to_owned(), at + 8..at + 8 + bytes);
            at += 8 + bytes;
        }
        Ok(Self {
            file,
            pickle,
            storages,
        })
    }

    /// What was saved.
    pub fn root(&self) -> Item<'_, 'a> {
        Item {
            pickle: &self.pickle,
            id: self.pickle.root(),
        }
    }

    /// Where the tensor `item` is; `None` when it is none.
    ///
    /// # Errors
    /// A tensor that lies outside of its storage, or whose elements do not follow each other.
    pub fn tensor(&self, name: &str, item: Item<'_, 'a>) -> Result<Option<Stored>> {
        match item.pickle.value(item.id) {
            Value::Tensor(view) => self.place(name, view).map(Some),
            _ => Ok(None),
        }
    }

    fn place(&self, name: &str, view: &View<'a>) -> Result<Stored> {
        let View {
            storage,
            offset,
            shape,
            strides,
        } = view;
        let error = |problem: &str| {
            self.file.error(format!(
                "whose tensor `{}` {problem}",
                name.escape_default()
            ))
        };
        let mut len: usize = 1;
        for (&size, &stride) in shape.iter().zip(strides).rev() {
            if size != 1 && len != 0 && stride != len {
                return Err(error(
                    "is a view whose elements do not follow each other; save it contiguous",
                ));
            }
            len = len
                .checked_mul(size)
                .ok_or_else(|| error("claims more elements than there are numbers"))?;
        }
        let range = self
            .storages
            .get(storage.key)
            .ok_or_else(|| error("has no data in the file"))?;
        let size = size_of_element(storage.dtype);
        let outside = || error("reaches beyond its data: the file is damaged or cut");
        let start = offset.checked_mul(size).ok_or_else(outside)?;
        let bytes = len.checked_mul(size).ok_or_else(outside)?;
        let end = start.checked_add(bytes).ok_or_else(outside)?;
        if end > range.len() {
            return Err(outside());
        }
        Ok(Stored {
            dtype: storage.dtype,
            shape: shape.clone(),
            range: range.start + start..range.start + end,
        })
    }
}

fn read_pickle<'a>(file: Bytes<'a>, at: &mut usize) -> Result<Pickle<'a>> {
    let end = file.bytes.len().min(at.saturating_add(MOST_STRUCTURE));
    let part = Bytes {
        bytes: &file.bytes[..end],
        ..file
    };
    Pickle::read(part, at)
}

/// Bytes; checkpoints have no element smaller than one.
fn size_of_element(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// A value of a checkpoint, and what is in it.
#[derive(Clone, Copy)]
pub struct Item<'p, 'a> {
    pickle: &'p Pickle<'a>,
    id: Id,
}

impl<'p, 'a> Item<'p, 'a> {
    fn value(self) -> &'p Value<'a> {
        self.pickle.value(self.id)
    }

    fn at(self, id: Id) -> Self {
        Self { id, ..self }
    }

    /// The value of the last entry `key` of a dictionary.
    pub fn get(self, key: &str) -> Option<Self> {
        self.entries()
            .filter(|(name, _)| name.as_str() == Some(key))
            .last()
            .map(|(_, value)| value)
    }

    /// Keys and values of a dictionary; none of anything else.
    pub fn entries(self) -> impl Iterator<Item = (Self, Self)> {
        let pairs: &[(Id, Id)] = match self.value() {
            Value::Dict(pairs) => pairs,
            _ => &[],
        };
        pairs
            .iter()
            .map(move |&(key, value)| (self.at(key), self.at(value)))
    }

    /// Items of a list, tuple or set; none of anything else.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let items: &[Id] = match self.value() {
            Value::List(items) | Value::Tuple(items) | Value::Set(items) => items,
            _ => &[],
        };
        items.iter().map(move |&id| self.at(id))
    }

    pub fn is_dict(self) -> bool {
        matches!(self.value(), Value::Dict(_))
    }

    pub fn as_str(self) -> Option<&'a str> {
        match self.value() {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(self) -> Option<bool> {
        match self.value() {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_int(self) -> Option<i64> {
        match self.value() {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Of a float or an integer.
    pub fn as_float(self) -> Option<f64> {
        match self.value() {
            Value::Float(value) => Some(*value),
            Value::Int(value) => Some(*value as f64),
            _ => None,
        }
    }
}

impl<'a> Pickle<'a> {
    /// Key, length and element type of every storage that is named.
    fn storages(&self) -> impl Iterator<Item = (&'a str, (usize, Dtype))> {
        self.values().filter_map(|value| match value {
            Value::Storage(storage) => Some((storage.key, (storage.len, storage.dtype))),
            _ => None,
        })
    }
}
