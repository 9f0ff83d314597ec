//! Photos or a video in, a capture out: the photos beside a model of where they were taken. They are copied into
//! a folder of their own, so that neither COLMAP nor anything later writes near the originals.

use super::colmap::{Colmap, MOST_EXHAUSTIVE};
use super::ffmpeg::{extract_frames, is_video};
use super::process::Program;
use crate::error::Cancel;
use crate::formats::{self, capture::is_photo, colmap, files, picture};
use crate::settings::{Matching, Settings};
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const IMAGES: &str = "images";
const SPARSE: &str = "sparse";
const DATABASE: &str = "database.db";

/// Photos without poses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unposed {
    /// A folder with so many photos.
    Photos(usize),
    Video,
}

impl Unposed {
    /// What `path` is, where it is no capture. A folder that holds anything that luxedit knows is none of these.
    ///
    /// # Errors
    /// The folder, or one in it, cannot be listed.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        if path.is_file() {
            return Ok(is_video(path).then_some(Self::Video));
        }
        if !path.is_dir() || formats::is_capture(path) {
            return Ok(None);
        }
        let photos = photos_of(path)?.len();
        Ok((photos > 0).then_some(Self::Photos(photos)))
    }
}

/// How poses are found.
#[derive(Clone, Debug)]
pub struct PoseOptions {
    /// See [`Program::find`].
    pub colmap: String,
    pub ffmpeg: String,
    pub matching: Matching,
    /// Pictures taken from a video.
    pub video_frames: usize,
}

impl PoseOptions {
    pub fn of(settings: &Settings) -> Self {
        Self {
            colmap: settings.colmap.clone(),
            ffmpeg: settings.ffmpeg.clone(),
            matching: settings.matching,
            video_frames: settings.video_frames as usize,
        }
    }
}

/// A capture that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPoses {
    pub photos: usize,
    pub registered: usize,
    /// Names of those that found no place.
    pub lost: Vec<String>,
}

/// Photos without a place that are named.
const MOST_NAMED: usize = 10;

impl std::fmt::Display for FoundPoses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            photos,
            registered,
            lost,
        } = self;
        write!(f, "{registered} of {photos} photos found their place")?;
        if !lost.is_empty() {
            let named = &lost[..lost.len().min(MOST_NAMED)];
            write!(f, "; these not: {}", named.join(", "))?;
            match lost.len() - named.len() {
                0 => {}
                more => write!(f, " and {more} more")?,
            }
        }
        Ok(())
    }
}

/// Find where the photos of the folder or video `source` were taken, and write a capture into `folder`, which must be empty
/// or not there. A folder that could not be filled is left as it was found. `on_progress` hears what is done, and how much
/// of how much.
///
/// # Errors
/// COLMAP or ffmpeg is not there (how to get it) or fails; no photos; the folder holds something; not two photos overlap;
/// [`Error::Cancelled`].
pub fn find_poses(
    source: &Path,
    folder: &Path,
    options: &PoseOptions,
    cancel: &Cancel,
    on_progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<FoundPoses> {
    let existed = folder.exists();
    if !files::list(folder)?.is_empty() {
        return Err(Error::file(
            folder,
            "holds something already; choose another folder",
        ));
    }
    let job = Job::prepare(source, options)?;
    let found = job.fill(folder, options, cancel, on_progress);
    if found.is_err() {
        clear(folder, existed);
    }
    found
}

/// What is known before anything is written.
struct Job<'a> {
    source: &'a Path,
    colmap: PathBuf,
    /// For a video.
    ffmpeg: Option<PathBuf>,
    /// Relative to the source.
    photos: Vec<PathBuf>,
}

impl<'a> Job<'a> {
    fn prepare(source: &'a Path, options: &PoseOptions) -> Result<Self> {
        let metadata = std::fs::metadata(source).map_err(Error::io(source))?;
        let colmap = Program::COLMAP.find(&options.colmap)?;
        let ffmpeg = match metadata.is_file() {
            true => Some(Program::FFMPEG.find(&options.ffmpeg)?),
            false => None,
        };
        let photos = match ffmpeg {
            Some(_) => Vec::new(),
            None => photos_of(source)?,
        };
        if ffmpeg.is_none() && photos.len() < 3 {
            return Err(Error::file(
                source,
                format!(
                    "holds {} photos; poses are found from three on, and good ones from some dozens that overlap",
                    photos.len()
                ),
            ));
        }
        Ok(Self {
            source,
            colmap,
            ffmpeg,
            photos,
        })
    }

    fn fill(
        self,
        folder: &Path,
        options: &PoseOptions,
        cancel: &Cancel,
        on_progress: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<FoundPoses> {
        let images = folder.join(IMAGES);
        std::fs::create_dir_all(&images).map_err(Error::io(&images))?;
        let is_video = self.ffmpeg.is_some();
        let photos = match &self.ffmpeg {
            Some(ffmpeg) => {
                let what = "taking pictures of the video";
                let count = options.video_frames;
                extract_frames(
                    ffmpeg,
                    self.source,
                    &images,
                    count,
                    cancel,
                    &mut |done, all| {
                        on_progress(what, done, all);
                    },
                )?;
                photos_of(&images)?
            }
            None => {
                for (i, photo) in self.photos.iter().enumerate() {
                    cancel.check()?;
                    place(&self.source.join(photo), &images.join(photo))?;
                    on_progress("gathering photos", i + 1, self.photos.len());
                }
                self.photos
            }
        };
        let sizes: HashSet<_> = photos
            .iter()
            .map(|photo| picture::read_size(&images.join(photo)))
            .collect::<Result<_>>()?;
        let matching = match options.matching {
            Matching::Auto if is_video || photos.len() > MOST_EXHAUSTIVE => Matching::Sequential,
            Matching::Auto => Matching::Exhaustive,
            chosen => chosen,
        };
        let (database, sparse) = (folder.join(DATABASE), folder.join(SPARSE));
        Colmap {
            program: self.colmap,
            photos: &images,
            database: &database,
            sparse: &sparse,
            is_one_camera: sizes.len() == 1,
            count: photos.len(),
            matching,
            cancel,
        }
        .run(on_progress)?;
        // SQLite keeps two more files beside it.
        for file in ["", "-shm", "-wal"].map(|e| folder.join(format!("{DATABASE}{e}"))) {
            if file.exists() {
                std::fs::remove_file(&file).map_err(Error::io(&file))?;
            }
        }
        let Some((model, _)) = colmap::find_model(folder)? else {
            return Err(Error::file(
                self.source,
                "holds no two photos that COLMAP could put together: they must show the same things from places that are \
                 apart, sharply",
            ));
        };
        let placed: HashSet<String> = colmap::read_model(&model)?
            .images
            .into_iter()
            .map(|image| image.name)
            .collect();
        let names: Vec<String> = photos.iter().map(|photo| name(photo)).collect();
        Ok(FoundPoses {
            photos: names.len(),
            registered: names.iter().filter(|name| placed.contains(*name)).count(),
            lost: names
                .into_iter()
                .filter(|name| !placed.contains(name))
                .collect(),
        })
    }
}

/// With `/` between folders.
fn name(photo: &Path) -> String {
    let parts: Vec<_> = photo.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// Photos in `folder` and the folders in it, relative to it, in order.
///
/// # Errors
/// `folder` cannot be listed. One in it that cannot is left out: disks have some of their own (`lost+found`).
fn photos_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_hidden = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    let mut found = files::list(folder)?;
    found.retain(|path| !is_hidden(path));
    for inner in found.clone().iter().filter(|path| path.is_dir()) {
        let inner = files::list(inner).unwrap_or_else(|problem| {
            log::warn!("no photos are taken from there: {problem}");
            Vec::new()
        });
        found.extend(inner.into_iter().filter(|path| !is_hidden(path)));
    }
    let mut photos: Vec<PathBuf> = found
        .into_iter()
        .filter(|path| is_photo(path) && path.is_file())
        .filter_map(|path| Some(path.strip_prefix(folder).ok()?.to_owned()))
        .collect();
    photos.sort();
    Ok(photos)
}

/// Copy a photo: through a hard link, whoever changes the capture's picture would change the original.
fn place(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
    }
    std::fs::copy(from, to).map(|_| ()).map_err(Error::io(from))
}

/// Take away what a failed run wrote.
fn clear(folder: &Path, existed: bool) {
    let remove = |path: &Path| {
        let gone = match path.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        };
        if let Err(problem) = gone
            && problem.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("{}: could not be removed: {problem}", path.display());
        }
    };
    if !existed {
        remove(folder);
        return;
    }
    match files::list(folder) {
        Ok(found) => found.iter().for_each(|path| remove(path)),
        Err(problem) => log::warn!("what was written stays: {problem}"),
    }
}
