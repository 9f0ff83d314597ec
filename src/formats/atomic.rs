//! Files that are either the old one or the new one, never half of either: hours of editing must survive a full disk, a
//! killed process and a power cut. Everything the program writes goes through here.

use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Write a file as a whole: what `fill` writes appears as `path` when all of it is on the disk ([`AtomicFile`]).
///
/// # Errors
/// [`Error::Io`] naming `path` for whatever went wrong, an error of `fill` included.
pub fn write_atomic(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let mut file = AtomicFile::begin(path)?;
    fill(&mut file).map_err(Error::io(path))?;
    file.commit()
}

/// A new file beside `path`, which is flushed to the disk and then renamed over `path` by [`AtomicFile::commit`]. Dropped
/// before that, it is removed, and a file that was there before stays as it was.
pub struct AtomicFile {
    path: PathBuf,
    beside: PathBuf,
    /// `None` once it has its name.
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// # Errors
    /// [`Error::Io`] naming `path`: its folder cannot be written.
    pub fn begin(path: &Path) -> Result<Self> {
        let beside = path_beside(path)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
            .map_err(Error::io(path))?;
        Ok(Self {
            path: path.to_owned(),
            beside,
            writer: Some(BufWriter::with_capacity(1 << 20, file)),
        })
    }

    /// # Errors
    /// [`Error::Io`] naming the path: the disk is full, or the file cannot be renamed.
    pub fn commit(mut self) -> Result<()> {
        self.rename().map_err(Error::io(&self.path))
    }

    fn rename(&mut self) -> io::Result<()> {
        let writer = self.writer()?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        // Windows renames no file that is open.
        drop(self.writer.take());
        if let Err(problem) = fs::rename(&self.beside, &self.path) {
            remove(&self.beside);
            return Err(problem);
        }
        sync_folder(folder_of(&self.path));
        Ok(())
    }

    fn writer(&mut self) -> io::Result<&mut BufWriter<File>> {
        let closed = || io::Error::other("the file is closed");
        self.writer.as_mut().ok_or_else(closed)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer()?.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.writer()?.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // What is still in memory need not be written.
            drop(writer.into_parts());
            remove(&self.beside);
        }
    }
}

fn remove(beside: &Path) {
    if let Err(error) = fs::remove_file(beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        log::warn!("{}: could not be removed: {error}", beside.display());
    }
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
