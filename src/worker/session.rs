//! What is open: capture, scene, project, and which edited picture stands in for which photo. All of it can be dropped and
//! read again from the project folder.

use super::{
    Event, Job, SnapshotId,
    control::Control,
    project::{EditMap, JobRecord, Project, StateRecord},
};
use crate::{
    Error, Result,
    edit::{Drawable, TrainableScene, no_splats},
    formats::{SplatFormat, picture, splats},
    gpu::{Gpu, GpuImage},
    loss::{Target, TrainView},
    scene::{
        Camera, Dataset, Photo, WorldFromFile,
        orbit::{self, Gaze},
    },
};
use glam::DVec3;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// Snapshots kept on the GPU for scrubbing.
const SHOWN_CACHE: usize = 6;

/// An edited picture that replaces a view's photo as training target.
pub struct Edited {
    /// Below the project's `edits/`.
    pub file: String,
    pub photo: Photo,
}

pub struct Session {
    pub gpu: Arc<Gpu>,
    pub dataset: Option<Dataset>,
    /// What was opened: a capture or a splat file.
    pub source: Option<PathBuf>,
    /// The splat file that the scene came from.
    pub scene_file: Option<PathBuf>,
    /// See [`super::Manifest::frame`].
    pub frame: Option<WorldFromFile>,
    /// One a view; what the trainer compares renders with.
    pub targets: Vec<Target>,
    /// One a view.
    pub edited: Vec<Option<Edited>>,
    pub trainer: Option<Box<dyn TrainableScene>>,
    pub project: Option<Project>,
    /// Where the project goes, or is copied to, when the next job starts.
    pub wanted_folder: Option<PathBuf>,
    pub job: Option<JobRecord>,
    /// The snapshot that is drawn instead of the live scene.
    pub shown: Option<SnapshotId>,
    shown_cache: Vec<(SnapshotId, Drawable)>,
    pub last_save: Instant,
    /// Whether the newest state on disk is the live one.
    pub is_saved: bool,
    /// Whether a snapshot holds the live state.
    pub is_kept: bool,
    /// What photos were shrunk by on load; see [`super::Manifest`].
    pub downscale: u32,
    pub camera: Option<Camera>,
    /// Middle of a scene without photos, world space.
    pub center: DVec3,
}

impl Session {
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self {
            gpu,
            dataset: None,
            source: None,
            scene_file: None,
            frame: None,
            targets: Vec::new(),
            edited: Vec::new(),
            trainer: None,
            project: None,
            wanted_folder: None,
            job: None,
            shown: None,
            shown_cache: Vec::new(),
            last_save: Instant::now(),
            is_saved: true,
            is_kept: true,
            downscale: 0,
            camera: None,
            center: DVec3::ZERO,
        }
    }

    /// # Errors
    /// [`Error::Invalid`] when nothing with photos is open.
    pub fn dataset(&self) -> Result<&Dataset> {
        self.dataset.as_ref().ok_or_else(|| {
            Error::invalid("there are no photos: open a capture (a folder with photos and camera poses), or make views of a splat file \
                 (Make views to edit, luxedit views)")
        })
    }

    /// # Errors
    /// [`Error::Invalid`] when there is no scene yet.
    pub fn trainer(&mut self) -> Result<&mut (dyn TrainableScene + 'static)> {
        self.trainer.as_deref_mut().ok_or_else(|| {
            Error::invalid("reconstruct the scene first, or open a splat file with the capture")
        })
    }

    /// The photos of a dataset as what renders are compared with, one a view.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a mask does not fit its photo.
    pub fn upload(&self, dataset: &Dataset) -> Result<Vec<Target>> {
        let views = dataset.views.iter();
        views
            .map(|v| Target::upload(&self.gpu, &v.photo, v.mask.as_deref()))
            .collect()
    }

    /// The training views with the pictures that now stand for them, in the order of the split.
    ///
    /// # Errors
    /// As [`Self::dataset`].
    pub fn train_views(&self) -> Result<Vec<TrainView>> {
        let dataset = self.dataset()?;
        let views = dataset.split.train.iter().map(|&view| TrainView {
            camera: dataset.views[view].camera,
            target: self.targets[view].clone(),
        });
        Ok(views.collect())
    }

    /// Let an edited picture stand in for a view's photo.
    ///
    /// # Errors
    /// See [`Target::upload`].
    pub fn set_edited(&mut self, view: usize, edited: Option<Edited>) -> Result<()> {
        let dataset = self.dataset()?;
        let v = &dataset.views[view];
        let photo = edited.as_ref().map_or(&v.photo, |e| &e.photo);
        self.targets[view] = Target::upload(&self.gpu, photo, v.mask.as_deref())?;
        self.edited[view] = edited;
        Ok(())
    }

    pub fn edit_map(&self) -> EditMap {
        let Some(dataset) = &self.dataset else {
            return EditMap::new();
        };
        dataset
            .views
            .iter()
            .zip(&self.edited)
            .filter_map(|(v, e)| Some((v.name.clone(), e.as_ref()?.file.clone())))
            .collect()
    }

    /// The edited pictures of a saved state, one slot a view. Changes nothing yet.
    ///
    /// # Errors
    /// When a picture cannot be read, or does not fit its view.
    pub fn load_edits(&self, project: &Project, edits: &EditMap) -> Result<Vec<Option<Edited>>> {
        let Some(dataset) = &self.dataset else {
            return Ok(Vec::new());
        };
        let mut loaded = Vec::with_capacity(dataset.views.len());
        for view in &dataset.views {
            let Some(file) = edits.get(&view.name) else {
                loaded.push(None);
                continue;
            };
            let photo = project.read_edit(file)?;
            if (photo.width, photo.height) != (view.photo.width, view.photo.height) {
                return Err(Error::file(
                    project.folder().join("edits").join(file),
                    format!(
                        "an edited picture of {}×{} does not fit its photo of {}×{}; has the capture changed?",
                        photo.width, photo.height, view.photo.width, view.photo.height
                    ),
                ));
            }
            loaded.push(Some(Edited {
                file: file.clone(),
                photo,
            }));
        }
        Ok(loaded)
    }

    /// Let these pictures, and no others, stand in for photos.
    ///
    /// # Errors
    /// See [`Target::upload`].
    pub fn replace_edits(&mut self, edits: Vec<Option<Edited>>) -> Result<()> {
        for (view, edited) in edits.into_iter().enumerate() {
            let wanted = edited.as_ref().map(|e| &e.file);
            if wanted != self.edited[view].as_ref().map(|e| &e.file) {
                self.set_edited(view, edited)?;
            }
        }
        Ok(())
    }

    /// All views get their photo back.
    ///
    /// # Errors
    /// See [`Target::upload`].
    pub fn forget_edits(&mut self) -> Result<()> {
        let none = self.edited.iter().map(|_| None).collect();
        self.replace_edits(none)
    }

    /// The job that could be gone on with, and the step it stands at.
    pub fn interrupted(&self) -> Option<(Job, u32)> {
        self.job
            .as_ref()
            .map(|j| (j.job, j.start_step + j.schedule.steps_done()))
    }

    /// The live scene has changed.
    pub fn touch(&mut self) {
        self.is_saved = false;
        self.is_kept = false;
    }

    /// The project, created or copied where it is wanted.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn ensure_project(&mut self, control: &Control) -> Result<()> {
        if self.project.is_some() {
            return match self.wanted_folder.take() {
                Some(folder) => self.copy_project(&folder, control),
                None => Ok(()),
            };
        }
        let source = self.source.clone().ok_or_else(no_source)?;
        let folder = match &self.wanted_folder {
            Some(folder) => folder.clone(),
            None => unplaced_folder(
                &source,
                "projects",
                ".luxedit",
                "choose one with Save project as…",
            )?,
        };
        let mut project = Project::create(&folder, &source, &control.settings)?;
        project.manifest.downscale = self.downscale;
        project.manifest.scene_file = self.scene_file.clone();
        project.manifest.frame = self.frame;
        self.wanted_folder = None;
        control.emit(Event::Saved(project.folder().to_owned()));
        self.project = Some(project);
        Ok(())
    }

    /// A folder for views made of the open scene.
    ///
    /// # Errors
    /// When nothing is open, or there is no home folder.
    pub(super) fn unplaced_views(&self) -> Result<PathBuf> {
        let source = self.source.as_deref().ok_or_else(no_source)?;
        unplaced_folder(
            source,
            "captures",
            "-views",
            "make them with luxedit views, which asks where",
        )
    }

    /// Write the live state (unless the newest state on disk is this one) and the manifest.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses; what was saved before stays valid.
    pub fn save(&mut self, control: &Control) -> Result<()> {
        self.last_save = Instant::now();
        let edits = self.edit_map();
        let Some(project) = self.project.as_mut().filter(|p| !p.is_read_only()) else {
            return Ok(());
        };
        let mut manifest = project.manifest.clone();
        let mut fresh = None;
        if let Some(trainer) = &mut self.trainer {
            match &mut manifest.live {
                Some(live) if self.is_saved => live.edits = edits,
                live => {
                    let state = trainer.state()?;
                    let record = project.write_state(&state, edits)?;
                    fresh = Some(format!("states/{}", record.file));
                    *live = Some(record);
                }
            }
        }
        manifest.settings = control.settings.clone();
        manifest.settings.downscale = manifest.downscale;
        manifest.job = self.job.clone();
        manifest.scene_file = self.scene_file.clone();
        manifest.frame = self.frame;
        if let Err(e) = project.commit(manifest) {
            if let Some(name) = fresh {
                project.discard(&name);
            }
            return Err(e);
        }
        self.is_saved = true;
        control.emit(Event::Saved(project.folder().to_owned()));
        Ok(())
    }

    /// The state record of a snapshot, for drawing or restoring it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such snapshot.
    pub fn snapshot_state(&self, id: SnapshotId) -> Result<StateRecord> {
        self.project
            .as_ref()
            .and_then(|p| p.snapshot(id))
            .map(|s| s.state.clone())
            .ok_or_else(|| Error::Invalid(format!("there is no snapshot {}", id.0)))
    }

    /// Draw a snapshot, or the live scene.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn show(&mut self, id: Option<SnapshotId>, control: &Control) -> Result<()> {
        let drawable = match id {
            None => self.trainer.as_ref().map(|t| t.drawable()),
            Some(id) => Some(self.snapshot_drawable(id)?),
        };
        self.shown = id;
        if let Some(drawable) = drawable {
            control.draw(drawable);
        }
        control.emit(Event::Shown(id));
        Ok(())
    }

    fn snapshot_drawable(&mut self, id: SnapshotId) -> Result<Drawable> {
        if let Some(i) = self
            .shown_cache
            .iter()
            .position(|(cached, _)| *cached == id)
        {
            let entry = self.shown_cache.remove(i);
            let drawable = entry.1.clone();
            self.shown_cache.push(entry);
            return Ok(drawable);
        }
        let record = self.snapshot_state(id)?;
        let state = self
            .project
            .as_ref()
            .ok_or_else(|| Error::invalid("there is no project"))?
            .read_state(&record)?;
        let drawable = state.drawable(&self.gpu, u64::MAX - u64::from(id.0))?;
        if self.shown_cache.len() >= SHOWN_CACHE {
            self.shown_cache.remove(0);
        }
        self.shown_cache.push((id, drawable.clone()));
        Ok(drawable)
    }

    /// After every step: the window draws the live scene unless a snapshot is shown.
    pub fn draw_live(&self, control: &Control) {
        if self.shown.is_none()
            && let Some(trainer) = &self.trainer
        {
            control.draw(trainer.drawable());
        }
    }

    /// Write the scene that is shown, in the format of the file name's ending.
    ///
    /// # Errors
    /// When there is no scene, the ending says no format, or the file cannot be written.
    pub fn export(&mut self, path: &Path) -> Result<()> {
        let Some(id) = self.shown else {
            return self.export_live(path);
        };
        let format = SplatFormat::of_name(path)?;
        let record = self.snapshot_state(id)?;
        let project = self
            .project
            .as_ref()
            .ok_or_else(|| Error::invalid("there is no project"))?;
        splats::write_splats(path, &project.read_splats(&record)?, format)
    }

    /// Write the live scene, whatever is shown.
    ///
    /// # Errors
    /// As [`Self::export`].
    pub fn export_live(&mut self, path: &Path) -> Result<()> {
        let format = SplatFormat::of_name(path)?;
        let gpu = self.gpu.clone();
        let scene = self.trainer()?.splats().ok_or_else(no_splats)?;
        splats::write_splats(path, &scene.download(&gpu)?, format)
    }

    /// The live scene from `camera`, as eight-bit picture.
    ///
    /// # Errors
    /// See [`TrainableScene::render`].
    pub fn render(&mut self, camera: &Camera) -> Result<(GpuImage, Photo)> {
        let gpu = self.gpu.clone();
        let image = GpuImage::new(&gpu, camera.intrinsics.width, camera.intrinsics.height);
        self.trainer()?.render(camera, None, &image)?;
        let photo = image.read(&gpu)?.to_photo();
        Ok((image, photo))
    }

    /// Commands that fit between two steps. Their failures are told, and end nothing.
    pub fn run_between(&mut self, control: &mut Control) {
        if let Some(camera) = control.slots.camera.take() {
            self.camera = Some(camera);
        }
        while let Some(command) = control.between.pop_front() {
            let is_show = matches!(command, super::Command::Show(_));
            if let Err(e) = Error::contained(|| self.run_one_between(command, control)) {
                control.emit(Event::Error(e.to_string()));
                if is_show {
                    control.emit(Event::Shown(self.shown));
                }
            }
        }
    }

    fn run_one_between(&mut self, command: super::Command, control: &Control) -> Result<()> {
        use super::Command;
        match command {
            Command::Show(id) => self.show(id, control),
            Command::Pin(id, pinned) => {
                let project = self
                    .project
                    .as_mut()
                    .ok_or_else(|| Error::invalid("there is no project"))?;
                let mut manifest = project.manifest.clone();
                let snapshot = manifest
                    .snapshots
                    .iter_mut()
                    .find(|s| s.id == id)
                    .ok_or_else(|| Error::Invalid(format!("there is no snapshot {}", id.0)))?;
                snapshot.pinned = pinned;
                project.commit(manifest)?;
                control.emit(Event::SnapshotPinned(id, pinned));
                Ok(())
            }
            Command::Export(path) => {
                self.export(&path)?;
                control.emit(Event::Exported(path));
                Ok(())
            }
            Command::Save => self.save(control),
            Command::Project(folder) => self.move_project(&folder, control),
            other => Err(Error::Invalid(format!("{other:?} cannot run here"))),
        }
    }

    /// The project that is left stays as it is, settings included.
    fn copy_project(&mut self, folder: &Path, control: &Control) -> Result<()> {
        if !self.is_saved {
            self.save(control)?;
        }
        if let Some(project) = &mut self.project {
            project.copy_to(folder)?;
            control.emit(Event::Saved(project.folder().to_owned()));
        }
        Ok(())
    }

    fn move_project(&mut self, folder: &Path, control: &Control) -> Result<()> {
        if self.project.is_some() {
            self.save(control)?;
        }
        match &mut self.project {
            Some(project) => {
                project.copy_to(folder)?;
                control.emit(Event::Saved(project.folder().to_owned()));
            }
            None => {
                Project::check_free(folder)?;
                self.wanted_folder = Some(folder.to_owned());
                if self.source.is_some() {
                    self.ensure_project(control)?;
                }
            }
        }
        Ok(())
    }

    /// Original, edited picture and final render of one training view, side by side: of the edited views (else of all) the
    /// one most in front.
    ///
    /// # Errors
    /// When the picture cannot be rendered or written.
    pub fn write_before_after(&mut self, path: &Path) -> Result<()> {
        let dataset = self.dataset()?;
        let train = &dataset.split.train;
        let mut views: Vec<usize> = train.clone();
        views.retain(|&v| self.edited[v].is_some());
        if views.is_empty() {
            views.clone_from(train);
        }
        let cameras: Vec<Camera> = views.iter().map(|&v| dataset.views[v].camera).collect();
        let view = orbit::front(Gaze::of(&cameras).center, &cameras)
            .map(|front| views[front])
            .ok_or_else(|| Error::invalid("the capture has no training view"))?;
        let original = dataset.views[view].photo.clone();
        let camera = dataset.views[view].camera;
        let (_, render) = self.render(&camera)?;
        let mut parts = vec![original];
        parts.extend(self.edited[view].as_ref().map(|e| e.photo.clone()));
        parts.push(render);
        picture::write_png(path, &side_by_side(&parts))
    }
}

fn side_by_side(parts: &[Photo]) -> Photo {
    let height = parts.iter().map(|p| p.height).max().unwrap_or(1);
    let width = parts.iter().map(|p| p.width).sum();
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for p in parts {
            let row = p.width as usize * 3;
            if y < p.height {
                let start = y as usize * row;
                rgb.extend_from_slice(&p.rgb[start..start + row]);
            } else {
                rgb.resize(rgb.len() + row, 0);
            }
        }
    }
    Photo::new(width, height, rgb)
}

fn no_source() -> Error {
    Error::invalid("open a capture or a splat file first")
}

/// A folder for the capture that is made of `photos`.
///
/// # Errors
/// When there is no home folder.
pub(super) fn unplaced_poses(photos: &Path) -> Result<PathBuf> {
    unplaced_folder(
        photos,
        "captures",
        "-poses",
        "find the poses with luxedit poses, which asks where",
    )
}

/// A folder for a project or a capture that the artist has not placed; kept like any other.
fn unplaced_folder(source: &Path, shelf: &str, ending: &str, instead: &str) -> Result<PathBuf> {
    let base = data_folder().map(|b| b.join(shelf)).ok_or_else(|| {
        Error::Invalid(format!(
            "there is no home folder to keep {shelf} in; {instead}"
        ))
    })?;
    let stem = source
        .file_stem()
        .map_or_else(|| "scene".into(), |s| s.to_string_lossy().into_owned());
    let secs = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    for attempt in 0..1000 {
        let name = match attempt {
            0 => format!("{stem}-{secs}{ending}"),
            n => format!("{stem}-{secs}-{n}{ending}"),
        };
        let folder = base.join(name);
        if !folder.exists() {
            return Ok(folder);
        }
    }
    Err(Error::Invalid(format!(
        "{} is full of {shelf}",
        base.display()
    )))
}

/// Where things go that were not placed by the artist.
pub fn data_folder() -> Option<PathBuf> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let base = if cfg!(windows) {
        var("APPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|h| h.join("Library/Application Support"))
    } else {
        var("XDG_DATA_HOME").or_else(|| var("HOME").map(|h| h.join(".local/share")))
    };
    base.map(|b| b.join("luxedit"))
}
