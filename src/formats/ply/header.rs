//! The text at the beginning of a PLY file: which elements follow, with which properties, in which encoding.

use super::splats::ANTIALIASED;
use crate::formats::files;
use crate::{Error, Result};
use std::path::Path;

/// No header is longer than this; what is, is no PLY file.
const MAX_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Ascii,
    LittleEndian,
    BigEndian,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyType {
    Scalar(Type),
    List { count: Type, item: Type },
}

#[derive(Clone, Debug)]
pub struct Property {
    pub name: String,
    pub kind: PropertyType,
}

#[derive(Clone, Debug)]
pub struct Element {
    pub name: String,
    /// As the file claims it.
    pub count: u64,
    pub properties: Vec<Property>,
}

#[derive(Clone, Debug)]
pub struct Header {
    pub encoding: Encoding,
    pub elements: Vec<Element>,
    /// Bytes of the header: where the body begins.
    pub len: usize,
    /// A comment says that the splats are to be drawn antialiased.
    pub is_antialiased: bool,
}

impl Type {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "char" | "int8" => Self::I8,
            "uchar" | "uint8" => Self::U8,
            "short" | "int16" => Self::I16,
            "ushort" | "uint16" => Self::U16,
            "int" | "int32" => Self::I32,
            "uint" | "uint32" => Self::U32,
            "float" | "float32" => Self::F32,
            "double" | "float64" => Self::F64,
            _ => return None,
        })
    }

    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

impl PropertyType {
    /// Bytes that a value takes at least.
    pub fn min_size(&self) -> usize {
        match self {
            Self::Scalar(scalar) => scalar.size(),
            Self::List { count, .. } => count.size(),
        }
    }
}

impl Element {
    pub fn find(&self, name: &str) -> Option<usize> {
        self.properties.iter().position(|p| p.name == name)
    }

    pub fn scalar(&self, property: usize) -> Option<Type> {
        match self.properties.get(property)?.kind {
            PropertyType::Scalar(scalar) => Some(scalar),
            PropertyType::List { .. } => None,
        }
    }

    /// Bytes that a record takes at least; exactly, without lists.
    pub fn min_stride(&self) -> usize {
        self.properties.iter().map(|p| p.kind.min_size()).sum()
    }

    pub fn has_lists(&self) -> bool {
        self.properties
            .iter()
            .any(|p| matches!(p.kind, PropertyType::List { .. }))
    }
}

impl Header {
    /// Of a file, without reading its body.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read_head(path, MAX_BYTES as u64)?;
        Self::parse(path, &bytes)
    }

    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut encoding = None;
        let mut elements: Vec<Element> = Vec::new();
        let mut is_antialiased = false;
        let mut at = 0;
        let mut number = 0;
        let head = &bytes[..bytes.len().min(MAX_BYTES)];
        loop {
            let Some(len) = head[at..].iter().position(|&b| b == b'\n') else {
                return Err(Error::file(
                    path,
                    if number == 0 {
                        "is not a PLY file: it does not begin with \"ply\"".to_owned()
                    } else {
                        format!(
                            "is a PLY file cut off in its header, at byte {}",
                            head.len()
                        )
                    },
                ));
            };
            let line = String::from_utf8_lossy(&head[at..at + len]);
            let line = line.trim();
            at += len + 1;
            number += 1;
            let wrong = || {
                Error::file(
                    path,
                    format!("PLY header, line {number}: cannot read \"{line}\""),
                )
            };
            if number == 1 {
                if line != "ply" {
                    return Err(Error::file(
                        path,
                        "is not a PLY file: it does not begin with \"ply\"",
                    ));
                }
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["comment", words @ ..] => is_antialiased |= words.join(" ") == ANTIALIASED,
                [] | ["obj_info", ..] => {}
                ["format", name, _version] => {
                    encoding = Some(match *name {
                        "ascii" => Encoding::Ascii,
                        "binary_little_endian" => Encoding::LittleEndian,
                        "binary_big_endian" => Encoding::BigEndian,
                        _ => return Err(wrong()),
                    });
                }
                ["element", name, count] => elements.push(Element {
                    name: (*name).to_owned(),
                    count: count.parse().map_err(|_| wrong())?,
                    properties: Vec::new(),
                }),
                ["property", kind @ .., name] => {
                    let kind = property_type(kind).ok_or_else(wrong)?;
                    let element = elements.last_mut().ok_or_else(wrong)?;
                    element.properties.push(Property {
                        name: (*name).to_owned(),
                        kind,
                    });
                }
                ["end_header"] => break,
                _ => return Err(wrong()),
            }
        }
        Ok(Self {
            is_antialiased,
            encoding: encoding.ok_or_else(|| {
                Error::file(path, "is a PLY file whose header has no format line")
            })?,
            elements,
            len: at,
        })
    }

    /// The element `vertex`.
    pub fn vertex(&self, path: &Path) -> Result<&Element> {
        self.elements
            .iter()
            .find(|element| element.name == "vertex")
            .ok_or_else(|| {
                let names: Vec<&str> = self.elements.iter().map(|e| e.name.as_str()).collect();
                Error::file(
                    path,
                    format!(
                        "is a PLY file without an element \"vertex\" (it has: {})",
                        names.join(", ")
                    ),
                )
            })
    }
}

fn property_type(words: &[&str]) -> Option<PropertyType> {
    match words {
        ["list", count, item] => Some(PropertyType::List {
            count: Type::parse(count)?,
            item: Type::parse(item)?,
        }),
        [scalar] => Some(PropertyType::Scalar(Type::parse(scalar)?)),
        _ => None,
    }
}
