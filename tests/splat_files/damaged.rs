//! Damaged files: a sentence about the format that the file really has.

use super::made;
use luxedit::formats::splats::{SplatFormat, decode, read_splats, recognize, write_splats};
use std::path::Path;

/// A file of each format and version that is read, with its format.
fn files(folder: &Path) -> Vec<(Vec<u8>, SplatFormat)> {
    let scene = made::scene(40, 2, 31);
    let mut files = Vec::new();
    for format in SplatFormat::ALL
        .into_iter()
        .filter(|f| f.can_read() && f.can_write())
    {
        let path = folder.join(format!("d.{}", format.extension()));
        write_splats(&path, &scene, format).unwrap();
        files.push((std::fs::read(path).unwrap(), format));
    }
    files.extend((0..3).map(|level| (made::ksplat(level).0, SplatFormat::Ksplat)));
    files.extend((1..=4).map(|version| (made::spz(version, 40, true), SplatFormat::Spz)));
    files
}

#[test]
fn cut_files_say_that_they_end_early() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, format) in files(folder.path()) {
        let path = folder.path().join(format!("cut.{}", format.extension()));
        for cut in [
            bytes.len() - 1,
            bytes.len() - 9,
            bytes.len() * 2 / 3,
            bytes.len() / 2,
            5000,
            40,
            13,
        ] {
            let cut = cut.min(bytes.len() - 1);
            std::fs::write(&path, &bytes[..cut]).unwrap();
            // The last byte of some formats means nothing.
            if let Err(error) = decode(&path, &bytes[..cut], format) {
                let sentence = error.to_string();
                assert!(sentence.contains("cut"), "{sentence}");
            } else {
                let may = matches!(format, SplatFormat::Splat) && cut % 32 == 0
                    || matches!(format, SplatFormat::Spz | SplatFormat::Gltf)
                        && bytes.len() - cut < 16;
                assert!(may, "{} cut to {cut} of {}", format.name(), bytes.len());
            }
            if cut > 4200 || (cut >= 40 && format != SplatFormat::Ksplat) {
                let found = recognize(&path);
                assert!(
                    matches!(&found, Ok(Some(r)) if r.format == format)
                        || matches!(
                            format,
                            SplatFormat::Splat
                                | SplatFormat::Ply
                                | SplatFormat::CompressedPly
                                | SplatFormat::Ksplat
                        ),
                    "{} cut to {cut}: {found:?}",
                    format.name()
                );
            }
        }
    }
}

#[test]
fn counts_that_no_memory_could_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("count.spz");
    for version in [2, 3] {
        let mut bytes = made::spz(version, 20, false);
        bytes[8..12].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        let sentence = read_splats(&path).unwrap_err().to_string();
        assert!(
            sentence.contains("SPZ") && sentence.contains("ends early"),
            "{sentence}"
        );
    }
    let mut bytes = made::spz(4, 20, true);
    bytes[8..12].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let sentence = read_splats(&path).unwrap_err().to_string();
    assert!(sentence.contains("positions"), "{sentence}");
    // Zeros pack a thousandfold; a claim beyond reason is refused before it is unpacked.
    let mut bomb = made::spz(2, 1, false);
    bomb[8..12].copy_from_slice(&20_000_000u32.to_le_bytes());
    bomb[12] = 0;
    bomb.resize(16 + 20_000_000 * 19, 0);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &bomb).unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    let sentence = read_splats(&path).unwrap_err().to_string();
    assert!(sentence.contains("times its size"), "{sentence}");
}

#[test]
fn sog_descriptions_reach_nothing_outside_of_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("scene");
    std::fs::create_dir(&inner).unwrap();
    made::sog_v1(&inner, 30);
    let meta = std::fs::read_to_string(inner.join("meta.json")).unwrap();
    let path = inner.join("meta.json");
    for name in ["../secret.webp", "/etc/passwd", "..", "a/b.webp", ""] {
        std::fs::write(&path, meta.replace("quats.webp", name)).unwrap();
        let sentence = read_splats(&path).unwrap_err().to_string();
        assert!(sentence.contains("no plain file name"), "{sentence}");
    }
    std::fs::write(&path, meta.replace("quats.webp", "absent.webp")).unwrap();
    assert!(
        read_splats(&path)
            .unwrap_err()
            .to_string()
            .contains("absent.webp")
    );
    std::fs::write(&path, meta.replace("[30,3]", "[31000,3]")).unwrap();
    assert!(
        read_splats(&path)
            .unwrap_err()
            .to_string()
            .contains("31000 splats")
    );
}

#[test]
fn other_files_are_not_taken_for_splats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let text = "the quick brown fox jumps over the lazy dog\n".repeat(64);
    let zeros = vec![0u8; 8192];
    let contents: [&[u8]; 7] = [
        b"",
        b"{}",
        b"{\"frames\": []}",
        text.as_bytes(),
        &zeros,
        b"PK\x03\x04 something else",
        b"\x1f\x8b\x08 no",
    ];
    for content in contents {
        std::fs::write(&path, content).unwrap();
        assert_eq!(recognize(&path).unwrap(), None, "{content:?}");
        let sentence = read_splats(&path).unwrap_err().to_string();
        assert!(
            sentence.contains("no splat file that is known"),
            "{sentence}"
        );
    }
    assert!(recognize(&folder.path().join("absent")).is_err());
}
