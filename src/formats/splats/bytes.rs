//! Little-endian values of a file in memory, with every place checked: no offset or count of a file is trusted.

use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Packed data may unpack to this many times its size, and to [`UNPACKED_SLACK`] more: real scenes stay far below, and
/// a small file cannot fill the memory.
const UNPACKED_RATIO: usize = 100;
const UNPACKED_SLACK: usize = 1 << 20;

/// A file's bytes, or a part of them.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    pub path: &'a Path,
    /// As the person knows it: "an SPZ file".
    pub what: &'static str,
    pub bytes: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub fn error(&self, problem: impl std::fmt::Display) -> Error {
        Error::file(self.path, format!("is {} {problem}", self.what))
    }

    /// `len` bytes from `at`, which hold `content`.
    pub fn slice(&self, at: usize, len: usize, content: &str) -> Result<&'a [u8]> {
        at.checked_add(len)
            .and_then(|end| self.bytes.get(at..end))
            .ok_or_else(|| {
                self.error(format!(
                    "that ends early: its {content} take {len} bytes from byte {at}, but it has only {}",
                    self.bytes.len()
                ))
            })
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(at, N, "header")?);
        Ok(array)
    }

    pub fn u8(&self, at: usize) -> Result<u8> {
        Ok(self.array::<1>(at)?[0])
    }
    pub fn u16(&self, at: usize) -> Result<u16> {
        self.array(at).map(u16::from_le_bytes)
    }
    pub fn u32(&self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }
    pub fn u64(&self, at: usize) -> Result<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
    pub fn f32(&self, at: usize) -> Result<f32> {
        self.array(at).map(f32::from_le_bytes)
    }
    /// A 64-bit count or offset.
    pub fn size64(&self, at: usize) -> Result<usize> {
        let size = self.u64(at)?;
        usize::try_from(size).map_err(|_| self.error(format!("that claims {size} bytes")))
    }
    /// A 32-bit count or offset.
    pub fn size(&self, at: usize) -> Result<usize> {
        Ok(self.u32(at)? as usize)
    }
}

/// The float at `index` of an array of them; `bytes` hold it.
pub fn f32_at(bytes: &[u8], index: usize) -> f32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[index * 4..][..4]);
    f32::from_le_bytes(array)
}

pub fn u16_at(bytes: &[u8], index: usize) -> u16 {
    u16::from_le_bytes([bytes[index * 2], bytes[index * 2 + 1]])
}

pub fn f16_at(bytes: &[u8], index: usize) -> f32 {
    half::f16::from_bits(u16_at(bytes, index)).to_f32()
}

/// How much more a packed file may still unpack to.
pub struct Budget {
    left: usize,
}

impl Budget {
    pub fn of(packed_bytes: usize) -> Self {
        Self {
            left: packed_bytes
                .saturating_mul(UNPACKED_RATIO)
                .saturating_add(UNPACKED_SLACK),
        }
    }

    /// # Errors
    /// `bytes` are more than what is left.
    pub fn take(&mut self, from: &Bytes<'_>, bytes: usize) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(from.error(format!(
                "that claims to unpack to {bytes} bytes, more than {UNPACKED_RATIO} times its size; it is damaged"
            ))),
        }
    }
}

/// Exactly `len` bytes of a decoder. Grows with what comes, not with what was promised.
///
/// # Errors
/// The decoder fails, or ends early.
pub fn unpack(
    from: &Bytes<'_>,
    mut decoder: impl Read,
    len: usize,
    content: &str,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let read = (&mut decoder)
        .take(len as u64)
        .read_to_end(&mut out)
        .map_err(|e| from.error(format!("whose {content} cannot be unpacked: {e}")))?;
    if read < len {
        return Err(from.error(format!(
            "that ends early: its {content} take {len} bytes, but only {read} are there"
        )));
    }
    Ok(out)
}
