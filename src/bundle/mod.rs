//! What comes with the program: the demo scene and luxedit's own small edit model, so that the first minute needs no
//! download. This is the one place that knows where they are at run time, and what a model folder says of itself
//! ([`ModelNotes`]) and recommends ([`Preset`]).

mod notes;
mod preset;

pub use notes::{Family, ModelNotes};
pub use preset::Preset;

use crate::{
    Error, Result,
    hub::{self, Hub},
};
use std::path::{Path, PathBuf};

/// Value of the setting `model` that stands for the bundled edit model, wherever it is installed.
pub const BUNDLED_MODEL: &str = "bundled";

/// Names the folder that holds `demo` and `models`; no other place is searched then.
pub const OVERRIDE: &str = "LUXEDIT_ASSETS";

const MODEL: &str = "models/luxedit-small";
const DEMO: &str = "demo";
/// Forms in which the demo's scene may be installed, best first.
const SCENES: [&str; 4] = [
    "scene.sog",
    "scene.spz",
    "scene.compressed.ply",
    "scene.ply",
];

/// The bundled demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Photos and poses.
    pub capture: PathBuf,
    /// Its reconstruction, a splat file in the capture's frame. `None`: the capture has to be reconstructed.
    pub scene: Option<PathBuf>,
    /// A photo of it, for the start page.
    pub picture: PathBuf,
}

/// Folders in which bundled things are looked for, first hit wins.
#[derive(Clone, Debug)]
pub struct Bundle {
    folders: Vec<PathBuf>,
}

impl Bundle {
    /// The folder that `LUXEDIT_ASSETS` names; else `assets` beside the executable, `share/luxedit` beside its `bin`
    /// folder, `Resources` of a macOS application; else `assets` of the repository that the program is run in, or that
    /// it was built from.
    pub fn find() -> Self {
        if let Some(folder) = std::env::var_os(OVERRIDE).filter(|v| !v.is_empty()) {
            return Self::at(PathBuf::from(folder));
        }
        let mut folders = Vec::new();
        let executable = std::env::current_exe().and_then(|path| path.canonicalize());
        if let Some(beside) = executable.as_deref().ok().and_then(Path::parent) {
            folders.push(beside.join("assets"));
            if let Some(above) = beside.parent() {
                folders.push(above.join("share/luxedit"));
                folders.push(above.join("Resources"));
            }
        }
        folders.push(PathBuf::from("assets"));
        folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"));
        Self { folders }
    }

    /// Only what is in `folder`.
    pub fn at(folder: PathBuf) -> Self {
        Self {
            folders: vec![folder],
        }
    }

    /// # Errors
    /// [`Error::Invalid`] says where it was looked for.
    pub fn demo(&self) -> Result<Demo> {
        let capture = self.search(DEMO, "transforms.json", "demo")?;
        Ok(Demo {
            scene: SCENES
                .iter()
                .map(|name| capture.join(name))
                .find(|path| path.is_file()),
            picture: capture.join("images/view_12.jpg"),
            capture,
        })
    }

    /// Folder of the bundled edit model.
    ///
    /// # Errors
    /// [`Error::Invalid`] says where it was looked for.
    pub fn edit_model(&self) -> Result<PathBuf> {
        self.search(MODEL, "model_index.json", "edit model")
    }

    /// Where a value of the setting `model` leads: to the bundled model, a folder or single file, or an id in the Hugging
    /// Face cache. Whoever loads, checks or remembers a model asks here.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::File`] say what is not there, and how to get it.
    pub fn model_path(&self, model: &str) -> Result<PathBuf> {
        if model == BUNDLED_MODEL {
            self.edit_model()
        } else {
            hub::resolve(&Hub::from_env()?, model)
        }
    }

    fn search(&self, name: &str, proof: &str, what: &str) -> Result<PathBuf> {
        let found = self.folders.iter().map(|folder| folder.join(name));
        if let Some(path) = found.into_iter().find(|path| path.join(proof).is_file()) {
            return Ok(path);
        }
        let mut looked: Vec<String> = Vec::new();
        for folder in &self.folders {
            let folder = folder.display().to_string();
            if !looked.contains(&folder) {
                looked.push(folder);
            }
        }
        Err(Error::Invalid(format!(
            "the bundled {what} is not installed: there is no {name} in {}. Install luxedit with its assets, or name \
             their folder in the environment variable {OVERRIDE}",
            looked.join(", ")
        )))
    }
}
