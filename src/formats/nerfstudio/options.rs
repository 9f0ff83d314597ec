//! `config.yml`, which nerfstudio writes for itself: a dump of Python objects. Only plain values are taken from it, by where
//! they stand; what tags would construct is not looked at.

use super::beside;
use crate::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// The model's plain values, by their path: `max_res`, `proposal_net_args_list.0.max_res`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Of the run whose checkpoint is at `path`: in its folder or the one above.
    ///
    /// # Errors
    /// There is one and it cannot be read.
    pub fn beside(path: &Path) -> Result<Option<Self>> {
        let found = beside(path, "config.yml")?;
        Ok(found.map(|(_, text)| Self::parse(&text)))
    }

    /// The values below `pipeline.model`, of PyYAML's block style.
    pub fn parse(text: &str) -> Self {
        let mut values = BTreeMap::new();
        // Indentation and key of what encloses the line; the items of a list stand as deep as its key.
        let mut enclosing: Vec<(usize, String)> = Vec::new();
        let mut items: BTreeMap<String, usize> = BTreeMap::new();
        for line in text.lines() {
            let mut content = line.trim_start();
            let mut indent = line.len() - content.len();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if let Some(item) = content.strip_prefix("- ") {
                enclosing.retain(|(depth, _)| *depth <= indent);
                let number = items.entry(path_of(&enclosing)).or_insert(0);
                enclosing.push((indent + 1, number.to_string()));
                *number += 1;
                content = item;
                indent += 2;
            } else {
                enclosing.retain(|(depth, _)| *depth < indent);
            }
            let (key, value) = match content.split_once(": ") {
                Some((key, value)) => (Some(key), value),
                None => match content.strip_suffix(':') {
                    Some(key) => (Some(key), ""),
                    None => (None, content),
                },
            };
            if let Some(key) = key {
                enclosing.push((indent, key.to_owned()));
            }
            if let Some(name) = path_of(&enclosing).strip_prefix("pipeline.model.")
                && !value.is_empty()
                && !value.starts_with('!')
            {
                values.insert(name.to_owned(), value.trim().to_owned());
            }
        }
        Self(values)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name)?.parse().ok()
    }
}

fn path_of(enclosing: &[(usize, String)]) -> String {
    let keys: Vec<&str> = enclosing.iter().map(|(_, key)| key.as_str()).collect();
    keys.join(".")
}
