//! The stack machine that a pickle is a program for. Nothing here looks at what the values mean; what a program may name
//! and call is [`Known`], and everything else ends it with an error.

use super::pickle::{Id, Known, Storage, Value, View};
use crate::Result;
use crate::formats::splats::bytes::Bytes;

/// A checkpoint holds a few tens of thousands of values; a file that builds more than this is hostile.
const MOST_VALUES: usize = 1 << 22;

const NONE: Id = Id(0);
const FALSE: Id = Id(1);
const TRUE: Id = Id(2);

pub(super) struct Machine<'a> {
    file: Bytes<'a>,
    pub at: usize,
    pub values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
    /// Items that calls have copied from one value to another.
    copied: usize,
}

impl<'a> Machine<'a> {
    pub fn new(file: Bytes<'a>, at: usize) -> Self {
        Self {
            file,
            at,
            values: vec![Value::None, Value::Bool(false), Value::Bool(true)],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            copied: 0,
        }
    }

    /// The value that the pickle ends with.
    pub fn run(&mut self) -> Result<Id> {
        loop {
            let start = self.at;
            let code = self.byte()?;
            match code {
                b'.' => return self.pop(),
                0x80 => match self.byte()? {
                    0..=5 => {}
                    version => {
                        return Err(
                            self.error(format!("of pickle protocol {version}; 0 to 5 are known"))
                        );
                    }
                },
                // Frames only help a reader that buffers.
                0x95 => drop(self.take(8)?),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                b'N' => self.stack.push(NONE),
                0x88 => self.stack.push(TRUE),
                0x89 => self.stack.push(FALSE),
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(i64::from(value)))?;
                }
                b'K' => {
                    let value = self.byte()?;
                    self.push(Value::Int(i64::from(value)))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(i64::from(value)))?;
                }
                0x8a => {
                    let len = usize::from(self.byte()?);
                    self.long(len)?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.push(Value::Float(value))?;
                }
                b'X' | 0x8c | 0x8d => {
                    let len = self.length(match code {
                        0x8c => 1,
                        b'X' => 4,
                        _ => 8,
                    })?;
                    let text = self.text(len)?;
                    self.push(Value::Str(text))?;
                }
                // Python 2's strings: text or bytes, by what they hold.
                b'U' | b'T' => {
                    let len = self.length(if code == b'U' { 1 } else { 4 })?;
                    let bytes = self.take(len)?;
                    self.push(match std::str::from_utf8(bytes) {
                        Ok(text) => Value::Str(text),
                        Err(_) => Value::Bytes(bytes),
                    })?;
                }
                b'C' | b'B' | 0x8e => {
                    let len = self.length(match code {
                        b'C' => 1,
                        b'B' => 4,
                        _ => 8,
                    })?;
                    let bytes = self.take(len)?;
                    self.push(Value::Bytes(bytes))?;
                }
                b']' => self.push(Value::List(Vec::new()))?,
                b')' => self.push(Value::Tuple(Vec::new()))?,
                b'}' => self.push(Value::Dict(Vec::new()))?,
                0x8f => self.push(Value::Set(Vec::new()))?,
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::List(items))?;
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                b'd' => {
                    let items = self.pop_to_mark()?;
                    let pairs = self.pairs(&items)?;
                    self.push(Value::Dict(pairs))?;
                }
                0x85..=0x87 => {
                    let mut items = Vec::new();
                    for _ in 0x85..=code {
                        items.push(self.pop()?);
                    }
                    items.reverse();
                    self.push(Value::Tuple(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_to_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(vec![(key, value)])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    let pairs = self.pairs(&items)?;
                    self.set_items(pairs)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (self.value(module), self.value(name)) {
                        (Value::Str(module), Value::Str(name)) => {
                            let (module, name) = (*module, *name);
                            self.global(module, name)?;
                        }
                        _ => return Err(self.damaged("a class has no name")),
                    }
                }
                b'R' | 0x81 => {
                    let (arguments, callee) = (self.pop()?, self.pop()?);
                    self.call(callee, arguments)?;
                }
                // State of an object that has none here: attributes of ordered dictionaries and of parameters.
                b'b' => {
                    self.pop()?;
                    let object = self.top()?;
                    if !matches!(
                        self.value(object),
                        Value::Dict(_) | Value::Tensor(_) | Value::Set(_)
                    ) {
                        return Err(self.damaged("a value that has no state is given one"));
                    }
                }
                b'Q' => {
                    let name = self.pop()?;
                    let storage = self.storage(name)?;
                    self.push(Value::Storage(storage))?;
                }
                b'h' => {
                    let index = self.length(1)?;
                    self.recall(index)?;
                }
                b'j' => {
                    let index = self.length(4)?;
                    self.recall(index)?;
                }
                b'q' => {
                    let index = self.length(1)?;
                    self.remember(index)?;
                }
                b'r' => {
                    let index = self.length(4)?;
                    self.remember(index)?;
                }
                0x94 => self.remember(self.memo.len())?,
                _ => {
                    return Err(self.error(format!(
                        "with the pickle instruction 0x{code:02x} at byte {start}, which checkpoints do not use; it \
                         was not run"
                    )));
                }
            }
        }
    }

    fn error(&self, problem: impl std::fmt::Display) -> crate::Error {
        self.file.error(problem)
    }

    fn damaged(&self, problem: &str) -> crate::Error {
        self.error(format!(
            "whose pickle is damaged before byte {}: {problem}",
            self.at
        ))
    }

    fn too_many(&self) -> crate::Error {
        self.error(format!(
            "with more than {MOST_VALUES} values, which no checkpoint has"
        ))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.file.slice(self.at, len, "pickle")?;
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// A little-endian count of `bytes` bytes.
    fn length(&mut self, bytes: usize) -> Result<usize> {
        let mut array = [0; 8];
        array[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(array))
            .map_err(|_| self.damaged("a length has more than the machine's bits"))
    }

    fn text(&mut self, len: usize) -> Result<&'a str> {
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("text is not UTF-8"))
    }

    /// Up to the next line feed, which is skipped.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.file.bytes[self.at..];
        let Some(len) = rest.iter().take(1 << 10).position(|&byte| byte == b'\n') else {
            return Err(self.damaged("the name of a class does not end"));
        };
        let text = self.text(len)?;
        self.at += 1;
        Ok(text)
    }

    fn long(&mut self, len: usize) -> Result<()> {
        let bytes = self.take(len)?;
        if len > 8 {
            return self.push(Value::LongInt(bytes));
        }
        let negative = bytes.last().is_some_and(|&top| top & 0x80 != 0);
        let mut array = if negative { [0xff; 8] } else { [0; 8] };
        array[..len].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(array)))
    }

    fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        if self.values.len() == MOST_VALUES {
            return Err(self.too_many());
        }
        self.stack.push(Id(self.values.len() as u32));
        self.values.push(value);
        Ok(())
    }

    /// Not below the last mark.
    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.damaged("a value is used that is not there"));
        }
        self.stack
            .pop()
            .ok_or_else(|| self.damaged("a value is used that is not there"))
    }

    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.get(floor..).and_then(<[Id]>::last) {
            Some(top) => Ok(*top),
            None => Err(self.damaged("a value is used that is not there")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => Err(self.damaged("a list ends that did not begin")),
        }
    }

    fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>> {
        let (pairs, rest) = items.as_chunks::<2>();
        if rest.is_empty() {
            Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
        } else {
            Err(self.damaged("a key has no value"))
        }
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<()> {
        let target = self.top()?;
        match &mut self.values[target.0 as usize] {
            Value::List(list) | Value::Set(list) => {
                list.append(&mut items);
                Ok(())
            }
            _ => Err(self.damaged("an item is added to what is no list")),
        }
    }

    fn set_items(&mut self, mut items: Vec<(Id, Id)>) -> Result<()> {
        let target = self.top()?;
        match &mut self.values[target.0 as usize] {
            Value::Dict(pairs) => {
                pairs.append(&mut items);
                Ok(())
            }
            _ => Err(self.damaged("an item is set in what is no dictionary")),
        }
    }

    fn remember(&mut self, index: usize) -> Result<()> {
        let top = self.top()?;
        // A writer numbers what it remembers from 0 up, without gaps.
        if index > self.memo.len() {
            return Err(self.damaged("what is remembered is not numbered in order"));
        }
        if index == self.memo.len() {
            self.memo.push(Some(top));
        } else {
            self.memo[index] = Some(top);
        }
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<()> {
        match self.memo.get(index).copied().flatten() {
            Some(id) => {
                self.stack.push(id);
                Ok(())
            }
            None => Err(self.damaged("a value is recalled that was not remembered")),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        match Known::find(module, name) {
            Some(known) => self.push(Value::Known(known)),
            None => Err(self.error(format!(
                "that refers to `{}.{}`, which checkpoints do not use; it was not run",
                module.escape_default(),
                name.escape_default()
            ))),
        }
    }

    fn call(&mut self, callee: Id, arguments: Id) -> Result<()> {
        if !matches!(self.value(arguments), Value::Tuple(_)) {
            return Err(self.damaged("a function is called without arguments"));
        }
        let arguments = self.copy_items(arguments)?;
        let Value::Known(known) = *self.value(callee) else {
            return Err(self.damaged("what is called is no function"));
        };
        let value = match known {
            Known::RebuildTensor => Value::Tensor(Box::new(self.view(&arguments)?)),
            Known::RebuildParameter => match arguments.first() {
                Some(&id) if matches!(self.value(id), Value::Tensor(_)) => {
                    self.stack.push(id);
                    return Ok(());
                }
                _ => return Err(self.damaged("a parameter has no tensor")),
            },
            Known::OrderedDict => Value::Dict(self.pairs_of_list(&arguments)?),
            Known::Set => Value::Set(self.items_of(&arguments)?),
            Known::Size => Value::Tuple(self.items_of(&arguments)?),
            Known::Device => Value::Known(Known::Inert),
            Known::Storage(_) | Known::Inert => {
                return Err(self.damaged("a class is called that only names something"));
            }
        };
        self.push(value)
    }

    /// Items of a list or tuple. What is copied is counted: a file may call a thousand times for one long list.
    fn copy_items(&mut self, id: Id) -> Result<Vec<Id>> {
        let items = match self.value(id) {
            Value::List(items) | Value::Tuple(items) => items,
            _ => return Err(self.damaged("a list is expected")),
        };
        let copied = self.copied + items.len();
        if copied > MOST_VALUES {
            return Err(self.too_many());
        }
        let items = items.clone();
        self.copied = copied;
        Ok(items)
    }

    /// The items of the only argument, or none.
    fn items_of(&mut self, arguments: &[Id]) -> Result<Vec<Id>> {
        match arguments {
            [] => Ok(Vec::new()),
            [id] => self.copy_items(*id),
            _ => Err(self.damaged("one list is expected")),
        }
    }

    fn pairs_of_list(&mut self, arguments: &[Id]) -> Result<Vec<(Id, Id)>> {
        self.items_of(arguments)?
            .into_iter()
            .map(|pair| match self.value(pair) {
                Value::List(pair) | Value::Tuple(pair) => match pair[..] {
                    [key, value] => Ok((key, value)),
                    _ => Err(self.damaged("a key has no value")),
                },
                _ => Err(self.damaged("a key has no value")),
            })
            .collect()
    }

    fn size(&self, id: Id) -> Result<usize> {
        match self.value(id) {
            Value::Int(value) => {
                usize::try_from(*value).map_err(|_| self.damaged(&format!("{value} is no size")))
            }
            _ => Err(self.damaged("a size is no number")),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        match self.value(id) {
            Value::Tuple(items) | Value::List(items) if items.len() <= 16 => {
                items.iter().map(|&id| self.size(id)).collect()
            }
            _ => Err(self.damaged("a tensor has no shape")),
        }
    }

    /// `(storage, offset, shape, strides, …)`.
    fn view(&self, arguments: &[Id]) -> Result<View<'a>> {
        let [storage, offset, shape, strides, ..] = arguments[..] else {
            return Err(self.damaged("a tensor lacks its storage, shape or strides"));
        };
        let Value::Storage(storage) = *self.value(storage) else {
            return Err(self.damaged("a tensor has no storage"));
        };
        let view = View {
            storage,
            offset: self.size(offset)?,
            shape: self.sizes(shape)?,
            strides: self.sizes(strides)?,
        };
        if view.shape.len() == view.strides.len() {
            Ok(view)
        } else {
            Err(self.damaged("a tensor has not one stride a dimension"))
        }
    }

    /// `('storage', class, key, device, length, …)`.
    fn storage(&self, name: Id) -> Result<Storage<'a>> {
        let Value::Tuple(parts) = self.value(name) else {
            return Err(self.damaged("a storage has no name"));
        };
        let [kind, class, key, _, len, rest @ ..] = &parts[..] else {
            return Err(self.damaged("a storage lacks its type, key or length"));
        };
        if !matches!(self.value(*kind), Value::Str("storage")) {
            return Err(self.damaged("a reference is none to a storage"));
        }
        if rest
            .iter()
            .any(|&id| !matches!(self.value(id), Value::None))
        {
            return Err(
                self.error("with views of storages, which only files from before PyTorch 0.4 have")
            );
        }
        match (self.value(*class), self.value(*key)) {
            (Value::Known(Known::Storage(dtype)), Value::Str(key)) => Ok(Storage {
                key,
                dtype: *dtype,
                len: self.size(*len)?,
            }),
            _ => Err(self.damaged("a storage lacks its type or key")),
        }
    }
}
