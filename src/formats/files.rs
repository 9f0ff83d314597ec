//! The files of a capture.

use crate::{Error, Result};
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

/// A file that is open for reading.
pub trait Source: BufRead + Seek {}
impl<T: BufRead + Seek> Source for T {}

/// # Errors
/// The file is missing or cannot be read.
pub fn open(path: &Path) -> Result<Box<dyn Source>> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    Ok(Box::new(BufReader::new(file)))
}
