//! Writing: whole files or none.

use super::scenes::{assert_says, ramp, splats};
use luxedit::formats::picture::{read_photo, write_exr, write_png};
use luxedit::formats::{GifWriter, ply, write_atomic};
use luxedit::scene::{FloatImage, Photo};
use std::io::{Error, ErrorKind};
use std::path::Path;

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.ply");
    write_atomic(&path, |out| out.write_all(b"old")).unwrap();
    // More than any buffer holds, so that part of it was on the disk.
    let failed = write_atomic(&path, |out| {
        out.write_all(&vec![1; 5 << 20])?;
        Err(Error::new(
            ErrorKind::StorageFull,
            "no space left on device",
        ))
    });
    assert_says(failed, &path, &["no space left"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(
        names_in(folder.path()),
        ["scene.ply"],
        "nothing is left beside it"
    );
    write_atomic(&path, |out| out.write_all(b"new")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(names_in(folder.path()), ["scene.ply"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let absent = folder.path().join("absent/scene.ply");
    for path in [file.join("scene.ply"), absent] {
        assert_says(ply::write_splats(&path, &splats(2, 0), &[]), &path, &[]);
        assert_says(write_png(&path, &ramp(4, 3)), &path, &[]);
        assert_says(write_exr(&path, &ramp(4, 3).to_float()), &path, &[]);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"kept");
    let target = folder.path().join("folder");
    std::fs::create_dir(&target).unwrap();
    assert_says(write_png(&target, &ramp(4, 3)), &target, &[]);
    assert_eq!(names_in(folder.path()), ["file", "folder"]);
    assert_says(
        write_atomic(Path::new("/"), |_| Ok(())),
        Path::new("/"),
        &["name of a file"],
    );
}

#[test]
fn pictures_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("a.png");
    write_png(&png, &ramp(17, 9)).unwrap();
    assert_eq!(read_photo(&png, [0.0; 3]).unwrap(), ramp(17, 9));
    let exr = folder.path().join("a.exr");
    let values: Vec<f32> = (0..17 * 9 * 3)
        .map(|i| (i as f32 * 0.37).sin() * 3.0 + 1e-7)
        .collect();
    write_exr(&exr, &FloatImage::new(17, 9, values.clone())).unwrap();
    let read = image::open(&exr).unwrap().into_rgb32f();
    assert_eq!(read.dimensions(), (17, 9));
    assert_eq!(read.into_raw(), values);
}

#[test]
fn transparency_is_composited_over_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let pixels = [[10, 20, 30, 0], [10, 20, 30, 255], [200, 0, 100, 128]];
    image::RgbaImage::from_raw(3, 1, pixels.concat())
        .unwrap()
        .save(&path)
        .unwrap();
    let photo = read_photo(&path, [1.0, 0.5, 0.0]).unwrap();
    assert_eq!(photo.rgb[..6], [255, 128, 0, 10, 20, 30]);
    let alpha = 128.0 / 255.0;
    let expected = [
        200.0 * alpha + 255.0 * (1.0 - alpha),
        128.0 * (1.0 - alpha),
        100.0 * alpha,
    ];
    assert_eq!(photo.rgb[6..], expected.map(|v: f64| v.round() as u8));
}

/// Films may have thousands of frames: they go to the disk as they come.
#[test]
fn an_animation_is_written_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turn.gif");
    let mut state = 1u32;
    let mut noise = || {
        let rgb = (0..128 * 96 * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Photo::new(128, 96, rgb.collect())
    };
    let frames = 120;
    let mut gif = GifWriter::begin(&path, 8);
    for _ in 0..frames {
        gif.add(noise()).unwrap();
    }
    let beside = names_in(folder.path());
    assert_eq!(beside.len(), 1, "{beside:?}");
    assert_ne!(beside[0], "turn.gif");
    let written = std::fs::metadata(folder.path().join(&beside[0]))
        .unwrap()
        .len();
    assert!(written > 500_000, "{written} bytes");
    gif.finish().unwrap();
    assert_eq!(names_in(folder.path()), ["turn.gif"]);
    let mut decoder = gif::DecodeOptions::new()
        .read_info(std::fs::File::open(&path).unwrap())
        .unwrap();
    assert_eq!((decoder.width(), decoder.height()), (128, 96));
    let mut read = 0;
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        assert_eq!(frame.delay, 8);
        read += 1;
    }
    assert_eq!(read, frames);

    // Nothing is left of what was not finished.
    let other = folder.path().join("other.gif");
    let mut gif = GifWriter::begin(&other, 8);
    gif.add(noise()).unwrap();
    assert_says(gif.add(ramp(4, 3)), &other, &["one size"]);
    drop(gif);
    assert_eq!(names_in(folder.path()), ["turn.gif"]);
    assert_says(
        GifWriter::begin(&other, 8).finish(),
        &other,
        &["at least one picture"],
    );
}
