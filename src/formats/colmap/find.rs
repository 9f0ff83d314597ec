//! Where COLMAP's files are. Tools put the model and the photos in different places; the capture with the most
//! registered images is the one that the person means.

use super::{ModelImage, image_count};
use crate::{Error, Result, formats::files};
use std::path::{Path, PathBuf};

/// Folders of models, below the folder that the person opened.
const MODEL_FOLDERS: [&str; 5] = [
    "",
    "sparse",
    "colmap/sparse",
    "sparse_txt",
    "colmap/sparse_txt",
];

/// Folders of photos, beside the model or above it; the last is the folder itself.
const PHOTO_FOLDERS: [&str; 5] = ["images", "image", "input", "rgb", ""];

/// The model folder that `path` means, and how many smaller sub-models were passed over. `None` when there is none.
///
/// # Errors
/// A model that is there cannot be read, or a folder not be listed.
pub fn find_model(path: &Path) -> Result<Option<(PathBuf, usize)>> {
    let mut models = Vec::new();
    for folder in MODEL_FOLDERS {
        let folder = if folder.is_empty() {
            path.to_owned()
        } else {
            path.join(folder)
        };
        if is_model(&folder) {
            models.push(folder.clone());
        }
        for sub in subfolders(&folder)? {
            if is_model(&sub) && !models.contains(&sub) {
                models.push(sub);
            }
        }
    }
    if models.len() < 2 {
        return Ok(models.pop().map(|model| (model, 0)));
    }
    let mut best: Option<(u64, &PathBuf)> = None;
    for model in &models {
        let count = image_count(model)?;
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, model));
        }
    }
    let others = models.len() - 1;
    Ok(best.map(|(_, model)| (model.clone(), others)))
}

fn is_model(folder: &Path) -> bool {
    ["cameras.bin", "images.bin", "cameras.txt", "images.txt"]
        .iter()
        .any(|file| files::is_file(&folder.join(file)))
}

/// In order of their names, numbers by value; none where there is no such folder.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = files::list(folder)?;
    found.retain(|path| files::is_folder(path));
    found.sort_by_key(|path| {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        (name.parse::<u64>().unwrap_or(u64::MAX), name)
    });
    Ok(found)
}

/// The photos of a model are `base/prefix/name`.
pub struct PhotoFolder {
    pub base: PathBuf,
    pub prefix: PathBuf,
}

/// # Errors
/// None of the images is in any of the usual places.
pub fn photo_folder(model: &Path, images: &[ModelImage]) -> Result<PhotoFolder> {
    let absolute = std::path::absolute(model).map_err(Error::io(model))?;
    let ancestors: Vec<&Path> = absolute.ancestors().take(4).collect();
    // An image of any of the folders will do: the first few listed ones may be those that are missing.
    for base in &ancestors {
        for prefix in PHOTO_FOLDERS {
            let has_any = folder_variants(base, prefix).iter().any(|folder| {
                images
                    .iter()
                    .any(|image| files::is_file(&folder.join(&image.name)))
            });
            if has_any {
                return Ok(PhotoFolder {
                    base: (*base).to_owned(),
                    prefix: prefix.into(),
                });
            }
        }
    }
    let highest = ancestors.last().copied().unwrap_or(model);
    Err(Error::file(
        model,
        format!(
            "lists {} images (the first is {}), but none of them exists; looked in the folders images, image, input and \
             rgb, here and up to {}",
            images.len(),
            images.first().map_or("", |image| image.name.as_str()),
            highest.display()
        ),
    ))
}

/// The folder and its smaller versions `{folder}_2`, `_4`, `_8`; nothing where none exists.
fn folder_variants(base: &Path, prefix: &str) -> Vec<PathBuf> {
    if prefix.is_empty() {
        return vec![base.to_owned()];
    }
    ["", "_2", "_4", "_8"]
        .iter()
        .map(|ending| base.join(format!("{prefix}{ending}")))
        .filter(|folder| files::is_folder(folder))
        .collect()
}
