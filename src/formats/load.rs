//! From a capture to a dataset: decode, shrink, straighten, normalize, split. Decoding is most of the time, so photos are
//! done in parallel, and each is straightened by the thread that has it in its cache.

use super::LoadOptions;
use super::capture::{Capture, Frame, Role};
use super::distortion::Lens;
use super::picture::{Picture, read_mask};
use super::undistort::{straighten_mask, straighten_photo};
use crate::error::Cancel;
use crate::scene::{Camera, Dataset, Intrinsics, Photo, PointCloud, Split, View, WorldFromFile};
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sides may differ from the listed ones by this much and still be the same picture, rounded otherwise.
const ROUNDING: f64 = 1.0;
/// Relative difference of the aspect ratios up to which a photo of another size is the same picture, resized.
const ASPECT_TOLERANCE: f64 = 0.01;

/// Load every photo of `capture`. `progress` is called with (done, total), from several threads.
///
/// # Errors
/// A photo that cannot be decoded or does not fit its camera; [`Error::Cancelled`].
pub fn load(
    mut capture: Capture,
    opened: &Path,
    options: &LoadOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
    cancel: &Cancel,
) -> Result<Dataset> {
    capture.normalize = options.normalize.unwrap_or(capture.normalize);
    let world_from_file = capture.world_from_file(options.frame.as_ref())?;
    let Capture {
        kind,
        source: _,
        frames,
        listed,
        missing,
        points,
        downscale,
        normalize: _,
        applied,
        background,
        up,
        split,
        mut warnings,
    } = capture;
    let split = divide(&frames, options.split, split)?;
    let background = options.background.unwrap_or(background);
    let total = frames.len();
    let done = AtomicUsize::new(0);
    let repairs = Repairs::default();
    progress(0, total);
    let views = frames
        .par_iter()
        .map(|frame| {
            cancel.check()?;
            let view = load_view(frame, downscale, background, &world_from_file, &repairs)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok(view)
        })
        .collect::<Result<Vec<View>>>()?;
    repairs.tell(total, &mut warnings);
    Ok(Dataset {
        source: opened.to_owned(),
        kind,
        views,
        split,
        points: points.map(|cloud| normalized(cloud, &world_from_file, &mut warnings)),
        world_from_file,
        applied_scale: applied.map_or(1.0, |applied| applied.scale),
        background,
        up: up.map(|up| {
            let turned = world_from_file.rotation_translation.transform_vector3(up);
            turned.normalize_or(glam::DVec3::Z)
        }),
        missing,
        warnings,
        listed,
    })
}

/// The person's choice, else the capture's own lists, else the format's rule.
fn divide(
    frames: &[Frame],
    chosen: Option<super::EvalSplit>,
    default: super::EvalSplit,
) -> Result<Split> {
    if chosen.is_none() && frames.iter().any(|frame| frame.role.is_some()) {
        let of = |role| {
            (0..frames.len())
                .filter(|&i| frames[i].role == Some(role))
                .collect()
        };
        return Ok(Split {
            train: of(Role::Train),
            eval: of(Role::Eval),
        });
    }
    let names: Vec<&str> = frames.iter().map(|frame| frame.name.as_str()).collect();
    chosen.unwrap_or(default).split(&names)
}

fn normalized(
    cloud: PointCloud,
    world_from_file: &WorldFromFile,
    warnings: &mut Vec<String>,
) -> PointCloud {
    let listed = cloud.positions.len();
    let (positions, colors): (Vec<_>, Vec<_>) = cloud
        .positions
        .into_iter()
        .zip(cloud.colors)
        .filter(|(position, _)| position.is_finite())
        .map(|(position, color)| (world_from_file.point(position), color))
        .unzip();
    if positions.len() < listed {
        warnings.push(format!(
            "{} of {listed} points have coordinates that are not finite numbers; they were left out",
            listed - positions.len()
        ));
    }
    PointCloud { positions, colors }
}

fn load_view(
    frame: &Frame,
    downscale: u32,
    background: [f32; 3],
    world_from_file: &WorldFromFile,
    repairs: &Repairs,
) -> Result<View> {
    let SizedPhoto { photo, alpha, lens } = photo_with_lens(frame, downscale, background, repairs)?;
    let straight = lens.straightened().ok_or_else(|| {
        Error::file(
            &frame.image_path,
            "cannot be straightened: with this distortion no rectangle around the principal point is left of it",
        )
    })?;
    let straightened = |photo: Photo| {
        if straight == lens.intrinsics {
            photo
        } else {
            straighten_photo(&photo, &lens, &straight)
        }
    };
    let alpha = alpha.map(|grey| straightened(grey).rgb.iter().step_by(3).copied().collect());
    let photo = straightened(photo);
    let mask = match &frame.mask_path {
        Some(path) => Some(straighten_mask(&read_mask(path)?, &lens, &straight).into()),
        None => None,
    };
    let camera = Camera {
        world_to_camera: world_from_file.world_to_camera(frame.world_to_camera),
        intrinsics: straight,
    };
    Ok(View {
        name: frame.name.clone(),
        image_path: frame.image_path.clone(),
        camera,
        photo,
        alpha,
        mask,
    })
}

/// How many photos were not what their cameras say, and what was done.
#[derive(Default)]
struct Repairs {
    resized: AtomicUsize,
    turned: AtomicUsize,
    linear: AtomicUsize,
}

impl Repairs {
    fn count(counter: &AtomicUsize, was_done: bool) {
        counter.fetch_add(usize::from(was_done), Ordering::Relaxed);
    }

    fn tell(self, total: usize, warnings: &mut Vec<String>) {
        let Self {
            resized,
            turned,
            linear,
        } = self;
        let told = [
            (
                resized,
                "photos have another size than their camera says; the intrinsics were scaled",
            ),
            (
                turned,
                "photos lie on their side in their files, and their cameras do not; they were turned as their EXIF \
                 orientation says",
            ),
            (
                linear,
                "photos hold light (EXR); they were made sRGB, and what is brighter than white is white",
            ),
        ];
        for (counter, what) in told {
            let count = counter.into_inner();
            if count > 0 {
                warnings.push(format!("{count} of {total} {what}"));
            }
        }
    }
}

/// A photo at the resolution asked for.
struct SizedPhoto {
    photo: Photo,
    /// Grey; `None`: opaque.
    alpha: Option<Photo>,
    /// At that resolution.
    lens: Lens,
}

fn photo_with_lens(
    frame: &Frame,
    downscale: u32,
    background: [f32; 3],
    repairs: &Repairs,
) -> Result<SizedPhoto> {
    let mut picture = Picture::read(&frame.image_path)?;
    let on_disk = if frame.shrink { 1 } else { downscale };
    // Poses are of the pixels as they lie in the file, for COLMAP and for nerfstudio. Where those do not fit the camera,
    // the tool that found the poses has seen the photo upright.
    let fitted = match fit(frame, on_disk, picture.size()) {
        Err(misfit) if picture.lies() => {
            picture = picture.upright();
            Repairs::count(&repairs.turned, true);
            fit(frame, on_disk, picture.size()).map_err(|_| misfit)
        }
        fitted => fitted,
    };
    let (intrinsics, was_resized) = fitted?;
    Repairs::count(&repairs.resized, was_resized);
    Repairs::count(&repairs.linear, picture.is_linear());
    let (photo, alpha) = picture.into_photo(background);
    let lens = frame.lens.with_intrinsics(intrinsics);
    if !frame.shrink {
        return Ok(SizedPhoto { photo, alpha, lens });
    }
    Ok(SizedPhoto {
        photo: photo.downscaled(downscale),
        alpha: alpha.map(|grey| grey.downscaled(downscale)),
        lens: lens.with_intrinsics(intrinsics.downscaled(downscale)),
    })
}

/// The frame's intrinsics, `divisor` times smaller, for a photo of this size.
fn fit(frame: &Frame, divisor: u32, (width, height): (u32, u32)) -> Result<(Intrinsics, bool)> {
    let listed = frame.lens.intrinsics;
    let expected = Intrinsics {
        width,
        height,
        ..listed.downscaled(divisor)
    };
    let sides = [(width, listed.width), (height, listed.height)]
        .map(|(have, want)| (f64::from(have), f64::from(want) / f64::from(divisor)));
    if divisor == 1 && (width, height) == (listed.width, listed.height) {
        return Ok((listed, false));
    }
    if divisor > 1
        && sides
            .iter()
            .all(|(have, want)| (have - want).abs() <= ROUNDING)
    {
        return Ok((expected, false));
    }
    let ratio = (sides[0].0 / sides[0].1) / (sides[1].0 / sides[1].1);
    if (ratio - 1.0).abs() <= ASPECT_TOLERANCE {
        return Ok((listed.resized(width, height), true));
    }
    Err(Error::file(
        &frame.image_path,
        format!(
            "is {width}x{height}, but its camera is {}x{}: it is another picture, or a rotated one",
            listed.width, listed.height
        ),
    ))
}
