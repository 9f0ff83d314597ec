//! Checkpoints that nerfstudio's trainer writes (`step-000029999.ckpt`), and Instruct-NeRF2NeRF and Instruct-GS2GS with it:
//! splats of splatfacto, networks of nerfacto. The checkpoint says nothing of how it was made; `config.yml` of the same
//! run does, and is looked for beside it. What they hold is in the frame that the run's `dataparser_transforms.json` says;
//! without that file it is taken for nerfstudio's usual one (cameras' up along z, their centre at the origin, the farthest
//! coordinate 1), which is the frame that the same capture is opened in here.

mod frame;
mod options;
mod splatfacto;

pub use frame::frame_of;
pub use options::Options;
pub use splatfacto::splats;

use super::files;
use super::torch::{Checkpoint, Item, Stored, is_checkpoint};
use crate::{Error, Result};
use safetensors::Dtype;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where nerfstudio keeps checkpoints, below the folder of a run.
const MODELS: &str = "nerfstudio_models";
/// No text file of a run is larger.
const MOST_BYTES: u64 = 4 << 20;
/// Before the names of a model's tensors.
const MODEL: &str = "_model.";

/// Tensors may take this many times the file: halves become floats, and two layers may share one tensor.
const UNFOLDED_RATIO: usize = 4;

/// What a checkpoint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    Splatfacto,
    Nerfacto,
}

/// A tensor of a model, as f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// What a checkpoint holds of a model.
#[derive(Clone, Debug)]
pub struct Model {
    pub path: PathBuf,
    pub kind: ModelKind,
    /// Of the last step, from 0.
    pub step: i64,
    /// By the names that nerfstudio gives them, such as `field.mlp_head.layers.0.weight`.
    pub tensors: BTreeMap<String, Tensor>,
    /// `None` where no config.yml is found.
    pub options: Option<Options>,
}

/// The checkpoint at `path`: that file, or the newest of a run's folder. `None` where there is none, or another file.
///
/// # Errors
/// It cannot be read, or is damaged; the folder cannot be listed.
pub fn find(path: &Path) -> Result<Option<(PathBuf, ModelKind)>> {
    let file = if path.is_dir() {
        let here = newest(path)?;
        match here.map_or_else(|| newest(&path.join(MODELS)), |file| Ok(Some(file)))? {
            Some(file) => file,
            None => return Ok(None),
        }
    } else {
        path.to_owned()
    };
    let is_named = file.extension().is_some_and(|e| e == "ckpt");
    if !is_named || !file.is_file() {
        return Ok(None);
    }
    // Gigabytes of numbers stay on the disk: only what says what they are is looked at.
    let bytes = files::map(&file)?;
    if !is_checkpoint(&bytes) {
        return Ok(None);
    }
    let checkpoint = Checkpoint::read(&file, &bytes)?;
    let kind = kind_of(checkpoint.root());
    Ok(kind.map(|kind| (file, kind)))
}

/// A run's text file of this name: in the folder of its checkpoint or the one above.
///
/// # Errors
/// There is one and it cannot be read, or is too large to be what nerfstudio writes.
fn beside(checkpoint: &Path, name: &str) -> Result<Option<(PathBuf, String)>> {
    let folders = checkpoint.ancestors().skip(1).take(2);
    let file = folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    let Some(file) = file else { return Ok(None) };
    let length = std::fs::metadata(&file).map_err(Error::io(&file))?.len();
    if length > MOST_BYTES {
        return Err(Error::file(
            &file,
            "is too large to be a file that nerfstudio wrote of a run",
        ));
    }
    let text = std::fs::read_to_string(&file).map_err(Error::io(&file))?;
    Ok(Some((file, text)))
}

/// `step-….ckpt` of the largest step; `None` where there is none, or no such folder.
fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    let step = |path: &PathBuf| -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        let number = name.strip_prefix("step-")?.strip_suffix(".ckpt")?;
        number.parse().ok()
    };
    let files = files::list(folder)?.into_iter();
    Ok(files.filter(|path| step(path).is_some()).max_by_key(step))
}

fn kind_of(root: Item<'_, '_>) -> Option<ModelKind> {
    let pipeline = root.get("pipeline")?;
    let has = |part: &str| {
        pipeline.entries().any(|(name, _)| {
            name.as_str()
                .and_then(|name| name.strip_prefix(MODEL))
                .is_some_and(|name| name.starts_with(part))
        })
    };
    // Before version 1.0, splats had no group of their own.
    if has("gauss_params.") || has("means") {
        Some(ModelKind::Splatfacto)
    } else if has("proposal_networks.") && has("field.") {
        Some(ModelKind::Nerfacto)
    } else {
        None
    }
}

/// Read the checkpoint at `path`, which [`find`] found.
///
/// # Errors
/// No checkpoint of a model that is known; damaged; a damaged config.yml beside it.
pub fn read(path: &Path) -> Result<Model> {
    decode(path, &files::map(path)?)
}

/// [`read`] of a file in memory; `path` is for errors, and for the config.yml beside it.
///
/// # Errors
/// As [`read`].
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Model> {
    let checkpoint = Checkpoint::read(path, bytes)?;
    let root = checkpoint.root();
    let Some(kind) = kind_of(root) else {
        return Err(Error::file(
            path,
            "holds no model of nerfstudio's that is known: neither splatfacto's splats nor a nerfacto",
        ));
    };
    let mut tensors = BTreeMap::new();
    let mut left = bytes.len().saturating_mul(UNFOLDED_RATIO);
    for (name, value) in root.get("pipeline").into_iter().flat_map(Item::entries) {
        let Some(name) = name.as_str().and_then(|name| name.strip_prefix(MODEL)) else {
            continue;
        };
        let Some(stored) = checkpoint.tensor(name, value)? else {
            continue;
        };
        let len = stored.range.len() * 8 / stored.dtype.bitsize() * size_of::<f32>();
        left = left.checked_sub(len).ok_or_else(|| {
            Error::file(
                path,
                format!(
                    "has tensors that share their numbers, and take more than {UNFOLDED_RATIO} times the file together; \
                     it is damaged"
                ),
            )
        })?;
        if let Some(data) = floats(bytes, &stored) {
            let shape = stored.shape;
            tensors.insert(name.to_owned(), Tensor { shape, data });
        }
    }
    Ok(Model {
        path: path.to_owned(),
        kind,
        step: root.get("step").and_then(Item::as_int).unwrap_or(0),
        tensors,
        // Splats need nothing of the configuration.
        options: match kind {
            ModelKind::Nerfacto => Options::beside(path)?,
            ModelKind::Splatfacto => None,
        },
    })
}

impl Model {
    /// The tensor `name` of `shape`.
    ///
    /// # Errors
    /// It is missing, or of another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::file(&self.path, format!("lacks the tensor {name}")));
        };
        if tensor.shape != shape {
            return Err(Error::file(
                &self.path,
                format!("has {name} of shape {:?}, not {shape:?}", tensor.shape),
            ));
        }
        Ok(&tensor.data)
    }
}

/// `None` for what is no plain number.
fn floats(bytes: &[u8], stored: &Stored) -> Option<Vec<f32>> {
    let bytes = &bytes[stored.range.clone()];
    Some(match stored.dtype {
        Dtype::F32 => (bytes.as_chunks().0.iter())
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Dtype::F64 => (bytes.as_chunks().0.iter())
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
        Dtype::F16 => (bytes.as_chunks().0.iter())
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::I64 => (bytes.as_chunks().0.iter())
            .map(|b| i64::from_le_bytes(*b) as f32)
            .collect(),
        _ => return None,
    })
}
