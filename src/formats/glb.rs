//! The container of binary glTF 2.0: a JSON document and the bytes it speaks of.

use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

pub(crate) const MAGIC: &[u8] = b"glTF";
pub(crate) const JSON_CHUNK: u32 = 0x4e4f_534a;
pub(crate) const BINARY_CHUNK: u32 = 0x004e_4942;

/// A GLB file. `path` is for the error.
///
/// # Errors
/// More than 4 GiB.
pub(crate) fn encode(path: &Path, document: &Value, mut binary: Vec<u8>) -> Result<Vec<u8>> {
    let mut text = document.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    binary.resize(binary.len().next_multiple_of(4), 0);
    let total = u32::try_from(12 + 8 + text.len() + 8 + binary.len()).map_err(|_| {
        Error::file(
            path,
            "would be larger than the 4 GiB of a GLB; choose another format",
        )
    })?;
    let mut out = Vec::with_capacity(total as usize);
    out.extend(MAGIC);
    out.extend(2u32.to_le_bytes());
    out.extend(total.to_le_bytes());
    for (kind, content) in [(JSON_CHUNK, &text), (BINARY_CHUNK, &binary)] {
        out.extend((content.len() as u32).to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(content);
    }
    Ok(out)
}
