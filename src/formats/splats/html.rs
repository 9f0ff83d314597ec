//! A page that shows a scene in any browser with WebGL 2 and asks no network for anything: our own small viewer with the
//! scene inside, as base64 of SPZ, which browsers can unpack themselves.

use super::{codec, spz};
use crate::Result;
use crate::scene::Splats;
use std::path::Path;

const PAGE: &str = include_str!("../../../assets/viewer/viewer.html");

/// The page. The camera looks at the median of the splats from a distance that shows most of them.
///
/// # Errors
/// As [`spz::encode`].
pub fn encode(path: &Path, splats: &Splats) -> Result<Vec<u8>> {
    let title = path
        .file_stem()
        .map_or_else(|| "Scene".into(), |name| name.to_string_lossy());
    let title: String = title
        .chars()
        .map(|c| {
            if matches!(c, '<' | '>' | '&' | '"' | '\'') {
                ' '
            } else {
                c
            }
        })
        .collect();
    let (center, radius) = visible_bounds(splats);
    let view = serde_json::json!({ "center": center, "radius": radius });
    let data = base64(&spz::encode(path, splats)?);
    let page = PAGE
        .replace("{{title}}", &title)
        .replace("{{view}}", &view.to_string())
        .replace("{{splats}}", &data);
    Ok(page.into_bytes())
}

/// Median place of the splats that are not nearly transparent, and how far 80 % of them reach.
fn visible_bounds(splats: &Splats) -> ([f32; 3], f32) {
    let mut center = [0.0; 3];
    let mut radius: f32 = 1e-3;
    for (axis, middle) in center.iter_mut().enumerate() {
        let opaque = splats
            .logit_opacities
            .iter()
            .map(|&v| codec::sigmoid(v) > 0.1);
        let mut values: Vec<f32> = splats
            .means
            .iter()
            .skip(axis)
            .step_by(3)
            .zip(opaque)
            .filter_map(|(&v, is_opaque)| is_opaque.then_some(v))
            .collect();
        if values.is_empty() {
            values.extend(splats.means.iter().skip(axis).step_by(3));
        }
        values.sort_by(f32::total_cmp);
        let at = |q: f64| {
            let index = (values.len().saturating_sub(1)) as f64 * q;
            values.get(index as usize).copied().unwrap_or(0.0)
        };
        *middle = at(0.5);
        radius = radius.max((at(0.9) - at(0.1)) / 2.0);
    }
    (center, radius)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(bits);
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}
