//! `config.json` of a model part. A network that silently ignores a setting gives plausible, wrong pictures, so every
//! value is either honoured or refused by name; keys that a file leaves out take the defaults of diffusers and
//! transformers.

use crate::{Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// One JSON object on disk.
pub(crate) struct Config {
    path: PathBuf,
    values: Map<String, Value>,
}

impl Config {
    /// # Errors
    /// When the file cannot be read or is no JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &std::fs::read(path).map_err(Error::io(path))?)
    }

    /// `path`: where `text` is from, for errors.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|e| Error::file(path, format!("is not valid JSON: {e}")))?;
        match value {
            Value::Object(values) => Ok(Self {
                path: path.to_owned(),
                values,
            }),
            _ => Err(Error::file(path, "is not a JSON object")),
        }
    }

    /// The object under `key`, as a config of its own.
    ///
    /// # Errors
    /// When there is none.
    pub fn section(&self, key: &str) -> Result<Self> {
        match self.get(key) {
            Some(Value::Object(values)) => Ok(Self {
                path: self.path.clone(),
                values: values.clone(),
            }),
            _ => Err(self.wrong(key, "an object")),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value, `None` when absent or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|v| !v.is_null())
    }

    /// The error of a value that the networks here do not implement.
    pub fn unsupported(&self, key: &str, supported: &str) -> Error {
        let value = self.values.get(key).unwrap_or(&Value::Null);
        Error::file(
            &self.path,
            format!("`{key}` = {value} is not supported (supported: {supported})"),
        )
    }

    fn wrong(&self, key: &str, wanted: &str) -> Error {
        match self.get(key) {
            Some(value) => Error::file(&self.path, format!("`{key}` = {value}: expected {wanted}")),
            None => Error::file(&self.path, format!("`{key}` is missing: expected {wanted}")),
        }
    }

    pub fn usize(&self, key: &str) -> Result<usize> {
        self.get(key)
            .and_then(positive)
            .ok_or_else(|| self.wrong(key, "a positive integer"))
    }

    pub fn usize_or(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key) {
            Some(_) => self.usize(key),
            None => Ok(default),
        }
    }

    pub fn f64_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            Some(v) => v.as_f64().ok_or_else(|| self.wrong(key, "a number")),
            None => Ok(default),
        }
    }

    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            Some(v) => v.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
            None => Ok(default),
        }
    }

    pub fn str_or<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str> {
        match self.get(key) {
            Some(v) => v.as_str().ok_or_else(|| self.wrong(key, "a string")),
            None => Ok(default),
        }
    }

    pub fn strings(&self, key: &str) -> Result<Vec<String>> {
        self.get(key)
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
            .and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect())
            .ok_or_else(|| self.wrong(key, "a list of names"))
    }

    pub fn usizes(&self, key: &str) -> Result<Vec<usize>> {
        self.get(key)
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
            .and_then(|list| list.iter().map(positive).collect())
            .ok_or_else(|| self.wrong(key, "a list of positive integers"))
    }

    /// One integer for each of `levels` blocks: a list, or one number for all of them.
    pub fn usize_per_level(
        &self,
        key: &str,
        levels: usize,
        default: Option<usize>,
    ) -> Result<Vec<usize>> {
        match self.get(key) {
            Some(Value::Array(_)) => {
                let list = self.usizes(key)?;
                if list.len() == levels {
                    Ok(list)
                } else {
                    Err(self.wrong(key, &format!("one integer for each of the {levels} blocks")))
                }
            }
            Some(_) => Ok(vec![self.usize(key)?; levels]),
            None => match default {
                Some(value) => Ok(vec![value; levels]),
                None => Err(self.wrong(key, "a positive integer or a list of them")),
            },
        }
    }

    /// Refuse any value of `key` but null and `only`.
    pub fn require(&self, key: &str, only: &Value) -> Result<()> {
        let same = |value: &Value| match (value.as_f64(), only.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => value == only,
        };
        match self.get(key) {
            None => Ok(()),
            Some(value) if same(value) => Ok(()),
            // One flag a block.
            Some(Value::Array(list)) if !list.is_empty() && list.iter().all(same) => Ok(()),
            Some(_) => Err(self.unsupported(key, &only.to_string())),
        }
    }
}

fn positive(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .filter(|&n| n > 0 && n <= u64::from(u32::MAX))
        .map(|n| n as usize)
}
