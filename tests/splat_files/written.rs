//! Write, read, compare.

use super::compare::Differences;
use super::made;
use luxedit::formats::splats::{SplatFormat, codec, read_splats, recognize, write_splats};
use luxedit::scene::Splats;
use luxedit::settings::Settings;
use luxedit::worker::Project;
use std::path::Path;
use std::process::Command;

/// What rounding may do to a scene of [`made::scene`]; exact formats have the rounding of f32 arithmetic.
pub fn limits(format: SplatFormat) -> Differences {
    let exact = Differences {
        place: 0.0,
        rotation: 1e-6,
        scale: 1e-6,
        opacity: 2e-7,
        color: 1e-7,
        sh: 0.0,
    };
    // Half a step of a byte.
    let byte = 0.5 / 255.0 + 1e-6;
    match format {
        SplatFormat::Ply => exact,
        SplatFormat::Gltf => Differences {
            scale: 2e-6,
            opacity: 1e-6,
            ..exact
        },
        SplatFormat::Splat => Differences {
            rotation: 0.02,
            scale: 2e-6,
            opacity: byte,
            color: byte,
            sh: 0.0,
            ..exact
        },
        SplatFormat::Spz => Differences {
            place: 1e-6,
            rotation: 0.008,
            scale: 0.5 / 16.0 + 1e-5,
            opacity: byte,
            color: 0.5 / 255.0 / 0.15 * 0.283,
            sh: 0.5 / 16.0 + 1e-5,
        },
        // A chunk may be as large as the scene; SH truncate.
        SplatFormat::CompressedPly => Differences {
            place: 0.5 / 1023.0,
            rotation: 0.006,
            scale: 7.5 * 0.5 / 1023.0,
            opacity: byte,
            color: byte,
            sh: 8.0 / 256.0,
        },
        // Quaternions in 8 bits a component; places finer near the middle.
        SplatFormat::Sog => Differences {
            place: 1.3e-4,
            rotation: 0.03,
            scale: 0.03,
            opacity: byte,
            color: 0.004,
            sh: 0.01,
        },
        SplatFormat::Ksplat | SplatFormat::Html | SplatFormat::Splatfacto => {
            panic!("not both read and written")
        }
    }
}

/// Which splat of `scene` each splat of a file written as `format` is.
pub fn order(format: SplatFormat, scene: &Splats, read: &Splats) -> Vec<usize> {
    match format {
        SplatFormat::CompressedPly | SplatFormat::Sog => codec::morton_order(scene),
        SplatFormat::Splat => read
            .means
            .as_chunks::<3>()
            .0
            .iter()
            .map(|mean| {
                scene
                    .means
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .position(|m| m == mean)
                    .expect("its place is exact")
            })
            .collect(),
        _ => (0..scene.len()).collect(),
    }
}

fn both_ways() -> impl Iterator<Item = SplatFormat> {
    SplatFormat::ALL
        .into_iter()
        .filter(|f| f.can_read() && f.can_write())
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for format in both_ways() {
        for degree in 0..=3 {
            let scene = made::scene(900, degree, 1);
            let path = folder.path().join(format!("a.{}", format.extension()));
            write_splats(&path, &scene, SplatFormat::of_name(&path).unwrap()).unwrap();
            let read = read_splats(&path).unwrap();
            assert_eq!(recognize(&path).unwrap().unwrap().format, format);
            assert_eq!(
                read.sh_degree,
                if format == SplatFormat::Splat {
                    0
                } else {
                    degree
                }
            );
            let order = order(format, &scene, &read);
            let what = format!("{} of degree {degree}", format.name());
            Differences::of(&scene, &read, &order).assert_within(limits(format), &what);
            assert!(format.is_lossy() || read.means == scene.means, "{what}");
        }
    }
}

#[test]
fn one_splat_and_equal_splats_survive() {
    let folder = tempfile::tempdir().unwrap();
    for format in both_ways() {
        for n in [1, 3, 300] {
            let one = made::scene(1, 3, 2);
            let scene = codec::picked(&one, &vec![0; n]);
            let path = folder.path().join(format!("b.{}", format.extension()));
            write_splats(&path, &scene, format).unwrap();
            let read = read_splats(&path).unwrap();
            let all: Vec<usize> = (0..n).collect();
            let mut difference = Differences::of(&scene, &read, &all);
            // There is no extent to measure by.
            assert_eq!(read.len(), n);
            difference.place = (read.means[0] - scene.means[0]).abs() / 16.0;
            difference.assert_within(limits(format), &format!("{n} in {}", format.name()));
        }
    }
}

#[test]
fn a_large_palette_stays_close() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("palette.sog");
    // More splats than sets: neighbours share them, as smooth scenes do.
    let mut scene = made::scene(6000, 2, 3);
    for i in 0..scene.len() {
        let [x, y, z] = [0, 1, 2].map(|k| scene.means[i * 3 + k] * 0.3);
        for (k, v) in scene.sh_rest[i * 24..][..24].iter_mut().enumerate() {
            *v = 0.3 * (x + k as f32).sin() + 0.2 * (y * z).cos();
        }
    }
    write_splats(&path, &scene, SplatFormat::Sog).unwrap();
    let read = read_splats(&path).unwrap();
    let order = codec::morton_order(&scene);
    let mut sum = 0.0;
    for (j, &i) in order.iter().enumerate() {
        for k in 0..24 {
            sum += (scene.sh_rest[i * 24 + k] - read.sh_rest[j * 24 + k]).powi(2);
        }
    }
    let rms = (sum / scene.sh_rest.len() as f32).sqrt();
    println!("SH differ by {rms} (root mean square)");
    assert!(rms < 0.02);
}

#[test]
fn content_decides_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let scene = made::scene(70, 1, 4);
    for format in both_ways() {
        let written = folder.path().join(format!("c.{}", format.extension()));
        write_splats(&written, &scene, format).unwrap();
        for name in ["other.dat", "other.glb", "other.PLY", "noending"] {
            let path = folder.path().join(name);
            std::fs::copy(&written, &path).unwrap();
            assert_eq!(
                recognize(&path).unwrap().map(|r| r.format),
                Some(format),
                "{name}"
            );
            assert_eq!(read_splats(&path).unwrap(), read_splats(&written).unwrap());
            std::fs::remove_file(path).unwrap();
        }
    }
    for (level, rest) in [(0, 1e-6), (1, 1e-3), (2, 0.5 / 255.0 * 3.0 + 1e-4)] {
        let (bytes, scene) = made::ksplat(level);
        let path = folder.path().join("k.bin");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(
            recognize(&path).unwrap().unwrap().format,
            SplatFormat::Ksplat
        );
        let read = read_splats(&path).unwrap();
        let all: Vec<usize> = (0..scene.len()).collect();
        let limits = Differences {
            place: if level == 0 { 0.0 } else { 1e-4 },
            rotation: if level == 0 { 1e-6 } else { 3e-3 },
            scale: if level == 0 { 2e-6 } else { 2e-3 },
            sh: rest,
            ..limits(SplatFormat::Splat)
        };
        Differences::of(&scene, &read, &all)
            .assert_within(limits, &format!(".ksplat level {level}"));
    }
    for version in 1..=4 {
        for is_packed in [true, false] {
            let path = folder.path().join("s.bin");
            std::fs::write(&path, made::spz(version, 40, is_packed)).unwrap();
            let read = read_splats(&path).unwrap();
            assert_eq!(
                (read.len(), read.sh_degree),
                (40, 1),
                "SPZ version {version}"
            );
        }
    }
    let sog = folder.path().join("sog");
    std::fs::create_dir(&sog).unwrap();
    made::sog_v1(&sog, 100);
    for path in [sog.clone(), sog.join("meta.json")] {
        let read = read_splats(&path).unwrap();
        assert_eq!((read.len(), read.sh_degree), (100, 1), "SOG version 1");
        assert!(read.sh_rest.iter().all(|v| (-0.5..=0.5).contains(v)));
        assert!(read.log_scales.iter().all(|v| (-8.0..=0.0).contains(v)));
    }
}

#[test]
fn the_ending_decides_what_is_written() {
    for format in SplatFormat::ALL {
        let name = format!("Scene.{}", format.extension().to_uppercase());
        let found = SplatFormat::of_name(Path::new(&name));
        if format.can_write() {
            assert_eq!(found.unwrap(), format);
        } else {
            let sentence = found.unwrap_err().to_string();
            assert!(
                sentence.contains(".compressed.ply") && sentence.contains(".html"),
                "{sentence}"
            );
        }
    }
    assert!(SplatFormat::of_name(Path::new("scene")).is_err());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.spz");
    std::fs::write(&path, "old").unwrap();
    let sentence = write_splats(&path, &Splats::default(), SplatFormat::Spz)
        .unwrap_err()
        .to_string();
    assert!(sentence.contains("no splat"), "{sentence}");
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_page_holds_the_scene_and_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a <b>.html");
    write_splats(&path, &made::scene(50, 3, 5), SplatFormat::Html).unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.contains("<title>a  b </title>") && !page.contains("{{"));
    for word in ["http:", "https:", "//cdn", "import(", "fetch("] {
        assert!(!page.contains(word), "the page contains {word}");
    }
    let start = page.find("type=\"text/plain\">").unwrap() + 18;
    let data = &page[start..][..page[start..].find('<').unwrap()];
    assert!(data.starts_with("H4sI"), "gzip in base64");
}

#[test]
fn convert_needs_no_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.ply");
    let scene = made::scene(300, 1, 7);
    write_splats(&input, &scene, SplatFormat::Ply).unwrap();
    let convert = |from: &Path, to: &Path, more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_luxedit"))
            .env("VK_ICD_FILENAMES", "/nonexistent")
            .arg("convert")
            .args([from, to])
            .args(more)
            .output()
            .unwrap()
    };
    for format in SplatFormat::ALL.into_iter().filter(|f| f.can_write()) {
        let path = folder.path().join(format!("out.{}", format.extension()));
        let output = convert(&input, &path, &["--json"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&json["splats"], &json["sh_degree"]),
            (&300.into(), &1.into()),
            "{json}"
        );
        assert_eq!(json["bytes"], std::fs::metadata(&path).unwrap().len());
        assert_eq!(json["loss"].is_null(), !format.is_lossy(), "{json}");
    }
    let turned = folder.path().join("turned.ply");
    let output = convert(&input, &turned, &["--turn", "x"]);
    assert!(output.status.success());
    let turned = read_splats(&turned).unwrap();
    assert_eq!(
        turned.means[0..3],
        [scene.means[0], -scene.means[1], -scene.means[2]]
    );
    // A project is converted by its newest scene.
    let project = folder.path().join("p.luxedit");
    Project::create(&project, &input, &Settings::default()).unwrap();
    std::fs::copy(&input, project.join("scene.ply")).unwrap();
    assert!(
        convert(&project, &folder.path().join("p.glb"), &[])
            .status
            .success()
    );
    assert_eq!(
        read_splats(&folder.path().join("p.glb")).unwrap().means,
        scene.means
    );
    // A mesh is made of what an adapter draws.
    let output = convert(&input, &folder.path().join("out.obj"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("adapter"), "{message}");
    assert!(!folder.path().join("out.obj").exists());
    let info = Command::new(env!("CARGO_BIN_EXE_luxedit"))
        .args(["info", "--json"])
        .arg(folder.path().join("out.sog"))
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(
        (&json["type"], &json["format"], &json["splats"]),
        (&"splats".into(), &"sog".into(), &300.into())
    );
}

/// How splats are to be drawn survives where the format can say it.
#[test]
fn antialiased_scenes_stay_so() {
    let folder = tempfile::tempdir().expect("folder");
    for antialiased in [false, true] {
        let mut splats = crate::made::scene(50, 1, 3);
        splats.antialiased = antialiased;
        for format in [SplatFormat::Ply, SplatFormat::Spz] {
            let path = folder
                .path()
                .join("scene")
                .with_extension(format.extension());
            write_splats(&path, &splats, format).expect("written");
            let read = read_splats(&path).expect("read");
            assert_eq!(read.antialiased, antialiased, "{}", format.name());
        }
    }
}
