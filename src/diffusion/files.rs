//! Where a model's parts are: in a folder in diffusers layout, or in one file as the authors published it. The loaders
//! ask here for a part's config and weights and need not know which it is.
//!
//! A single file holds no configs and no vocabulary. They are taken from a diffusers folder that the file lies in, as in
//! the published repository; else they are the published ones, which are part of the program.

use super::config::Config;
use super::ldm;
use super::scheduler::SchedulerConfig;
use super::tokenizer::Tokenizer;
use super::weights::{Precision, Source, Table, Weights};
use super::{text_encoder, unet};
use crate::formats::torch;
use crate::{Error, Result};
use burn::tensor::Device;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network of the model, and its folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    UNet,
    Vae,
    TextEncoder,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::UNet, Self::Vae, Self::TextEncoder];

    pub fn folder(self) -> &'static str {
        match self {
            Self::UNet => "unet",
            Self::Vae => "vae",
            Self::TextEncoder => "text_encoder",
        }
    }

    fn weights(self) -> &'static str {
        match self {
            Self::UNet | Self::Vae => unet::WEIGHTS,
            Self::TextEncoder => text_encoder::WEIGHTS,
        }
    }

    /// The published config.
    fn bundled_config(self) -> &'static str {
        match self {
            Self::UNet => include_str!("../../assets/instruct-pix2pix/unet.json"),
            Self::Vae => include_str!("../../assets/instruct-pix2pix/vae.json"),
            Self::TextEncoder => include_str!("../../assets/instruct-pix2pix/text_encoder.json"),
        }
    }
}

const BUNDLED_SCHEDULER: &str = include_str!("../../assets/instruct-pix2pix/scheduler.json");
const FOLDERS: [&str; 5] = ["unet", "vae", "text_encoder", "tokenizer", "scheduler"];

/// A model on disk.
pub(crate) enum ModelFiles {
    Folder(PathBuf),
    Single {
        source: Arc<Source>,
        parts: ldm::Parts,
        /// A diffusers folder that configs and vocabulary come from.
        configs: Option<PathBuf>,
    },
}

impl ModelFiles {
    /// # Errors
    /// Nothing there; a folder that lacks parts; a file that is no checkpoint, or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_file() {
            return Self::open_single(path);
        }
        if !path.is_dir() {
            return Err(Error::file(
                path,
                "is not a folder; a model is a diffusers folder, or an original checkpoint",
            ));
        }
        let absent: Vec<String> = FOLDERS
            .iter()
            .filter(|part| !path.join(part).is_dir())
            .map(|part| format!("{part}/"))
            .collect();
        if !absent.is_empty() {
            return Err(Error::file(
                path,
                format!(
                    "is not a complete diffusers folder: {} missing",
                    absent.join(", ")
                ),
            ));
        }
        Ok(Self::Folder(path.to_owned()))
    }

    fn open_single(path: &Path) -> Result<Self> {
        let source = Source::open(path)?;
        let table = if torch::is_checkpoint(source.bytes()) {
            source.state_dict()?
        } else {
            source.safetensors()?
        };
        let parts = ldm::split(path, &table)?;
        let beside = path.parent().filter(|folder| {
            Part::ALL
                .iter()
                .all(|part| folder.join(part.folder()).join("config.json").is_file())
        });
        Ok(Self::Single {
            source,
            parts,
            configs: beside.map(Path::to_owned),
        })
    }

    /// The folder that configs are read from; `None`: they are the published ones.
    fn configs(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Single { configs, .. } => configs.as_deref(),
        }
    }

    /// # Errors
    /// An unreadable or malformed file.
    pub fn config(&self, part: Part) -> Result<Config> {
        match self.configs() {
            Some(folder) => Config::read(&folder.join(part.folder()).join("config.json")),
            None => Config::parse(
                Path::new(&format!("the published {} config", part.folder())),
                part.bundled_config().as_bytes(),
            ),
        }
    }

    /// # Errors
    /// No weights, or damaged ones.
    pub fn weights(&self, part: Part, precision: Precision, device: &Device) -> Result<Weights> {
        match self {
            Self::Folder(folder) => Weights::open(
                &folder.join(part.folder()),
                part.weights(),
                precision,
                device,
            ),
            Self::Single { source, parts, .. } => {
                let table: &Table = match part {
                    Part::UNet => &parts.unet,
                    Part::Vae => &parts.vae,
                    Part::TextEncoder => &parts.text_encoder,
                };
                Ok(Weights::new(source.clone(), table.clone(), device).kept_in(precision))
            }
        }
    }

    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn tokenizer(&self, max_length: usize) -> Result<Tokenizer> {
        match self.folder_of("tokenizer") {
            Some(folder) => Tokenizer::load(&folder, max_length),
            None => Tokenizer::published(max_length),
        }
    }

    /// # Errors
    /// As [`SchedulerConfig::load`].
    pub fn scheduler(&self) -> Result<SchedulerConfig> {
        match self.folder_of("scheduler") {
            Some(folder) => SchedulerConfig::load(&folder),
            None => SchedulerConfig::build(&Config::parse(
                Path::new("the published scheduler config"),
                BUNDLED_SCHEDULER.as_bytes(),
            )?),
        }
    }

    /// A folder of the model; beside a single file it may be absent.
    fn folder_of(&self, name: &str) -> Option<PathBuf> {
        let folder = self.configs()?.join(name);
        (matches!(self, Self::Folder(_)) || folder.is_dir()).then_some(folder)
    }
}
