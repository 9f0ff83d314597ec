//! What the window knows of edit models and of what came with the program: notes and recommended settings of the model
//! that is chosen, whether the bundled one is there, and the demo. Files are read when the choice changes, never while a
//! frame is drawn.

use crate::{
    Result,
    bundle::{BUNDLED_MODEL, Bundle, Demo, ModelNotes, Preset},
    scene::Photo,
    settings::Settings,
    worker,
};
use std::path::Path;

/// Edit models, as one window sees them.
pub struct Models {
    bundle: Bundle,
    is_software: bool,
    /// The value of the setting that `notes` and `preset` belong to.
    chosen: String,
    notes: ModelNotes,
    preset: Preset,
    /// Notes of the bundled model, or why it cannot be used.
    pub bundled: Result<ModelNotes, String>,
    pub demo: Result<Demo, String>,
    /// A photo of the demo, for the start page.
    pub demo_picture: Option<Photo>,
}

impl Models {
    pub fn new(bundle: Bundle, is_software: bool) -> Self {
        let bundled = bundle
            .edit_model()
            .and_then(|folder| ModelNotes::read(&folder))
            .map_err(|e| e.to_string());
        let demo = bundle.demo().map_err(|e| e.to_string());
        let demo_picture = demo.as_ref().ok().and_then(|demo| {
            worker::picture(&demo.picture)
                .map_err(|e| log::warn!("{e}"))
                .ok()
        });
        Self {
            bundle,
            is_software,
            chosen: String::new(),
            notes: ModelNotes::default(),
            preset: Preset::default(),
            bundled,
            demo,
            demo_picture,
        }
    }

    /// Of the chosen model.
    pub fn notes(&self) -> &ModelNotes {
        &self.notes
    }

    /// Of the chosen model.
    pub fn preset(&self) -> &Preset {
        &self.preset
    }

    /// Why the model cannot be used, where that is known before it is loaded.
    pub fn refusal(&self, model: &str) -> Option<String> {
        match &self.bundled {
            Err(problem) if model == BUNDLED_MODEL => Some(problem.clone()),
            _ => None,
        }
    }

    /// After the setting may have changed: settings that nobody chose follow the model's recommendations.
    ///
    /// # Errors
    /// A model folder with unreadable notes; it then counts as a model without any.
    pub fn follow(&mut self, settings: &mut Settings) -> Result<()> {
        if settings.model == self.chosen {
            return Ok(());
        }
        let old = std::mem::take(&mut self.preset);
        let read = self.read(&settings.model);
        self.preset.replace(&old, settings)?;
        read
    }

    /// Another scene was opened, with the settings that it was saved with. `keeps_all`: a job goes on with them as they
    /// are.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn scene_opened(&mut self, settings: &mut Settings, keeps_all: bool) -> Result<()> {
        let read = self.read(&settings.model);
        if !keeps_all {
            self.preset.replace(&Preset::default(), settings)?;
        }
        read
    }

    fn read(&mut self, model: &str) -> Result<()> {
        model.clone_into(&mut self.chosen);
        (self.notes, self.preset) = Default::default();
        (self.notes, self.preset) = Preset::of_model(&self.bundle, model, self.is_software)?;
        Ok(())
    }

    /// What the chosen model will not understand of the instruction.
    pub fn notice(&self, settings: &Settings) -> Option<String> {
        self.notes
            .unknown_words_notice(&settings.prompt, settings.model == BUNDLED_MODEL)
    }
}

/// A model's name for the person: "Bundled model", or the name of its folder.
pub fn name_of(model: &str) -> String {
    match model.trim() {
        BUNDLED_MODEL => "Bundled model".to_owned(),
        "" => "None chosen".to_owned(),
        folder => Path::new(folder)
            .file_name()
            .map_or_else(|| folder.to_owned(), |n| n.to_string_lossy().into_owned()),
    }
}
