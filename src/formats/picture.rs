//! Single pictures: photos in whatever format a capture has, PNG for people, float EXR for exact comparison.

use super::atomic::write_atomic;
use crate::scene::{FloatImage, Photo};
use crate::{Error, Result};
use image::codecs::{openexr::OpenExrEncoder, png::PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageReader};
use std::io::{Cursor, Write};
use std::path::Path;

/// A PNG or JPEG file as an 8-bit picture; the format is told by the content, not by the name. Transparent pixels are
/// composited over `background` (RGB in [0, 1]).
///
/// # Errors
/// The file is missing, or is not a picture that can be decoded.
pub fn read_photo(path: &Path, background: [f32; 3]) -> Result<Photo> {
    read_photo_with_alpha(path, background).map(|(photo, _)| photo)
}

/// As [`read_photo`], with the opacity as a grey picture where there is transparency.
///
/// # Errors
/// As [`read_photo`].
pub fn read_photo_with_alpha(path: &Path, background: [f32; 3]) -> Result<(Photo, Option<Photo>)> {
    let picture = decode(path)?;
    let (width, height) = (picture.width(), picture.height());
    if !picture.color().has_alpha() {
        let photo = Photo::new(width, height, picture.into_rgb8().into_raw());
        return Ok((photo, None));
    }
    let rgba = picture.into_rgba8();
    let background = background.map(|v| f32::from(to_byte(v)));
    let rgb = rgba
        .as_raw()
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|&[r, g, b, a]| {
            let alpha = f32::from(a) / 255.0;
            let over = |front: u8, back: f32| {
                (f32::from(front) * alpha + back * (1.0 - alpha)).round() as u8
            };
            [
                over(r, background[0]),
                over(g, background[1]),
                over(b, background[2]),
            ]
        })
        .collect();
    let pixels = rgba.as_raw().as_chunks::<4>().0;
    let alpha = pixels.iter().any(|p| p[3] < 255).then(|| {
        let grey = pixels.iter().flat_map(|p| [p[3]; 3]).collect();
        Photo::new(width, height, grey)
    });
    Ok((Photo::new(width, height, rgb), alpha))
}

/// A mask as `(width, height, one byte a pixel)`: 255 where the picture is at least half white, else 0.
///
/// # Errors
/// As [`read_photo`].
pub fn read_mask(path: &Path) -> Result<(u32, u32, Vec<u8>)> {
    let grey = decode(path)?.into_luma8();
    let (width, height) = grey.dimensions();
    let mut mask = grey.into_raw();
    for v in &mut mask {
        *v = if *v >= 128 { 255 } else { 0 };
    }
    Ok((width, height, mask))
}

/// Width and height, from the file's header only.
///
/// # Errors
/// The file is missing, or is not a picture.
pub fn read_size(path: &Path) -> Result<(u32, u32)> {
    open(path)?
        .into_dimensions()
        .map_err(|e| Error::file(path, format!("is not a readable picture: {e}")))
}

/// # Errors
/// The file cannot be written; one that was there before stays as it was.
pub fn write_png(path: &Path, photo: &Photo) -> Result<()> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(
            &photo.rgb,
            photo.width,
            photo.height,
            ExtendedColorType::Rgb8,
        )
        .map_err(|e| Error::file(path, format!("could not be encoded: {e}")))?;
    write_atomic(path, |out: &mut dyn Write| out.write_all(&bytes))
}

/// `rgba`: `[height, width, 4]` with straight alpha.
///
/// # Errors
/// As [`write_png`].
pub fn write_rgba_png(path: &Path, width: u32, height: u32, rgba: &[u8]) -> Result<()> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(rgba, width, height, ExtendedColorType::Rgba8)
        .map_err(|e| Error::file(path, format!("could not be encoded: {e}")))?;
    write_atomic(path, |out: &mut dyn Write| out.write_all(&bytes))
}

/// The values as they are, 32-bit float RGB.
///
/// # Errors
/// The file cannot be written; one that was there before stays as it was.
pub fn write_exr(path: &Path, picture: &FloatImage) -> Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    OpenExrEncoder::new(&mut bytes)
        .write_image(
            bytemuck::cast_slice(&picture.rgb),
            picture.width,
            picture.height,
            ExtendedColorType::Rgb32F,
        )
        .map_err(|e| Error::file(path, format!("could not be encoded: {e}")))?;
    write_atomic(path, |out: &mut dyn Write| out.write_all(bytes.get_ref()))
}

fn to_byte(v: f32) -> u8 {
    (v.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn open(path: &Path) -> Result<ImageReader<std::io::BufReader<std::fs::File>>> {
    ImageReader::open(path)
        .map_err(Error::io(path))?
        .with_guessed_format()
        .map_err(Error::io(path))
}

fn decode(path: &Path) -> Result<DynamicImage> {
    open(path)?
        .decode()
        .map_err(|e| Error::file(path, format!("is not a readable picture: {e}")))
}
