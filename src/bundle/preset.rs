//! Settings that fit the machine and the model. The table of settings has one default each, chosen for InstructPix2Pix
//! on a graphics card; a small model wants other guidance, and a machine without a graphics card smaller views and fewer
//! denoising steps. What a preset says stands only where nobody chose otherwise.

use super::{BUNDLED_MODEL, Bundle, ModelNotes};
use crate::{
    Error, Result,
    settings::{SETTINGS, Setting, Settings, Value},
};
use serde_json::Map;
use std::path::Path;

/// Recommended values for some rows of the settings table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preset {
    values: Vec<(&'static str, Value)>,
    /// Some values are there because there is no graphics card.
    without_graphics_card: bool,
}

impl Preset {
    /// # Errors
    /// A recommendation that is no row of the table, or is out of its range.
    pub fn of(notes: &ModelNotes, is_software: bool) -> Result<Self> {
        let mut preset = Self::default();
        preset.add(&notes.settings)?;
        if is_software && !notes.settings_without_graphics_card.is_empty() {
            preset.add(&notes.settings_without_graphics_card)?;
            preset.without_graphics_card = true;
        }
        Ok(preset)
    }

    /// Notes and preset of a value of the setting `model`. A model that is not there has none; running it says so.
    ///
    /// # Errors
    /// As [`ModelNotes::read`] and [`Self::of`].
    pub fn of_model(bundle: &Bundle, model: &str, is_software: bool) -> Result<(ModelNotes, Self)> {
        let folder = match bundle.model_folder(model) {
            Ok(folder) => folder,
            Err(_) if model == BUNDLED_MODEL => return Ok(Default::default()),
            Err(e) => return Err(e),
        };
        if model.trim().is_empty() || !Path::new(&folder).is_dir() {
            return Ok(Default::default());
        }
        let notes = ModelNotes::read(&folder)?;
        let preset = Self::of(&notes, is_software)?;
        Ok((notes, preset))
    }

    fn add(&mut self, values: &Map<String, serde_json::Value>) -> Result<()> {
        for (key, value) in values {
            let setting = Settings::info(key).ok_or_else(|| {
                Error::Invalid(format!(
                    "luxedit.json recommends \"{key}\", which is no setting"
                ))
            })?;
            let value: Value = serde_json::from_value(value.clone()).map_err(|e| {
                Error::Invalid(format!(
                    "luxedit.json recommends an unusable \"{key}\": {e}"
                ))
            })?;
            // The table's own check, on settings that are thrown away.
            let mut scratch = Settings::default();
            setting.set(&mut scratch, value)?;
            let value = (setting.get)(&scratch);
            self.values.retain(|(known, _)| *known != setting.key);
            self.values.push((setting.key, value));
        }
        Ok(())
    }

    /// What a row is when nobody chooses: what is recommended, else the default of the method and the speed in `settings`.
    pub fn baseline(&self, setting: &Setting, settings: &Settings) -> Value {
        self.values
            .iter()
            .find(|(key, _)| *key == setting.key)
            .map_or_else(|| setting.default_in(settings), |(_, value)| value.clone())
    }

    /// Set a row as somebody chose it. Where that is another method or speed, rows that nobody chose follow it.
    ///
    /// # Errors
    /// As [`Setting::set`].
    pub fn choose(&self, setting: &Setting, settings: &mut Settings, value: Value) -> Result<()> {
        let before = settings.clone();
        setting.set(settings, value)?;
        for row in SETTINGS.iter().filter(|row| row.key != setting.key) {
            let is_chosen = (row.get)(&before) != self.baseline(row, &before);
            self.put(row, settings, is_chosen.then(|| (row.get)(&before)))?;
        }
        Ok(())
    }

    /// Rows that stand as `old` or the table left them become this preset's; rows that somebody chose stay.
    ///
    /// # Errors
    /// As [`Setting::set`].
    pub fn replace(&self, old: &Self, settings: &mut Settings) -> Result<()> {
        let before = settings.clone();
        for row in SETTINGS {
            let value = (row.get)(&before);
            let is_chosen = value != old.baseline(row, &before) && row.is_changed(&before);
            self.put(row, settings, is_chosen.then_some(value))?;
        }
        Ok(())
    }

    /// The chosen value, or without one the baseline.
    fn put(&self, row: &Setting, settings: &mut Settings, chosen: Option<Value>) -> Result<()> {
        let value = chosen.unwrap_or_else(|| self.baseline(row, settings));
        if (row.get)(settings) != value {
            row.set(settings, value)?;
        }
        Ok(())
    }

    /// What the machine costs, for the person; `None` when nothing was scaled down. `side_px`: longer side of the views,
    /// where that is worth saying.
    pub fn explanation(&self, side_px: Option<u32>, diffusion_steps: u32) -> Option<String> {
        if !self.without_graphics_card {
            return None;
        }
        let views =
            side_px.map_or_else(String::new, |side| format!("small views ({side} pixels), "));
        Some(format!(
            "No graphics card found: {views}{diffusion_steps} denoising steps"
        ))
    }
}
