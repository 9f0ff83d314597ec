//! Fetching a model into the cache: each file goes on where an earlier transfer, of whatever tool, was cut, is hashed while
//! it arrives, and takes its name only when the checksum is the Hub's. The branch is moved to the commit when all files
//! are there, so that a cut leaves the model that was there before.

use super::Hub;
use super::api::{Checksum, Offer, OfferedFile, explain, free_bytes};
use super::cache::{Repo, create_parent};
use super::transfer::{Client, Refusal};
use crate::error::Cancel;
use crate::{Error, Result};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Attempts without a new byte before a file is given up.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Time constant of the speed that is shown.
const SPEED_SECS: f64 = 5.0;

/// How far a transfer is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchProgress {
    /// File that is being fetched.
    pub file: String,
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub bytes_per_sec: f64,
    pub eta_secs: Option<f64>,
}

/// Fetch what is missing of `offer`. Returns the model's folder.
///
/// # Errors
/// [`Error::Cancelled`] within a chunk; no room on the disk; a connection that stays broken; a file that is not what the
/// Hub says. What arrived whole is kept, and so is what arrived of the file that was cut.
pub fn get(
    hub: &Hub,
    offer: &Offer,
    cancel: &Cancel,
    on_progress: &mut dyn FnMut(&FetchProgress),
) -> Result<PathBuf> {
    let free = free_bytes(&hub.cache)?;
    if !offer.fits(free) {
        return Err(no_room(hub, offer.missing_bytes, free));
    }
    let mut fetch = Fetch {
        hub,
        offer,
        repo: Repo::of(hub, &offer.id),
        client: Client::new(hub),
        cancel,
        meter: Meter::new(offer.total_bytes),
        on_progress,
    };
    for file in &offer.files {
        cancel.check()?;
        fetch.file(file)?;
    }
    fetch.repo.set_current(&offer.commit)?;
    Ok(offer.folder.clone())
}

fn no_room(hub: &Hub, needed: u64, free: u64) -> Error {
    Error::Invalid(format!(
        "the model needs {} more, and only {} are free at {}: make room, or set HF_HOME to a folder on another disk",
        size(needed),
        size(free),
        hub.cache.display()
    ))
}

/// "2.13 GB", in powers of ten as disks are sold.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

struct Fetch<'a> {
    hub: &'a Hub,
    offer: &'a Offer,
    repo: Repo,
    client: Client,
    cancel: &'a Cancel,
    meter: Meter,
    on_progress: &'a mut dyn FnMut(&FetchProgress),
}

/// Why one attempt at a file ended early.
enum Cut {
    /// Worth another attempt.
    Line(String),
    Final(Error),
}

impl Fetch<'_> {
    fn file(&mut self, file: &OfferedFile) -> Result<()> {
        let etag = file.checksum.digits();
        let named = self.offer.folder.join(&file.name);
        let blob = self.repo.blob(etag);
        create_parent(&blob)?;
        let _lock = self.lock(etag)?;
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        if length(&blob) != file.bytes && length(&named) != file.bytes {
            let partial = self.repo.partial(etag);
            self.transfer(file, &partial)?;
            std::fs::rename(&partial, &blob).map_err(Error::io(&blob))?;
        }
        self.repo.link(etag, &self.offer.commit, &file.name)?;
        self.meter.finish_file(file.bytes);
        self.report(&file.name);
        Ok(())
    }

    /// Two tools must not write one partial file.
    fn lock(&self, etag: &str) -> Result<File> {
        let path = self.repo.lock(self.hub, &self.offer.id, etag);
        create_parent(&path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    self.cancel.check()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(TryLockError::Error(e)) => return Err(Error::io(&path)(e)),
            }
        }
    }

    fn transfer(&mut self, file: &OfferedFile, partial: &Path) -> Result<()> {
        let mut out = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(partial)
            .map_err(Error::io(partial))?;
        let mut hash = Hash::of(file);
        let mut here = self.hash_partial(&mut out, partial, file, &mut hash)?;
        let (mut attempts, mut wait) = (0, FIRST_WAIT);
        while here < file.bytes {
            let before = here;
            match self.attempt(file, partial, &mut out, &mut hash, &mut here) {
                Ok(()) => break,
                Err(Cut::Final(e)) => return Err(e),
                Err(Cut::Line(problem)) => {
                    if here > before {
                        (attempts, wait) = (0, FIRST_WAIT);
                    }
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(Error::Invalid(format!(
                            "the connection to {} broke after {} of {} of {} ({problem}); what came is kept: ask for \
                             the model again to go on from there",
                            self.hub.host(),
                            size(here),
                            size(file.bytes),
                            file.name
                        )));
                    }
                    self.pause(wait)?;
                    wait *= 2;
                }
            }
        }
        out.sync_all().map_err(Error::io(partial))?;
        drop(out);
        let found = hash.finish();
        if found == file.checksum.digits() {
            return Ok(());
        }
        std::fs::remove_file(partial).map_err(Error::io(partial))?;
        Err(Error::Invalid(format!(
            "{} came damaged: its checksum is {found}, and {} says {}. It was thrown away: ask for the model again",
            file.name,
            self.hub.host(),
            file.checksum.digits()
        )))
    }

    /// Hash what an earlier transfer left; more than the file has is nothing of it.
    fn hash_partial(
        &mut self,
        out: &mut File,
        partial: &Path,
        file: &OfferedFile,
        hash: &mut Hash,
    ) -> Result<u64> {
        let len = out.metadata().map_err(Error::io(partial))?.len();
        if len > file.bytes {
            out.set_len(0).map_err(Error::io(partial))?;
            return Ok(0);
        }
        let mut chunk = vec![0; 1 << 20];
        let mut here = 0;
        loop {
            self.cancel.check()?;
            let read = out.read(&mut chunk).map_err(Error::io(partial))?;
            if read == 0 {
                break;
            }
            hash.update(&chunk[..read]);
            here += read as u64;
        }
        self.meter.skip(here);
        self.report(&file.name);
        Ok(here)
    }

    /// One request from byte `here` on.
    fn attempt(
        &mut self,
        file: &OfferedFile,
        partial: &Path,
        out: &mut File,
        hash: &mut Hash,
        here: &mut u64,
    ) -> Result<(), Cut> {
        let url = format!(
            "{}/{}/resolve/{}/{}",
            self.hub.endpoint, self.offer.id, self.offer.commit, file.name
        );
        let answer = self.client.start(&url, *here);
        let (hub, offer) = (self.hub, self.offer);
        let cut = |refusal| match refusal {
            Refusal::Failed(problem) => Cut::Line(problem),
            Refusal::Status(status @ (408 | 429 | 500..)) => Cut::Line(format!("status {status}")),
            refusal => Cut::Final(explain(hub, &offer.id, refusal)),
        };
        let io = |e| Cut::Final(write_error(hub, file, partial, e));
        let opening = answer.opening(self.cancel).map_err(cut)?;
        if opening.start == 0 && *here > 0 {
            // A server that knows no ranges sends everything.
            out.set_len(0).map_err(io)?;
            out.seek(SeekFrom::Start(0)).map_err(io)?;
            *hash = Hash::of(file);
            self.meter.unskip(*here);
            *here = 0;
        } else if opening.start != *here {
            return Err(Cut::Line(format!(
                "asked for byte {here}, it begins at {}",
                opening.start
            )));
        }
        while let Some(chunk) = answer.next(self.cancel).map_err(cut)? {
            let len = chunk.len() as u64;
            if *here + len > file.bytes {
                return Err(Cut::Final(Error::Invalid(format!(
                    "{} sends more of {} than the {} it has announced: check HF_ENDPOINT",
                    self.hub.host(),
                    file.name,
                    size(file.bytes)
                ))));
            }
            out.write_all(&chunk).map_err(io)?;
            hash.update(&chunk);
            *here += len;
            self.meter.took(len);
            self.report(&file.name);
        }
        if *here < file.bytes {
            return Err(Cut::Line("it ended early".into()));
        }
        Ok(())
    }

    fn pause(&self, wait: Duration) -> Result<()> {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.cancel.check()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn report(&mut self, file: &str) {
        let progress = self.meter.progress(file);
        (self.on_progress)(&progress);
    }
}

fn write_error(hub: &Hub, file: &OfferedFile, partial: &Path, e: std::io::Error) -> Error {
    if e.kind() != ErrorKind::StorageFull {
        return Error::io(partial)(e);
    }
    let here = std::fs::metadata(partial).map_or(0, |m| m.len());
    match free_bytes(&hub.cache) {
        Ok(free) => no_room(hub, file.bytes.saturating_sub(here), free),
        Err(e) => e,
    }
}

/// The checksum of a file, as it arrives.
struct Hash(Context);

impl Hash {
    fn of(file: &OfferedFile) -> Self {
        Self(match file.checksum {
            Checksum::Sha256(_) => Context::new(&SHA256),
            Checksum::GitSha1(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {}\0", file.bytes).as_bytes());
                context
            }
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Hexadecimal digits.
    fn finish(self) -> String {
        let digest = self.0.finish();
        digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// Bytes and time. What was there before counts as done, but not as speed.
struct Meter {
    total: u64,
    /// Of the files before the current one.
    before: u64,
    /// Of the current file.
    current: u64,
    began: Instant,
    /// Start and bytes of the span that the speed is measured over.
    span: (Instant, u64),
    speed: Option<f64>,
}

impl Meter {
    fn new(total: u64) -> Self {
        let now = Instant::now();
        Self {
            total,
            before: 0,
            current: 0,
            began: now,
            span: (now, 0),
            speed: None,
        }
    }

    fn skip(&mut self, bytes: u64) {
        self.current += bytes;
    }

    fn unskip(&mut self, bytes: u64) {
        self.current = self.current.saturating_sub(bytes);
    }

    fn took(&mut self, bytes: u64) {
        self.current += bytes;
        self.span.1 += bytes;
        let secs = self.span.0.elapsed().as_secs_f64();
        if secs >= 0.25 {
            let now = self.span.1 as f64 / secs;
            let share = 1.0 - (-secs / SPEED_SECS).exp();
            // The first seconds have no past to smooth with.
            let share = share.max(secs / self.began.elapsed().as_secs_f64().max(secs));
            self.speed = Some(self.speed.map_or(now, |old| old + (now - old) * share));
            self.span = (Instant::now(), 0);
        }
    }

    fn finish_file(&mut self, bytes: u64) {
        self.before += bytes;
        self.current = 0;
    }

    fn progress(&self, file: &str) -> FetchProgress {
        let done_bytes = self.before + self.current;
        FetchProgress {
            file: file.to_owned(),
            done_bytes,
            total_bytes: self.total,
            bytes_per_sec: self.speed.unwrap_or(0.0),
            eta_secs: self
                .speed
                .filter(|&speed| speed > 0.0)
                .map(|speed| self.total.saturating_sub(done_bytes) as f64 / speed),
        }
    }
}
