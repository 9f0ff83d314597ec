//! As much of ZIP as a SOG bundle needs: reading stored and deflated entries of an archive in memory, writing stored ones
//! (pictures do not shrink twice). Own code: the crate `zip` brings encryption, dates and five compressors.

use super::bytes::{Budget, Bytes, unpack};
use crate::Result;
use flate2::{Crc, read::DeflateDecoder};
use std::borrow::Cow;

pub const MAGIC: &[u8] = b"PK\x03\x04";

const LOCAL: usize = 30;
const CENTRAL: usize = 46;
const END: usize = 22;
const CENTRAL_MAGIC: u32 = 0x0201_4b50;
const END_MAGIC: u32 = 0x0605_4b50;
/// A ZIP64 archive says so with this in place of a size.
const ELSEWHERE: usize = u32::MAX as usize;

struct Entry {
    name: String,
    method: u16,
    crc: u32,
    packed_len: usize,
    len: usize,
    local: usize,
}

pub struct Archive<'a> {
    file: Bytes<'a>,
    entries: Vec<Entry>,
}

impl<'a> Archive<'a> {
    /// # Errors
    /// No directory at the end of the file, or one that points outside of it.
    pub fn new(file: Bytes<'a>) -> Result<Self> {
        let start = file.bytes.len().saturating_sub(END + usize::from(u16::MAX));
        let end = file.bytes[start..]
            .windows(4)
            .rposition(|w| w == END_MAGIC.to_le_bytes())
            .map(|at| start + at)
            .ok_or_else(|| file.error("that ends early: the archive has no directory"))?;
        file.slice(end, END, "archive directory")?;
        let count = usize::from(file.u16(end + 10)?);
        let mut at = file.size(end + 16)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            if file.u32(at)? != CENTRAL_MAGIC {
                return Err(file.error(format!("whose archive directory is damaged at byte {at}")));
            }
            let name_len = usize::from(file.u16(at + 28)?);
            let name = file.slice(at + CENTRAL, name_len, "file names")?;
            let entry = Entry {
                name: String::from_utf8_lossy(name).into_owned(),
                method: file.u16(at + 10)?,
                crc: file.u32(at + 16)?,
                packed_len: file.size(at + 20)?,
                len: file.size(at + 24)?,
                local: file.size(at + 42)?,
            };
            if [entry.packed_len, entry.len, entry.local].contains(&ELSEWHERE) {
                return Err(file.error("in ZIP64, which is not read"));
            }
            entries.push(entry);
            at += CENTRAL
                + name_len
                + usize::from(file.u16(at + 30)?)
                + usize::from(file.u16(at + 32)?);
        }
        Ok(Self { file, entries })
    }

    /// The content of the entry `name`, or of the one with this name in the archive's only folder.
    ///
    /// # Errors
    /// No such entry; it is damaged; it unpacks to more than `budget`.
    pub fn read(&self, name: &str, budget: &mut Budget) -> Result<Cow<'a, [u8]>> {
        let file = &self.file;
        let in_folder = |e: &&Entry| {
            e.name
                .rsplit_once('/')
                .is_some_and(|(_, last)| last == name)
        };
        let entry = self
            .entries
            .iter()
            .find(|e| e.name == name)
            .or_else(|| self.entries.iter().find(in_folder))
            .ok_or_else(|| file.error(format!("without {name}")))?;
        let extra =
            usize::from(file.u16(entry.local + 26)?) + usize::from(file.u16(entry.local + 28)?);
        let packed = file.slice(entry.local + LOCAL + extra, entry.packed_len, name)?;
        let content = match entry.method {
            0 => Cow::Borrowed(packed),
            8 => {
                budget.take(file, entry.len)?;
                Cow::Owned(unpack(file, DeflateDecoder::new(packed), entry.len, name)?)
            }
            method => {
                return Err(file.error(format!(
                    "whose {name} is packed with method {method}; 0 and 8 are known"
                )));
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
