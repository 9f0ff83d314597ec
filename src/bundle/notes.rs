//! What a model folder says of itself beyond diffusers' files, so that the window can offer what the model is good at
//! and warn of what it never saw. Both files are optional: a model without them is simply not known any better.
//!
//! * `families.json` lists the kinds of edit that a small model was trained on, with an example each, and every word of
//!   its training instructions.
//! * `luxedit.json` holds a name, recommended settings (keys of the settings table), which families to offer first, and
//!   titles of families whose name is no title.

use crate::{Error, Result};
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

/// Name and recommendations of a model.
pub(super) const RECOMMENDATIONS: &str = "luxedit.json";

/// One kind of edit that a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// One word: "marble".
    pub name: String,
    /// As a person reads it: "Marble", "Black and white".
    pub title: String,
    /// An instruction: "turn him into a marble statue".
    pub example: String,
}

/// A model folder's notes. Empty where the folder has none.
#[derive(Clone, Debug, Default)]
pub struct ModelNotes {
    pub name: Option<String>,
    /// In the order of the file; those to offer first come first.
    pub families: Vec<Family>,
    /// How many of [`Self::families`] to offer first.
    pub featured: usize,
    /// Every word of the training instructions, lower case. `None`: not known, so that no word counts as unknown.
    pub words: Option<BTreeSet<String>>,
    /// Recommended settings, by key of the settings table.
    pub settings: Map<String, Value>,
    /// As [`Self::settings`], over them on a machine without a graphics card.
    pub settings_without_graphics_card: Map<String, Value>,
}

#[derive(Deserialize)]
struct FamiliesFile {
    families: InOrder,
    words: BTreeSet<String>,
}

#[derive(Deserialize)]
struct FamilyEntry {
    example: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NotesFile {
    name: Option<String>,
    featured: Vec<String>,
    titles: BTreeMap<String, String>,
    settings: Map<String, Value>,
    settings_without_graphics_card: Map<String, Value>,
}

/// A JSON object of families with its order kept.
struct InOrder(Vec<Family>);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Families;
        impl<'de> Visitor<'de> for Families {
            type Value = InOrder;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of families")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder, A::Error> {
                let mut families = Vec::new();
                while let Some((name, FamilyEntry { example })) = map.next_entry::<String, _>()? {
                    let title = capitalized(&name);
                    families.push(Family {
                        name,
                        title,
                        example,
                    });
                }
                Ok(InOrder(families))
            }
        }
        deserializer.deserialize_map(Families)
    }
}

impl ModelNotes {
    /// # Errors
    /// A file that is there and cannot be read, or is not what it should be.
    pub fn read(folder: &Path) -> Result<Self> {
        let notes: NotesFile = read_json(&folder.join(RECOMMENDATIONS))?.unwrap_or_default();
        let file: Option<FamiliesFile> = read_json(&folder.join("families.json"))?;
        let (families, words) = match file {
            Some(file) => (file.families.0, Some(file.words)),
            None => (Vec::new(), None),
        };
        let rank = |family: &Family| {
            let at = notes.featured.iter().position(|name| *name == family.name);
            at.unwrap_or(notes.featured.len())
        };
        let featured = families
            .iter()
            .filter(|family| rank(family) < notes.featured.len())
            .count();
        let mut families = families;
        families.sort_by_key(rank);
        for family in &mut families {
            if let Some(title) = notes.titles.get(&family.name) {
                title.clone_into(&mut family.title);
            }
        }
        Ok(Self {
            name: notes.name,
            families,
            featured,
            words,
            settings: notes.settings,
            settings_without_graphics_card: notes.settings_without_graphics_card,
        })
    }

    /// Words of `prompt` that the training instructions do not have, lower case, in order, each once.
    pub fn unknown_words(&self, prompt: &str) -> Vec<String> {
        let Some(words) = &self.words else {
            return Vec::new();
        };
        let mut unknown: Vec<String> = Vec::new();
        for word in prompt.to_lowercase().split(|c: char| !c.is_alphabetic()) {
            if !word.is_empty() && !words.contains(word) && !unknown.iter().any(|w| w == word) {
                unknown.push(word.to_owned());
            }
        }
        unknown
    }

    /// What to tell before a prompt with unknown words runs; `None` when the model knows them all. `is_bundled` says
    /// which model is meant, for the sentence.
    pub fn unknown_words_notice(&self, prompt: &str, is_bundled: bool) -> Option<String> {
        let unknown: Vec<String> = self
            .unknown_words(prompt)
            .into_iter()
            .map(|word| format!("'{word}'"))
            .collect();
        let (last, rest) = unknown.split_last()?;
        let list = if rest.is_empty() {
            last.clone()
        } else {
            format!("{} and {last}", rest.join(", "))
        };
        let model = if is_bundled {
            "The bundled model"
        } else {
            "The edit model"
        };
        Some(format!(
            "{model} doesn't know {list}. InstructPix2Pix does."
        ))
    }
}

/// `None` where there is no such file.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path)(e)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Error::file(path, format!("is not what such a file should be: {e}")))
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
