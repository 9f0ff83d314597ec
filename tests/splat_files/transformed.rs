//! The npm tool `@playcanvas/splat-transform` reads what is written here, and writes what is read here. It is not in the
//! repository: `LUXEDIT_SPLAT_TRANSFORM` names it.

use super::compare::Differences;
use super::made;
use super::peers::{clamp, data, matching};
use super::written::{limits, order};
use luxedit::formats::splats::{SplatFormat, read_splats, write_splats};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

/// It writes GLB, and does not read it.
const FORMATS: [SplatFormat; 5] = [
    SplatFormat::Ply,
    SplatFormat::CompressedPly,
    SplatFormat::Splat,
    SplatFormat::Spz,
    SplatFormat::Sog,
];

struct Tool(OsString);

fn tool() -> Option<Tool> {
    let named = std::env::var_os("LUXEDIT_SPLAT_TRANSFORM").map(Tool);
    if named.is_none() {
        println!("SKIPPED: LUXEDIT_SPLAT_TRANSFORM does not name the npm tool splat-transform");
    }
    named
}

impl Tool {
    fn transform(&self, from: &Path, to: &Path) {
        let output = Command::new(&self.0).arg("-w").args([from, to]).output();
        assert_success(&output.unwrap());
    }
}

fn assert_success(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The other tool's reading of what is written here, beside our own reading of the same bytes.
#[test]
fn splat_transform_reads_the_same_values() {
    let Some(tool) = tool() else { return };
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        for degree in [0, 3] {
            let scene = made::scene(2000, degree, 6);
            let path = folder.path().join(format!("t.{}", format.extension()));
            let theirs = folder.path().join("theirs.ply");
            write_splats(&path, &scene, format).unwrap();
            tool.transform(&path, &theirs);
            let (ours, theirs) = (read_splats(&path).unwrap(), read_splats(&theirs).unwrap());
            assert_eq!(ours.sh_degree, theirs.sh_degree);
            let all: Vec<usize> = (0..ours.len()).collect();
            // The tool takes another middle for the bytes of .splat's rotations.
            let rotation = if format == SplatFormat::Splat {
                0.02
            } else {
                1e-5
            };
            let limits = Differences {
                place: 1e-6,
                rotation,
                scale: 1e-5,
                opacity: 1e-5,
                color: 1e-5,
                sh: 1e-5,
            };
            let what = format!("splat-transform on {} of degree {degree}", format.name());
            Differences::of(&ours, &theirs, &all).assert_within(limits, &what);
        }
    }
}

/// From a trained scene through `luxedit convert` and the other tool, beside the scene.
#[test]
fn splat_transform_reads_converted_scenes() {
    let Some(tool) = tool() else { return };
    let Some(root) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs.ply");
    for name in [
        "plush_dog/point_cloud_29999_clean.ply",
        "playcanvas_engine/biker.compressed.ply",
    ] {
        let mut source = read_splats(&root.join(name)).unwrap();
        clamp(&mut source);
        for format in FORMATS {
            let ours = folder.path().join(format!("o.{}", format.extension()));
            let converted = Command::new(env!("CARGO_BIN_EXE_luxedit"))
                .arg("convert")
                .args([&root.join(name), &ours])
                .output();
            assert_success(&converted.unwrap());
            tool.transform(&ours, &theirs);
            let mut read = read_splats(&theirs).unwrap();
            clamp(&mut read);
            assert_eq!(read.len(), source.len());
            let what = format!("{name} as {} by splat-transform", format.name());
            let order = match format {
                // It is sorted by size, and scenes have splats at one place.
                SplatFormat::Splat => matching(&source, &read),
                _ => order(format, &source, &read),
            };
            Differences::of(&source, &read, &order).assert_within(real_limits(format), &what);
        }
    }
}

/// Half a step of each format, as in [`limits`], over the ranges that trained scenes have.
fn real_limits(format: SplatFormat) -> Differences {
    let limits = limits(format);
    match format {
        // Scales of a chunk are up to 13 apart, colors up to 4.
        SplatFormat::CompressedPly => Differences {
            scale: 13.0 * 0.5 / 1023.0,
            color: 4.0 * 0.5 / 255.0,
            ..limits
        },
        // The tool's middle of a byte is another.
        SplatFormat::Splat => Differences {
            rotation: 0.04,
            ..limits
        },
        // 1/4096 of a unit; the scene is some units wide.
        SplatFormat::Spz => Differences {
            place: 5e-5,
            ..limits
        },
        // 256 values stand for all scales, and thousands of sets for all harmonics: most are near, the rarest are not.
        SplatFormat::Sog => Differences {
            place: 2e-5,
            scale: 0.3,
            color: 0.006,
            sh: 0.6,
            ..limits
        },
        _ => limits,
    }
}

/// The other way, for the format that the tool only writes.
#[test]
fn glb_of_splat_transform_is_read() {
    let Some(tool) = tool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.ply"), folder.path().join("a.glb"));
    for degree in [0, 3] {
        let scene = made::scene(2000, degree, 6);
        write_splats(&from, &scene, SplatFormat::Ply).unwrap();
        tool.transform(&from, &to);
        let read = read_splats(&to).unwrap();
        let order = matching(&scene, &read);
        let what = format!("GLB of splat-transform, degree {degree}");
        Differences::of(&scene, &read, &order).assert_within(limits(SplatFormat::Gltf), &what);
    }
}
