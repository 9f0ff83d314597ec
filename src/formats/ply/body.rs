//! The records of a PLY file. Elements before `vertex` are skipped; a count that the bytes cannot hold is an error, and
//! nothing is reserved for it.

use super::header::{Element, Encoding, Header, PropertyType, Type};
use crate::{Error, Result};
use std::path::Path;

/// The records of one element of a file in memory.
pub struct Body<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    encoding: Encoding,
    element: &'a Element,
    /// Where its records begin.
    start: usize,
}

/// Where reading is.
struct Place<'a> {
    path: &'a Path,
    element: &'a Element,
    record: u64,
}

impl Place<'_> {
    fn error(&self, problem: &str, byte: usize) -> Error {
        Error::file(
            self.path,
            format!(
                "{problem} in record {} of {} of element {}, at byte {byte}",
                self.record.saturating_add(1),
                self.element.count,
                self.element.name
            ),
        )
    }

    fn truncated(&self, byte: usize) -> Error {
        self.error("is a PLY file that ends early:", byte)
    }
}

impl<'a> Body<'a> {
    pub fn new(path: &'a Path, bytes: &'a [u8], header: &'a Header) -> Result<Self> {
        Self::of(path, bytes, header, "vertex")
    }

    /// The records of the element `name`.
    pub fn of(path: &'a Path, bytes: &'a [u8], header: &'a Header, name: &str) -> Result<Self> {
        let mut start = header.len;
        for element in &header.elements {
            if element.name == name {
                return Ok(Self {
                    path,
                    bytes,
                    encoding: header.encoding,
                    element,
                    start,
                });
            }
            start = skip(path, bytes, header.encoding, element, start)?;
        }
        Err(Error::file(
            path,
            format!("is a PLY file without an element \"{name}\""),
        ))
    }

    /// Records that there is room for, at most as many as the file claims.
    pub fn capacity(&self) -> usize {
        let smallest = match self.encoding {
            Encoding::Ascii => 2 * self.element.properties.len(),
            _ => self.element.min_stride(),
        };
        // The last value of a text needs no separator.
        let room = (self.bytes.len() - self.start + 1) / smallest.max(1);
        usize::try_from(self.element.count)
            .unwrap_or(room)
            .min(room)
    }

    /// Call `each` with the values of the scalar properties `columns` of every record.
    pub fn rows(&self, columns: &[usize], mut each: impl FnMut(&[f64])) -> Result<()> {
        let Self { path, element, .. } = *self;
        for &column in columns {
            if element.scalar(column).is_none() {
                return Err(Error::file(
                    path,
                    format!(
                        "is a PLY file whose property {} is a list, not a number",
                        element.properties[column].name
                    ),
                ));
            }
        }
        match self.encoding {
            Encoding::Ascii => self.ascii_rows(columns, each),
            _ if element.has_lists() => {
                let mut row = vec![0.0; columns.len()];
                let big = self.encoding == Encoding::BigEndian;
                let mut at = self.start;
                let mut offsets = vec![0; element.properties.len()];
                for record in 0..element.count {
                    let place = Place {
                        path,
                        element,
                        record,
                    };
                    for (offset, property) in offsets.iter_mut().zip(&element.properties) {
                        *offset = at;
                        at = after(self.bytes, at, &property.kind, big, &place)?;
                    }
                    for (value, &column) in row.iter_mut().zip(columns) {
                        if let Some(scalar) = element.scalar(column) {
                            *value = decode(&self.bytes[offsets[column]..], scalar, big);
                        }
                    }
                    each(&row);
                }
                Ok(())
            }
            _ => {
                let stride = element.min_stride();
                let body = &self.bytes[self.start..];
                let needed = usize::try_from(element.count)
                    .ok()
                    .and_then(|count| count.checked_mul(stride));
                if needed.is_none_or(|needed| needed > body.len()) {
                    return Err(Place {
                        path,
                        element,
                        record: (body.len() / stride.max(1)) as u64,
                    }
                    .truncated(self.bytes.len()));
                }
                let mut offsets = Vec::with_capacity(element.properties.len());
                let mut offset = 0;
                for property in &element.properties {
                    offsets.push(offset);
                    offset += property.kind.min_size();
                }
                let wanted: Vec<(usize, Type)> = columns
                    .iter()
                    .filter_map(|&column| Some((offsets[column], element.scalar(column)?)))
                    .collect();
                let big = self.encoding == Encoding::BigEndian;
                let mut row = vec![0.0; columns.len()];
                for record in body.chunks_exact(stride.max(1)).take(self.capacity()) {
                    for (value, &(offset, scalar)) in row.iter_mut().zip(&wanted) {
                        *value = decode(&record[offset..], scalar, big);
                    }
                    each(&row);
                }
                Ok(())
            }
        }
    }

    fn ascii_rows(&self, columns: &[usize], mut each: impl FnMut(&[f64])) -> Result<()> {
        let Self { path, element, .. } = *self;
        let mut words = Words {
            bytes: self.bytes,
            at: self.start,
        };
        let mut values = vec![0.0; element.properties.len()];
        let mut row = vec![0.0; columns.len()];
        for record in 0..element.count {
            let place = Place {
                path,
                element,
                record,
            };
            for (value, property) in values.iter_mut().zip(&element.properties) {
                *value = words.value(&property.kind, &place)?;
            }
            for (value, &column) in row.iter_mut().zip(columns) {
                *value = values[column];
            }
            each(&row);
        }
        Ok(())
    }
}

/// Where the element after `element`, which begins at `start`, begins.
fn skip(
    path: &Path,
    bytes: &[u8],
    encoding: Encoding,
    element: &Element,
    start: usize,
) -> Result<usize> {
    if element.properties.is_empty() {
        return Ok(start);
    }
    let place = |record| Place {
        path,
        element,
        record,
    };
    if encoding == Encoding::Ascii {
        let mut words = Words { bytes, at: start };
        for record in 0..element.count {
            for property in &element.properties {
                words.value(&property.kind, &place(record))?;
            }
        }
        return Ok(words.at);
    }
    if !element.has_lists() {
        let stride = element.min_stride();
        return usize::try_from(element.count)
            .ok()
            .and_then(|count| count.checked_mul(stride)?.checked_add(start))
            .filter(|&end| end <= bytes.len())
            .ok_or_else(|| place(((bytes.len() - start) / stride) as u64).truncated(bytes.len()));
    }
    let mut at = start;
    for record in 0..element.count {
        for property in &element.properties {
            let big = encoding == Encoding::BigEndian;
            at = after(bytes, at, &property.kind, big, &place(record))?;
        }
    }
    Ok(at)
}

/// Where the value at `at` ends.
fn after(
    bytes: &[u8],
    at: usize,
    kind: &PropertyType,
    big_endian: bool,
    place: &Place<'_>,
) -> Result<usize> {
    let end = |at: usize, len: usize| {
        at.checked_add(len)
            .filter(|&end| end <= bytes.len())
            .ok_or_else(|| place.truncated(bytes.len()))
    };
    match *kind {
        PropertyType::Scalar(scalar) => end(at, scalar.size()),
        PropertyType::List { count, item } => {
            let items = end(at, count.size())?;
            let len = decode(&bytes[at..], count, big_endian);
            if len < 0.0 || !len.is_finite() {
                return Err(place.error("is a PLY file with an impossible list length", at));
            }
            end(items, (len as usize).saturating_mul(item.size()))
        }
    }
}

/// The value at the beginning of `bytes`, which hold at least that.
fn decode(bytes: &[u8], scalar: Type, big_endian: bool) -> f64 {
    fn first<const N: usize>(bytes: &[u8], big_endian: bool) -> [u8; N] {
        let mut chunk = [0; N];
        chunk.copy_from_slice(&bytes[..N]);
        if big_endian {
            chunk.reverse();
        }
        chunk
    }
    match scalar {
        Type::I8 => f64::from(bytes[0] as i8),
        Type::U8 => f64::from(bytes[0]),
        Type::I16 => f64::from(i16::from_le_bytes(first(bytes, big_endian))),
        Type::U16 => f64::from(u16::from_le_bytes(first(bytes, big_endian))),
        Type::I32 => f64::from(i32::from_le_bytes(first(bytes, big_endian))),
        Type::U32 => f64::from(u32::from_le_bytes(first(bytes, big_endian))),
        Type::F32 => f64::from(f32::from_le_bytes(first(bytes, big_endian))),
        Type::F64 => f64::from_le_bytes(first(bytes, big_endian)),
    }
}

/// The words of a text body. Line breaks are not looked at: some tools wrap long records.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Words<'_> {
    /// A scalar's value, or a list's length, its items skipped.
    fn value(&mut self, kind: &PropertyType, place: &Place<'_>) -> Result<f64> {
        let value = self.number(place)?;
        if let PropertyType::List { .. } = kind {
            if value < 0.0 || !value.is_finite() {
                return Err(place.error("is a PLY file with an impossible list length", self.at));
            }
            for _ in 0..value as u64 {
                self.number(place)?;
            }
        }
        Ok(value)
    }

    fn number(&mut self, place: &Place<'_>) -> Result<f64> {
        let rest = &self.bytes[self.at..];
        let begin = rest.iter().position(|b| !b.is_ascii_whitespace());
        let Some(begin) = begin else {
            return Err(place.truncated(self.bytes.len()));
        };
        let word = &rest[begin..];
        let len = word
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(word.len());
        let byte = self.at + begin;
        self.at = byte + len;
        str::from_utf8(&word[..len])
            .ok()
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| place.error("is a PLY file with something other than a number", byte))
    }
}
