//! The photos beside a file of cameras, by their names. Programs call a photo by the name of its file, often without the
//! ending: where several files could be meant, taking one of them would pair cameras with the wrong photos.

use crate::Result;
use crate::formats::{capture::is_photo, files};
use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

pub const IMAGES: &str = "images";

/// Photos lie no deeper in folders than this.
const DEEPEST: usize = 4;
/// Folders that are looked into.
const MOST_FOLDERS: usize = 1000;

/// Paths relative to the folder of the cameras, by their names without ending.
#[derive(Default)]
pub struct Photos {
    by_stem: HashMap<String, Vec<PathBuf>>,
    /// There were more folders than are looked into.
    is_cut: bool,
}

impl Photos {
    /// Those in the first place that has one of `labels`: `images`, or a folder of them made smaller; `base` itself; its
    /// other folders.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn beside(base: &Path, labels: &[&str]) -> Result<Self> {
        let mut search = Search {
            base,
            folders_left: MOST_FOLDERS,
        };
        let images = Path::new(IMAGES);
        let in_images = ["", "_2", "_4", "_8"]
            .into_iter()
            .map(|smaller| (PathBuf::from(format!("{IMAGES}{smaller}")), images, DEEPEST));
        let here = Path::new("");
        let elsewhere = [(PathBuf::new(), here, 1), (PathBuf::new(), here, DEEPEST)];
        for (folder, named, depth) in in_images.chain(elsewhere) {
            let mut found = Vec::new();
            search.walk(&folder, named, depth, &mut found)?;
            let mut photos = Self {
                by_stem: HashMap::new(),
                is_cut: search.folders_left == 0,
            };
            for path in found {
                if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) {
                    photos
                        .by_stem
                        .entry(stem.to_owned())
                        .or_default()
                        .push(path);
                }
            }
            if labels.iter().any(|label| photos.find(label) != Ok(None)) {
                return Ok(photos);
            }
        }
        Ok(Self {
            is_cut: search.folders_left == 0,
            ..Self::default()
        })
    }

    /// That not every folder was looked into.
    pub fn warning(&self) -> Option<String> {
        self.is_cut.then(|| {
            format!(
                "photos were looked for in no more than {MOST_FOLDERS} folders; put them into the folder {IMAGES}"
            )
        })
    }

    /// The photo that `label` is the name of, with an ending of its own or another's, after folders or not.
    ///
    /// # Errors
    /// There are several, as the end of a sentence about the camera.
    pub fn find(&self, label: &str) -> std::result::Result<Option<PathBuf>, String> {
        let label = label.replace('\\', "/");
        let path = Path::new(&label);
        let (Some(name), Some(stem)) = (path.file_name(), path.file_stem()) else {
            return Ok(None);
        };
        let called = |name: &std::ffi::OsStr| {
            let name = name.to_str().unwrap_or_default();
            self.by_stem.get(name).map_or(&[][..], Vec::as_slice)
        };
        let mut candidates = called(if is_photo(path) { stem } else { name });
        if candidates.is_empty() && is_ending_of_a_file(path) {
            candidates = called(stem);
        }
        let folders = folders_of(path);
        // How many folders around the photo are those of the label.
        let agreement = |candidate: &Path| {
            let own = folders_of(candidate);
            let pairs = own.iter().rev().zip(folders.iter().rev());
            pairs.take_while(|(a, b)| a == b).count()
        };
        let best = candidates.iter().map(|c| agreement(c)).max().unwrap_or(0);
        let mut meant: Vec<&PathBuf> = candidates.iter().filter(|c| agreement(c) == best).collect();
        if best == 0 && !folders.is_empty() {
            // A folder of another name is another photo's, unless it is that of all photos.
            meant.retain(|c| {
                c.parent()
                    .is_some_and(|p| p == Path::new("") || p == Path::new(IMAGES))
            });
        }
        if meant.iter().any(|c| c.file_name() == Some(name)) {
            meant.retain(|c| c.file_name() == Some(name));
        }
        match meant.as_slice() {
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

/// Whether the ending is one that a raw photo, developed since, might have; a number is part of the name.
fn is_ending_of_a_file(path: &Path) -> bool {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    ending.len() <= 4
        && ending.bytes().all(|b| b.is_ascii_alphanumeric())
        && ending.bytes().any(|b| b.is_ascii_alphabetic())
}

fn folders_of(path: &Path) -> Vec<&std::ffi::OsStr> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let normal = parent.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part),
        _ => None,
    });
    normal.collect()
}

struct Search<'a> {
    base: &'a Path,
    folders_left: usize,
}

impl Search<'_> {
    /// Photos in `folder` and in folders in it, called as if that were `named`.
    fn walk(
        &mut self,
        folder: &Path,
        named: &Path,
        depth: usize,
        found: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let Some(rest) = self.folders_left.checked_sub(1) else {
            return Ok(());
        };
        self.folders_left = rest;
        let listed = files::list(&self.base.join(folder))?;
        let names: BTreeSet<&str> = listed
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .collect();
        for path in &listed {
            let Some(name) = path.file_name() else {
                continue;
            };
            if is_photo(path) && files::is_file(path) {
                found.push(named.join(name));
            } else if depth > 1
                && files::is_folder(path)
                && !holds_other_pictures(&name.to_string_lossy(), &names)
            {
                self.walk(&folder.join(name), &named.join(name), depth - 1, found)?;
            }
        }
        Ok(())
    }
}

/// Whether a folder of this name, beside these, holds what is not the photos: masks, depths, normals, or those of another
/// folder made smaller.
fn holds_other_pictures(name: &str, beside: &BTreeSet<&str>) -> bool {
    let is_smaller = name.rsplit_once('_').is_some_and(|(whole, times)| {
        !times.is_empty()
            && times.bytes().all(|b| b.is_ascii_digit())
            && (whole == IMAGES || beside.contains(whole))
    });
    let name = name.to_ascii_lowercase();
    is_smaller
        || ["mask", "depth", "normal"]
            .iter()
            .any(|other| name.starts_with(other))
}
