//! As much of ZIP as SOG bundles, captures and PyTorch checkpoints need: reading stored and deflated entries of an archive in
//! memory or in a map, ZIP64 included (checkpoints pass 4 GiB), writing stored ones (pictures do not shrink twice). Own
//! code: the crate `zip` brings encryption, dates and five compressors, and hands out no places in a map.

use super::bytes::{Budget, Bytes, unpack};
use crate::Result;
use flate2::{Crc, read::DeflateDecoder};
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

pub const MAGIC: &[u8] = b"PK\x03\x04";

const LOCAL: usize = 30;
const CENTRAL: usize = 46;
const END: usize = 22;
const CENTRAL_MAGIC: u32 = 0x0201_4b50;
const END_MAGIC: u32 = 0x0605_4b50;
/// Before the end record of a ZIP64 archive: where its own end record is.
const LOCATOR: usize = 20;
const LOCATOR_MAGIC: u32 = 0x0706_4b50;
const END64: usize = 56;
const END64_MAGIC: u32 = 0x0606_4b50;
/// Tag of the extra field that holds 64-bit sizes.
const EXTRA64: u16 = 1;
/// Flag of an entry.
const ENCRYPTED: u16 = 1;
/// Stands in a 32-bit field whose value is in the ZIP64 part.
const ELSEWHERE: usize = u32::MAX as usize;
const COUNT_ELSEWHERE: usize = u16::MAX as usize;

struct Entry {
    name: String,
    is_encrypted: bool,
    method: u16,
    crc: u32,
    packed_len: usize,
    len: usize,
    local: usize,
}

/// What an archive says that it holds.
pub struct Directory {
    entries: Vec<Entry>,
}

impl Directory {
    /// # Errors
    /// No directory at the end of the file, or one that points outside of it.
    pub fn read(file: &Bytes<'_>) -> Result<Self> {
        let start = file.bytes.len().saturating_sub(END + usize::from(u16::MAX));
        let end = file.bytes[start..]
            .windows(4)
            .rposition(|w| w == END_MAGIC.to_le_bytes())
            .map(|at| start + at)
            .ok_or_else(|| file.error("that ends early: the archive has no directory"))?;
        file.slice(end, END, "archive directory")?;
        let (count, mut at) = directory(file, end)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            if file.u32(at)? != CENTRAL_MAGIC {
                return Err(file.error(format!("whose archive directory is damaged at byte {at}")));
            }
            let name_len = usize::from(file.u16(at + 28)?);
            let extra_len = usize::from(file.u16(at + 30)?);
            let name = file.slice(at + CENTRAL, name_len, "file names")?;
            let mut entry = Entry {
                name: String::from_utf8_lossy(name).into_owned(),
                is_encrypted: file.u16(at + 8)? & ENCRYPTED != 0,
                method: file.u16(at + 10)?,
                crc: file.u32(at + 16)?,
                packed_len: file.size(at + 20)?,
                len: file.size(at + 24)?,
                local: file.size(at + 42)?,
            };
            let extra = file.slice(at + CENTRAL + name_len, extra_len, "directory")?;
            entry.take_64_bit_fields(&Bytes {
                bytes: extra,
                ..*file
            })?;
            entries.push(entry);
            at += CENTRAL + name_len + extra_len + usize::from(file.u16(at + 32)?);
        }
        Ok(Self { entries })
    }

    /// In the order of the archive, with `/` between folders; those of folders end in one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Bytes that entry `index` takes in the archive.
    pub fn packed_len(&self, index: usize) -> usize {
        self.entries[index].packed_len
    }

    /// The content of entry `index` of the archive `file`, whose directory this is.
    ///
    /// # Errors
    /// It is damaged or encrypted; it unpacks to more than `budget`.
    pub fn content<'a>(
        &self,
        file: &Bytes<'a>,
        index: usize,
        budget: &mut Budget,
    ) -> Result<Cow<'a, [u8]>> {
        let entry = &self.entries[index];
        let name = &entry.name;
        let content = match entry.packed(file)? {
            Packed::Stored(bytes) => Cow::Borrowed(bytes),
            Packed::Deflated(bytes) => {
                budget.take(file, entry.len)?;
                Cow::Owned(unpack(file, DeflateDecoder::new(bytes), entry.len, name)?)
            }
        };
        let mut crc = Crc::new();
        crc.update(&content);
        if crc.sum() == entry.crc {
            Ok(content)
        } else {
            Err(file.error(format!("whose {name} is damaged: its checksum is wrong")))
        }
    }

    /// The first `len` bytes of that content, fewer where it ends before. Its checksum, which is of all of it, is not asked.
    ///
    /// # Errors
    /// It is encrypted, or damaged so early.
    pub fn head(&self, file: &Bytes<'_>, index: usize, len: u64) -> Result<Vec<u8>> {
        let entry = &self.entries[index];
        let mut head = Vec::new();
        match entry.packed(file)? {
            Packed::Stored(bytes) => bytes.take(len).read_to_end(&mut head),
            Packed::Deflated(bytes) => DeflateDecoder::new(bytes).take(len).read_to_end(&mut head),
        }
        .map_err(|e| file.error(format!("whose {} cannot be unpacked: {e}", entry.name)))?;
        Ok(head)
    }
}

/// An entry's bytes as they lie in the archive.
enum Packed<'a> {
    Stored(&'a [u8]),
    Deflated(&'a [u8]),
}

pub struct Archive<'a> {
    file: Bytes<'a>,
    directory: Directory,
}

impl<'a> Archive<'a> {
    /// # Errors
    /// As [`Directory::read`].
    pub fn new(file: Bytes<'a>) -> Result<Self> {
        let directory = Directory::read(&file)?;
        Ok(Self { file, directory })
    }

    /// Each entry's name, and the bytes of the file that hold it as it is; `None` where it is packed.
    ///
    /// # Errors
    /// An entry that lies outside of the file.
    pub fn stored(&self) -> impl Iterator<Item = Result<(&str, Option<Range<usize>>)>> {
        self.directory.entries.iter().map(|entry| {
            let range = match entry.method {
                0 => Some(packed(&self.file, entry)?),
                _ => None,
            };
            Ok((entry.name.as_str(), range))
        })
    }

    /// The content of the entry `name`, or of the one with this name in the archive's only folder.
    ///
    /// # Errors
    /// No such entry; it is damaged; it unpacks to more than `budget`.
    pub fn read(&self, name: &str, budget: &mut Budget) -> Result<Cow<'a, [u8]>> {
        let in_folder = |e: &str| e.rsplit_once('/').is_some_and(|(_, last)| last == name);
        let mut names = self.directory.names();
        let index = names
            .position(|e| e == name)
            .or_else(|| self.directory.names().position(in_folder))
            .ok_or_else(|| self.file.error(format!("without {name}")))?;
        self.directory.content(&self.file, index, budget)
    }
}

/// Where the bytes of an entry are, as they are in the file.
fn packed(file: &Bytes<'_>, entry: &Entry) -> Result<Range<usize>> {
    file.slice(entry.local, LOCAL, &entry.name)?;
    let extra = usize::from(file.u16(entry.local + 26)?) + usize::from(file.u16(entry.local + 28)?);
    let start = entry.local + LOCAL + extra;
    file.slice(start, entry.packed_len, &entry.name)?;
    Ok(start..start + entry.packed_len)
}

/// Entries, and where the directory begins, told by the end record at `end` or by the ZIP64 one that it stands for.
fn directory(file: &Bytes<'_>, end: usize) -> Result<(usize, usize)> {
    let count = usize::from(file.u16(end + 10)?);
    let start = file.size(end + 16)?;
    if count != COUNT_ELSEWHERE && start != ELSEWHERE {
        return Ok((count, start));
    }
    match end.checked_sub(LOCATOR) {
        Some(locator) if file.u32(locator)? == LOCATOR_MAGIC => {
            let end = file.size64(locator + 8)?;
            file.slice(end, END64, "archive directory")?;
            if file.u32(end)? != END64_MAGIC {
                return Err(file.error(format!("whose archive directory is damaged at byte {end}")));
            }
            Ok((file.size64(end + 32)?, file.size64(end + 48)?))
        }
        _ => Ok((count, start)),
    }
}

impl Entry {
    fn packed<'a>(&self, file: &Bytes<'a>) -> Result<Packed<'a>> {
        let name = &self.name;
        if self.is_encrypted {
            return Err(file.error(format!("whose {name} is encrypted; unpack it first")));
        }
        let bytes = &file.bytes[packed(file, self)?];
        match self.method {
            0 => Ok(Packed::Stored(bytes)),
            8 => Ok(Packed::Deflated(bytes)),
            method => Err(file.error(format!(
                "whose {name} is packed with method {method}; 0 and 8 are known"
            ))),
        }
    }

    /// Fill what the 32-bit fields only stand for from the entry's `extra` fields.
    fn take_64_bit_fields(&mut self, extra: &Bytes<'_>) -> Result<()> {
        let mut missing: Vec<&mut usize> = [&mut self.len, &mut self.packed_len, &mut self.local]
            .into_iter()
            .filter(|field| **field == ELSEWHERE)
            .collect();
        let mut at = 0;
        while !missing.is_empty() && at + 4 <= extra.bytes.len() {
            let (tag, len) = (extra.u16(at)?, usize::from(extra.u16(at + 2)?));
            if tag == EXTRA64 {
                for (i, field) in missing.drain(..).enumerate() {
                    *field = extra.size64(at + 4 + 8 * i)?;
                }
            }
            at += 4 + len;
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(extra.error(format!(
                "whose directory does not say how long {} is",
                self.name
            )))
        }
    }
}

/// An archive of stored `files`. Their times are the format's first day, so that equal content gives equal bytes.
pub fn encode(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    /// UTF-8 names.
    const FLAGS: u16 = 0x800;
    const FIRST_DAY: u16 = 1 << 5 | 1;
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let mut crc = Crc::new();
        crc.update(content);
        let local = out.len() as u32;
        let mut common = Vec::new();
        for v in [20, FLAGS, 0, 0, FIRST_DAY] {
            common.extend(v.to_le_bytes());
        }
        for v in [
            crc.sum(),
            content.len() as u32,
            content.len() as u32,
            name.len() as u32,
        ] {
            common.extend(v.to_le_bytes());
        }
        out.extend(MAGIC);
        out.extend(&common);
        out.extend(name.bytes());
        out.extend(content);
        directory.extend(CENTRAL_MAGIC.to_le_bytes());
        directory.extend(20u16.to_le_bytes());
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(local.to_le_bytes());
        directory.extend(name.bytes());
    }
    let start = out.len() as u32;
    out.append(&mut directory);
    let len = out.len() as u32 - start;
    out.extend(END_MAGIC.to_le_bytes());
    out.extend([0; 4]);
    for _ in 0..2 {
        out.extend((files.len() as u16).to_le_bytes());
    }
    out.extend(len.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}
