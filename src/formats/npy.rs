//! NumPy's array file: a magic number, a dictionary in Python's notation, the values.

use super::files;
use crate::{Error, Result};
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";

/// A matrix of little-endian floats of 32 or 64 bits, row by row.
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

/// # Errors
/// The file cannot be read, is no array, is not two-dimensional, holds something else than floats, or is cut.
pub fn read_matrix(path: &Path) -> Result<Matrix> {
    let bytes = files::read(path)?;
    let error = |problem: String| Error::file(path, problem);
    let damaged = || error("is not a NumPy array, or a damaged one".into());
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (header_len, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(damaged()),
    };
    let (header, body) = rest.split_at_checked(header_len).ok_or_else(damaged)?;
    let header = std::str::from_utf8(header).map_err(|_| damaged())?;
    let after = |key: &str| {
        let at = header.find(key).ok_or_else(damaged)? + key.len();
        Ok(header[at..].trim_start_matches([':', ' ']))
    };
    let kind = after("'descr'")?;
    let kind = kind.split('\'').nth(1).unwrap_or_default();
    let width = match kind {
        "<f4" => 4,
        "<f8" => 8,
        other => {
            return Err(error(format!(
                "is a NumPy array of {other}; floats (<f4, <f8) are read"
            )));
        }
    };
    let is_by_columns = after("'fortran_order'")?.starts_with("True");
    let shape = after("'shape'")?;
    let shape = shape
        .strip_prefix('(')
        .and_then(|shape| shape.split_once(')'))
        .ok_or_else(damaged)?
        .0;
    let sides: Vec<usize> = shape
        .split(',')
        .filter_map(|side| side.trim().parse().ok())
        .collect();
    let [rows, columns] = sides[..] else {
        return Err(error(format!(
            "is a NumPy array of the shape ({shape}), not a matrix"
        )));
    };
    let len = rows
        .checked_mul(columns)
        .and_then(|count| count.checked_mul(width))
        .filter(|&len| len <= body.len())
        .ok_or_else(|| {
            error(format!(
                "is cut: it says that it holds {rows} x {columns} floats, and has {} bytes",
                body.len()
            ))
        })?;
    let stored: Vec<f64> = match width {
        4 => {
            let floats = body[..len].as_chunks::<4>().0.iter();
            floats.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
        }
        _ => {
            let floats = body[..len].as_chunks::<8>().0.iter();
            floats.map(|b| f64::from_le_bytes(*b)).collect()
        }
    };
    let values = if is_by_columns {
        (0..rows * columns)
            .map(|i| stored[i % columns * rows + i / columns])
            .collect()
    } else {
        stored
    };
    Ok(Matrix {
        rows,
        columns,
        values,
    })
}
