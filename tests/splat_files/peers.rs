//! Files of other people's tools (`LUXEDIT_DATA`, default `../shared/data`), which are not in the repository.

use super::compare::Differences;
use glam::DVec3;
use luxedit::formats::splats::{Similarity, read_splats, recognize};
use luxedit::formats::{Info, inspect};
use luxedit::scene::Splats;
use std::path::{Path, PathBuf};

pub fn data() -> Option<PathBuf> {
    let root = std::env::var_os("LUXEDIT_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let folder = root.join("splats");
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("SKIPPED: {} does not exist", folder.display());
        None
    }
}

#[test]
fn every_file_opens() {
    let Some(root) = data() else { return };
    let mut open = vec![root];
    let mut opened = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_other = name.starts_with("LICENSE")
                || name.ends_with(".txt")
                || name.ends_with(".md")
                || name.ends_with(".safetensors");
            if is_other {
                assert_eq!(recognize(&path).unwrap(), None, "{name}");
                continue;
            }
            if name == "init_points_not_gaussian.ply" {
                assert!(matches!(inspect(&path).unwrap(), Info::PointCloud(_)));
                assert!(
                    read_splats(&path)
                        .unwrap_err()
                        .to_string()
                        .contains("point cloud")
                );
                continue;
            }
            let splats = read_splats(&path).unwrap();
            let Info::Splats(info) = inspect(&path).unwrap() else {
                panic!("{name}")
            };
            println!(
                "{}: {} {} splats of degree {}",
                path.display(),
                info.format.name(),
                splats.len(),
                splats.sh_degree
            );
            assert_eq!(
                (info.splats, info.sh_degree),
                (splats.len(), splats.sh_degree)
            );
            assert!(splats.is_consistent() && splats.means.iter().all(|v| v.is_finite()));
            opened += 1;
        }
    }
    assert!(opened >= 29, "only {opened} files");
}

/// Nearest splat of `source` for each of `other`, by place and then colour: tools reorder.
pub fn matching(source: &Splats, other: &Splats) -> Vec<usize> {
    let point = |s: &Splats, i: usize| [0, 1, 2].map(|k| s.means[i * 3 + k]);
    let items: Vec<_> = (0..source.len())
        .map(|i| rstar::primitives::GeomWithData::new(point(source, i), i))
        .collect();
    let tree = rstar::RTree::bulk_load(items);
    let apart = |i: usize, j: usize| {
        let triple = |a: &[f32], b: &[f32]| {
            (0..3)
                .map(|k| (a[i * 3 + k] - b[j * 3 + k]).abs())
                .sum::<f32>()
        };
        triple(&source.sh_dc, &other.sh_dc)
            + triple(&source.log_scales, &other.log_scales)
            + 100.0 * triple(&source.means, &other.means)
    };
    (0..other.len())
        .map(|j| {
            tree.nearest_neighbor_iter(&point(other, j))
                .take(8)
                .map(|item| item.data)
                .min_by(|&a, &b| apart(a, j).total_cmp(&apart(b, j)))
                .unwrap()
        })
        .collect()
}

/// Formats hold 0 to 1 of a colour, and logarithms of scales from -10 or so.
pub fn clamp(splats: &mut Splats) {
    splats
        .sh_dc
        .iter_mut()
        .for_each(|dc| *dc = dc.clamp(-0.5 / 0.282_094_8, 0.5 / 0.282_094_8));
    splats.log_scales.iter_mut().for_each(|v| *v = v.max(-10.0));
}

#[test]
fn converted_files_agree_with_their_source() {
    let Some(root) = data() else { return };
    let mut source = read_splats(&root.join("plush_dog/point_cloud_29999_clean.ply")).unwrap();
    clamp(&mut source);
    // Tools that truncate are a whole step off.
    let byte = 1.0 / 255.0 + 1e-5;
    let exact = Differences {
        place: 0.0,
        rotation: 2e-3,
        scale: 1e-5,
        opacity: 2e-6,
        color: 1e-6,
        sh: 1e-6,
    };
    let splat = Differences {
        rotation: 0.03,
        opacity: byte,
        color: byte,
        ..exact
    };
    let half = Differences {
        place: 2e-4,
        rotation: 5e-3,
        scale: 3e-3,
        opacity: byte,
        color: byte,
        sh: 1e-3,
    };
    let spz = Differences {
        place: 7e-4,
        rotation: 0.02,
        scale: 0.5 / 16.0 + 1e-4,
        opacity: byte,
        color: 0.008,
        sh: 0.07,
    };
    let packed = Differences {
        place: 1.2e-3,
        rotation: 0.01,
        scale: 0.03,
        opacity: byte,
        color: 0.02,
        sh: 0.02,
    };
    let cases = [
        ("peer_converted/plush_c0_sh0.ksplat", half, 0, None),
        ("peer_converted/plush_c0_sh2.ksplat", half, 2, None),
        ("peer_converted/plush_c1_sh0.ksplat", half, 0, None),
        ("peer_converted/plush_c1_sh2.ksplat", half, 2, None),
        ("peer_converted/plush_c2_sh0.ksplat", half, 0, None),
        (
            "peer_converted/plush_c2_sh2.ksplat",
            Differences {
                sh: 3.0 / 255.0,
                ..half
            },
            2,
            None,
        ),
        ("peer_converted/plush_gsply.compressed.ply", packed, 3, None),
        ("peer_converted/plush_gsply.spz", spz, 3, Some(0)),
        ("peer_converted/plush_khr.glb", exact, 3, None),
        ("peer_converted/plush_ply2splat.splat", splat, 0, None),
        ("peer_converted/plush_sh0.ply", exact, 0, None),
        ("peer_converted/plush_sh1.compressed.ply", packed, 1, None),
        ("peer_converted/plush_v3.spz", spz, 3, Some(0)),
        ("peer_converted/plush_v4.spz", spz, 3, Some(0)),
        (
            "plush_dog/point_cloud_29999_clean.compressed.ply",
            packed,
            3,
            None,
        ),
    ];
    let mut failed = Vec::new();
    for (name, limits, degree, turn) in cases {
        let mut other = read_splats(&root.join(name)).unwrap();
        clamp(&mut other);
        assert_eq!(other.sh_degree, degree, "{name}");
        // The SPZ files among them hold PLY's frame, against that format's documentation.
        assert_eq!(turn_between(&source, &other), turn, "{name}");
        if let Some(axis) = turn {
            Similarity::half_turn(axis).apply(&mut other);
            // The reader turned each ellipsoid about its own x, which changes nothing about it.
            for q in other.quats.as_chunks_mut::<4>().0 {
                let [w, x, y, z] = *q;
                *q = [x, -w, -z, y];
            }
        }
        let order = matching(&source, &other);
        let what = format!("{name}, {} of {}", other.len(), source.len());
        let difference = Differences::of(&source, &other, &order);
        if std::panic::catch_unwind(|| difference.assert_within(limits, &what)).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// The half turn that brings `other`'s centre to `source`'s, if one is needed.
fn turn_between(source: &Splats, other: &Splats) -> Option<usize> {
    let center = |s: &Splats| {
        s.means
            .as_chunks::<3>()
            .0
            .iter()
            .map(|m| DVec3::from_array(m.map(f64::from)))
            .sum::<DVec3>()
            / s.len() as f64
    };
    let distance = |axis: Option<usize>| {
        let moved = axis.map_or(center(other), |axis| {
            Similarity::half_turn(axis).turn * center(other)
        });
        moved.distance(center(source))
    };
    [None, Some(0), Some(1), Some(2)]
        .into_iter()
        .min_by(|a, b| distance(*a).total_cmp(&distance(*b)))
        .flatten()
}

#[test]
fn which_spz_files_keep_their_frame() {
    let Some(root) = data() else { return };
    for (a, b, turn) in [
        (
            "playcanvas_engine/biker.compressed.ply",
            "playcanvas_engine/biker.spz",
            None,
        ),
        ("wgpu_3dgs/model.ply", "wgpu_3dgs/model.spz", Some(0)),
    ] {
        let (a, b) = (
            read_splats(&root.join(a)).unwrap(),
            read_splats(&root.join(b)).unwrap(),
        );
        assert_eq!(a.len(), b.len());
        assert_eq!(turn_between(&a, &b), turn);
    }
}
