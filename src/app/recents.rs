//! What outlives a session of the window: recently opened paths, the last edit model, and where COLMAP and ffmpeg are,
//! which is this machine's affair and no project's; in one small file of the platform's configuration folder. Losing it
//! is harmless, so a failure to read or write it is a log line, no dialog.

use super::poses::Tool;
use crate::settings::Settings;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const LIMIT: usize = 8;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Content {
    recents: Vec<PathBuf>,
    model: String,
    /// Empty: on the PATH.
    colmap: String,
    ffmpeg: String,
}

/// The file and its content.
pub struct Recents {
    /// `None`: nothing is kept.
    file: Option<PathBuf>,
    content: Content,
}

impl Recents {
    /// From the platform's configuration folder.
    pub fn load() -> Self {
        match config_folder() {
            Some(folder) => Self::load_from(folder.join("luxedit").join("recents.json")),
            None => Self::forgetful(),
        }
    }

    pub fn load_from(file: PathBuf) -> Self {
        let content = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|e| {
                log::warn!("{}: {e}; starting with no recent files", file.display());
                Content::default()
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Content::default(),
            Err(e) => {
                log::warn!("{}: {e}; starting with no recent files", file.display());
                Content::default()
            }
        };
        Self {
            file: Some(file),
            content,
        }
    }

    /// Keeps nothing beyond the session.
    pub fn forgetful() -> Self {
        Self {
            file: None,
            content: Content::default(),
        }
    }

    /// Newest first.
    pub fn paths(&self) -> &[PathBuf] {
        &self.content.recents
    }

    /// The edit model that was used last; empty when none was.
    pub fn model(&self) -> &str {
        &self.content.model
    }

    pub fn opened(&mut self, path: &Path) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if self.content.recents.first() == Some(&path) {
            return;
        }
        self.content.recents.retain(|p| *p != path);
        self.content.recents.insert(0, path);
        self.content.recents.truncate(LIMIT);
        self.write();
    }

    pub fn forget(&mut self, path: &Path) {
        self.content.recents.retain(|p| p != path);
        self.write();
    }

    pub fn used_model(&mut self, model: &str) {
        if self.content.model != model && !model.trim().is_empty() {
            self.content.model = model.to_owned();
            self.write();
        }
    }

    /// Where these programs are: the ones that `settings` leave open.
    pub fn fill_programs(&self, settings: &mut Settings) {
        for (kept, setting) in [
            (&self.content.colmap, &mut settings.colmap),
            (&self.content.ffmpeg, &mut settings.ffmpeg),
        ] {
            if setting.trim().is_empty() {
                setting.clone_from(kept);
            }
        }
    }

    /// Remember where this program is; empty: on the PATH.
    pub(crate) fn chose_program(&mut self, tool: Tool, path: &str) {
        let kept = match tool {
            Tool::Colmap => &mut self.content.colmap,
            Tool::Ffmpeg => &mut self.content.ffmpeg,
        };
        path.clone_into(kept);
        self.write();
    }

    fn write(&self) {
        let Some(file) = &self.file else { return };
        let write = || -> std::io::Result<()> {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let beside = file.with_extension("json.new");
            std::fs::write(&beside, serde_json::to_vec_pretty(&self.content)?)?;
            std::fs::rename(&beside, file)
        };
        if let Err(e) = write() {
            log::warn!("{}: {e}; recent files are not remembered", file.display());
        }
    }
}

fn config_folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if cfg!(windows) {
        variable("APPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")))
    }
}
