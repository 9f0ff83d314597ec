//! Where the value of the setting `model` leads. It may name what comes with the program, what lies in a folder, or what
//! was fetched; whoever loads, checks or remembers a model asks here, so that all of them mean the same one.

use crate::{
    Result,
    bundle::{BUNDLED_MODEL, Bundle},
    hub::{self, Hub},
};
use std::path::PathBuf;

/// The folder or single file of a model: the bundled one, a path, or an id in the Hugging Face cache.
///
/// # Errors
/// [`crate::Error::Invalid`] or [`crate::Error::File`] say what is not there, and how to get it.
pub fn model_path(model: &str) -> Result<PathBuf> {
    if model == BUNDLED_MODEL {
        Bundle::find().edit_model()
    } else {
        hub::resolve(&Hub::from_env()?, model)
    }
}
