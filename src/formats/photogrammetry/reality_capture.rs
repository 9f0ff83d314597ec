//! RealityCapture's and RealityScan's export *Internal/external camera parameters* (`.csv`), a row a photo: its centre, its
//! attitude in degrees, the focal length for a picture 36 mm long, the principal point from the middle, in lengths of the
//! longer side, and Brown's distortion. People leave out columns: those of the lens have defaults.

use super::{Aligned, LensOf, shown};
use crate::formats::distortion::{Distortion, Lens};
use crate::formats::files;
use crate::scene::Intrinsics;
use crate::{Error, Result};
use csv_core::ReadFieldResult;
use glam::{DMat3, DMat4, DVec3};
use std::path::Path;

/// Width of the film that focal lengths are said for.
const FILM_MM: f64 = 36.0;

const NEEDED: [&str; 8] = ["name", "x", "y", "alt", "heading", "pitch", "roll", "f"];
const LENS: [&str; 8] = ["px", "py", "k1", "k2", "k3", "k4", "t1", "t2"];

/// A line that some exports begin with: how many cameras follow.
const COUNT: &str = "#cameras";

/// Whether a file that begins so is one.
pub fn is_cameras(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let head = head.trim_start_matches('\u{feff}');
    let columns: Vec<String> = head
        .lines()
        .find(|line| !line.starts_with(COUNT))
        .unwrap_or_default()
        .split(',')
        .map(column_name)
        .collect();
    NEEDED
        .iter()
        .all(|needed| columns.iter().any(|c| c == needed))
}

fn column_name(field: &str) -> String {
    let field = field
        .trim_start_matches('\u{feff}')
        .trim()
        .trim_matches('"');
    field.trim_start_matches('#').to_ascii_lowercase()
}

/// # Errors
/// A row is damaged, or there is none.
pub fn read(path: &Path) -> Result<Vec<Aligned>> {
    let error = |problem: String| Error::file(path, problem);
    let bytes = files::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| error("is not text in UTF-8".into()))?;
    let mut is_first = true;
    let mut rows =
        rows(text).skip_while(|row| std::mem::take(&mut is_first) && row[0].starts_with(COUNT));
    let columns: Vec<String> = rows
        .next()
        .unwrap_or_default()
        .iter()
        .map(|field| column_name(field))
        .collect();
    let column = |name: &str| columns.iter().position(|c| c == name);
    let needed: Option<Vec<usize>> = NEEDED.into_iter().map(column).collect();
    let Some(needed) = needed else {
        return Err(error(format!(
            "lacks a column; cameras of RealityCapture have {}",
            NEEDED.join(", ")
        )));
    };
    let lens_columns = LENS.map(column);
    let mut aligned = Vec::new();
    for (index, row) in rows.enumerate() {
        let label = row.get(needed[0]).cloned().unwrap_or_default();
        let at_row = |problem: String| {
            error(format!(
                "camera {} ({}) {problem}",
                index + 1,
                shown(&label)
            ))
        };
        if row.len() != columns.len() {
            return Err(at_row(format!(
                "has {} fields instead of {}",
                row.len(),
                columns.len()
            )));
        }
        let number = |name: &str, at: usize| -> Result<f64> {
            let text = row[at].trim();
            let value = text.parse().ok().filter(|v: &f64| v.is_finite());
            value.ok_or_else(|| {
                at_row(format!(
                    "has {name} that is no finite number: \"{}\"",
                    shown(text)
                ))
            })
        };
        let mut pose = [0.0; NEEDED.len() - 1];
        for (value, (name, at)) in pose.iter_mut().zip(NEEDED.into_iter().zip(&needed).skip(1)) {
            *value = number(name, *at)?;
        }
        let mut rest = [0.0; LENS.len()];
        for ((value, name), at) in rest.iter_mut().zip(LENS).zip(lens_columns) {
            if let Some(at) = at {
                *value = number(name, at)?;
            }
        }
        let [x, y, alt, heading, pitch, roll, focal_mm] = pose;
        aligned.push(Aligned {
            label,
            camera_to_world: DMat4::from_mat3_translation(
                camera_to_world(heading, pitch, roll),
                DVec3::new(x, y, alt),
            ),
            lens: LensOf::Film(FilmLens { focal_mm, rest }),
        });
    }
    if aligned.is_empty() {
        return Err(error("has no camera: only names of columns".into()));
    }
    Ok(aligned)
}

/// The fields of each row that is not empty.
fn rows(text: &str) -> impl Iterator<Item = Vec<String>> {
    let mut reader = csv_core::Reader::new();
    let mut input = text.as_bytes();
    let mut row = Vec::new();
    let mut field = Vec::new();
    let mut buffer = [0; 256];
    std::iter::from_fn(move || {
        loop {
            let (result, read, written) = reader.read_field(input, &mut buffer);
            input = &input[read..];
            field.extend_from_slice(&buffer[..written]);
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    row.push(String::from_utf8_lossy(&field).trim().to_owned());
                    field.clear();
                    if record_end {
                        return Some(std::mem::take(&mut row));
                    }
                }
                ReadFieldResult::End => return None,
            }
        }
    })
}

/// Of a camera in OpenCV axes, from degrees, in a world whose z is up and whose y is north: the attitude of an aeroplane that
/// carries the camera looking down, its picture's upper edge ahead. It rolls to the right, lifts its nose by the pitch, and
/// turns clockwise to the heading.
fn camera_to_world(heading: f64, pitch: f64, roll: f64) -> DMat3 {
    let [heading, pitch, roll] = [heading, pitch, roll].map(f64::to_radians);
    // OpenGL's y and z axes point the other way.
    DMat3::from_rotation_z(-heading)
        * DMat3::from_rotation_x(pitch)
        * DMat3::from_rotation_y(roll)
        * DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0))
}

/// A lens before a picture of no size.
pub struct FilmLens {
    /// For a picture whose longer side is [`FILM_MM`].
    focal_mm: f64,
    /// In the order of [`LENS`].
    rest: [f64; LENS.len()],
}

impl FilmLens {
    /// The lens before a picture of this (width, height) in pixels.
    pub fn of_size(&self, (width, height): (u32, u32)) -> Lens {
        let [px, py, k1, k2, k3, k4, t1, t2] = self.rest;
        let longer = f64::from(width.max(height));
        let f = self.focal_mm * longer / FILM_MM;
        Lens {
            intrinsics: Intrinsics {
                fx: f,
                fy: f,
                cx: px * longer + 0.5 * f64::from(width),
                cy: py * longer + 0.5 * f64::from(height),
                width,
                height,
            },
            distortion: Distortion::brown([k1, k2, k3, k4], [t1, t2]),
        }
    }
}
