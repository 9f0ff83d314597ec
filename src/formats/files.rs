//! The files of a capture, which may lie in a ZIP archive: captures are passed on as one file, and unpacking one to open it
//! would fill the disk with what is there already. The path of a file in an archive is the archive's path and the file's
//! name in it, `fox.zip/images/0001.jpg`, so that readers and their errors need not know of archives.
//!
//! Nothing of an archive is written to the disk, names that climb out of it are nobody's, and a file unpacks to no more than
//! a fixed multiple of its packed size.

use super::splats::bytes::{Budget, Bytes};
use super::splats::zip::{Directory, MAGIC};
use crate::{Error, Result};
use memmap2::Mmap;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// A file that is open for reading.
pub trait Source: BufRead + Seek {}
impl<T: BufRead + Seek> Source for T {}

/// # Errors
/// The file is missing or cannot be read.
pub fn open(path: &Path) -> Result<Box<dyn Source>> {
    if let Some((archive, name)) = Archived::holding(path)? {
        return Ok(Box::new(Cursor::new(archive.read(path, &name)?)));
    }
    let file = File::open(path).map_err(Error::io(path))?;
    Ok(Box::new(BufReader::new(file)))
}

/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    match Archived::holding(path)? {
        Some((archive, name)) => archive.read(path, &name),
        None => std::fs::read(path).map_err(Error::io(path)),
    }
}

/// The first `len` bytes, fewer where the file ends before.
///
/// # Errors
/// As [`open`].
pub fn read_head(path: &Path, len: u64) -> Result<Vec<u8>> {
    if let Some((archive, name)) = Archived::holding(path)? {
        return archive.head(path, &name, len);
    }
    let mut head = Vec::new();
    File::open(path)
        .map_err(Error::io(path))?
        .take(len)
        .read_to_end(&mut head)
        .map_err(Error::io(path))?;
    Ok(head)
}

pub fn is_file(path: &Path) -> bool {
    match Archived::holding(path) {
        Ok(Some((archive, name))) => archive.files.contains_key(&name),
        Ok(None) => path.is_file(),
        Err(_) => false,
    }
}

/// Whether there is such a folder; an archive is one.
pub fn is_folder(path: &Path) -> bool {
    match Archived::find(path) {
        Ok(Some((archive, name))) => archive.folders.contains(&name),
        Ok(None) => path.is_dir(),
        Err(_) => false,
    }
}

/// Whether the file at `path` is a ZIP archive.
pub fn is_archive(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok_and(|()| head == *MAGIC)
}

/// The folder that a file is in.
pub fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What is in a folder, in order of names; nothing where there is no such folder.
///
/// # Errors
/// The folder cannot be listed; the archive that it is in is damaged.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = match Archived::find(folder)? {
        Some((archive, name)) => {
            let is_in = |entry: &&String| {
                !entry.is_empty() && entry.rsplit_once('/').map_or("", |(f, _)| f) == name
            };
            let names = archive.files.keys().chain(&archive.folders).filter(is_in);
            names.map(|entry| archive.path.join(entry)).collect()
        }
        None if !folder.is_dir() => Vec::new(),
        None => std::fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(Error::io(folder))?,
    };
    found.sort();
    Ok(found)
}

/// Bytes of an entry's name.
const LONGEST_NAME: usize = 1024;
/// Folders around an entry.
const DEEPEST: usize = 32;

/// An archive whose directory was read.
struct Archived {
    path: PathBuf,
    stamp: Stamp,
    directory: Directory,
    /// By names as [`plain`] writes them.
    files: HashMap<String, usize>,
    /// The archive itself is the one without a name.
    folders: BTreeSet<String>,
}

/// Tells whether a file was replaced.
type Stamp = (u64, Option<SystemTime>);

/// Directories of this many archives are kept.
const KEPT: usize = 4;

static READ: Mutex<Vec<Arc<Archived>>> = Mutex::new(Vec::new());

impl Archived {
    /// As [`Archived::find`], for what is no archive itself.
    fn holding(path: &Path) -> Result<Option<(Arc<Self>, String)>> {
        if path.exists() {
            return Ok(None);
        }
        Self::find(path)
    }

    /// The archive in which `path` lies, and its name there, which is empty for the archive itself. `None` for a path
    /// outside of archives.
    fn find(path: &Path) -> Result<Option<(Arc<Self>, String)>> {
        // Without a slash at its end, with which an archive would be no file.
        let path: &Path = &path.components().collect::<PathBuf>();
        let Some((archive, metadata)) = path
            .ancestors()
            .filter(|a| !a.as_os_str().is_empty())
            .find_map(|a| Some((a, std::fs::metadata(a).ok()?)))
        else {
            return Ok(None);
        };
        if metadata.is_dir() || !is_archive(archive) {
            return Ok(None);
        }
        let inside = path.strip_prefix(archive).unwrap_or(Path::new(""));
        let Some(name) = plain(&inside.to_string_lossy()) else {
            return Ok(None);
        };
        let stamp = (metadata.len(), metadata.modified().ok());
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read
            .iter()
            .find(|known| known.path == archive && known.stamp == stamp)
        {
            return Ok(Some((known.clone(), name)));
        }
        let new = Arc::new(Self::new(archive, stamp)?);
        read.retain(|known| known.path != archive);
        read.truncate(KEPT - 1);
        read.insert(0, new.clone());
        Ok(Some((new, name)))
    }

    fn new(path: &Path, stamp: Stamp) -> Result<Self> {
        let map = map(path)?;
        let directory = Directory::read(&bytes(path, &map))?;
        let mut files = HashMap::new();
        let mut folders = BTreeSet::from([String::new()]);
        for (index, listed) in directory.names().enumerate() {
            let Some(name) = plain(listed) else { continue };
            // What macOS adds: a shadow of every file. And names of no capture, whose folders would fill the memory.
            if name.starts_with("__MACOSX/")
                || name.len() > LONGEST_NAME
                || name.matches('/').count() > DEEPEST
            {
                continue;
            }
            let folder = match listed.ends_with(['/', '\\']) {
                true => name.as_str(),
                false => name.rsplit_once('/').map_or("", |(folder, _)| folder),
            };
            let ends = folder.match_indices('/').map(|(at, _)| at);
            for end in ends.chain([folder.len()]) {
                folders.insert(folder[..end].to_owned());
            }
            if folder.len() < name.len() {
                files.insert(name, index);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            stamp,
            directory,
            files,
            folders,
        })
    }

    fn index(&self, path: &Path, name: &str) -> Result<usize> {
        let index = self.files.get(name).copied();
        index.ok_or_else(|| Error::file(path, "is not in the archive"))
    }

    fn head(&self, path: &Path, name: &str, len: u64) -> Result<Vec<u8>> {
        let index = self.index(path, name)?;
        let map = map(&self.path)?;
        self.directory.head(&bytes(&self.path, &map), index, len)
    }

    fn read(&self, path: &Path, name: &str) -> Result<Vec<u8>> {
        let index = self.index(path, name)?;
        let map = map(&self.path)?;
        let file = bytes(&self.path, &map);
        let mut budget = Budget::of(self.directory.packed_len(index));
        self.directory
            .content(&file, index, &mut budget)
            .map(|content| content.into_owned())
    }
}

/// A file's bytes, read when they are looked at.
///
/// # Errors
/// It cannot be opened or mapped.
pub fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::io(path))?;
    // SAFETY: the map is read only and dropped by who reads the file; like any reader of maps this relies on nobody cutting the
    // file short meanwhile.
    unsafe { Mmap::map(&file) }.map_err(Error::io(path))
}

fn bytes<'a>(path: &'a Path, map: &'a Mmap) -> Bytes<'a> {
    Bytes {
        path,
        what: "an archive",
        bytes: map,
    }
}

/// A name with single slashes and no dots; `None` for one that climbs out of where it is or begins elsewhere.
fn plain(name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let mut parts = Vec::new();
    for part in Path::new(&name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(parts.join("/"))
}
