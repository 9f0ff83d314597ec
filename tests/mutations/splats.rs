//! Splats of every format, clouds of points, and the recognition that runs on whatever is dropped on the window.

use crate::harness::{Attack, HEADER, mutants, mutate, put, survive};
use crate::made;
use luxedit::Result;
use luxedit::formats::splats::{SplatFormat, decode, recognize, write_splats};
use luxedit::formats::{ply, write_points};
use luxedit::scene::PointCloud;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

/// As [`Attack::memory`]: pictures and palettes unpack a hundredfold, and a splat is ten times as large in memory.
const MEMORY: (usize, usize) = (8 << 20, 1000);

/// What is opened is a scene.
fn read(path: &Path, bytes: &[u8], format: SplatFormat) -> Result<()> {
    let splats = decode(path, bytes, format)?;
    assert!(splats.is_consistent() && !splats.is_empty());
    Ok(())
}

fn attack(name: &str, bytes: &[u8], format: SplatFormat) {
    let attack = Attack {
        name,
        bytes,
        focus: HEADER,
        memory: MEMORY,
    };
    attack.run(|bytes| read(Path::new(name), bytes, format));
}

fn written(format: SplatFormat, degree: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    write_splats(&path, &made::scene(30, degree, 3), format).unwrap();
    std::fs::read(&path).unwrap()
}

#[test]
fn ply() {
    attack("PLY", &written(SplatFormat::Ply, 1), SplatFormat::Ply);
    let text = "ply\nformat ascii 1.0\nelement vertex 2\nproperty list uchar int n\nproperty float x\nproperty float y\n\
                property float z\nproperty float opacity\nproperty float scale_0\nproperty float scale_1\nproperty float \
                scale_2\nproperty float rot_0\nproperty float rot_1\nproperty float rot_2\nproperty float rot_3\nproperty \
                uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n\
                2 1 1 1 2 3 0 -1 -1 -1 1 0 0 0 9 9 9\n0 1 2 3 0 -1 -1 -1 1 0 0 0 9 9 9\n";
    attack("text PLY", text.as_bytes(), SplatFormat::Ply);
}

#[test]
fn compressed_ply() {
    attack(
        "compressed PLY",
        &written(SplatFormat::CompressedPly, 1),
        SplatFormat::CompressedPly,
    );
}

#[test]
fn splat() {
    attack(
        ".splat",
        &written(SplatFormat::Splat, 0),
        SplatFormat::Splat,
    );
}

#[test]
fn ksplat() {
    for level in 0..3 {
        let (bytes, _) = made::ksplat(level);
        attack(
            &format!(".ksplat level {level}"),
            &bytes,
            SplatFormat::Ksplat,
        );
        // The header is mostly empty: damage the section's too.
        let name = format!(".ksplat section of level {level}");
        let attack = Attack {
            name: &name,
            bytes: &bytes,
            focus: 4096..4096 + 48,
            memory: MEMORY,
        };
        let damage = |bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng| {
            let mut section = bytes[attack.focus.clone()].to_vec();
            mutate(&mut section, &HEADER, rng);
            section.resize(attack.focus.len(), 0);
            bytes[attack.focus.clone()].copy_from_slice(&section);
        };
        attack.run_with(damage, |bytes| {
            read(Path::new(&name), bytes, SplatFormat::Ksplat)
        });
    }
}

#[test]
fn spz() {
    for version in 1..=4 {
        attack(
            &format!("SPZ version {version}"),
            &made::spz(version, 30, true),
            SplatFormat::Spz,
        );
        attack(
            &format!("unpacked SPZ version {version}"),
            &made::spz(version, 30, false),
            SplatFormat::Spz,
        );
    }
    attack(
        "written SPZ",
        &written(SplatFormat::Spz, 3),
        SplatFormat::Spz,
    );
}

#[test]
fn sog() {
    attack("SOG", &written(SplatFormat::Sog, 1), SplatFormat::Sog);
    // A ZIP's checksums stop most damage: the pictures and the description need their own.
    let folder = tempfile::tempdir().unwrap();
    made::sog_v1(folder.path(), 60);
    let meta = folder.path().join("meta.json");
    let names: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let size: u64 = names
        .iter()
        .map(|p| std::fs::metadata(p).unwrap().len())
        .sum();
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut opened = 0;
    for i in 0..mutants() {
        let path = &names[i % names.len()];
        let whole = std::fs::read(path).unwrap();
        let mut mutant = whole.clone();
        mutate(&mut mutant, &HEADER, &mut rng);
        put(path, &mutant);
        let seen = survive(
            "SOG folder",
            &mutant,
            (MEMORY.0 + size as usize * MEMORY.1, 0),
            |_| read(&meta, &std::fs::read(&meta).unwrap(), SplatFormat::Sog),
        );
        opened += usize::from(seen.opened);
        put(path, &whole);
    }
    println!(
        "SOG folder: {} mutants, {opened} of them still open",
        mutants()
    );
}

#[test]
fn gltf() {
    let glb = written(SplatFormat::Gltf, 1);
    attack("GLB", &glb, SplatFormat::Gltf);
    // The JSON alone, with a buffer inside.
    let len = u32::from_le_bytes([glb[12], glb[13], glb[14], glb[15]]) as usize;
    let text = String::from_utf8(glb[20..20 + len].to_vec()).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["buffers"][0]["uri"] =
        format!("data:;base64,{}", "AAAA".repeat(glb.len() / 3 + 1)).into();
    document["nodes"] =
        serde_json::json!([{ "children": [1], "rotation": [0.0, 0.6, 0.0, 0.8] }, { "mesh": 0 }]);
    attack("glTF", document.to_string().as_bytes(), SplatFormat::Gltf);
}

/// What a reconstruction starts from.
#[test]
fn clouds_of_points() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("points.ply");
    let cloud = PointCloud {
        positions: (0..20).map(|i| glam::DVec3::splat(f64::from(i))).collect(),
        colors: vec![[1, 2, 3]; 20],
    };
    write_points(&path, &cloud).unwrap();
    let binary = std::fs::read(&path).unwrap();
    let text = "ply\nformat ascii 1.0\nelement vertex 2\nproperty double x\nproperty double y\nproperty double z\n\
                property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n1 2 3 4 5 6\n1 2 3 4 5 6\n";
    for (name, bytes) in [
        ("points", binary.as_slice()),
        ("text points", text.as_bytes()),
    ] {
        let attack = Attack {
            name,
            bytes,
            focus: 0..bytes.len().min(300),
            memory: (1 << 20, 100),
        };
        attack.run(|bytes| {
            put(&path, bytes);
            let cloud = ply::read_points(&path)?;
            assert_eq!(cloud.positions.len(), cloud.colors.len());
            Ok(())
        });
    }
}

/// Recognizing must survive too: it runs on whatever is dropped on the window.
#[test]
fn recognition() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped");
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let beginnings: Vec<Vec<u8>> = [
        SplatFormat::CompressedPly,
        SplatFormat::Spz,
        SplatFormat::Sog,
        SplatFormat::Gltf,
    ]
    .map(|format| written(format, 1))
    .into_iter()
    .chain([made::ksplat(1).0, written(SplatFormat::Splat, 0)])
    .collect();
    for i in 0..mutants() {
        let mut mutant = beginnings[i % beginnings.len()].clone();
        mutate(&mut mutant, &HEADER, &mut rng);
        put(&path, &mutant);
        // Either something is recognized, or nothing, or a sentence names the file.
        survive("recognition", &mutant, MEMORY, |_| {
            let found = recognize(&path).map(|_| ());
            if let Err(error) = &found {
                assert!(error.to_string().contains("dropped"), "{error}");
            }
            found
        });
    }
}
