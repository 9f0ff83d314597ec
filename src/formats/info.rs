//! What a file or folder holds, told without decoding photos: the answer to "is this the capture I think it is?".

use super::capture::{Capture, Frame};
use super::distortion::{Distortion, Lens};
use super::nerfstudio::Model;
use super::splats::SplatFormat;
use crate::scene::DatasetKind;
use glam::DVec3;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// An axis-aligned box in the frame of the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    pub min: DVec3,
    pub max: DVec3,
}

/// Frames that share a lens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LensGroup {
    pub frames: usize,
    /// As the capture has it, at full resolution.
    #[serde(flatten)]
    pub lens: Lens,
}

/// A capture in the frame of its files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaptureInfo {
    pub path: PathBuf,
    pub kind: DatasetKind,
    pub listed_frames: usize,
    pub usable_frames: usize,
    pub missing: Vec<String>,
    pub lenses: Vec<LensGroup>,
    /// Of the camera centres.
    pub camera_bounds: Option<Bounds>,
    pub points: usize,
    pub point_bounds: Option<Bounds>,
    /// How much smaller the photos are loaded when nobody says.
    pub downscale: u32,
    pub masks: usize,
    pub warnings: Vec<String>,
}

/// A splat scene.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplatInfo {
    pub path: PathBuf,
    pub format: SplatFormat,
    pub splats: usize,
    pub sh_degree: u32,
    pub bounds: Option<Bounds>,
}

/// A point cloud.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointInfo {
    pub path: PathBuf,
    pub points: usize,
    pub bounds: Option<Bounds>,
}

/// A neural field of nerfstudio's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LuxenInfo {
    pub path: PathBuf,
    /// Steps that it was trained for.
    pub steps: i64,
    pub parameters: usize,
    /// Photos that it was trained on.
    pub views: usize,
    /// Whether the run's config.yml is with it.
    pub has_config: bool,
}

impl LuxenInfo {
    pub(super) fn of(model: &Model) -> Self {
        let parameters = model
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with("field.") || name.contains(".mlp_base."));
        let embedding = model
            .tensors
            .get("field.embedding_appearance.embedding.weight");
        Self {
            path: model.path.clone(),
            steps: model.step + 1,
            parameters: parameters.map(|(_, t)| t.data.len()).sum(),
            views: embedding
                .and_then(|t| t.shape.first())
                .copied()
                .unwrap_or(0),
            has_config: model.options.is_some(),
        }
    }
}

/// What [`super::inspect`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Info {
    Capture(CaptureInfo),
    Splats(SplatInfo),
    PointCloud(PointInfo),
    Luxen(LuxenInfo),
}

impl Bounds {
    /// Of the finite points; `None` without any.
    pub fn of(points: impl IntoIterator<Item = DVec3>) -> Option<Self> {
        points
            .into_iter()
            .filter(|p| p.is_finite())
            .fold(None, |bounds, p| {
                Some(match bounds {
                    None => Self { min: p, max: p },
                    Some(Self { min, max }) => Self {
                        min: min.min(p),
                        max: max.max(p),
                    },
                })
            })
    }
}

impl CaptureInfo {
    pub(super) fn of(capture: Capture) -> Self {
        let Capture {
            kind,
            source,
            frames,
            listed,
            missing,
            points,
            downscale,
            normalize: _,
            applied: _,
            background: _,
            up: _,
            split: _,
            warnings,
        } = capture;
        let mut lenses: Vec<LensGroup> = Vec::new();
        for frame in &frames {
            match lenses.iter_mut().find(|group| group.lens == frame.lens) {
                Some(group) => group.frames += 1,
                None => lenses.push(LensGroup {
                    frames: 1,
                    lens: frame.lens,
                }),
            }
        }
        let centre = |frame: &Frame| frame.world_to_camera.inverse().w_axis.truncate();
        let points = points.map_or_else(Vec::new, |cloud| cloud.positions);
        Self {
            path: source,
            kind,
            listed_frames: listed,
            usable_frames: frames.len(),
            missing,
            lenses,
            camera_bounds: Bounds::of(frames.iter().map(centre)),
            points: points.len(),
            point_bounds: Bounds::of(points),
            downscale,
            masks: frames.iter().filter(|f| f.mask_path.is_some()).count(),
            warnings,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max } = self;
        write!(
            f,
            "{:.4} {:.4} {:.4} to {:.4} {:.4} {:.4}",
            min.x, min.y, min.z, max.x, max.y, max.z
        )
    }
}

impl fmt::Display for LensGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let k = &self.lens.intrinsics;
        write!(
            f,
            "{} frames of {}x{}, focal length {} {}, principal point {} {}, ",
            self.frames, k.width, k.height, k.fx, k.fy, k.cx, k.cy
        )?;
        let list = |values: &[f64]| {
            let words: Vec<String> = values.iter().map(f64::to_string).collect();
            words.join(" ")
        };
        match self.lens.distortion {
            Distortion::None => write!(f, "no distortion"),
            Distortion::Brown { k, p } => write!(f, "distortion k {} p {}", list(&k), list(&p)),
            Distortion::Rational { k, p } => {
                write!(f, "rational distortion k {} p {}", list(&k), list(&p))
            }
            Distortion::Fisheye { k } => write!(f, "fisheye k {}", list(&k)),
            Distortion::ThinPrismFisheye { k, p, s } => write!(
                f,
                "thin-prism fisheye k {} p {} s {}",
                list(&k),
                list(&p),
                list(&s)
            ),
            Distortion::RadTanThinPrismFisheye { k, p, s } => write!(
                f,
                "thin-prism fisheye k {} p {} s {}",
                list(&k),
                list(&p),
                list(&s)
            ),
            Distortion::FieldOfView { omega } => write!(f, "field-of-view distortion ω {omega}"),
            Distortion::Division { k } => write!(f, "division distortion k {k}"),
        }
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(info) => info.fmt(f),
            Self::Splats(SplatInfo {
                path,
                format,
                splats,
                sh_degree,
                bounds,
            }) => {
                writeln!(f, "{}: splat scene, {}", path.display(), format.name())?;
                writeln!(f, "  splats   {splats}")?;
                writeln!(f, "  SH       degree {sh_degree}")?;
                write_bounds(f, "bounds", *bounds)
            }
            Self::PointCloud(PointInfo {
                path,
                points,
                bounds,
            }) => {
                writeln!(f, "{}: point cloud", path.display())?;
                writeln!(f, "  points   {points}")?;
                write_bounds(f, "bounds", *bounds)
            }
            Self::Luxen(LuxenInfo {
                path,
                steps,
                parameters,
                views,
                has_config,
            }) => {
                writeln!(f, "{}: neural radiance field, nerfacto", path.display())?;
                writeln!(f, "  steps    {steps}")?;
                writeln!(f, "  size     {parameters} parameters")?;
                writeln!(f, "  photos   {views}")?;
                let config = if *has_config {
                    "config.yml"
                } else {
                    "none found"
                };
                writeln!(f, "  config   {config}")
            }
        }
    }
}

impl fmt::Display for CaptureInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More kinds of lenses than this are counted, not listed.
        const LENSES_SHOWN: usize = 8;
        let Self {
            path,
            kind,
            listed_frames,
            usable_frames,
            missing,
            lenses,
            camera_bounds,
            points,
            point_bounds,
            downscale,
            masks,
            warnings,
        } = self;
        let kind = match kind {
            DatasetKind::Colmap => "COLMAP",
            DatasetKind::Nerfstudio => "nerfstudio / instant-ngp",
            DatasetKind::Blender => "Blender",
            DatasetKind::Llff => "LLFF",
            DatasetKind::Metashape => "Metashape",
            DatasetKind::RealityCapture => "RealityCapture",
        };
        writeln!(f, "{}: {kind} capture", path.display())?;
        writeln!(
            f,
            "  frames   {usable_frames} usable of {listed_frames} listed"
        )?;
        if !missing.is_empty() {
            writeln!(f, "  missing  {}: {}", missing.len(), missing.join(", "))?;
        }
        for group in lenses.iter().take(LENSES_SHOWN) {
            writeln!(f, "  lens     {group}")?;
        }
        if lenses.len() > LENSES_SHOWN {
            writeln!(f, "  lens     … and {} more", lenses.len() - LENSES_SHOWN)?;
        }
        if *masks > 0 {
            writeln!(f, "  masks    {masks}")?;
        }
        if *downscale > 1 {
            writeln!(
                f,
                "  photos   loaded {downscale} times smaller unless told otherwise"
            )?;
        }
        write_bounds(f, "cameras", *camera_bounds)?;
        writeln!(f, "  points   {points}")?;
        if *points > 0 {
            write_bounds(f, "bounds", *point_bounds)?;
        }
        for warning in warnings {
            writeln!(f, "  warning  {warning}")?;
        }
        Ok(())
    }
}

fn write_bounds(f: &mut fmt::Formatter<'_>, name: &str, bounds: Option<Bounds>) -> fmt::Result {
    match bounds {
        Some(bounds) => writeln!(f, "  {name:<8} {bounds}"),
        None => writeln!(f, "  {name:<8} none"),
    }
}
