//! The photos beside a file of cameras, by their names. Programs call a photo by the name of its file, often without the
//! ending: where several files could be meant, taking one of them would pair cameras with the wrong photos.

use crate::Result;
use crate::formats::{capture::is_photo, files};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub const IMAGES: &str = "images";

/// Photos lie no deeper in folders than this.
const DEEPEST: usize = 4;
/// Folders that are looked into.
const MOST_FOLDERS: usize = 1000;

/// Paths relative to the folder of the cameras, by their names without ending.
pub struct Photos {
    by_stem: HashMap<String, Vec<PathBuf>>,
}

impl Photos {
    /// Those in `images`, or in a folder of smaller photos instead; else those in `base` itself; else those in its other
    /// folders.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn beside(base: &Path, warnings: &mut Vec<String>) -> Result<Self> {
        let mut left = MOST_FOLDERS;
        let mut found = Vec::new();
        for smaller in ["", "_2", "_4", "_8"] {
            let folder = PathBuf::from(format!("{IMAGES}{smaller}"));
            walk(
                base,
                &folder,
                Path::new(IMAGES),
                DEEPEST,
                &mut left,
                &mut found,
            )?;
            if !found.is_empty() {
                break;
            }
        }
        if found.is_empty() {
            walk(base, Path::new(""), Path::new(""), 1, &mut left, &mut found)?;
        }
        if found.is_empty() {
            for path in files::list(base)? {
                if let Some(name) = path.file_name()
                    && !holds_other_pictures(&name.to_string_lossy())
                {
                    let folder = Path::new(name);
                    walk(base, folder, folder, DEEPEST, &mut left, &mut found)?;
                }
            }
        }
        if left == 0 {
            warnings.push(format!(
                "photos were looked for in no more than {MOST_FOLDERS} folders; put them into the folder {IMAGES}"
            ));
        }
        let mut by_stem: HashMap<String, Vec<PathBuf>> = HashMap::new();
        for path in found {
            if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) {
                by_stem.entry(stem.to_owned()).or_default().push(path);
            }
        }
        Ok(Self { by_stem })
    }

    /// The photo that `label` is the name of, with an ending of its own or another's, after folders or not.
    ///
    /// # Errors
    /// There are several, as the end of a sentence about the camera.
    pub fn find(&self, label: &str) -> std::result::Result<Option<PathBuf>, String> {
        let label = label.replace('\\', "/");
        let path = Path::new(&label);
        let (stem, is_ended) = match is_photo(path) {
            true => (path.file_stem(), true),
            false => (path.file_name(), false),
        };
        let named = |stem: &str| self.by_stem.get(stem).map_or(&[][..], Vec::as_slice);
        let Some(stem) = stem.and_then(|stem| stem.to_str()) else {
            return Ok(None);
        };
        let mut candidates: Vec<&PathBuf> = named(stem).iter().collect();
        if candidates.is_empty() && !is_ended {
            // An ending that photos here do not have: of a raw photo, say, that was developed.
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            candidates = named(stem.unwrap_or_default()).iter().collect();
        }
        let mut narrow = |is_meant: &dyn Fn(&Path) -> bool| {
            if candidates.iter().any(|candidate| is_meant(candidate)) {
                candidates.retain(|candidate| is_meant(candidate));
            }
        };
        let folders = path.parent().unwrap_or(Path::new(""));
        narrow(&|candidate| {
            candidate
                .parent()
                .is_some_and(|parent| parent.ends_with(folders))
        });
        narrow(&|candidate| candidate.file_name() == path.file_name());
        match candidates.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            [first, second, ..] => Err(format!(
                "could be of {} and of {}: leave one of them, or give the photos names of their own",
                first.display(),
                second.display()
            )),
        }
    }
}

/// Photos in `folder` and in folders in it, called as if that were `named`.
fn walk(
    base: &Path,
    folder: &Path,
    named: &Path,
    depth: usize,
    left: &mut usize,
    found: &mut Vec<PathBuf>,
) -> Result<()> {
    let Some(rest) = left.checked_sub(1) else {
        return Ok(());
    };
    *left = rest;
    for path in files::list(&base.join(folder))? {
        let Some(name) = path.file_name() else {
            continue;
        };
        if is_photo(&path) && files::is_file(&path) {
            found.push(named.join(name));
        } else if depth > 1 && files::is_folder(&path) {
            walk(
                base,
                &folder.join(name),
                &named.join(name),
                depth - 1,
                left,
                found,
            )?;
        }
    }
    Ok(())
}

/// Whether a folder of this name holds what is not the photos: masks, depths, normals, or the photos made smaller.
fn holds_other_pictures(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_smaller = name
        .strip_prefix("images_")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    is_smaller
        || ["mask", "depth", "normal"]
            .iter()
            .any(|other| name.starts_with(other))
}
