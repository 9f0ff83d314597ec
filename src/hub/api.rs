//! What the Hub has of a model, asked before anything is fetched: the commit, the files with sizes and checksums, the
//! licence. Names, commits and checksums of the answer become paths, so that only those of the expected form are taken.

use super::cache::Repo;
use super::transfer::{Client, Refusal};
use super::{Hub, REVISION, is_id, needed_files};
use crate::error::Cancel;
use crate::settings::Precision;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Longest answer about a model that is read.
const MOST_ANSWER: u64 = 16 << 20;

/// What [`super::get`] would fetch.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    pub id: String,
    pub commit: String,
    /// As the Hub names it: "mit".
    pub license: Option<String>,
    pub files: Vec<OfferedFile>,
    /// Where the files will lie.
    pub folder: PathBuf,
    /// All files, bytes.
    pub total_bytes: u64,
    /// Not there yet, bytes.
    pub missing_bytes: u64,
    /// Free where the cache is, bytes.
    pub free_bytes: u64,
}

/// Left free on the disk: a full disk harms more than a model that is not there.
const MARGIN_BYTES: u64 = 64 << 20;

impl Offer {
    /// Whether what is missing has room on a disk with `free_bytes`.
    pub fn fits(&self, free_bytes: u64) -> bool {
        self.missing_bytes == 0 || self.missing_bytes.saturating_add(MARGIN_BYTES) <= free_bytes
    }
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct OfferedFile {
    pub name: String,
    pub bytes: u64,
    pub checksum: Checksum,
    /// Already in the cache, bytes: all, or what an interrupted transfer left.
    pub here_bytes: u64,
}

impl OfferedFile {
    pub fn is_here(&self) -> bool {
        self.here_bytes == self.bytes
    }
}

/// What a file's content must hash to, in hexadecimal digits. It is also the blob's name in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// Of large files.
    Sha256(String),
    /// Of small files: SHA-1 of `blob LENGTH\0` and the content, as git names them.
    GitSha1(String),
}

impl Checksum {
    pub fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitSha1(digits) => digits,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Card {
    license: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

/// Ask the Hub for `id`. `precision`: which weights are preferred.
///
/// # Errors
/// Offline; no answer; no such model, or not for this token; a model without the files of an image editor.
pub fn offer(hub: &Hub, id: &str, precision: Precision, cancel: &Cancel) -> Result<Offer> {
    if !is_id(id) {
        return Err(Error::Invalid(format!(
            "\"{id}\" is no model of the Hub; its name has the form owner/name, such as {}",
            super::INSTRUCT_PIX2PIX
        )));
    }
    if hub.offline {
        return Err(Error::Invalid(format!(
            "HF_HUB_OFFLINE is set, so that {} is not asked for {id}: unset it, or copy the model's folder here",
            hub.host()
        )));
    }
    let url = format!(
        "{}/api/models/{id}/revision/{REVISION}?blobs=true",
        hub.endpoint
    );
    let answer = Client::new(hub)
        .read(&url, MOST_ANSWER, cancel)
        .map_err(|refusal| explain(hub, id, refusal))?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|e| {
        Error::Invalid(format!(
            "{} did not answer as a model hub does ({e}): check HF_ENDPOINT",
            hub.host()
        ))
    })?;
    plan(hub, id, precision, answer)
}

fn plan(hub: &Hub, id: &str, precision: Precision, answer: Answer) -> Result<Offer> {
    if !is_hex(&answer.sha, 40) {
        return Err(Error::Invalid(format!(
            "{} names no commit of {id}: check HF_ENDPOINT",
            hub.host()
        )));
    }
    let find = |name: &str| answer.siblings.iter().find(|file| file.rfilename == name);
    let names = needed_files(&|name| find(name).is_some(), precision).map_err(|missing| {
        Error::Invalid(format!(
            "{id} is no image editor that luxedit can run: it has no {}",
            missing.join(", no ")
        ))
    })?;
    let repo = Repo::of(hub, id);
    let mut files = Vec::new();
    for name in names {
        let Some((bytes, checksum)) = find(&name).and_then(identity) else {
            return Err(Error::Invalid(format!(
                "{} tells no size or checksum of {name}, so that it could not be verified: use another HF_ENDPOINT",
                hub.host()
            )));
        };
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        let whole = repo.snapshot(&answer.sha).join(&name);
        let here_bytes =
            if length(&repo.blob(checksum.digits())) == bytes || length(&whole) == bytes {
                bytes
            } else {
                // A partial file of full length is yet to be verified.
                length(&repo.partial(checksum.digits())).min(bytes.saturating_sub(1))
            };
        files.push(OfferedFile {
            name,
            bytes,
            checksum,
            here_bytes,
        });
    }
    let total_bytes = files.iter().map(|f| f.bytes).sum();
    let here: u64 = files.iter().map(|f| f.here_bytes).sum();
    Ok(Offer {
        id: id.to_owned(),
        license: license(&answer),
        folder: repo.snapshot(&answer.sha),
        commit: answer.sha,
        files,
        total_bytes,
        missing_bytes: total_bytes.saturating_sub(here),
        free_bytes: free_bytes(&hub.cache)?,
    })
}

/// Size and checksum, where the Hub tells both.
fn identity(file: &Sibling) -> Option<(u64, Checksum)> {
    match (&file.lfs, file.size, &file.blob_id) {
        (Some(large), ..) if is_hex(&large.sha256, 64) => {
            Some((large.size, Checksum::Sha256(large.sha256.clone())))
        }
        (None, Some(size), Some(id)) if is_hex(id, 40) => {
            Some((size, Checksum::GitSha1(id.clone())))
        }
        _ => None,
    }
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

fn license(answer: &Answer) -> Option<String> {
    let card = answer.card.as_ref().and_then(|card| card.license.as_ref());
    let named = match card {
        Some(serde_json::Value::String(name)) => Some(name.as_str()),
        _ => answer
            .tags
            .iter()
            .find_map(|tag| tag.strip_prefix("license:")),
    }?;
    let printable = named.chars().filter(|c| !c.is_control()).take(80).collect();
    Some(printable)
}

/// Free for this user on the disk that will hold `path`, of which only the beginning may exist.
///
/// # Errors
/// When the system does not tell.
pub(super) fn free_bytes(path: &Path) -> Result<u64> {
    let there = path
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("."));
    fs4::available_space(there).map_err(Error::io(there))
}

pub(super) fn explain(hub: &Hub, id: &str, refusal: Refusal) -> Error {
    let host = hub.host();
    let status = match refusal {
        Refusal::Cancelled => return Error::Cancelled,
        Refusal::Failed(problem) => {
            return Error::Invalid(format!(
                "{host} does not answer ({problem}): check the connection, or set HF_ENDPOINT to a mirror"
            ));
        }
        Refusal::Status(status) => status,
    };
    Error::Invalid(match status {
        // The Hub hides what a token may not see.
        401 | 404 if hub.token.is_none() => format!(
            "{host} knows no {id}, or it is private: check the name; a private model needs HF_TOKEN"
        ),
        401 => format!("{host} refuses the token: check HF_TOKEN or the token file"),
        403 => format!(
            "{host} does not give {id} to you: accept its terms at {}/{id} and set HF_TOKEN",
            hub.endpoint
        ),
        404 => format!("{host} knows no {id}: check the name"),
        429 => format!("{host} asks to slow down: try again in some minutes, or set HF_TOKEN"),
        500.. => format!("{host} has a fault of its own (status {status}): try again later"),
        _ => format!("{host} refuses to give {id} (status {status})"),
    })
}
