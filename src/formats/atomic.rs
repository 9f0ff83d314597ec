//! Files that are either the old one or the new one, never half of either: hours of editing must survive a full disk, a
//! killed process and a power cut. Everything the program writes goes through here.

use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Write a file as a whole: `fill` writes to a new file beside `path`, which is flushed to the disk and then renamed over
/// `path`. A file that was there before is untouched unless everything succeeded.
///
/// # Errors
/// [`Error::Io`] naming `path` for whatever went wrong, an error of `fill` included; the file beside it is removed.
pub fn write_atomic(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let beside = path_beside(path)?;
    let written = fill_and_rename(&beside, path, fill);
    if written.is_err()
        && let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
        && error.kind() != io::ErrorKind::NotADirectory
    {
        log::warn!("{}: could not be removed: {error}", beside.display());
    }
    written.map_err(Error::io(path))
}

fn fill_and_rename(
    beside: &Path,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(beside)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    fill(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    fs::rename(beside, path)?;
    sync_folder(folder_of(path));
    Ok(())
}

/// Make the rename itself durable. The file is whole by then, so that a file system which cannot do this is no failure.
/// Only Unix opens folders as files.
fn sync_folder(folder: &Path) {
    if cfg!(unix)
        && let Err(error) = File::open(folder).and_then(|folder| folder.sync_all())
    {
        log::warn!(
            "{}: could not be flushed to the disk: {error}",
            folder.display()
        );
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A name of its own for each call, so that two writers of one file never share the file beside it.
fn path_beside(path: &Path) -> Result<PathBuf> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(Error::file(path, "is not the name of a file"));
    };
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}-{call}.part", std::process::id()));
    Ok(folder_of(path).join(beside))
}
