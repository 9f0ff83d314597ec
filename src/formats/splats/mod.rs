//! Splat files of all tools, in and out. What a file is, is told from what it holds; its extension decides only where a
//! format has no mark of its own (`.splat`), and what is written.
//!
//! # Frames
//! Inside, splats keep the frame that 3D Gaussian Splatting's PLY files have: that of the capture's cameras (COLMAP:
//! x right, y down, z forward of a camera that stands upright). Formats that define another frame are turned on the way in
//! and out, spherical harmonics included, so that the same scene looks the same from all its files:
//!
//! | format | frame of the file | what is done |
//! | --- | --- | --- |
//! | PLY, compressed PLY, `.splat`, `.ksplat`, SOG | right, down, front | nothing |
//! | SPZ | right, up, back (its documentation) | half a turn about x |
//! | glTF / GLB | left, up, front (SPZ's documentation; splat-transform) | node transforms, then half a turn about z |
//!
//! Tools that write SPZ or glTF without turning make files that arrive upside down; no file says so. [`Similarity::half_turn`]
//! puts them right.

pub(crate) mod bytes;
pub mod codec;
mod gltf;
mod html;
mod ksplat;
mod sog;
mod sog_write;
mod splat;
mod spz;
mod turn;
pub(crate) mod zip;

pub use turn::Similarity;

use super::atomic::write_atomic;
use super::{glb, nerfstudio, ply};
use crate::scene::Splats;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file format that holds splats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplatFormat {
    /// The reference code's PLY.
    Ply,
    /// PlayCanvas' packed PLY.
    CompressedPly,
    /// antimatter15's 32-byte records.
    Splat,
    /// GaussianSplats3D's, in only.
    Ksplat,
    /// Niantic's.
    Spz,
    /// PlayCanvas' pictures.
    Sog,
    /// glTF or GLB with KHR_gaussian_splatting.
    Gltf,
    /// A page that shows the scene, out only.
    Html,
    /// splatfacto's checkpoint, in only.
    Splatfacto,
}

impl SplatFormat {
    pub const ALL: [Self; 9] = [
        Self::Ply,
        Self::CompressedPly,
        Self::Splat,
        Self::Ksplat,
        Self::Spz,
        Self::Sog,
        Self::Gltf,
        Self::Html,
        Self::Splatfacto,
    ];

    /// As people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ply => "PLY",
            Self::CompressedPly => "compressed PLY",
            Self::Splat => ".splat",
            Self::Ksplat => ".ksplat",
            Self::Spz => "SPZ",
            Self::Sog => "SOG",
            Self::Gltf => "GLB",
            Self::Html => "web page",
            Self::Splatfacto => "splatfacto checkpoint",
        }
    }

    /// Of files that are written, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Ply => "ply",
            Self::CompressedPly => "compressed.ply",
            Self::Splat => "splat",
            Self::Ksplat => "ksplat",
            Self::Spz => "spz",
            Self::Sog => "sog",
            Self::Gltf => "glb",
            Self::Html => "html",
            Self::Splatfacto => "ckpt",
        }
    }

    pub fn can_read(self) -> bool {
        self != Self::Html
    }

    pub fn can_write(self) -> bool {
        !matches!(self, Self::Ksplat | Self::Splatfacto)
    }

    /// What a file of it does not keep of a scene, in words that follow "it"; `None` where it keeps everything.
    pub fn loss(self) -> Option<&'static str> {
        match self {
            Self::Ply | Self::Gltf | Self::Splatfacto => None,
            Self::CompressedPly => {
                Some("rounds all values, positions to 1/2048 of a group of 256 neighbours")
            }
            Self::Splat => {
                Some("keeps no view-dependent colour, and rounds colours and rotations to 8 bits")
            }
            Self::Ksplat => Some("rounds values, depending on its level"),
            Self::Spz => Some("rounds all values to 8 bits, but positions to 24"),
            Self::Sog => Some(
                "rounds all values to 8 bits, positions to 16, and shares view-dependent colours",
            ),
            Self::Html => Some("rounds values as SPZ does, and cannot be opened again"),
        }
    }

    /// Whether a file says that its splats are to be drawn antialiased.
    pub fn says_antialiased(self) -> bool {
        matches!(self, Self::Ply | Self::Spz | Self::Html)
    }

    pub fn is_lossy(self) -> bool {
        self.loss().is_some()
    }

    /// The format to write for a file name.
    ///
    /// # Errors
    /// An extension that no writable format has; all of them are listed.
    pub fn of_name(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let mut formats: Vec<Self> = Self::ALL.into_iter().filter(|f| f.can_write()).collect();
        // ".compressed.ply" ends in ".ply" too.
        formats.sort_by_key(|f| std::cmp::Reverse(f.extension().len()));
        formats
            .into_iter()
            .find(|f| name.ends_with(&format!(".{}", f.extension())))
            .ok_or_else(|| {
                let endings: Vec<String> = Self::ALL
                    .into_iter()
                    .filter(|f| f.can_write())
                    .map(|f| format!(".{}", f.extension()))
                    .collect();
                Error::file(
                    path,
                    format!(
                        "has no ending that says what to write; take one of {}",
                        endings.join(", ")
                    ),
                )
            })
    }
}

/// What was told about a splat file without decoding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognized {
    pub format: SplatFormat,
    /// What to read: `path`, or the `meta.json` in it.
    pub file: PathBuf,
}

/// Which splat format a file holds, or a folder with SOG's `meta.json`. `None`: none that is known, which may be a capture
/// or a point cloud.
///
/// # Errors
/// The file cannot be read; it is a PLY file with a damaged header.
pub fn recognize(path: &Path) -> Result<Option<Recognized>> {
    match nerfstudio::find(path)? {
        Some((file, nerfstudio::ModelKind::Splatfacto)) => {
            let format = SplatFormat::Splatfacto;
            Ok(Some(Recognized { format, file }))
        }
        Some((_, nerfstudio::ModelKind::Nerfacto)) => Ok(None),
        None => recognize_file(path),
    }
}

/// [`recognize`] of what is no checkpoint of nerfstudio's.
///
/// # Errors
/// As [`recognize`].
pub(super) fn recognize_file(path: &Path) -> Result<Option<Recognized>> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    let file = if metadata.is_dir() {
        path.join(sog::META)
    } else {
        path.to_owned()
    };
    if !file.is_file() {
        return Ok(None);
    }
    let format = format_of(&file)?;
    Ok(format
        .filter(|&format| !metadata.is_dir() || format == SplatFormat::Sog)
        .map(|format| Recognized { format, file }))
}

fn format_of(path: &Path) -> Result<Option<SplatFormat>> {
    let mut head = Vec::new();
    let open = || std::fs::File::open(path).map_err(Error::io(path));
    let len = std::fs::metadata(path).map_err(Error::io(path))?.len();
    open()?
        .take(8192)
        .read_to_end(&mut head)
        .map_err(Error::io(path))?;
    let has_ending = |ending: &str| {
        path.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(ending))
    };
    let format = if head.starts_with(b"ply\n") || head.starts_with(b"ply\r") {
        match ply::Kind::of(path)? {
            ply::Kind::Splats {
                is_compressed: true,
                ..
            } => Some(SplatFormat::CompressedPly),
            ply::Kind::Splats { .. } => Some(SplatFormat::Ply),
            ply::Kind::Points { .. } => None,
        }
    } else if head.starts_with(spz::MAGIC)
        || spz::is_gzipped(&head)
        || (head.starts_with(spz::GZIP) && has_ending("spz"))
    {
        Some(SplatFormat::Spz)
    } else if head.starts_with(glb::MAGIC) {
        Some(SplatFormat::Gltf)
    } else if head.starts_with(zip::MAGIC) {
        // A zip of a capture holds no meta.json at its beginning or under SOG's name.
        let names_meta = head
            .windows(sog::META.len())
            .any(|w| w == sog::META.as_bytes());
        (has_ending("sog") || names_meta || has_picture(&head)).then_some(SplatFormat::Sog)
    } else if head.trim_ascii_start().starts_with(b"{") {
        recognize_json(&std::fs::read(path).map_err(Error::io(path))?)
    } else if ksplat::is_likely(&head, len) && !has_ending("splat") {
        Some(SplatFormat::Ksplat)
    } else if has_ending("splat") || splat::is_likely(&head, len) {
        Some(SplatFormat::Splat)
    } else {
        None
    };
    Ok(format)
}

/// Whether the first entry of a ZIP is one of SOG's pictures.
fn has_picture(head: &[u8]) -> bool {
    [
        "means_l.webp",
        "means_u.webp",
        "quats.webp",
        "scales.webp",
        "sh0.webp",
        "shN_labels.webp",
        "shN_centroids.webp",
    ]
    .iter()
    .any(|name| head.get(30..30 + name.len()) == Some(name.as_bytes()))
}

fn recognize_json(bytes: &[u8]) -> Option<SplatFormat> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let has = |name: &str| value.get(name).is_some();
    if has("means") && has("quats") && has("sh0") {
        Some(SplatFormat::Sog)
    } else if has("asset") && (has("meshes") || has("accessors") || has("nodes")) {
        Some(SplatFormat::Gltf)
    } else {
        None
    }
}

/// The splats of a file of any format that [`SplatFormat::can_read`], in the frame of the module's documentation. See
/// [`codec::usable`] for values that are not finite numbers.
///
/// # Errors
/// No splat file, or one that is damaged: the sentence is about the format that the file really has.
pub fn read_splats(path: &Path) -> Result<Splats> {
    let Some(Recognized { format, file }) = recognize(path)? else {
        // Its sentence says what a PLY file has instead of splats.
        if ply::is_ply(path) {
            return ply::read_splats(path);
        }
        let names: Vec<&str> = SplatFormat::ALL
            .into_iter()
            .filter(|f| f.can_read())
            .map(SplatFormat::name)
            .collect();
        return Err(Error::file(
            path,
            format!(
                "is no splat file that is known; known are {}",
                names.join(", ")
            ),
        ));
    };
    let bytes = std::fs::read(&file).map_err(Error::io(&file))?;
    decode(&file, &bytes, format)
}

/// [`read_splats`] of a file in memory whose format is known. `path` is for errors, and for files beside it.
///
/// # Errors
/// As [`read_splats`].
pub fn decode(path: &Path, bytes: &[u8], format: SplatFormat) -> Result<Splats> {
    match format {
        SplatFormat::Ply | SplatFormat::CompressedPly => ply::decode(path, bytes),
        SplatFormat::Splat => splat::read(path, bytes),
        SplatFormat::Ksplat => ksplat::read(path, bytes),
        SplatFormat::Spz => spz::read(path, bytes),
        SplatFormat::Sog if bytes.starts_with(zip::MAGIC) => sog::read_bundle(path, bytes),
        SplatFormat::Sog => sog::read_folder(path, bytes),
        SplatFormat::Gltf => gltf::read(path, bytes),
        SplatFormat::Splatfacto => nerfstudio::splats(path, bytes),
        SplatFormat::Html => Err(Error::file(
            path,
            "is a web page, which cannot be read back",
        )),
    }
}

/// Write `splats` as `format`; see [`SplatFormat::loss`] for what that keeps. [`SplatFormat::CompressedPly`],
/// [`SplatFormat::Splat`] and [`SplatFormat::Sog`] change the order of the splats.
///
/// # Errors
/// The arrays of `splats` disagree; there are none, or too many for the format; the format cannot be written; the disk, in
/// which case a file that was there stays as it was.
pub fn write_splats(path: &Path, splats: &Splats, format: SplatFormat) -> Result<()> {
    if !splats.is_consistent() {
        return Err(Error::invalid(format!(
            "{}: the splats' arrays have lengths that do not fit each other",
            path.display()
        )));
    }
    let bytes = match format {
        SplatFormat::Ply => return ply::write_splats(path, splats, &[]),
        _ if splats.is_empty() => {
            return Err(Error::file(
                path,
                "was not written: the scene holds no splat",
            ));
        }
        SplatFormat::CompressedPly => ply::compressed::encode(splats),
        SplatFormat::Splat => splat::encode(splats),
        SplatFormat::Spz => spz::encode(path, splats)?,
        SplatFormat::Sog => sog_write::encode(path, splats)?,
        SplatFormat::Gltf => gltf::encode(path, splats)?,
        SplatFormat::Html => html::encode(path, splats)?,
        SplatFormat::Ksplat => {
            return Err(Error::file(
                path,
                ".ksplat files can be read, but not written; SPZ is as small",
            ));
        }
        SplatFormat::Splatfacto => {
            return Err(Error::file(
                path,
                "checkpoints of splatfacto can be read, but not written; PLY keeps as much",
            ));
        }
    };
    write_atomic(path, |out| out.write_all(&bytes))
}
