//! The surface that pictures with depths show together, as a mesh. Depths are fused to a truncated signed distance (Curless &
//! Levoy 1996) instead of cutting a field's density at some value: a field's density says how opaque a place is, which
//! differs from surface to surface, is noise where nothing was seen, and is nothing that splats have; where a picture's
//! light stops is what training got right.
//!
//! Where the background is known, what no picture saw as empty counts as inside, and the box is empty at its border: the
//! surface is closed, and has a volume. In an open scene the unseen is unknown, and the surface ends there.

use super::{DepthView, marching_cubes::Grid};
use crate::{Error, Result, error::Cancel, scene::Mesh};
use glam::{DMat4, DVec3};
use rayon::prelude::*;

/// Distances are told apart up to this many grid spacings.
const TRUNCATION: f64 = 3.0;
/// A place that pictures looked through is empty when at least this share of those whose light stopped before it did:
/// one ray that slips through a surface does not hollow it out.
const LEAST_FREE: f32 = 0.05;
/// Opacity from which a pixel has a surface.
const OPAQUE: u8 = 128;
/// A vertex is seen by pictures whose depth there is this near, spacings, and takes their colors; the more the more they
/// look at it head-on.
const SEEN_WITHIN: f64 = 2.0;
const LEAST_COSINE: f64 = 0.1;
/// Parts with less than this share of the largest part's triangles are dropped.
const SPECK: f64 = 0.01;

/// Where to look for a surface, and how finely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// World space.
    pub low: DVec3,
    pub high: DVec3,
    /// Spacings along the longest side.
    pub resolution: u32,
    /// Whether what is behind everything is known to be empty.
    pub is_closed: bool,
}

/// A camera's matrix and picture, ready to look places up in.
struct Lookup<'a> {
    view: &'a DepthView,
    camera_from_world: DMat4,
}

impl Lookup<'_> {
    /// Camera z of a place, and the pixel that shows it.
    fn pixel(&self, world: DVec3) -> Option<(f64, usize)> {
        let k = &self.view.camera.intrinsics;
        let p = self.camera_from_world.transform_point3(world);
        if p.z <= 0.0 {
            return None;
        }
        let (x, y) = (k.fx * p.x / p.z + k.cx, k.fy * p.y / p.z + k.cy);
        let inside = x >= 0.0 && y >= 0.0 && x < f64::from(k.width) && y < f64::from(k.height);
        inside.then(|| (p.z, y as usize * k.width as usize + x as usize))
    }
}

/// The surface in `region`, colored by the pictures. `progress` hears of each of 100 parts, from several threads.
///
/// # Errors
/// [`Error::Invalid`] for a region without extent or when no surface is in it, [`Error::Cancelled`].
pub fn surface(
    views: &[DepthView],
    region: &Region,
    progress: &(dyn Fn(usize, usize) + Sync),
    cancel: &Cancel,
) -> Result<Mesh> {
    let lookups: Vec<Lookup> = views
        .iter()
        .map(|view| Lookup {
            view,
            camera_from_world: view.camera.world_to_camera,
        })
        .collect();
    let grid = fuse(&lookups, region, progress, cancel)?;
    let mut mesh = grid.surface().without_specks(SPECK);
    if mesh.triangles.is_empty() {
        return Err(Error::invalid(
            "the pictures show no surface in the box: make it larger, or put it around the subject",
        ));
    }
    cancel.check()?;
    mesh.colors = colors(&mesh, &lookups, SEEN_WITHIN * grid.spacing);
    Ok(mesh)
}

fn fuse(
    lookups: &[Lookup],
    region: &Region,
    progress: &(dyn Fn(usize, usize) + Sync),
    cancel: &Cancel,
) -> Result<Grid> {
    let extent = region.high - region.low;
    if !(extent.min_element() > 0.0 && extent.is_finite()) {
        return Err(Error::invalid(
            "the box to look for a surface in has no extent",
        ));
    }
    let spacing = extent.max_element() / f64::from(region.resolution.max(1));
    // One corner beyond on either side, which is empty.
    let size = extent
        .to_array()
        .map(|side| (side / spacing).ceil() as usize + 3);
    let origin = region.low - spacing;
    let slice = size[0] * size[1];
    let mut values = vec![f32::NAN; slice * size[2]];
    let done = std::sync::atomic::AtomicUsize::new(0);
    values
        .par_chunks_mut(slice)
        .enumerate()
        .try_for_each(|(z, values)| {
            cancel.check()?;
            for (i, value) in values.iter_mut().enumerate() {
                let place = [i % size[0], i / size[0], z];
                let on_border = (0..3).any(|k| place[k] == 0 || place[k] + 1 == size[k]);
                let world = origin + DVec3::from_array(place.map(|v| v as f64)) * spacing;
                *value = match (on_border, region.is_closed) {
                    (true, true) => 1.0,
                    (true, false) => f32::NAN,
                    (false, _) => distance(lookups, world, TRUNCATION * spacing, region.is_closed),
                };
            }
            let done = 1 + done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            progress(done, size[2]);
            Ok::<(), Error>(())
        })?;
    Ok(Grid {
        origin,
        spacing,
        size,
        values,
    })
}

/// In truncation widths, from −1 (inside) to 1; not a number where nothing is known.
fn distance(lookups: &[Lookup], world: DVec3, truncation: f64, is_closed: bool) -> f32 {
    let (mut near, mut sum, mut free, mut behind) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
    for lookup in lookups {
        let Some((z, pixel)) = lookup.pixel(world) else {
            continue;
        };
        let depth = f64::from(lookup.view.depth[pixel]);
        if depth <= 0.0 {
            // Looked past everything, which means something only where nothing is behind everything.
            if is_closed && lookup.view.rgba[pixel][3] < OPAQUE {
                free += 1.0;
            }
            continue;
        }
        let signed = (depth - z) / truncation;
        if signed > 1.0 {
            free += 1.0;
        } else if signed < -1.0 {
            behind += 1.0;
        } else {
            near += 1.0;
            sum += signed as f32;
        }
    }
    if near > 0.0 {
        return (sum + free) / (near + free);
    }
    if free > 0.0 && free >= LEAST_FREE * (free + behind) {
        return 1.0;
    }
    match is_closed {
        true => -1.0,
        false if behind > 0.0 && free > 0.0 => -1.0,
        false => f32::NAN,
    }
}

/// The mean of what the pictures show where they see a vertex; of its neighbours where none does.
fn colors(mesh: &Mesh, lookups: &[Lookup], within: f64) -> Vec<[u8; 3]> {
    let normals = mesh.normals();
    let mut found: Vec<Option<DVec3>> = mesh
        .positions
        .par_iter()
        .zip(&normals)
        .map(|(position, normal)| {
            let world = DVec3::from_array(position.map(f64::from));
            let normal = DVec3::from_array(normal.map(f64::from));
            let (mut sum, mut weights) = (DVec3::ZERO, 0.0);
            for lookup in lookups {
                let Some((z, pixel)) = lookup.pixel(world) else {
                    continue;
                };
                let depth = f64::from(lookup.view.depth[pixel]);
                let towards = (lookup.view.camera.position() - world).normalize_or_zero();
                let cosine = towards.dot(normal);
                if depth <= 0.0 || (depth - z).abs() > within || cosine < LEAST_COSINE {
                    continue;
                }
                let [r, g, b, _] = lookup.view.rgba[pixel].map(f64::from);
                let weight = (cosine / z).powi(2);
                sum += weight * DVec3::new(r, g, b);
                weights += weight;
            }
            (weights > 0.0).then(|| sum / weights)
        })
        .collect();
    spread(&mut found, mesh);
    let byte = |v: f64| v.round().clamp(0.0, 255.0) as u8;
    found
        .into_iter()
        .map(|c| c.map_or([128; 3], |c| c.to_array().map(byte)))
        .collect()
}

/// Vertices that no picture sees take their neighbours' mean, ring by ring.
fn spread(colors: &mut [Option<DVec3>], mesh: &Mesh) {
    loop {
        let mut sums = vec![(DVec3::ZERO, 0u32); colors.len()];
        for &[a, b, c] in &mesh.triangles {
            for (from, to) in [(a, b), (b, c), (c, a), (b, a), (c, b), (a, c)] {
                if let (Some(color), None) = (colors[from as usize], colors[to as usize]) {
                    let (sum, n) = &mut sums[to as usize];
                    *sum += color;
                    *n += 1;
                }
            }
        }
        let mut changed = false;
        for (color, (sum, n)) in colors.iter_mut().zip(sums) {
            if n > 0 {
                *color = Some(sum / f64::from(n));
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// A box around most of `positions`, with a little room at its sides: a few strays must not make the grid coarse, nor what
/// lies unseen below a subject become a part of it.
pub fn region_of(positions: &[DVec3]) -> Option<[DVec3; 2]> {
    const STRAYS: f64 = 0.0005;
    const ROOM: f64 = 0.005;
    if positions.is_empty() {
        return None;
    }
    let axis = |k: usize| {
        let mut values: Vec<f64> = positions.iter().map(|p| p[k]).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        (at(STRAYS), at(1.0 - STRAYS))
    };
    let [x, y, z] = [0, 1, 2].map(axis);
    let (low, high) = (DVec3::new(x.0, y.0, z.0), DVec3::new(x.1, y.1, z.1));
    let room = ROOM * (high - low).max_element().max(1e-6);
    Some([low - room, high + room])
}
