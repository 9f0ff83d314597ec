//! Single pictures: photos in whatever format a capture has, PNG for people, float EXR for exact comparison.
//!
//! Everything inside is eight bits of sRGB. 16-bit PNGs are rounded to it; EXR holds light (OpenEXR's documentation), which
//! goes through sRGB's curve and is cut at white. The EXR files that [`write_exr`] writes hold a render's values as they
//! are, which are sRGB already.

use super::atomic::write_atomic;
use super::files::{self, Source};
use crate::scene::{FloatImage, Photo};
use crate::{Error, Result};
use image::codecs::{openexr::OpenExrEncoder, png::PngEncoder};
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageReader, Limits,
    RgbImage, RgbaImage,
};
use image_webp::WebPDecoder;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::Path;

/// A PNG or JPEG of one color is packed about a thousandfold. What a header claims beyond this many times the file, and this
/// many bytes more, is not believed, so that a damaged or hostile file does not fill the memory: that refuses a blank
/// lossless WebP of more than the slack, too, which takes no bytes at any size.
const UNPACKED_RATIO: u64 = 1000;
const UNPACKED_SLACK: u64 = 64 << 20;

/// A decoded picture, its pixels as they lie in the file.
pub struct Picture {
    pixels: DynamicImage,
    orientation: Orientation,
}

impl Picture {
    /// # Errors
    /// The file is missing, or is not a picture that can be decoded.
    pub fn read(path: &Path) -> Result<Self> {
        let mut decoder = match Coded::open(path)? {
            Coded::WebP(decoder) => return from_webp(path, decoder),
            Coded::Other(decoder) => decoder,
        };
        let unreadable = |e: ImageError| unreadable(path, e);
        Limits::default()
            .reserve(decoder.total_bytes())
            .map_err(unreadable)?;
        // Damaged EXIF data says nothing about the pixels.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Self {
            pixels: DynamicImage::from_decoder(decoder).map_err(unreadable)?,
            orientation,
        })
    }

    /// Width and height in the file.
    pub fn size(&self) -> (u32, u32) {
        (self.pixels.width(), self.pixels.height())
    }

    /// Whether it lies on its side in the file: width and height swap when it is put upright.
    pub fn lies(&self) -> bool {
        matches!(
            self.orientation,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        )
    }

    /// Whether its values are amounts of light, which [`Picture::into_photo`] makes sRGB.
    pub fn is_linear(&self) -> bool {
        matches!(
            self.pixels,
            DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)
        )
    }

    /// Turned and mirrored as its EXIF orientation says.
    #[must_use]
    pub fn upright(mut self) -> Self {
        self.pixels.apply_orientation(self.orientation);
        self.orientation = Orientation::NoTransforms;
        self
    }

    /// Eight bits, transparent pixels over `background` (RGB in [0, 1]); and the opacity as a grey picture where there is
    /// transparency. Light brighter than 1 is white.
    pub fn into_photo(self, background: [f32; 3]) -> (Photo, Option<Photo>) {
        let (width, height) = self.size();
        let is_linear = self.is_linear();
        if !self.pixels.color().has_alpha() {
            let rgb = if is_linear {
                let light = self.pixels.into_rgb32f().into_raw();
                light.into_iter().map(srgb_byte).collect()
            } else {
                self.pixels.into_rgb8().into_raw()
            };
            return (Photo::new(width, height, rgb), None);
        }
        let rgba = if is_linear {
            straight_srgb(&self.pixels.into_rgba32f().into_raw())
        } else {
            self.pixels.into_rgba8().into_raw()
        };
        let pixels = rgba.as_chunks::<4>().0;
        let background = background.map(|v| f32::from(to_byte(v)));
        let rgb = pixels
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
        let alpha = pixels.iter().any(|p| p[3] < 255).then(|| {
            let grey = pixels.iter().flat_map(|p| [p[3]; 3]).collect();
            Photo::new(width, height, grey)
        });
        (Photo::new(width, height, rgb), alpha)
    }
}

/// A picture as a person sees it: upright, eight bits, transparent pixels over `background` (RGB in [0, 1]). The format is
/// told by the content, not by the name.
///
/// # Errors
/// As [`Picture::read`].
pub fn read_photo(path: &Path, background: [f32; 3]) -> Result<Photo> {
    let picture = Picture::read(path)?.upright();
    Ok(picture.into_photo(background).0)
}

/// A mask as `(width, height, one byte a pixel)`: 255 where the picture is at least half white, else 0.
///
/// # Errors
/// As [`Picture::read`].
pub fn read_mask(path: &Path) -> Result<(u32, u32, Vec<u8>)> {
    let grey = Picture::read(path)?.pixels.into_luma8();
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
    Ok(match Coded::open(path)? {
        Coded::WebP(decoder) => decoder.dimensions(),
        Coded::Other(decoder) => decoder.dimensions(),
    })
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

/// Counts of a depth picture a unit of the capture: nerfstudio's `depth_unit_scale_factor` is the inverse, its default.
const DEPTH_COUNTS: f64 = 1000.0;
/// The farthest that a depth picture can say, units of the capture.
pub const MOST_DEPTH: f64 = u16::MAX as f64 / DEPTH_COUNTS;

/// Depths as nerfstudio reads them (`depth_file_path`): one channel of sixteen bits, thousandths of the capture's unit, 0
/// where there is nothing. `depths`: red is camera z in world units, of which a unit of the capture has `scale`. Returns how
/// many pixels are farther than [`MOST_DEPTH`], which they get.
///
/// # Errors
/// As [`write_png`].
pub fn write_depth_png(path: &Path, depths: &FloatImage, scale: f64) -> Result<usize> {
    let mut too_far = 0;
    let mut counts: Vec<u16> = Vec::with_capacity(depths.rgb.len() / 3);
    for pixel in depths.rgb.as_chunks::<3>().0 {
        let count = (f64::from(pixel[0]) / scale * DEPTH_COUNTS).round();
        too_far += usize::from(count > f64::from(u16::MAX));
        // Saturates.
        counts.push(count as u16);
    }
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(
            bytemuck::cast_slice(&counts),
            depths.width,
            depths.height,
            ExtendedColorType::L16,
        )
        .map_err(|e| Error::file(path, format!("could not be encoded: {e}")))?;
    write_atomic(path, |out: &mut dyn Write| out.write_all(&bytes))?;
    Ok(too_far)
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

/// The sRGB byte of an amount of light; 1 is white.
fn srgb_byte(light: f32) -> u8 {
    let light = light.clamp(0.0, 1.0);
    to_byte(if light <= 0.003_130_8 {
        12.92 * light
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    })
}

/// OpenEXR's light, which has been multiplied by its alpha, as sRGB bytes that have not.
fn straight_srgb(rgba: &[f32]) -> Vec<u8> {
    let pixels = rgba.as_chunks::<4>().0.iter();
    pixels
        .flat_map(|&[r, g, b, a]| {
            let straight = |light: f32| srgb_byte(if a > 0.0 { light / a } else { light });
            [straight(r), straight(g), straight(b), to_byte(a)]
        })
        .collect()
}

fn unreadable(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::file(path, format!("is not a readable picture: {problem}"))
}

/// A picture of which the header was read.
enum Coded {
    WebP(WebPDecoder<Box<dyn Source>>),
    Other(Box<dyn ImageDecoder>),
}

impl Coded {
    fn open(path: &Path) -> Result<Self> {
        let mut file = files::open(path)?;
        let head = file.fill_buf().map_err(Error::io(path))?;
        if let Some(name) = foreign(head) {
            return Err(Error::file(
                path,
                format!(
                    "is a {name} picture, which is not read: save it as JPEG, PNG, WebP or EXR"
                ),
            ));
        }
        let is_webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
        let len = file.seek(SeekFrom::End(0)).map_err(Error::io(path))?;
        if is_webp {
            let frame = largest_vp8_frame(&mut file).map_err(Error::io(path))?;
            file.rewind().map_err(Error::io(path))?;
            let mut decoder = WebPDecoder::new(file).map_err(|e| unreadable(path, e))?;
            let (width, height) = decoder.dimensions();
            if frame.0 > width || frame.1 > height {
                return Err(unreadable(path, "a frame of it is larger than the picture"));
            }
            let bytes = decoder.output_buffer_size().unwrap_or(usize::MAX);
            check_claim(path, (width, height), bytes as u64, len)?;
            decoder.set_memory_limit(usize::try_from(len).unwrap_or(usize::MAX));
            return Ok(Self::WebP(decoder));
        }
        file.rewind().map_err(Error::io(path))?;
        let reader = ImageReader::new(file)
            .with_guessed_format()
            .map_err(Error::io(path))?;
        let decoder = reader.into_decoder().map_err(|e| unreadable(path, e))?;
        check_claim(path, decoder.dimensions(), decoder.total_bytes(), len)?;
        Ok(Self::Other(Box::new(decoder)))
    }
}

/// Whether `bytes` of pixels may come of a file of `len` bytes.
fn check_claim(path: &Path, (width, height): (u32, u32), bytes: u64, len: u64) -> Result<()> {
    let most = len
        .saturating_mul(UNPACKED_RATIO)
        .saturating_add(UNPACKED_SLACK);
    if bytes <= most {
        return Ok(());
    }
    Err(unreadable(
        path,
        format_args!("it claims {width} x {height} pixels, which its {len} bytes do not hold"),
    ))
}

/// Width and height of the largest lossy frame, which the decoder makes room for before it compares them with the
/// picture's. 0 where there is none.
fn largest_vp8_frame(file: &mut dyn Source) -> std::io::Result<(u32, u32)> {
    /// Of an animation's frame, before the chunks within.
    const FRAME_HEADER: u64 = 16;
    let mut largest = (0, 0);
    file.seek(SeekFrom::Start(12))?;
    // Chunks are walked as the decoder walks them; a file that ends within one ends the walk.
    let mut chunk = [0; 18];
    loop {
        let mut read = 0;
        while read < chunk.len() {
            match file.read(&mut chunk[read..])? {
                0 => break,
                more => read += more,
            }
        }
        if read < 8 {
            return Ok(largest);
        }
        let size = u64::from(u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]));
        if &chunk[..4] == b"VP8 " && read == chunk.len() {
            let side =
                |at: usize| u32::from(u16::from_le_bytes([chunk[at], chunk[at + 1]])) & 0x3fff;
            largest = (largest.0.max(side(14)), largest.1.max(side(16)));
        }
        let next = 8 + match &chunk[..4] {
            b"ANMF" => FRAME_HEADER,
            _ => size + size % 2,
        };
        // Within what is in memory, that is no read of its own.
        file.seek_relative(next as i64 - read as i64)?;
    }
}

fn from_webp(path: &Path, mut decoder: WebPDecoder<Box<dyn Source>>) -> Result<Picture> {
    let unreadable = |problem: &dyn std::fmt::Display| unreadable(path, problem);
    let len = decoder.output_buffer_size().unwrap_or(usize::MAX);
    Limits::default()
        .reserve(len as u64)
        .map_err(|e| unreadable(&e))?;
    let mut bytes = vec![0; len];
    decoder.read_image(&mut bytes).map_err(|e| unreadable(&e))?;
    let exif = decoder.exif_metadata().ok().flatten();
    let (width, height) = decoder.dimensions();
    let pixels = if decoder.has_alpha() {
        RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, bytes).map(DynamicImage::from)
    };
    Ok(Picture {
        pixels: pixels.ok_or_else(|| unreadable(&"its pixels do not fill it"))?,
        orientation: exif
            .and_then(|exif| Orientation::from_exif_chunk(&exif))
            .unwrap_or(Orientation::NoTransforms),
    })
}

/// What people also have, and what no decoder here reads.
fn foreign(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"II*\0") || head.starts_with(b"MM\0*") {
        return Some("TIFF or raw");
    }
    match head.get(4..12)? {
        b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypmsf1" | b"ftyphevc" => Some("HEIC"),
        b"ftypavif" => Some("AVIF"),
        _ => None,
    }
}
