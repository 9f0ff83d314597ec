//! The project folder (`*.luxedit/`): everything that an artist made, on disk, always. Every file is written once, under
//! a new name, and `project.json` (replaced atomically, last) says which of them count. A process that is killed at any
//! moment therefore leaves the previous consistent project behind, and a full disk leaves it untouched. Originals are
//! referenced by path and never written to.
//!
//! ```text
//! project.json   version, source, settings, timeline, the interrupted job
//! states/        one safetensors file a state: parameters, optimizer moments, schedule
//! edits/         edited views, one PNG each
//! thumbnails/    one PNG a snapshot
//! scene.ply      the live scene when the last job ended
//! ```

use super::{Job, SnapshotId};
use crate::{
    Error, Result,
    edit::{SceneState, Schedule},
    formats::{atomic::write_atomic, files, picture},
    scene::{NamedTensor, Photo, Splats, WorldFromFile},
    settings::{SceneKind, Settings},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const VERSION: u32 = 1;
const MANIFEST: &str = "project.json";
/// The live scene when the last job ended.
pub const SCENE_FILE: &str = "scene.ply";
const LOCK: &str = ".lock";
const FOLDERS: [&str; 3] = ["states", "edits", "thumbnails"];

/// What a project is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// One process at a time; held until the project is closed.
    Write,
    /// Nothing is written, saved or deleted.
    Read,
}

/// Which edited picture stands for which view: view name → file below `edits/`.
pub type EditMap = BTreeMap<String, String>;

/// A saved state: where the parameters are, and what belongs to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateRecord {
    /// Below `states/`.
    pub file: String,
    pub step: u32,
    pub edits: EditMap,
    #[serde(default)]
    pub kind: SceneKind,
}

/// A point of the timeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotRecord {
    pub id: SnapshotId,
    pub parent: Option<SnapshotId>,
    pub label: String,
    pub pinned: bool,
    /// Below `thumbnails/`.
    pub thumbnail: String,
    pub state: StateRecord,
    /// What the snapshot was made with.
    pub settings: Settings,
    /// Identifies the edit model's weights; empty when none was in use.
    #[serde(default)]
    pub model_hash: String,
}

/// A job that has begun and not run to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobRecord {
    pub job: Job,
    /// Optimizer step at which the job began.
    pub start_step: u32,
    /// Optimizer step at which it ends.
    pub end_step: u32,
    pub schedule: Schedule,
    pub settings: Settings,
    /// The edit that follows this reconstruction.
    #[serde(default)]
    pub then_edit: Option<Box<Settings>>,
}

/// One edited view, for the strip.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EditRecord {
    pub view: String,
    pub sweep: u32,
    pub step: u32,
    pub prompt: String,
    pub guidance_scale: f64,
    pub image_guidance_scale: f64,
    pub timestep: u32,
    pub noise_stream: u64,
    pub change: Option<f32>,
    pub duration_secs: f64,
    /// Below `edits/`.
    pub edited: String,
    /// Below `edits/`.
    pub render: String,
}

/// `project.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// What was opened: a capture, or a splat file.
    pub source: PathBuf,
    /// A splat file that the scene came from, when it was not reconstructed here.
    pub scene_file: Option<PathBuf>,
    /// Where the nerfstudio run that the scene came from had the capture; `None`: where captures usually are put.
    #[serde(default)]
    pub frame: Option<WorldFromFile>,
    /// How many times photos are shrunk on load: edited pictures have that size. 0: the capture's own rule.
    pub downscale: u32,
    pub settings: Settings,
    pub live: Option<StateRecord>,
    /// The snapshot that the live state grew from.
    pub current: Option<SnapshotId>,
    pub next_snapshot: u32,
    pub snapshots: Vec<SnapshotRecord>,
    pub edits: Vec<EditRecord>,
    pub job: Option<JobRecord>,
}

impl Manifest {
    /// Which programs are run is for the person here to say, not for whoever made the project; nor does a project that
    /// is passed on say where this person's are.
    fn forget_programs(&mut self) {
        let snapshots = self.snapshots.iter_mut().map(|s| &mut s.settings);
        let job = self.job.iter_mut().flat_map(|job| {
            let after = job.then_edit.iter_mut().map(|s| &mut **s);
            after.chain([&mut job.settings])
        });
        for settings in snapshots.chain(job).chain([&mut self.settings]) {
            settings.colmap.clear();
            settings.ffmpeg.clear();
        }
    }
}

/// An open project folder.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    pub manifest: Manifest,
    serial: u64,
    /// Locked while the project is open for writing.
    lock: Option<fs::File>,
}

impl Project {
    /// Whether `path` is a project folder (or its `project.json`).
    pub fn is_project(path: &Path) -> bool {
        path.join(MANIFEST).is_file() || (path.ends_with(MANIFEST) && path.is_file())
    }

    /// Make a new project folder for `source`.
    ///
    /// # Errors
    /// When the folder already holds a project or other files, or cannot be written.
    pub fn create(folder: &Path, source: &Path, settings: &Settings) -> Result<Self> {
        Self::check_free(folder)?;
        make_folders(folder)?;
        let lock = lock(folder)?;
        let source = source.canonicalize().map_err(Error::io(source))?;
        let mut project = Self {
            folder: folder.canonicalize().map_err(Error::io(folder))?,
            manifest: Manifest {
                version: VERSION,
                source,
                scene_file: None,
                frame: None,
                downscale: settings.downscale,
                settings: settings.clone(),
                live: None,
                current: None,
                next_snapshot: 0,
                snapshots: Vec::new(),
                edits: Vec::new(),
                job: None,
            },
            serial: 0,
            lock: Some(lock),
        };
        project.manifest.forget_programs();
        project.write_manifest(&project.manifest)?;
        Ok(project)
    }

    /// # Errors
    /// [`Error::Invalid`] when `folder` holds anything already.
    pub fn check_free(folder: &Path) -> Result<()> {
        if Self::is_project(folder) {
            return Err(Error::Invalid(format!(
                "{} already holds a project; choose another folder, or go on with it by `luxedit edit {} --resume`",
                folder.display(),
                folder.display()
            )));
        }
        match fs::read_dir(folder) {
            // What a process that was killed while creating a project leaves behind counts as empty.
            Ok(mut entries) => match entries.find(|entry| !entry.as_ref().is_ok_and(is_leftover)) {
                None => Ok(()),
                Some(_) => Err(Error::Invalid(format!(
                    "{} is not empty and not a luxedit project; choose a new folder",
                    folder.display()
                ))),
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(Error::io(folder)(e)),
        }
    }

    /// # Errors
    /// When `project.json` is missing, malformed, of a newer version, or names files that do not exist.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let folder = if path.ends_with(MANIFEST) {
            path.parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
        } else {
            path
        };
        let manifest_path = folder.join(MANIFEST);
        let lock = match access {
            Access::Write => Some(lock(folder)?),
            Access::Read => None,
        };
        let bytes = fs::read(&manifest_path).map_err(Error::io(&manifest_path))?;
        let json: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|e| Error::file(&manifest_path, format!("not a project file: {e}")))?;
        let version = json["version"].as_u64().unwrap_or(0);
        if version != u64::from(VERSION) {
            return Err(Error::file(
                &manifest_path,
                format!("project version {version}; this luxedit reads version {VERSION}"),
            ));
        }
        let mut manifest: Manifest = serde_json::from_value(json)
            .map_err(|e| Error::file(&manifest_path, format!("not a project file: {e}")))?;
        manifest.forget_programs();
        let mut project = Self {
            folder: folder.canonicalize().map_err(Error::io(folder))?,
            manifest,
            serial: 0,
            lock,
        };
        project.check_files()?;
        project.serial = project.highest_serial()?;
        Ok(project)
    }

    /// States and the edited pictures that belong to them must be there; strip and thumbnails are for the eye.
    fn check_files(&self) -> Result<()> {
        for name in self.essential() {
            let path = self.folder.join(&name);
            if !path.is_file() {
                return Err(Error::file(
                    self.folder.join(MANIFEST),
                    format!(
                        "the project names {name}, which does not exist; copy the project folder whole"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn essential(&self) -> BTreeSet<String> {
        let m = &self.manifest;
        let states = m.live.iter().chain(m.snapshots.iter().map(|s| &s.state));
        let mut names = BTreeSet::new();
        for state in states {
            names.insert(format!("states/{}", state.file));
            names.extend(state.edits.values().map(|f| format!("edits/{f}")));
        }
        names
    }

    fn referenced(&self) -> BTreeSet<String> {
        let m = &self.manifest;
        let mut names = self.essential();
        names.extend(
            m.snapshots
                .iter()
                .map(|s| format!("thumbnails/{}", s.thumbnail)),
        );
        for edit in &m.edits {
            names.insert(format!("edits/{}", edit.edited));
            names.insert(format!("edits/{}", edit.render));
        }
        names
    }

    /// File names start with a number that only grows, so that a leftover of a killed process is never mistaken for a
    /// file of this run.
    ///
    /// # Errors
    /// A folder cannot be listed.
    fn highest_serial(&self) -> Result<u64> {
        let mut highest = 0;
        for sub in FOLDERS {
            for file in files::list(&self.folder.join(sub))? {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let serial = name.split('-').next().and_then(|n| n.parse().ok());
                highest = highest.max(serial.unwrap_or(0));
            }
        }
        Ok(highest)
    }

    fn next_name(&mut self, rest: &str) -> String {
        self.serial += 1;
        format!("{:08}-{rest}", self.serial)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let path = self.folder.join(MANIFEST);
        if self.is_read_only() {
            return Err(Error::file(
                &path,
                "the project was opened for reading only",
            ));
        }
        let json =
            serde_json::to_vec_pretty(manifest).map_err(|e| Error::file(&path, e.to_string()))?;
        write_atomic(&path, |w| w.write_all(&json))
    }

    /// Make `manifest` the project's, on disk and here, then delete what it no longer names.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be written; the project then stays what it was.
    pub fn commit(&mut self, mut manifest: Manifest) -> Result<()> {
        manifest.forget_programs();
        self.write_manifest(&manifest)?;
        self.manifest = manifest;
        let referenced = self.referenced();
        for sub in FOLDERS {
            let found = files::list(&self.folder.join(sub)).unwrap_or_else(|problem| {
                log::warn!("what is not needed any more stays: {problem}");
                Vec::new()
            });
            for path in found {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if !referenced.contains(&format!("{sub}/{name}"))
                    && let Err(e) = fs::remove_file(&path)
                {
                    log::warn!("{}: {e}", path.display());
                }
            }
        }
        Ok(())
    }

    /// Delete a file that was written for a record that then could not be committed: a full disk needs the room.
    pub fn discard(&self, name: &str) {
        if let Err(e) = fs::remove_file(self.folder.join(name)) {
            log::warn!("{name}: {e}");
        }
    }

    /// Write a state; it counts once a record that names it is committed.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be written.
    pub fn write_state(&mut self, state: &SceneState, edits: EditMap) -> Result<StateRecord> {
        let step = state.step();
        let kind = state.kind();
        let file = self.next_name(&format!("step{step}.safetensors"));
        let path = self.folder.join("states").join(&file);
        let metadata = std::collections::HashMap::from([(
            SceneState::header_key(kind).to_owned(),
            state
                .header()
                .map_err(|e| Error::file(&path, e.to_string()))?,
        )]);
        let views: Vec<_> = state
            .tensors()
            .iter()
            .map(|t| TensorBytes::new(t).map(|bytes| (t.name.clone(), bytes)))
            .collect::<Result<_>>()?;
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|e| Error::file(&path, format!("cannot serialize the state: {e}")))?;
        write_atomic(&path, |w| w.write_all(&bytes))?;
        Ok(StateRecord {
            file,
            step,
            edits,
            kind,
        })
    }

    /// # Errors
    /// [`Error::File`] when the state file is damaged.
    pub fn read_state(&self, record: &StateRecord) -> Result<SceneState> {
        let path = self.folder.join("states").join(&record.file);
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        let damaged = |e: String| Error::file(&path, format!("damaged state: {e}"));
        let (_, header) =
            safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        let header = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(SceneState::header_key(record.kind)))
            .ok_or_else(|| damaged("no training header".into()))?;
        let file =
            safetensors::SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
        let mut tensors = Vec::new();
        for (name, view) in file.tensors() {
            if view.dtype() != safetensors::Dtype::F32 {
                return Err(damaged(format!("{name} is {:?}, not F32", view.dtype())));
            }
            tensors.push(NamedTensor {
                name,
                shape: view.shape().to_vec(),
                data: view
                    .data()
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b))
                    .collect(),
            });
        }
        SceneState::from_parts(record.kind, header, tensors).map_err(|e| damaged(e.to_string()))
    }

    /// Only the parameters of a state, for scrubbing.
    ///
    /// # Errors
    /// See [`Self::read_state`].
    pub fn read_splats(&self, record: &StateRecord) -> Result<Splats> {
        self.read_state(record)?.splats()
    }

    /// Write an edited view or a render; returns its name below `edits/`.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be written.
    pub fn write_edit(&mut self, view: &str, role: &str, photo: &Photo) -> Result<String> {
        let stem: String = view
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let name = self.next_name(&format!("{stem}-{role}.png"));
        picture::write_png(&self.folder.join("edits").join(&name), photo)?;
        Ok(name)
    }

    /// # Errors
    /// When the picture is missing or unreadable.
    pub fn read_edit(&self, name: &str) -> Result<Photo> {
        picture::read_photo(&self.folder.join("edits").join(name), [0.0; 3])
    }

    /// # Errors
    /// [`Error::Io`] when the folder cannot be written.
    pub fn write_thumbnail(&mut self, photo: &Photo) -> Result<String> {
        let name = self.next_name("thumbnail.png");
        picture::write_png(&self.folder.join("thumbnails").join(&name), photo)?;
        Ok(name)
    }

    /// # Errors
    /// When the picture is missing or unreadable.
    pub fn read_thumbnail(&self, snapshot: &SnapshotRecord) -> Result<Photo> {
        picture::read_photo(
            &self.folder.join("thumbnails").join(&snapshot.thumbnail),
            [0.0; 3],
        )
    }

    pub fn snapshot(&self, id: SnapshotId) -> Option<&SnapshotRecord> {
        self.manifest.snapshots.iter().find(|s| s.id == id)
    }

    /// Bytes of a state file; 0 when it cannot be asked.
    fn state_bytes(&self, record: &StateRecord) -> u64 {
        fs::metadata(self.folder.join("states").join(&record.file)).map_or(0, |m| m.len())
    }

    /// Over `limit` snapshots or `budget_bytes` of states, drop from `manifest` those that lie closest between the one
    /// they grew from and those that grew from them. Starts and ends of branches, pinned snapshots and those in `keep`
    /// stay.
    pub fn thin_out(
        &self,
        manifest: &mut Manifest,
        limit: u32,
        budget_bytes: u64,
        keep: &[SnapshotId],
    ) -> Vec<SnapshotId> {
        let mut bytes: u64 = manifest
            .snapshots
            .iter()
            .map(|s| self.state_bytes(&s.state))
            .sum();
        let mut removed = Vec::new();
        while manifest.snapshots.len() > limit as usize || bytes > budget_bytes {
            let s = &manifest.snapshots;
            let step_of = |id| s.iter().find(|o| o.id == id).map(|o| o.state.step);
            let gap = |i: usize| {
                let parent = step_of(s[i].parent?)?;
                let child = s
                    .iter()
                    .filter(|o| o.parent == Some(s[i].id))
                    .map(|o| o.state.step)
                    .max()?;
                Some(child.saturating_sub(parent))
            };
            let candidate = (0..s.len())
                .filter(|&i| !s[i].pinned && !keep.contains(&s[i].id))
                .filter(|&i| Some(s[i].id) != manifest.current)
                .filter_map(|i| Some((gap(i)?, i)))
                .min();
            let Some((_, i)) = candidate else { break };
            let gone = manifest.snapshots.remove(i);
            bytes -= self.state_bytes(&gone.state);
            for s in &mut manifest.snapshots {
                if s.parent == Some(gone.id) {
                    s.parent = gone.parent;
                }
            }
            removed.push(gone.id);
        }
        removed
    }

    /// Copy the whole project to a new folder and go on there.
    ///
    /// # Errors
    /// When the target is not free or cannot be written; the project then stays where it was.
    pub fn copy_to(&mut self, folder: &Path) -> Result<()> {
        Self::check_free(folder)?;
        make_folders(folder)?;
        let moved = Self {
            folder: folder.canonicalize().map_err(Error::io(folder))?,
            manifest: self.manifest.clone(),
            serial: self.serial,
            lock: Some(lock(folder)?),
        };
        let essential = self.essential();
        for name in self.referenced() {
            let (from, to) = (self.folder.join(&name), folder.join(&name));
            if !from.is_file() && !essential.contains(&name) {
                continue;
            }
            fs::copy(&from, &to).map_err(Error::io(&to))?;
            fs::File::open(&to)
                .and_then(|f| f.sync_all())
                .map_err(Error::io(&to))?;
        }
        moved.write_manifest(&moved.manifest)?;
        *self = moved;
        Ok(())
    }
}

fn make_folders(folder: &Path) -> Result<()> {
    for sub in FOLDERS {
        let path = folder.join(sub);
        fs::create_dir_all(&path).map_err(Error::io(&path))?;
    }
    Ok(())
}

fn is_leftover(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    name == LOCK
        || FOLDERS.contains(&name.as_ref())
            && fs::read_dir(entry.path()).is_ok_and(|mut inner| inner.next().is_none())
}

/// Two processes that save one project would delete each other's files.
fn lock(folder: &Path) -> Result<fs::File> {
    let path = folder.join(LOCK);
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Invalid(format!(
            "{} is open in another luxedit; close it there first",
            folder.display()
        ))),
        Err(fs::TryLockError::Error(e)) => Err(Error::io(&path)(e)),
    }
}

/// A tensor as safetensors wants to see it.
struct TensorBytes<'a> {
    shape: Vec<usize>,
    data: &'a [f32],
}

impl<'a> TensorBytes<'a> {
    fn new(tensor: &'a NamedTensor) -> Result<Self> {
        if tensor.shape.iter().product::<usize>() != tensor.data.len() {
            return Err(Error::Invalid(format!(
                "tensor {} has shape {:?} and {} values",
                tensor.name,
                tensor.shape,
                tensor.data.len()
            )));
        }
        Ok(Self {
            shape: tensor.shape.clone(),
            data: &tensor.data,
        })
    }
}

impl safetensors::View for TensorBytes<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        safetensors::Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        bytemuck::cast_slice(self.data).into()
    }
    fn data_len(&self) -> usize {
        self.data.len() * 4
    }
}
