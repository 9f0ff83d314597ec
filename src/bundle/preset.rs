//! Settings that fit the machine and the model. The table of settings has one default each, chosen for InstructPix2Pix
//! on a graphics card; a small model wants other guidance, and a machine without a graphics card smaller views and fewer
//! denoising steps. What a preset says stands only where nobody chose otherwise.

use super::{Bundle, ModelNotes, notes};
use crate::{
    Error, Result,
    settings::{SETTINGS, Setting, Settings, Value},
};
use serde_json::Map;

/// Recommended values for some rows of the settings table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preset {
    values: Vec<(&'static str, Value)>,
    /// Keys of the values that are there because there is no graphics card.
    scaled_down: Vec<&'static str>,
}

impl Preset {
    /// # Errors
    /// A recommendation that is no row of the table, or is out of its range.
    pub fn of(notes: &ModelNotes, is_software: bool) -> Result<Self> {
        let mut preset = Self::default();
        preset.add(&notes.settings)?;
        if is_software && !notes.settings_without_graphics_card.is_empty() {
            preset.scaled_down = preset.add(&notes.settings_without_graphics_card)?;
        }
        Ok(preset)
    }

    /// Notes and preset of a value of the setting `model`. A model that is not there has none; running it says so.
    ///
    /// # Errors
    /// As [`ModelNotes::read`] and [`Self::of`], naming the file.
    pub fn of_model(bundle: &Bundle, model: &str, is_software: bool) -> Result<(ModelNotes, Self)> {
        let folder = match bundle.model_path(model) {
            Ok(folder) if folder.is_dir() => folder,
            _ => return Ok(Default::default()),
        };
        let notes = ModelNotes::read(&folder)?;
        let preset = Self::of(&notes, is_software)
            .map_err(|e| Error::file(folder.join(notes::RECOMMENDATIONS), e.to_string()))?;
        Ok((notes, preset))
    }

    /// The keys that were added.
    fn add(&mut self, values: &Map<String, serde_json::Value>) -> Result<Vec<&'static str>> {
        let mut keys = Vec::new();
        for (key, value) in values {
            let setting = Settings::info(key).ok_or_else(|| {
                Error::Invalid(format!("recommends \"{key}\", which is no setting"))
            })?;
            let value: Value = serde_json::from_value(value.clone())
                .map_err(|e| Error::Invalid(format!("recommends an unusable \"{key}\": {e}")))?;
            // The table's own check, on settings that are thrown away.
            let mut scratch = Settings::default();
            setting.set(&mut scratch, value)?;
            let value = (setting.get)(&scratch);
            self.values.retain(|(known, _)| *known != setting.key);
            self.values.push((setting.key, value));
            keys.push(setting.key);
        }
        Ok(keys)
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

    /// What the machine costs `job`, for the person; `None` when nothing stands scaled down. `shrinks_photos`: whether
    /// the limit to their size has an effect.
    pub fn explanation(
        &self,
        settings: &Settings,
        job: u16,
        shrinks_photos: bool,
    ) -> Option<String> {
        let rows = SETTINGS.iter().filter_map(|row| {
            let value = (row.get)(settings);
            let is_so = self.scaled_down.contains(&row.key)
                && row.jobs & job != 0
                && value == self.baseline(row, settings);
            if !is_so || (row.key == "view_side" && !shrinks_photos) {
                return None;
            }
            let label = row.label.to_lowercase();
            Some(match row.unit {
                unit if unit.is_empty() || label.contains(unit) => format!("{label} {value}"),
                unit => format!("{label} {value} {unit}"),
            })
        });
        let rows: Vec<String> = rows.collect();
        (!rows.is_empty()).then(|| format!("No graphics card found: {}", rows.join(", ")))
    }
}
