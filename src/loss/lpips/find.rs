//! Where a classifier's weights are: what the person named, or torch's own cache, where most people who have used LPIPS
//! once already have them.

use super::LpipsNet;
use std::path::{Path, PathBuf};

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    File(PathBuf),
    /// In words: what was looked for, where, and how to get it.
    Nothing(String),
}

/// `named` when it is not empty; else torchvision's file in `$TORCH_HOME/hub/checkpoints` (`$XDG_CACHE_HOME/torch` or
/// `~/.cache/torch` when `TORCH_HOME` is not set), as safetensors if there is such a copy.
pub fn find_backbone(net: LpipsNet, named: &str) -> Found {
    if !named.trim().is_empty() {
        return Found::File(PathBuf::from(named));
    }
    let stem = net.file_stem();
    let Some(folder) = torch_home().map(|home| home.join("hub").join("checkpoints")) else {
        return Found::Nothing(format!("there is no home folder to look for {stem} in"));
    };
    for ending in ["safetensors", "pth"] {
        let file = folder.join(format!("{stem}.{ending}"));
        if file.is_file() {
            return Found::File(file);
        }
    }
    Found::Nothing(format!(
        "{stem}.pth is not in {} (https://download.pytorch.org/models/{stem}.pth); name it with --lpips-weights",
        folder.display()
    ))
}

fn torch_home() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    if let Some(home) = var("TORCH_HOME") {
        return Some(PathBuf::from(home));
    }
    if let Some(cache) = var("XDG_CACHE_HOME") {
        return Some(Path::new(&cache).join("torch"));
    }
    let home = var("HOME").or_else(|| var("USERPROFILE"))?;
    Some(Path::new(&home).join(".cache").join("torch"))
}
