//! Which model: a remote editor must run the one that the settings name, or the record of an edit would be wrong.

use super::message::ServerMessage;
use crate::{Error, Result};
use ring::digest::{Context, SHA256};
use std::path::Path;

const CONFIGS: [&str; 7] = [
    "unet/config.json",
    "vae/config.json",
    "text_encoder/config.json",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer.json",
];

/// A model's name and, where its files are at hand, a hash of what they say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The value of the setting `model`.
    pub name: String,
    /// Hash of configs and vocabulary: 32 hexadecimal digits.
    pub config: Option<String>,
}

impl ModelIdentity {
    /// Of a model that is not here.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            config: None,
        }
    }

    /// Of the diffusers folder or the single file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when a config cannot be read.
    pub fn of(name: &str, path: &Path) -> Result<Self> {
        let mut hash = Context::new(&SHA256);
        if path.is_dir() {
            for config in CONFIGS {
                let file = path.join(config);
                if file.is_file() {
                    hash.update(config.as_bytes());
                    hash.update(&std::fs::read(&file).map_err(Error::io(&file))?);
                }
            }
        } else {
            // A single file brings no configs: its length tells one from another.
            let bytes = std::fs::metadata(path).map_err(Error::io(path))?.len();
            hash.update(&bytes.to_le_bytes());
        }
        let digest = hash.finish();
        let hex = digest.as_ref().iter().take(16).map(|b| format!("{b:02x}"));
        Ok(Self {
            name: name.to_owned(),
            config: Some(hex.collect()),
        })
    }

    /// Whether an editor runs this model.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what it runs instead.
    pub(super) fn check(&self, welcome: &ServerMessage) -> Result<()> {
        let ServerMessage::Welcome { model, config, .. } = welcome else {
            return Err(Error::invalid("it answers, but not with a welcome"));
        };
        let same = match (&self.config, config) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => self.name == *model,
        };
        if same {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "it runs the edit model \"{model}\", and \"{}\" is chosen here: choose the same on both sides",
            self.name
        )))
    }
}
