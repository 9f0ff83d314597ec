//! Reading JSON that people and scripts wrote, with errors that say which frame and key are wrong.

use crate::{Error, Result, formats::files};
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A parsed file; its top level is an object.
pub struct File {
    path: PathBuf,
    value: Value,
}

impl File {
    pub fn top(&self) -> Object<'_> {
        Object {
            path: &self.path,
            place: String::new(),
            value: &self.value,
        }
    }
}

/// An object of the file and how to call it in an error.
#[derive(Clone)]
pub struct Object<'a> {
    path: &'a Path,
    place: String,
    value: &'a Value,
}

/// # Errors
/// The file cannot be read, or is not JSON (with line and column), or not an object.
pub fn parse(path: &Path) -> Result<File> {
    let bytes = files::read(path)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let value: Value = serde_json::from_slice(&with_quoted_specials(bytes))
        .map_err(|e| Error::file(path, format!("is not valid JSON: {e}")))?;
    if !value.is_object() {
        return Err(Error::file(
            path,
            "is JSON, but not an object with \"frames\"",
        ));
    }
    Ok(File {
        path: path.to_owned(),
        value,
    })
}

/// Python writes NaN and Infinity, which JSON does not have: quoted here, so that the error can name the frame.
fn with_quoted_specials(bytes: &[u8]) -> Cow<'_, [u8]> {
    const SPECIALS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    if !bytes.windows(3).any(|w| w == b"NaN" || w == b"Inf") {
        return Cow::Borrowed(bytes);
    }
    let mut quoted = Vec::with_capacity(bytes.len() + 64);
    let (mut at, mut in_string) = (0, false);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if !in_string && let Some(special) = SPECIALS.iter().find(|s| rest.starts_with(s)) {
            quoted.push(b'"');
            quoted.extend_from_slice(special);
            quoted.push(b'"');
            at += special.len();
            continue;
        }
        if in_string && rest[0] == b'\\' && rest.len() > 1 {
            quoted.extend_from_slice(&rest[..2]);
            at += 2;
            continue;
        }
        in_string ^= rest[0] == b'"';
        quoted.push(rest[0]);
        at += 1;
    }
    Cow::Owned(quoted)
}

/// A number, NaN and infinities included.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => match s.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A listed path as a name: `/` between folders, no leading `./`.
pub fn plain_name(listed: &str) -> String {
    let name = listed.replace('\\', "/");
    name.strip_prefix("./").unwrap_or(&name).to_owned()
}

impl<'a> Object<'a> {
    pub fn path(&self) -> &'a Path {
        self.path
    }

    pub fn error(&self, problem: impl std::fmt::Display) -> Error {
        let problem = if self.place.is_empty() {
            problem.to_string()
        } else {
            format!("{} {problem}", self.place)
        };
        Error::file(self.path, problem)
    }

    /// The same, called by its photo in errors.
    pub fn named(mut self, photo: &str) -> Self {
        self.place = format!("{} ({photo})", self.place);
        self
    }

    /// `None` for a key that is absent or null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    pub fn frames(&self) -> Result<&'a [Value]> {
        match self.get("frames") {
            Some(Value::Array(frames)) => Ok(frames),
            Some(_) => Err(self.error("has \"frames\" that is not a list")),
            None => Err(self.error(
                "has no \"frames\": it is not a transforms.json of nerfstudio, instant-ngp or Blender",
            )),
        }
    }

    pub fn frame(&self, index: usize, value: &'a Value) -> Result<Self> {
        let frame = Self {
            path: self.path,
            place: format!("frame {index}"),
            value,
        };
        if value.is_object() {
            Ok(frame)
        } else {
            Err(frame.error("is not an object"))
        }
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| {
                number(value)
                    .ok_or_else(|| self.error(format!("has {key} = {value}, not a number")))
            })
            .transpose()
    }

    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_array()
            .and_then(|list| list.iter().map(number).collect())
            .map(Some)
            .ok_or_else(|| self.error(format!("has {key} that is not a list of numbers")))
    }

    pub fn text(&self, key: &str) -> Result<String> {
        self.optional_text(key)?
            .ok_or_else(|| self.error(format!("has no {key}")))
    }

    pub fn optional_text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.error(format!("has {key} = {other}, not a text"))),
        }
    }
}
