//! One splat file to another, without a scene, a device or a project: what scripts need to feed other tools.

use super::project::{Project, SCENE_FILE};
use crate::{
    Error, Result,
    formats::{
        SplatFormat,
        splats::{self, Recognized, Similarity},
    },
};
use serde::Serialize;
use std::path::Path;

/// What [`convert`] did.
#[derive(Clone, Debug, Serialize)]
pub struct Conversion {
    pub input_format: SplatFormat,
    pub output_format: SplatFormat,
    pub splats: usize,
    /// Of the input.
    pub sh_degree: u32,
    pub bytes: u64,
    /// What the output format does not keep.
    pub loss: Option<&'static str>,
    /// The scene is to be drawn antialiased, and the output format cannot say it.
    pub forgets_antialiasing: bool,
}

/// Read the splat file or project `input`, turn it half around each of `turns` (axes 0 to 2), and write it to `output` in the format
/// of its ending.
///
/// # Errors
/// The ending of `output` says no format; the reader's or writer's sentence.
pub fn convert(input: &Path, output: &Path, turns: &[usize]) -> Result<Conversion> {
    let output_format = SplatFormat::of_name(output)?;
    let scene_file;
    let input = if Project::is_project(input) {
        let folder = if input.is_dir() {
            Some(input)
        } else {
            input.parent()
        };
        scene_file = folder.unwrap_or(input).join(SCENE_FILE);
        &scene_file
    } else {
        input
    };
    let mut scene = splats::read_splats(input)?;
    let input_format = match splats::recognize(input)? {
        Some(Recognized { format, .. }) => format,
        None => return Err(Error::file(input, "changed while it was read")),
    };
    for &axis in turns {
        Similarity::half_turn(axis).apply(&mut scene);
    }
    splats::write_splats(output, &scene, output_format)?;
    Ok(Conversion {
        input_format,
        output_format,
        splats: scene.len(),
        sh_degree: scene.sh_degree,
        bytes: std::fs::metadata(output).map_err(Error::io(output))?.len(),
        loss: output_format.loss(),
        forgets_antialiasing: scene.antialiased && !output_format.says_antialiased(),
    })
}
