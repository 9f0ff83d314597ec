//! The settings of an edit on the command line: what the model recommends for this machine, under the flags that were
//! given; and what the person should know before it runs.

use super::{driver::Driver, flags};
use crate::{
    Result,
    bundle::{BUNDLED_MODEL, Bundle, Preset},
    diffusion::{Place, memory_need},
    edit::{USUAL_SIDE, weights_of},
    settings::{EditDevice, Settings},
};
use clap::ArgMatches;

/// Rows of `base` that nobody chose become what the model recommends; flags of `job` win. `loads_photos` says whether a
/// limit to the size of photos still has an effect. Tells what was scaled down, and which words the model does not know.
///
/// # Errors
/// A flag out of its range; a model folder with unreadable recommendations.
pub fn settings(
    driver: &mut Driver,
    matches: &ArgMatches,
    job: u16,
    base: Settings,
    loads_photos: bool,
) -> Result<Settings> {
    let bundle = Bundle::find();
    let (_, old) = Preset::of_model(&bundle, &base.model, driver.is_software)?;
    let mut chosen = base.clone();
    flags::apply(matches, job, &mut chosen)?;
    let (notes, preset) = Preset::of_model(&bundle, &chosen.model, driver.is_software)?;
    let mut settings = base;
    preset.replace(&old, &mut settings)?;
    flags::apply_over(&preset, matches, job, &mut settings)?;
    let is_bundled = settings.model == BUNDLED_MODEL;
    let is_limited = loads_photos && settings.downscale == 0 && settings.view_side > 0;
    let told = [
        preset.explanation(&settings, job, is_limited),
        notes.unknown_words_notice(&settings.prompt, is_bundled),
        memory_notice(&settings, is_bundled, driver.is_software),
    ];
    for sentence in told.into_iter().flatten() {
        driver.warn(sentence);
    }
    Ok(settings)
}

/// Bytes that any machine has to spare.
const WORTH_TELLING: u64 = 1 << 30;

/// How much memory a model that did not come with the program will take. `None` also where it cannot be read: the worker,
/// which loads it, says why.
fn memory_notice(settings: &Settings, is_bundled: bool, is_software: bool) -> Option<String> {
    if is_bundled || matches!(settings.edit_device, EditDevice::Remote(_)) {
        return None;
    }
    let side = match settings.edited_side {
        0 => USUAL_SIDE,
        side => side as usize,
    };
    let on_host = settings.edit_device == EditDevice::Cpu
        || is_software && settings.edit_device == EditDevice::Auto;
    let path = Bundle::find().model_path(&settings.model).ok()?;
    let precision = weights_of(settings.precision);
    let place = match on_host {
        true => Place::Processor,
        false => Place::Card(precision),
    };
    let need = memory_need(&path, precision, [side, side], place).ok()?;
    if need.total() < WORTH_TELLING {
        return None;
    }
    let place = match place {
        Place::Processor => "processor",
        Place::Card(_) => "graphics card",
    };
    Some(format!(
        "Editing a picture of {side} × {side} on the {place} takes {need}"
    ))
}
