//! COLMAP's text files: `#` comments, one record a line, two lines an image, the second of which may be empty.

use super::{MODELS, ModelCamera, ModelImage, ModelPoint};
use crate::{Error, Result, formats::files};
use glam::DVec3;
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

/// One line, read field by field.
struct Line<'a> {
    path: &'a Path,
    number: usize,
    rest: &'a str,
}

impl<'a> Line<'a> {
    fn error(&self, problem: impl std::fmt::Display) -> Error {
        Error::file(self.path, format!("line {}: {problem}", self.number))
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let (word, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn field<T: FromStr>(&mut self, name: &str) -> Result<T> {
        let word = self
            .word()
            .ok_or_else(|| self.error(format_args!("ends before {name}")))?;
        word.parse().map_err(|_| {
            self.error(format_args!(
                "{name} is \"{word}\", which is not a usable number"
            ))
        })
    }

    fn vector(&mut self, name: &str) -> Result<DVec3> {
        Ok(DVec3::new(
            self.field(name)?,
            self.field(name)?,
            self.field(name)?,
        ))
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = files::read(path)?;
    String::from_utf8(bytes).map_err(|e| {
        Error::file(
            path,
            format!(
                "is not text: byte {} is not UTF-8",
                e.utf8_error().valid_up_to()
            ),
        )
    })
}

fn lines<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Line<'a>> {
    text.lines().enumerate().map(move |(i, rest)| Line {
        path,
        number: i + 1,
        rest: rest.trim(),
    })
}

fn is_record(line: &Line<'_>) -> bool {
    !line.rest.is_empty() && !line.rest.starts_with('#')
}

pub fn read_cameras(path: &Path) -> Result<BTreeMap<u32, ModelCamera>> {
    let text = read(path)?;
    lines(path, &text)
        .filter(is_record)
        .map(|mut line| {
            let id = line.field("CAMERA_ID")?;
            let name = line.word().ok_or_else(|| line.error("ends before MODEL"))?;
            let Some(&(model, count)) = MODELS.iter().find(|(model, _)| *model == name) else {
                return Err(line.error(format_args!("unknown camera model {name}")));
            };
            let camera = ModelCamera {
                model,
                width: line.field("WIDTH")?,
                height: line.field("HEIGHT")?,
                params: (0..count)
                    .map(|_| line.field("PARAMS"))
                    .collect::<Result<_>>()?,
            };
            Ok((id, camera))
        })
        .collect()
}

pub fn read_images(path: &Path) -> Result<Vec<ModelImage>> {
    let text = read(path)?;
    let mut lines = lines(path, &text);
    let mut images = Vec::new();
    while let Some(mut line) = lines.next() {
        if !is_record(&line) {
            continue;
        }
        let id = line.field("IMAGE_ID")?;
        let world_to_camera_quat = [
            line.field("QW")?,
            line.field("QX")?,
            line.field("QY")?,
            line.field("QZ")?,
        ];
        let world_to_camera_translation = line.vector("TX, TY, TZ")?;
        let camera_id = line.field("CAMERA_ID")?;
        let name = line.rest.trim().replace('\\', "/");
        if name.is_empty() {
            return Err(line.error("ends before NAME"));
        }
        let (mut keypoints, mut triangulated) = (0, 0);
        if let Some(mut line) = lines.next() {
            while !line.rest.trim_start().is_empty() {
                let _position: [f64; 2] = [line.field("X")?, line.field("Y")?];
                let point: i64 = line.field("POINT3D_ID")?;
                keypoints += 1;
                triangulated += usize::from(point != -1);
            }
        }
        images.push(ModelImage {
            id,
            camera_id,
            name,
            world_to_camera_quat,
            world_to_camera_translation,
            keypoints,
            triangulated,
        });
    }
    Ok(images)
}

pub fn read_points(path: &Path) -> Result<Vec<ModelPoint>> {
    let text = read(path)?;
    lines(path, &text)
        .filter(is_record)
        .map(|mut line| {
            Ok(ModelPoint {
                id: line.field("POINT3D_ID")?,
                position: line.vector("X, Y, Z")?,
                color: [line.field("R")?, line.field("G")?, line.field("B")?],
                error: line.field("ERROR")?,
                track_len: line.rest.split_whitespace().count() / 2,
            })
        })
        .collect()
}
