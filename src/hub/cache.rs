//! The cache on disk, as every Hugging Face tool lays it out: `blobs/` by checksum, `snapshots/COMMIT/` with links into
//! them under the files' names, `refs/BRANCH` with the commit.

use super::{Hub, REVISION, needed_files};
use crate::formats::write_atomic;
use crate::settings::Precision;
use crate::{Error, Result};
use hf_hub::{Cache, CacheRepo};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Whether `text` is formed as a model's name on the Hub: `owner/name`.
pub fn is_id(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 96
            && !name.starts_with(['.', '-'])
            && !name.contains("--")
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

/// One model's folder of the cache.
pub(super) struct Repo {
    repo: CacheRepo,
    folder: PathBuf,
}

impl Repo {
    pub fn of(hub: &Hub, id: &str) -> Self {
        Self {
            repo: Cache::new(hub.cache.clone()).model(id.to_owned()),
            folder: hub.cache.join(folder_name(id)),
        }
    }

    /// The content whose checksum is `etag`.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// What has arrived of it so far; every tool goes on from there.
    pub fn partial(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.repo.pointer_path(commit)
    }

    /// The snapshot that the branch stands at.
    pub fn current(&self) -> Option<PathBuf> {
        let commit = std::fs::read_to_string(self.folder.join("refs").join(REVISION)).ok()?;
        let commit = commit.trim();
        let is_name = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_alphanumeric());
        is_name.then(|| self.snapshot(commit))
    }

    /// Let the branch stand at `commit`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_current(&self, commit: &str) -> Result<()> {
        let path = self.folder.join("refs").join(REVISION);
        create_parent(&path)?;
        write_atomic(&path, |out| out.write_all(commit.as_bytes()))
    }

    /// Give the blob `etag` its name in the snapshot.
    ///
    /// # Errors
    /// When neither a link nor, where the system has none, the file itself can be put there.
    pub fn link(&self, etag: &str, commit: &str, name: &str) -> Result<()> {
        let link = self.snapshot(commit).join(name);
        if link.exists() {
            return Ok(());
        }
        create_parent(&link)?;
        // A link whose blob is gone.
        if link.is_symlink() {
            std::fs::remove_file(&link).map_err(Error::io(&link))?;
        }
        let up = "../".repeat(2 + name.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        place(&target, &self.blob(etag), &link).map_err(Error::io(&link))
    }

    /// The lock that every tool holds while it fetches a blob.
    pub fn lock(&self, hub: &Hub, id: &str, etag: &str) -> PathBuf {
        hub.cache
            .join(".locks")
            .join(folder_name(id))
            .join(format!("{etag}.lock"))
    }
}

fn folder_name(id: &str) -> String {
    hf_hub::Repo::model(id.to_owned()).folder_name()
}

#[cfg(unix)]
fn place(target: &Path, _blob: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Links need a privilege on Windows; without it the file itself is moved, as other tools do.
#[cfg(windows)]
fn place(target: &Path, blob: &Path, link: &Path) -> std::io::Result<()> {
    match std::os::windows::fs::symlink_file(target, link) {
        Ok(()) => Ok(()),
        Err(_) => std::fs::rename(blob, link),
    }
}

/// # Errors
/// When the folder cannot be made.
pub(super) fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(Error::io(folder)),
        None => Ok(()),
    }
}

/// Files of `folder` that an edit needs and that are not there; empty: the model is complete.
fn missing_files(folder: &Path) -> Vec<String> {
    let exists = |name: &str| folder.join(name).is_file();
    needed_files(&exists, Precision::Half)
        .err()
        .unwrap_or_default()
}

/// Where a model is: a folder or a file as it is, or a Hub id in the cache.
///
/// # Errors
/// Nothing of that name: what to do about it.
pub fn resolve(hub: &Hub, model: &str) -> Result<PathBuf> {
    let path = Path::new(model);
    if path.exists() {
        return Ok(path.to_owned());
    }
    if !is_id(model) {
        return Err(Error::file(
            path,
            "is not there: a model is a folder in diffusers layout, an original checkpoint, or an id such as \
             timbrooks/instruct-pix2pix",
        ));
    }
    let get =
        format!("get it with `luxedit model get {model}`, or with \"Get model…\" in the window");
    match Repo::of(hub, model).current() {
        Some(folder) if missing_files(&folder).is_empty() => Ok(folder),
        Some(folder) => Err(Error::file(
            &folder,
            format!("lacks {}: {get}", missing_files(&folder).join(", ")),
        )),
        None => Err(Error::Invalid(format!(
            "{model} is no folder or file here, and not in the model cache ({}): {get}",
            hub.cache.display()
        ))),
    }
}

/// A model of the cache.
#[derive(Clone, Debug, Serialize)]
pub struct CachedModel {
    pub id: String,
    pub folder: PathBuf,
    /// On disk, of the files that an edit reads.
    pub bytes: u64,
    /// Needed, but not there.
    pub missing: Vec<String>,
}

/// The models of the cache that have the parts of an image editor, by id.
///
/// # Errors
/// When the cache cannot be read; that there is none yet is no error.
pub fn cached_models(hub: &Hub) -> Result<Vec<CachedModel>> {
    let entries = match std::fs::read_dir(&hub.cache) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(&hub.cache)(e)),
    };
    let mut models = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io(&hub.cache))?.file_name();
        let Some(id) = name
            .to_str()
            .and_then(|name| name.strip_prefix("models--"))
            .map(|name| name.replace("--", "/"))
        else {
            continue;
        };
        let Some(folder) = Repo::of(hub, &id).current() else {
            continue;
        };
        // Language models share the cache; an editor has a denoiser.
        if !folder.join("unet/config.json").is_file() {
            continue;
        }
        let exists = |name: &str| folder.join(name).is_file();
        let files = needed_files(&exists, Precision::Half).unwrap_or_default();
        let bytes = files
            .iter()
            .filter_map(|name| std::fs::metadata(folder.join(name)).ok())
            .map(|metadata| metadata.len())
            .sum();
        models.push(CachedModel {
            missing: missing_files(&folder),
            id,
            folder,
            bytes,
        });
    }
    models.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(models)
}
