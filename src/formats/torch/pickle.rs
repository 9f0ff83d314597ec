//! Pickles, read as data. Python's `pickle` is a small stack machine whose programs may call any function; this reader
//! knows the instructions and the functions that PyTorch's checkpoints use, builds plain values from them, and refuses
//! everything else by name. Nothing of a file is ever run.
//!
//! Values live in one arena and refer to each other by number, as a pickle's memo does: a value that a hostile file
//! refers to a thousand times, or that contains itself, costs no more than its text.

use super::machine::Machine;
use crate::Result;
use crate::formats::splats::bytes::Bytes;
use safetensors::Dtype;

/// A value's place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub(super) u32);

/// Where a storage's elements are: the name that the file gives them.
#[derive(Clone, Copy, Debug)]
pub struct Storage<'a> {
    pub key: &'a str,
    pub dtype: Dtype,
    /// Elements.
    pub len: usize,
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub storage: Storage<'a>,
    /// Elements before the first.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Elements from one index to the next, by dimension.
    pub strides: Vec<usize>,
}

/// What a pickle builds.
#[derive(Debug)]
pub enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little-endian two's complement.
    LongInt(&'a [u8]),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Storage(Storage<'a>),
    Tensor(Box<View<'a>>),
    /// Something known that holds no data: a class, a device, a type.
    Known(Known),
}

/// The globals that a checkpoint may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Set,
    Storage(Dtype),
    Size,
    Device,
    /// Named, never built: element types, and classes of the training framework used as keys.
    Inert,
}

impl Known {
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        let storage = |dtype| Some(Self::Storage(dtype));
        match (module, name) {
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("builtins" | "__builtin__", "set") => Some(Self::Set),
            ("torch", "Size") => Some(Self::Size),
            ("torch", "device") => Some(Self::Device),
            ("torch" | "torch.storage", "DoubleStorage") => storage(Dtype::F64),
            ("torch" | "torch.storage", "FloatStorage") => storage(Dtype::F32),
            ("torch" | "torch.storage", "HalfStorage") => storage(Dtype::F16),
            ("torch" | "torch.storage", "BFloat16Storage") => storage(Dtype::BF16),
            ("torch" | "torch.storage", "LongStorage") => storage(Dtype::I64),
            ("torch" | "torch.storage", "IntStorage") => storage(Dtype::I32),
            ("torch" | "torch.storage", "ShortStorage") => storage(Dtype::I16),
            ("torch" | "torch.storage", "CharStorage") => storage(Dtype::I8),
            ("torch" | "torch.storage", "ByteStorage") => storage(Dtype::U8),
            ("torch" | "torch.storage", "BoolStorage") => storage(Dtype::BOOL),
            (
                "torch",
                "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "int16"
                | "int8" | "uint8" | "bool",
            ) => Some(Self::Inert),
            _ if module
                .split('.')
                .next()
                .is_some_and(|root| matches!(root, "pytorch_lightning" | "lightning")) =>
            {
                Some(Self::Inert)
            }
            _ => None,
        }
    }
}

/// The values of one pickle.
#[derive(Debug)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Read the pickle that begins at byte `at` of `file`; `at` is then behind it.
    ///
    /// # Errors
    /// A damaged or cut pickle; an instruction, a function or a class that checkpoints do not use, by name.
    pub fn read(file: Bytes<'a>, at: &mut usize) -> Result<Self> {
        let mut machine = Machine::new(file, *at);
        let root = machine.run()?;
        *at = machine.at;
        Ok(Self {
            values: machine.values,
            root,
        })
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    /// All values, in the order in which they were built.
    pub fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.values.iter()
    }
}
