//! `dataparser_transforms.json`, which nerfstudio writes into the folder of a run: where it put the capture's poses before it
//! trained. With the usual options of its data parser that is where the same capture is put here; a run that was scaled,
//! centered or turned otherwise, or by a version with other usual options, lies elsewhere, and its capture is opened there.

use super::{beside, find};
use crate::formats::capture::exactly_rigid;
use crate::scene::WorldFromFile;
use crate::{Error, Result};
use glam::{DMat4, DVec4};
use serde::Deserialize;
use std::path::Path;

const FILE: &str = "dataparser_transforms.json";

#[derive(Deserialize)]
struct Written {
    /// Rows; 3×4.
    transform: Vec<Vec<f64>>,
    scale: f64,
}

/// The frame of the run whose folder or checkpoint is at `path`, seen from the poses that the capture's tool found, before
/// their file's `applied_transform`. `None` where there is no checkpoint, or no such file in its folder or the one above.
///
/// # Errors
/// The checkpoint or the file cannot be read, or is no rotation, translation and scale.
pub fn frame_of(path: &Path) -> Result<Option<WorldFromFile>> {
    let Some((checkpoint, _)) = find(path)? else {
        return Ok(None);
    };
    let Some((file, text)) = beside(&checkpoint, FILE)? else {
        return Ok(None);
    };
    let refused = |problem: String| {
        Error::file(
            &file,
            format!("{problem}; remove the file to go without it"),
        )
    };
    let Written { transform, scale } = serde_json::from_str(&text)
        .map_err(|e| refused(format!("is not what nerfstudio writes: {e}")))?;
    let mut rows = [DVec4::W; 4];
    let is_matrix = (3..=4).contains(&transform.len()) && transform.iter().all(|r| r.len() == 4);
    if !is_matrix {
        return Err(refused(
            "has a \"transform\" that is not 3x4 numbers".into(),
        ));
    }
    for (row, values) in rows.iter_mut().zip(&transform) {
        *row = DVec4::from_slice(values);
    }
    let matrix = DMat4::from_cols_array_2d(&rows.map(|r| r.to_array())).transpose();
    let rotation_translation = exactly_rigid(matrix)
        .map_err(|problem| refused(format!("{problem}: its \"transform\"")))?;
    if !(scale.is_finite() && scale > 0.0) {
        return Err(refused(format!("has the impossible scale {scale}")));
    }
    Ok(Some(WorldFromFile {
        rotation_translation,
        scale,
    }))
}
