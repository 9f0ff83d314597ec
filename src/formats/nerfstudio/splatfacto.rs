//! splatfacto's parameters are those of the reference code; only their names are its own.

use super::{Model, ModelKind, decode};
use crate::{Error, Result, scene::Splats};
use std::path::Path;

/// The constant harmonic.
const SH_0: f32 = 0.282_094_8;

/// The splats of a checkpoint whose content is `bytes`.
///
/// # Errors
/// As [`decode`]; it is of another model.
pub fn splats(path: &Path, bytes: &[u8]) -> Result<Splats> {
    let model = decode(path, bytes)?;
    if model.kind != ModelKind::Splatfacto {
        return Err(Error::file(
            path,
            "holds a nerfacto, a neural field without splats: open it as it is, or convert the project that it becomes",
        ));
    }
    let named = |name: &str| {
        let grouped = format!("gauss_params.{name}");
        if model.tensors.contains_key(&grouped) {
            grouped
        } else {
            name.to_owned()
        }
    };
    let count = count(&model, &named("means"));
    let rows = |name: &str, width: usize| {
        model
            .tensor(&named(name), &[count, width])
            .map(<[f32]>::to_vec)
    };
    let rest_name = named("features_rest");
    let coefficients = model
        .tensors
        .get(&rest_name)
        .map_or(0, |t| t.shape.get(1).copied().unwrap_or(0));
    let sh_degree = match coefficients {
        0 => 0,
        3 => 1,
        8 => 2,
        15 => 3,
        other => {
            return Err(Error::file(
                path,
                format!(
                    "has {other} spherical harmonics beyond the first; 0, 3, 8 or 15 are known"
                ),
            ));
        }
    };
    let sh_rest = match sh_degree {
        0 => Vec::new(),
        _ => model
            .tensor(&rest_name, &[count, coefficients, 3])?
            .to_vec(),
    };
    let mut sh_dc = rows("features_dc", 3)?;
    if sh_degree == 0 {
        // Without harmonics, splatfacto keeps colors before a sigmoid.
        for value in &mut sh_dc {
            *value = (1.0 / (1.0 + (-*value).exp()) - 0.5) / SH_0;
        }
    }
    let mode = model
        .options
        .as_ref()
        .and_then(|o| o.text("rasterize_mode"));
    Ok(Splats {
        sh_degree,
        antialiased: mode == Some("antialiased"),
        means: rows("means", 3)?,
        quats: rows("quats", 4)?,
        log_scales: rows("scales", 3)?,
        logit_opacities: rows("opacities", 1)?,
        sh_dc,
        sh_rest,
    })
}

fn count(model: &Model, means: &str) -> usize {
    let shape = model.tensors.get(means).map(|t| t.shape.as_slice());
    shape.and_then(|s| s.first()).copied().unwrap_or(0)
}
