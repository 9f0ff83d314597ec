//! Photos. Their decoders are of others; what they may claim is checked here.

use crate::harness::{Attack, HEADER, peak_of, put, survive};
use crate::small_captures::{fixtures, ramp};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use luxedit::Result;
use luxedit::formats::picture::{Picture, read_mask, read_size, write_exr};
use luxedit::scene::FloatImage;
use std::path::Path;

const WIDTH: u32 = 40;
const HEIGHT: u32 = 30;

/// As [`Attack::memory`]: a picture of one color is packed a thousandfold. [`luxedit::formats::picture`] has the bound of
/// the pixels; decoders hold up to three times as much meanwhile.
const MEMORY: (usize, usize) = (3 * (64 << 20), 4000);

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("pictures").join(name)).unwrap()
}

fn png(kind: ExtendedColorType) -> Vec<u8> {
    let bits = usize::from(kind.bits_per_pixel());
    let pixels: Vec<u8> = (0..WIDTH as usize * HEIGHT as usize * bits / 8)
        .map(|i| (i * 7 % 251) as u8)
        .collect();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&pixels, WIDTH, HEIGHT, kind)
        .unwrap();
    bytes
}

fn jpeg() -> Vec<u8> {
    let photo = ramp(WIDTH, HEIGHT);
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([6, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 80);
    encoder.set_exif_metadata(exif).unwrap();
    encoder
        .write_image(&photo.rgb, WIDTH, HEIGHT, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// With metadata, which are pieces of their own.
fn lossless_webp() -> Vec<u8> {
    let photo = ramp(WIDTH, HEIGHT);
    let mut bytes = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut bytes);
    encoder.set_exif_metadata(b"MM\0*\0\0\0\x08\0\0".to_vec());
    encoder
        .encode(&photo.rgb, WIDTH, HEIGHT, image_webp::ColorType::Rgb8)
        .unwrap();
    bytes
}

fn exr() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.exr");
    let image = FloatImage {
        width: WIDTH,
        height: HEIGHT,
        rgb: (0..WIDTH * HEIGHT * 3).map(|i| i as f32 / 3600.0).collect(),
    };
    write_exr(&path, &image).unwrap();
    std::fs::read(&path).unwrap()
}

/// Everything that is done with the file of a photo.
fn read(path: &Path) -> Result<()> {
    let (width, height) = read_size(path)?;
    let picture = Picture::read(path)?;
    assert_eq!(picture.size(), (width, height));
    let (photo, alpha) = picture.upright().into_photo([0.0; 3]);
    let len = width as usize * height as usize * 3;
    assert!(photo.rgb.len() == len && alpha.is_none_or(|a| a.rgb.len() == len));
    Ok(())
}

fn attack(name: &str, bytes: &[u8], focus: std::ops::Range<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo");
    let attack = Attack {
        name,
        bytes,
        focus,
        memory: MEMORY,
    };
    attack.run(|bytes| {
        put(&path, bytes);
        read(&path)
    });
}

#[test]
fn png_pictures() {
    for (name, kind) in [
        ("PNG of 8 bits", ExtendedColorType::Rgb8),
        ("PNG of 16 bits", ExtendedColorType::Rgba16),
    ] {
        attack(name, &png(kind), HEADER);
    }
    attack("PNG with a palette", &fixture("palette.png"), HEADER);
}

#[test]
fn jpeg_pictures() {
    let jpeg = jpeg();
    attack("JPEG", &jpeg, 0..jpeg.len());
    attack("progressive JPEG", &fixture("progressive.jpg"), HEADER);
}

#[test]
fn webp_pictures() {
    attack("lossless WebP", &lossless_webp(), HEADER);
    for name in ["lossy.webp", "lossy_alpha.webp", "animated.webp"] {
        attack(name, &fixture(name), HEADER);
    }
}

#[test]
fn exr_pictures() {
    attack("EXR", &exr(), 0..400);
}

/// PNG checks every piece with a sum, which stops most damage before it says anything: mend the sums.
#[test]
fn png_pictures_with_right_checksums() {
    let whole = png(ExtendedColorType::Rgb16);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo");
    let attack = Attack {
        name: "PNG with right checksums",
        bytes: &whole,
        focus: 8..33,
        memory: MEMORY,
    };
    attack.run(|bytes| {
        let mut mutant = bytes.to_vec();
        mend_checksums(&mut mutant);
        put(&path, &mutant);
        read(&path)
    });
}

fn mend_checksums(png: &mut [u8]) {
    let mut at = 8;
    while let Some(&len) = png.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let end = at.saturating_add(8 + u32::from_be_bytes(len) as usize);
        let Some(content) = png.get(at + 4..end) else {
            return;
        };
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let sum = crc.sum().to_be_bytes();
        let Some(place) = png.get_mut(end..end + 4) else {
            return;
        };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}

/// What a header claims is not believed beyond what so small a file can hold.
#[test]
fn pictures_that_claim_a_city_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo");
    let side = 60_000u32;
    let mut png = png(ExtendedColorType::Rgb8);
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    mend_checksums(&mut png);
    let mut jpegs = [jpeg(), fixture("progressive.jpg")];
    for jpeg in &mut jpegs {
        let frame = jpeg
            .windows(2)
            .position(|w| w == [0xff, 0xc0] || w == [0xff, 0xc2])
            .expect("a frame's header");
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    }
    // 14 bits of each side, less one.
    let mut lossless = lossless_webp();
    let at = lossless.windows(4).position(|w| w == b"VP8L").unwrap() + 9;
    lossless[at..at + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f]);
    let mut lossy = fixture("lossy.webp");
    let at = lossy.windows(3).position(|w| w == [0x9d, 1, 0x2a]).unwrap() + 3;
    lossy[at..at + 4].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    // The frame within is larger than the canvas.
    let mut inner = fixture("lossy_alpha.webp");
    let at = inner.windows(3).position(|w| w == [0x9d, 1, 0x2a]).unwrap() + 3;
    inner[at..at + 4].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    let [baseline, progressive] = jpegs;
    for (name, bytes) in [
        ("PNG", png),
        ("JPEG", baseline),
        ("progressive JPEG", progressive),
        ("lossless WebP", lossless),
        ("lossy WebP", lossy),
        ("WebP with another picture within", inner),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        for (kind, read) in [
            ("photo", read as fn(&Path) -> Result<()>),
            ("mask", |path| read_mask(path).map(|_| ())),
        ] {
            let (result, peak) = peak_of(|| read(&path));
            let error = result.expect_err(name).to_string();
            assert!(error.contains("not a readable picture"), "{error}");
            assert!(
                peak < 1 << 20,
                "{name} as {kind} held {peak} bytes: {error}"
            );
        }
    }
}

/// Millions of empty pieces before the picture.
#[test]
fn a_webp_of_empty_pieces_ends_soon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo");
    let mut bytes = b"RIFF\0\0\0\x01WEBPVP8X\x0a\0\0\0\0\0\0\0\x27\0\0\x1d\0\0".to_vec();
    for _ in 0..2_000_000 {
        bytes.extend(b"none\0\0\0\0");
    }
    survive("WebP of empty pieces", &bytes, MEMORY, |bytes| {
        put(&path, bytes);
        let problem = read(&path).expect_err("there is no picture").to_string();
        assert!(problem.contains("not a readable picture"), "{problem}");
        Ok(())
    });
}
