//! Agisoft Metashape's *Export cameras* (`.xml`). Cameras are camera-to-chunk in OpenCV axes; a chunk's components, or the
//! chunk, say where they are in the world. Metashape calls tangential coefficients the other way round than OpenCV, and has
//! the principal point from the middle of the picture (Metashape user manual, appendix D).

use super::{Aligned, LensOf, shown};
use crate::formats::capture::{exactly_rigid, rigid};
use crate::formats::distortion::{Distortion, Lens};
use crate::formats::files;
use crate::scene::Intrinsics;
use crate::{Error, Result};
use glam::{DMat3, DMat4, DVec3, DVec4};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A photo takes about ten.
const MOST_NODES: u32 = 4_000_000;
/// Of one element. The parser compares each with each.
const MOST_ATTRIBUTES: usize = 100;

/// Shear of the picture's corner up to which it is as good as none, in pixels.
const SHEAR_PIXELS: f64 = 0.5;

/// Whether a file that begins so is one.
pub fn is_cameras(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let start = head.trim_start_matches('\u{feff}').trim_start();
    start.starts_with('<') && head.contains("<document") && head.contains("<chunk")
}

/// Whether a whole file says where cameras are: marker files, which begin alike, only list them.
pub fn has_poses(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let cameras = text.split_once("<cameras").map_or("", |(_, rest)| rest);
    let cameras = cameras
        .split_once("</cameras")
        .map_or(cameras, |(list, _)| list);
    cameras.contains("<transform")
}

/// # Errors
/// The XML is damaged, or not Metashape's; no photo was aligned, or its kind of lens is not supported.
pub fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Vec<Aligned>> {
    let error = |problem: String| Error::file(path, problem);
    let bytes = files::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| error("is not text in UTF-8".into()))?;
    let count = |text: &str, byte: u8| text.bytes().filter(|&b| b == byte).count();
    // The parser reserves for all of them.
    let most = MOST_NODES as usize;
    if count(text, b'<') > most || count(text, b'=') > most {
        return Err(error(format!("is XML of more than {most} elements")));
    }
    let is_swollen = |tag: &str| count(tag, b'=') > MOST_ATTRIBUTES;
    if text.contains("xmlns") || text.split('<').any(is_swollen) {
        return Err(error("is XML that Metashape does not write".into()));
    }
    let options = ParsingOptions {
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)
        .map_err(|e| error(format!("is damaged XML: {e}")))?;
    let mut chunks = children(document.root_element(), "chunk");
    let chunk = match (chunks.next(), chunks.count()) {
        (Some(chunk), 0) => chunk,
        (Some(_), others) => {
            return Err(error(format!(
                "has {} chunks; export the cameras of one",
                others + 1
            )));
        }
        (None, _) => {
            return Err(error(
                "has no chunk: it is not what Metashape exports cameras to".into(),
            ));
        }
    };
    Chunk::read(chunk)
        .map_err(error)?
        .into_aligned(warnings)
        .map_err(error)
}

/// A name in the file of a sensor or a component.
type Id = String;

struct Chunk {
    /// `Err`: why it cannot be used, as the end of a sentence.
    sensors: BTreeMap<Id, std::result::Result<Sensor, String>>,
    cameras: Vec<ChunkCamera>,
    /// Photos whose place Metashape did not find.
    unaligned: usize,
    /// Photos of a system of several cameras other than its first.
    secondary: usize,
    /// Photos that the person switched off.
    disabled: usize,
    /// Poses that were not exactly rigid.
    repaired: usize,
}

struct Sensor {
    lens: Lens,
    /// What of it is not supported, as sentences.
    neglected: Vec<String>,
}

struct ChunkCamera {
    label: String,
    sensor: Id,
    component: Option<Id>,
    /// Whether the frame of the component is the world's.
    is_placed: bool,
    camera_to_world: DMat4,
}

impl Chunk {
    /// # Errors
    /// What is wrong, as the end of a sentence about the file.
    fn read(chunk: Node<'_, '_>) -> std::result::Result<Self, String> {
        let mut read = Self {
            sensors: BTreeMap::new(),
            cameras: Vec::new(),
            unaligned: 0,
            secondary: 0,
            disabled: 0,
            repaired: 0,
        };
        for node in children(chunk, "sensors").flat_map(|list| children(list, "sensor")) {
            let id = attribute(node, "id");
            if read.sensors.insert(id.clone(), sensor(node)).is_some() {
                return Err(format!("has two sensors {}", shown(&id)));
            }
        }
        let whole = child(chunk, "transform")
            .map(Similarity::read)
            .transpose()
            .map_err(|e| format!("has a chunk that {e}"))?;
        let mut components: BTreeMap<Id, Option<Similarity>> = BTreeMap::new();
        for node in children(chunk, "components").flat_map(|list| children(list, "component")) {
            let id = attribute(node, "id");
            let similarity = child(node, "transform").map(Similarity::read).transpose();
            let similarity =
                similarity.map_err(|e| format!("has a component {} that {e}", shown(&id)))?;
            if components.insert(id.clone(), similarity).is_some() {
                return Err(format!("has two components {}", shown(&id)));
            }
        }
        let cameras = children(chunk, "cameras").flat_map(|list| list.descendants());
        for node in cameras.filter(|node| node.has_tag_name("camera")) {
            let label = attribute(node, "label");
            if matches!(node.attribute("enabled"), Some("false" | "0")) {
                read.disabled += 1;
                continue;
            }
            let Some(transform) = child(node, "transform") else {
                match node.attribute("master_id") {
                    Some(_) => read.secondary += 1,
                    None => read.unaligned += 1,
                }
                continue;
            };
            let (camera_to_component, was_repaired) = pose(transform)
                .map_err(|problem| format!("has a camera {} that {problem}", shown(&label)))?;
            read.repaired += usize::from(was_repaired);
            let component = node.attribute("component_id").map(str::to_owned);
            let similarity = match &component {
                Some(id) if !components.is_empty() => components.get(id).and_then(Option::as_ref),
                _ => whole.as_ref(),
            };
            read.cameras.push(ChunkCamera {
                sensor: attribute(node, "sensor_id"),
                component,
                is_placed: similarity.is_some(),
                camera_to_world: match similarity {
                    Some(similarity) => similarity.apply(camera_to_component),
                    None => camera_to_component,
                },
                label,
            });
        }
        Ok(read)
    }

    /// # Errors
    /// There is no camera to use, as the end of a sentence about the file.
    fn into_aligned(
        mut self,
        warnings: &mut Vec<String>,
    ) -> std::result::Result<Vec<Aligned>, String> {
        let counted = [
            (
                self.unaligned,
                "photos are left out: Metashape has not aligned them",
            ),
            (
                self.secondary,
                "photos are left out: they are of a system of several cameras, of which the first is used",
            ),
            (
                self.disabled,
                "photos are left out: they are disabled in Metashape",
            ),
            (
                self.repaired,
                "poses were not exactly rigid; their rotations were made so",
            ),
        ];
        warnings.extend(
            counted
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}")),
        );
        self.keep_one_frame(warnings);
        let mut aligned = Vec::with_capacity(self.cameras.len());
        let mut unusable: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut neglected = BTreeSet::new();
        let unknown = Err("is not in the file".to_owned());
        for camera in self.cameras {
            match self.sensors.get(&camera.sensor).unwrap_or(&unknown) {
                Ok(sensor) => {
                    neglected.extend(&sensor.neglected);
                    aligned.push(Aligned {
                        label: camera.label,
                        camera_to_world: camera.camera_to_world,
                        lens: LensOf::Known(sensor.lens),
                    });
                }
                Err(problem) => {
                    let known = self.sensors.get_key_value(&camera.sensor);
                    let id = known.map_or("that they name", |(id, _)| id);
                    *unusable.entry((id, problem)).or_default() += 1;
                }
            }
        }
        let problems: Vec<String> = unusable
            .iter()
            .map(|((id, problem), count)| {
                format!(
                    "{count} photos are left out: the sensor {} {problem}",
                    shown(id)
                )
            })
            .collect();
        if aligned.is_empty() {
            return Err(match problems.is_empty() {
                true => "has no camera to use: Metashape has aligned no photo".to_owned(),
                false => format!("has no camera to use: {}", problems.join("; ")),
            });
        }
        warnings.extend(problems);
        warnings.extend(neglected.into_iter().cloned());
        Ok(aligned)
    }

    /// Components that were not placed in the world have frames of their own: the one with the most photos is kept.
    fn keep_one_frame(&mut self, warnings: &mut Vec<String>) {
        // Those in the world have one frame.
        let frame = |camera: &ChunkCamera| (!camera.is_placed).then(|| camera.component.clone());
        let mut counts: BTreeMap<Option<Option<Id>>, usize> = BTreeMap::new();
        for camera in &self.cameras {
            *counts.entry(frame(camera)).or_default() += 1;
        }
        let components = counts.len();
        let largest = counts.into_iter().max_by_key(|(_, count)| *count);
        let Some((largest, _)) = largest.filter(|_| components > 1) else {
            return;
        };
        let before = self.cameras.len();
        self.cameras.retain(|camera| frame(camera) == largest);
        warnings.push(format!(
            "of {components} parts that were aligned apart the one with the most photos is used, and {} photos are left \
             out; merge the components in Metashape to have them all",
            before - self.cameras.len()
        ));
    }
}

/// From the frame of a component to the world's.
struct Similarity {
    rotation: DMat3,
    translation: DVec3,
    scale: f64,
}

impl Similarity {
    fn read(transform: Node<'_, '_>) -> std::result::Result<Self, &'static str> {
        const PARTS: [&str; 3] = ["rotation", "translation", "scale"];
        if PARTS.iter().all(|part| child(transform, part).is_none()) {
            return Err("has a transform without rotation, translation and scale");
        }
        let rotation = match child(transform, "rotation") {
            Some(node) => {
                let values: [f64; 9] =
                    numbers(node).ok_or("has a rotation that is not 9 numbers")?;
                let matrix = DMat4::from_mat3(DMat3::from_cols_array(&values).transpose());
                DMat3::from_mat4(exactly_rigid(matrix)?)
            }
            None => DMat3::IDENTITY,
        };
        let translation = match child(transform, "translation") {
            Some(node) => {
                DVec3::from_array(numbers(node).ok_or("has a translation that is not 3 numbers")?)
            }
            None => DVec3::ZERO,
        };
        let scale = match child(transform, "scale") {
            Some(node) => numbers(node)
                .map(|[scale]: [f64; 1]| scale)
                .filter(|scale| *scale > 0.0),
            None => Some(1.0),
        };
        Ok(Self {
            rotation,
            translation,
            scale: scale.ok_or("has an impossible scale")?,
        })
    }

    fn apply(&self, camera_to_component: DMat4) -> DMat4 {
        let Self {
            rotation,
            translation,
            scale,
        } = self;
        DMat4::from_mat3_translation(
            *rotation * DMat3::from_mat4(camera_to_component),
            *rotation * camera_to_component.w_axis.truncate() * *scale + *translation,
        )
    }
}

/// Camera-to-component, and whether it had to be made rigid.
fn pose(transform: Node<'_, '_>) -> std::result::Result<(DMat4, bool), &'static str> {
    let values: [f64; 16] = numbers(transform).ok_or("has a transform that is not 16 numbers")?;
    let matrix = DMat4::from_cols_array(&values).transpose();
    if !matrix.row(3).abs_diff_eq(DVec4::W, 1e-6) {
        return Err("has a transform whose last row is not 0 0 0 1");
    }
    let (matrix, was_repaired) = rigid(matrix)?;
    let rotation = DMat3::from_mat4(matrix);
    let translation = matrix.w_axis.truncate();
    Ok((
        DMat4::from_mat3_translation(rotation, translation),
        was_repaired,
    ))
}

/// # Errors
/// Why it cannot be used, as the end of a sentence about the sensor.
fn sensor(node: Node<'_, '_>) -> std::result::Result<Sensor, String> {
    let calibration = children(node, "calibration")
        .find(|c| c.attribute("class") == Some("adjusted"))
        .or_else(|| child(node, "calibration"));
    let kind = calibration
        .and_then(|c| c.attribute("type"))
        .or_else(|| node.attribute("type"))
        .unwrap_or("frame");
    let is_fisheye = match kind {
        "frame" => false,
        "fisheye" | "equidistant_fisheye" => true,
        other => {
            return Err(format!(
                "is of the type {}, which is not supported; those that are: frame, fisheye",
                shown(other)
            ));
        }
    };
    let calibration = calibration.ok_or("has no calibration")?;
    let resolution = child(calibration, "resolution")
        .or_else(|| child(node, "resolution"))
        .ok_or("has no resolution")?;
    let side = |name: &str| -> std::result::Result<u32, String> {
        let side = resolution
            .attribute(name)
            .and_then(|side| side.trim().parse().ok());
        side.ok_or_else(|| format!("has a resolution whose {name} is no whole number"))
    };
    let (width, height) = (side("width")?, side("height")?);
    let value = |name: &str| -> std::result::Result<f64, String> {
        match child(calibration, name).map(numbers) {
            None => Ok(0.0),
            Some(Some([value])) => Ok(value),
            Some(None) => Err(format!("has {name} that is no finite number")),
        }
    };
    if child(calibration, "f").is_none() {
        return Err("has no focal length f; export the cameras from Metashape 1.2 or newer".into());
    }
    let f = value("f")?;
    let lens = Lens {
        intrinsics: Intrinsics {
            fx: f + value("b1")?,
            fy: f,
            cx: value("cx")? + 0.5 * f64::from(width),
            cy: value("cy")? + 0.5 * f64::from(height),
            width,
            height,
        },
        distortion: {
            let k = [value("k1")?, value("k2")?, value("k3")?, value("k4")?];
            let p = [value("p2")?, value("p1")?];
            match (is_fisheye, p) {
                (false, _) => Distortion::brown(k, p),
                (true, [0.0, 0.0]) => Distortion::Fisheye { k },
                (true, _) => Distortion::ThinPrismFisheye { k, p, s: [0.0; 2] },
            }
        },
    }
    .checked()?;
    let name = shown(node.attribute("label").unwrap_or_default());
    let mut neglected = Vec::new();
    if value("p3")? != 0.0 || value("p4")? != 0.0 {
        neglected.push(format!(
            "the lens of {name} has the coefficients P3 and P4, which are not supported; it is straightened without them"
        ));
    }
    let sheared = (value("b2")? * 0.5 * f64::from(height) / f).abs();
    if sheared > SHEAR_PIXELS {
        neglected.push(format!(
            "the pixels of {name} are sheared (B2), which is not supported: up to {sheared:.1} pixels are neglected"
        ));
    }
    Ok(Sensor { lens, neglected })
}

fn attribute(node: Node<'_, '_>, name: &str) -> String {
    node.attribute(name).unwrap_or_default().to_owned()
}

fn children<'a, 'input: 'a>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children()
        .filter(move |child| child.has_tag_name(name))
}

fn child<'a, 'input: 'a>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// The `N` finite numbers in a node, and nothing else.
fn numbers<const N: usize>(node: Node<'_, '_>) -> Option<[f64; N]> {
    let mut values = [0.0; N];
    let mut words = node.text()?.split_ascii_whitespace();
    for value in &mut values {
        *value = words.next()?.parse().ok().filter(|v: &f64| v.is_finite())?;
    }
    words.next().is_none().then_some(values)
}
