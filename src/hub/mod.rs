//! Models from the Hugging Face Hub, in the Hugging Face cache: what other tools fetched is found here, and what is
//! fetched here is found by them. The ecosystem's variables hold: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT` (mirrors),
//! `HF_HUB_OFFLINE`, `HF_TOKEN` or the token file of its login.
//!
//! The layout is the crate `hf-hub`'s; the transfer is not. That crate appends whatever the server sends to a partial file
//! without looking whether it continues there, compares no checksum, and cannot be stopped; two gigabytes over a bad line
//! need all three.

mod api;
mod cache;
mod get;
mod transfer;

pub use api::{Checksum, Offer, OfferedFile, offer};
pub use cache::{CachedModel, cached_models, is_id, resolve};
pub use get::{FetchProgress, get, size};

use crate::settings::Precision;
use crate::{Error, Result};
use std::path::PathBuf;

/// The published model.
pub const INSTRUCT_PIX2PIX: &str = "timbrooks/instruct-pix2pix";
const PUBLIC_ENDPOINT: &str = "https://huggingface.co";
/// The branch whose files are taken.
const REVISION: &str = "main";

/// Where models come from and where they are kept.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Without a slash at the end.
    pub endpoint: String,
    /// The folder that holds `models--…` folders.
    pub cache: PathBuf,
    pub token: Option<String>,
    /// Never ask the network.
    pub offline: bool,
}

impl Hub {
    /// As the ecosystem's variables say.
    ///
    /// # Errors
    /// When there is no home folder to keep a cache in; a malformed endpoint or token.
    pub fn from_env() -> Result<Self> {
        let folder = |name: &str| text(name).map(|path| expand_home(&path));
        let home = match (
            folder("HF_HOME"),
            folder("XDG_CACHE_HOME"),
            std::env::home_dir(),
        ) {
            (Some(home), ..) => home,
            (_, Some(caches), _) => caches.join("huggingface"),
            (_, _, Some(home)) => home.join(".cache/huggingface"),
            _ => {
                return Err(Error::invalid(
                    "there is no home folder to keep models in: set HF_HOME to a folder",
                ));
            }
        };
        let cache = folder("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_ENDPOINT.to_owned());
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Error::Invalid(format!(
                "HF_ENDPOINT is \"{endpoint}\"; it must begin with https:// or http://"
            )));
        }
        let token_file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = match text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
            Some(token) => Some(token),
            None => match std::fs::read_to_string(&token_file) {
                Ok(token) => Some(token.trim().to_owned()).filter(|token| !token.is_empty()),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(e) => return Err(Error::io(&token_file)(e)),
            },
        };
        if token
            .as_ref()
            .is_some_and(|t| !t.chars().all(|c| c.is_ascii_graphic()))
        {
            return Err(Error::invalid(
                "the Hugging Face token has blanks or other characters that no token has: check HF_TOKEN or the token file",
            ));
        }
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .iter()
            .find_map(|name| text(name))
            .is_some_and(|value| {
                matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
            });
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache,
            token,
            offline,
        })
    }

    /// For sentences: "huggingface.co".
    pub fn host(&self) -> &str {
        self.endpoint
            .split_once("://")
            .map_or(self.endpoint.as_str(), |(_, host)| host)
    }
}

/// A variable that is set and not empty.
fn text(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

/// The files of a model that an edit reads, out of those that exist: configs, vocabulary, and for each network the
/// weights of the preferred precision, or else of the other.
///
/// # Errors
/// The names that are missing.
fn needed_files(
    exists: &dyn Fn(&str) -> bool,
    precision: Precision,
) -> Result<Vec<String>, Vec<String>> {
    const REQUIRED: [&str; 6] = [
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "text_encoder/config.json",
        "unet/config.json",
        "vae/config.json",
    ];
    const OPTIONAL: [&str; 4] = [
        "model_index.json",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/added_tokens.json",
    ];
    const WEIGHTS: [&str; 3] = [
        "text_encoder/model",
        "unet/diffusion_pytorch_model",
        "vae/diffusion_pytorch_model",
    ];
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for name in REQUIRED {
        match exists(name) {
            true => files.push(name.to_owned()),
            false => missing.push(name.to_owned()),
        }
    }
    files.extend(
        OPTIONAL
            .iter()
            .filter(|name| exists(name))
            .map(|&name| name.to_owned()),
    );
    for stem in WEIGHTS {
        let mut names = [
            format!("{stem}.fp16.safetensors"),
            format!("{stem}.safetensors"),
        ];
        if precision == Precision::Full {
            names.reverse();
        }
        match names.iter().find(|name| exists(name)) {
            Some(name) => files.push(name.clone()),
            None => missing.push(names[0].clone()),
        }
    }
    if missing.is_empty() {
        Ok(files)
    } else {
        Err(missing)
    }
}
