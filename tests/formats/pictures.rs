//! Photos as people have them: lying on their side, 16 bits, light, gray, palettes, several sizes in one capture.

use super::scenes::{assert_says, open, ramp, transforms_capture};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageBuffer, ImageEncoder, Luma, Rgb, Rgba};
use luxedit::formats::picture::{MOST_DEPTH, read_photo, read_size, write_depth_png, write_png};
use luxedit::scene::{FloatImage, Photo};
use serde_json::json;
use std::path::Path;

/// A JPEG with this EXIF orientation.
fn write_oriented_jpeg(path: &Path, photo: &Photo, orientation: u8) {
    // A big-endian TIFF with one entry: tag 0x0112, SHORT, one value.
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 100);
    encoder.set_exif_metadata(exif).unwrap();
    encoder
        .write_image(
            &photo.rgb,
            photo.width,
            photo.height,
            ExtendedColorType::Rgb8,
        )
        .unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn pixel(photo: &Photo, x: u32, y: u32) -> [i32; 3] {
    let i = ((y * photo.width + x) * 3) as usize;
    std::array::from_fn(|c| i32::from(photo.rgb[i + c]))
}

fn near(a: [i32; 3], b: [i32; 3], tolerance: i32) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn a_photo_is_seen_upright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    let stored = ramp(40, 30);
    // Where the top left pixel of the file is, upright (EXIF 2.3, orientations 1 to 8).
    let corners = [
        (1, (0, 0)),
        (2, (39, 0)),
        (3, (39, 29)),
        (4, (0, 29)),
        (5, (0, 0)),
        (6, (29, 0)),
        (7, (29, 39)),
        (8, (0, 39)),
    ];
    for (orientation, (x, y)) in corners {
        write_oriented_jpeg(&path, &stored, orientation);
        let upright = read_photo(&path, [0.0; 3]).unwrap();
        let size = if orientation < 5 { (40, 30) } else { (30, 40) };
        assert_eq!((upright.width, upright.height), size, "{orientation}");
        assert!(
            near(pixel(&upright, x, y), pixel(&stored, 0, 0), 8),
            "{orientation}: {:?}",
            pixel(&upright, x, y)
        );
        assert_eq!(read_size(&path).unwrap(), (40, 30), "as it lies");
    }
}

#[test]
fn the_camera_says_whether_a_lying_photo_is_turned() {
    let folder = tempfile::tempdir().unwrap();
    // COLMAP and nerfstudio pose the pixels as they lie.
    let path = transforms_capture(folder.path(), 2, |_| {});
    for i in 0..2 {
        let photo = folder.path().join(format!("images/{i:03}.png"));
        write_oriented_jpeg(&photo, &ramp(40, 30), 6);
    }
    let lying = open(&path).unwrap();
    assert_eq!(lying.views[0].photo.width, 40);
    assert!(near(pixel(&lying.views[0].photo, 39, 0), [156, 0, 77], 8));
    assert!(lying.warnings.is_empty(), "{:?}", lying.warnings);
    // Cameras of tools that turn photos first are 30 wide and 40 high.
    let path = transforms_capture(folder.path(), 2, |value| {
        (value["w"], value["h"]) = (json!(30), json!(40));
        (value["cx"], value["cy"]) = (json!(15), json!(20));
    });
    for i in 0..2 {
        let photo = folder.path().join(format!("images/{i:03}.png"));
        write_oriented_jpeg(&photo, &ramp(40, 30), 6);
    }
    let turned = open(&path).unwrap();
    let photo = &turned.views[0].photo;
    assert_eq!((photo.width, photo.height), (30, 40));
    // Right of the file is down.
    assert!(near(pixel(photo, 29, 39), [156, 0, 77], 8));
    assert!(
        turned.warnings[0].contains("2 of 2 photos lie on their side"),
        "{:?}",
        turned.warnings
    );
    // Upright, and still not the camera's.
    let photo = folder.path().join("images/001.png");
    write_oriented_jpeg(&photo, &ramp(40, 60), 6);
    assert_says(open(&path), &photo, &["40x60", "30x40"]);
}

#[test]
fn any_depth_and_palette_is_the_same_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    let value = |x: u32, y: u32| (x * 16 + y) as u16;
    ImageBuffer::from_fn(16, 16, |x, y| {
        Rgb([value(x, y) * 257, 65535 - value(x, y) * 257, 1000])
    })
    .save(&path)
    .unwrap();
    let deep = read_photo(&path, [0.0; 3]).unwrap();
    for (x, y) in [(0, 0), (3, 7), (15, 15)] {
        let v = i32::from(value(x, y));
        assert_eq!(pixel(&deep, x, y), [v, 255 - v, 4]);
    }
    ImageBuffer::from_fn(16, 16, |x, y| Luma([value(x, y) * 257]))
        .save(&path)
        .unwrap();
    let gray = read_photo(&path, [0.0; 3]).unwrap();
    assert_eq!(pixel(&gray, 2, 5), [37; 3]);
    // Two bits a pixel of a palette of four, the last half transparent.
    let palette = [255, 0, 0, 0, 255, 0, 0, 0, 255, 200, 100, 50];
    std::fs::write(&path, palette_png(&palette, &[255, 255, 255, 102])).unwrap();
    let indexed = read_photo(&path, [1.0, 1.0, 1.0]).unwrap();
    let row: Vec<_> = (0..4).map(|x| pixel(&indexed, x, 0)).collect();
    // 0.4 · (200, 100, 50) + 0.6 · 255.
    assert_eq!(
        row,
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [233, 193, 173]]
    );
}

/// A PNG of 4 × 1 pixels, 0 to 3 of the palette.
fn palette_png(palette: &[u8], alpha: &[u8]) -> Vec<u8> {
    use flate2::{Compression, Crc, write::ZlibEncoder};
    use std::io::Write;
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::fast());
    rows.write_all(&[0, 0b00_01_10_11]).unwrap();
    let rows = rows.finish().unwrap();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 0, 0, 0];
    let chunks: [(&[u8; 4], &[u8]); 5] = [
        (b"IHDR", &header),
        (b"PLTE", palette),
        (b"tRNS", alpha),
        (b"IDAT", &rows),
        (b"IEND", &[]),
    ];
    for (name, content) in chunks {
        png.extend((content.len() as u32).to_be_bytes());
        png.extend(name);
        png.extend(content);
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(content);
        png.extend(crc.sum().to_be_bytes());
    }
    png
}

#[test]
fn light_becomes_srgb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.exr");
    // IEC 61966-2-1, in 1/255: 0.001 → 3.29, 0.18 → 117.6, 0.5 → 187.5.
    ImageBuffer::from_fn(
        4,
        1,
        |x, _| Rgb([[0.001f32, 0.18, 0.5, 7.0][x as usize]; 3]),
    )
    .save(&path)
    .unwrap();
    let photo = read_photo(&path, [0.0; 3]).unwrap();
    let row: Vec<_> = (0..4).map(|x| pixel(&photo, x, 0)[0]).collect();
    assert_eq!(row, [3, 118, 188, 255]);
    // Light is stored times its alpha: half of white light is white, half opaque.
    ImageBuffer::from_pixel(1, 1, Rgba([0.5f32, 0.5, 0.0, 0.5]))
        .save(&path)
        .unwrap();
    let photo = read_photo(&path, [0.0, 0.0, 1.0]).unwrap();
    assert!(near(pixel(&photo, 0, 0), [128, 128, 127], 1));
    let path = transforms_capture(folder.path(), 2, |value| {
        value["frames"][1]["file_path"] = json!("images/001");
    });
    std::fs::remove_file(folder.path().join("images/001.png")).unwrap();
    ImageBuffer::from_pixel(40, 30, Rgb([0.18f32; 3]))
        .save(folder.path().join("images/001.exr"))
        .unwrap();
    let dataset = open(&path).unwrap();
    assert_eq!(pixel(&dataset.views[1].photo, 20, 20), [118; 3]);
    assert!(
        dataset.warnings[0].contains("1 of 2 photos hold light"),
        "{:?}",
        dataset.warnings
    );
}

#[test]
fn webp_photos_are_read_and_others_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    let stored = ramp(40, 30);
    let mut bytes = Vec::new();
    image_webp::WebPEncoder::new(&mut bytes)
        .encode(&stored.rgb, 40, 30, image_webp::ColorType::Rgb8)
        .unwrap();
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read_photo(&path, [0.0; 3]).unwrap(), stored);
    assert_eq!(read_size(&path).unwrap(), (40, 30));
    let half = &bytes[..bytes.len() / 2];
    std::fs::write(&path, half).unwrap();
    assert_says(read_photo(&path, [0.0; 3]), &path, &["readable picture"]);
    for (head, name) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0"[..], "HEIC"),
        (b"II*\0\x08\0\0\0\0\0\0\0", "TIFF"),
    ] {
        std::fs::write(&path, head).unwrap();
        assert_says(read_photo(&path, [0.0; 3]), &path, &[name, "JPEG"]);
    }
}

#[test]
fn photos_of_one_capture_may_differ_in_size() {
    let folder = tempfile::tempdir().unwrap();
    for listed in [true, false] {
        let path = transforms_capture(folder.path(), 3, |value| {
            for key in ["w", "h", "cx", "cy"] {
                value.as_object_mut().unwrap().remove(key);
            }
            for (i, (w, h)) in [(40, 30), (30, 40), (64, 20)].into_iter().enumerate() {
                if listed {
                    let frame = &mut value["frames"][i];
                    (frame["w"], frame["h"]) = (json!(w), json!(h));
                }
            }
        });
        for (i, (w, h)) in [(40, 30), (30, 40), (64, 20)].into_iter().enumerate() {
            let photo = folder.path().join(format!("images/{i:03}.png"));
            write_png(&photo, &ramp(w, h)).unwrap();
        }
        let dataset = open(&path).unwrap();
        for (view, (w, h)) in dataset.views.iter().zip([(40, 30), (30, 40), (64, 20)]) {
            assert_eq!((view.photo.width, view.photo.height), (w, h));
            let k = view.camera.intrinsics;
            assert_eq!((k.width, k.height, k.fx), (w, h, 45.0));
            assert_eq!((k.cx, k.cy), (f64::from(w) / 2.0, f64::from(h) / 2.0));
        }
        assert!(dataset.warnings.is_empty(), "{:?}", dataset.warnings);
    }
}

/// As nerfstudio reads `depth_file_path`: thousandths of the unit of the capture's files.
#[test]
fn depths_are_thousandths_of_the_captures_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("depth.png");
    // A world whose unit is two of the capture's.
    let scale = 0.5;
    let world = [0.0, 0.5, 1.2344, 0.00026, 32.7675, 40.0];
    let depths = FloatImage {
        width: 3,
        height: 2,
        rgb: world.iter().flat_map(|z| [*z; 3]).collect(),
    };
    assert_eq!(write_depth_png(&path, &depths, scale).unwrap(), 1);
    let read = image::open(&path).unwrap();
    assert_eq!(read.color(), image::ColorType::L16);
    assert_eq!(
        read.into_luma16().into_raw(),
        [0, 1000, 2469, 1, 65535, 65535]
    );
    assert_eq!(MOST_DEPTH, 65.535);
}
