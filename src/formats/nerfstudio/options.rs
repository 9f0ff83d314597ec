//! `config.yml`, which nerfstudio writes for itself: a dump of Python objects. Only plain values are taken from it, by where
//! they stand; what tags would construct is not looked at.

use super::beside;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The model's plain values, by their path: `max_res`, `proposal_net_args_list.0.max_res`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// For errors.
    path: PathBuf,
    values: BTreeMap<String, String>,
}

impl Options {
    /// Of the run whose checkpoint is at `path`: in its folder or the one above.
    ///
    /// # Errors
    /// There is one and it cannot be read, or says nothing of a model.
    pub fn beside(path: &Path) -> Result<Option<Self>> {
        let Some((file, text)) = beside(path, "config.yml")? else {
            return Ok(None);
        };
        let options = Self::parse(&file, &text);
        if options.values.is_empty() {
            return Err(Error::file(
                &file,
                "says nothing of a model (pipeline.model): it is not the configuration of the checkpoint beside it; with \
                 another name, it is not looked at",
            ));
        }
        Ok(Some(options))
    }

    /// The values below `pipeline.model` of the file at `path`, of PyYAML's block style.
    pub fn parse(path: &Path, text: &str) -> Self {
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
        Self {
            path: path.to_owned(),
            values,
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// # Errors
    /// It is there, and no finite number.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        let number: Option<f64> = self.parsed(name, "number")?;
        match number {
            Some(number) if !number.is_finite() => Err(self.error(name, "finite number")),
            number => Ok(number),
        }
    }

    /// # Errors
    /// It is there, and no whole number from 0 on.
    pub fn count(&self, name: &str) -> Result<Option<u32>> {
        self.parsed(name, "whole number from 0 on")
    }

    /// # Errors
    /// It is there, and neither `true` nor `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.parsed(name, "true or false")
    }

    fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>> {
        let parsed = self.text(name).map(str::parse);
        parsed.transpose().map_err(|_| self.error(name, what))
    }

    fn error(&self, name: &str, what: &str) -> Error {
        let value = self.text(name).unwrap_or_default();
        let problem = format!("has {name}: {value}, where a {what} is expected");
        Error::file(&self.path, problem)
    }
}

fn path_of(enclosing: &[(usize, String)]) -> String {
    let keys: Vec<&str> = enclosing.iter().map(|(_, key)| key.as_str()).collect();
    keys.join(".")
}
