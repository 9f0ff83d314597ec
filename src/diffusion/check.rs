//! A model examined without being loaded: every tensor that the networks would ask for is there, has its shape, is of
//! floats, and has only finite elements. The loaders themselves ask, so that a check and a load cannot disagree; nothing
//! is copied to a device, so that a check of gigabytes needs little memory.

use super::budget::{MemoryNeed, Place};
use super::files::{ModelFiles, Part};
use super::pipeline::InstructPix2Pix;
use super::weights::{Precision, Tally};
use crate::{Error, Result};
use burn::tensor::Device;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A model that would load.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Sixteen hexadecimal digits that identify the weights.
    pub hash: String,
    pub parts: Vec<PartReport>,
    /// What editing a picture of 512 × 512 pixels takes on the processor.
    pub memory_on_processor: MemoryNeed,
    /// The same on a graphics card, in full precision.
    pub memory_on_card: MemoryNeed,
    /// The same on a graphics card, in half precision.
    pub memory_on_card_half: MemoryNeed,
}

/// One network of a model.
#[derive(Clone, Debug, Serialize)]
pub struct PartReport {
    pub name: &'static str,
    pub file: PathBuf,
    pub tensors: usize,
    pub parameters: u64,
    /// Of the tensors, on disk.
    pub bytes: u64,
    /// Tensors by element type.
    pub dtypes: BTreeMap<String, usize>,
}

/// Examine the model at `path`, a diffusers folder or an original checkpoint.
///
/// # Errors
/// What would keep it from loading; tensors with elements that are not finite, by name.
pub fn check_model(path: &Path, precision: Precision) -> Result<ModelReport> {
    let files = ModelFiles::open(path)?;
    let tallies = Part::ALL.map(|part| (part, Rc::new(RefCell::new(Tally::default()))));
    let model = InstructPix2Pix::build(&files, &mut |part| {
        let weights = files.weights(part, precision, &Device::flex())?;
        let tally = tallies.iter().find(|(p, _)| *p == part);
        Ok(match tally {
            Some((_, tally)) => weights.looking(tally.clone()),
            None => weights,
        })
    })?;
    let mut parts = Vec::new();
    for (part, tally) in tallies {
        let Tally {
            path,
            tensors,
            parameters,
            bytes,
            dtypes,
            not_finite,
        } = tally.take();
        if let Some(first) = not_finite.first() {
            let more = match not_finite.len() - 1 {
                0 => String::new(),
                n => format!(" and {n} more tensors"),
            };
            return Err(Error::file(
                path,
                format!(
                    "{first}{more} hold numbers that are infinite or undefined: download or copy the file again"
                ),
            ));
        }
        parts.push(PartReport {
            name: part.folder(),
            file: path,
            tensors,
            parameters,
            bytes,
            dtypes,
        });
    }
    Ok(ModelReport {
        hash: model.model_hash().to_owned(),
        parts,
        memory_on_processor: model.memory_need(512, 512, Place::Processor),
        memory_on_card: model.memory_need(512, 512, Place::Card(Precision::Full)),
        memory_on_card_half: model.memory_need(512, 512, Place::Card(Precision::Half)),
    })
}

/// What editing a picture of `size` (height, width) with the model at `path` takes at `place`, by the files' tables alone.
///
/// # Errors
/// What would keep the model from loading.
pub fn memory_need(
    path: &Path,
    precision: Precision,
    [height, width]: [usize; 2],
    place: Place,
) -> Result<MemoryNeed> {
    let files = ModelFiles::open(path)?;
    let model = InstructPix2Pix::build(&files, &mut |part| {
        Ok(files.weights(part, precision, &Device::flex())?.counting())
    })?;
    Ok(model.memory_need(height, width, place))
}
