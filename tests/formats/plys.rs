//! PLY: what is written comes back bit for bit, and other tools' variants say the same.

use super::scenes::{assert_says, splats};
use luxedit::formats::ply::{Kind, read_points, read_splats, write_splats};
use luxedit::scene::Splats;
use std::fmt::Write;
use std::path::Path;

fn bits(splats: &Splats) -> Vec<u32> {
    let Splats {
        sh_degree,
        antialiased: _,
        means,
        quats,
        log_scales,
        logit_opacities,
        sh_dc,
        sh_rest,
    } = splats;
    [means, quats, log_scales, logit_opacities, sh_dc, sh_rest]
        .into_iter()
        .flatten()
        .map(|v| v.to_bits())
        .chain([*sh_degree])
        .collect()
}

/// (name, value) of each property of splat `i`, in the reference code's order.
fn properties(splats: &Splats, i: usize) -> Vec<(String, f32)> {
    let mut list = Vec::new();
    let named = |prefix: &str, values: &[f32]| -> Vec<(String, f32)> {
        values
            .iter()
            .enumerate()
            .map(|(k, &v)| (format!("{prefix}{k}"), v))
            .collect()
    };
    for (name, value) in ["x", "y", "z"].iter().zip(&splats.means[i * 3..]) {
        list.push(((*name).to_owned(), *value));
    }
    list.extend(["nx", "ny", "nz"].map(|name| (name.to_owned(), 0.0)));
    list.extend(named("f_dc_", &splats.sh_dc[i * 3..i * 3 + 3]));
    let rest = splats.rest_count();
    let channel_major: Vec<f32> = (0..3)
        .flat_map(|c| (0..rest).map(move |k| (i * rest + k) * 3 + c))
        .map(|at| splats.sh_rest[at])
        .collect();
    list.extend(named("f_rest_", &channel_major));
    list.push(("opacity".to_owned(), splats.logit_opacities[i]));
    list.extend(named("scale_", &splats.log_scales[i * 3..i * 3 + 3]));
    list.extend(named("rot_", &splats.quats[i * 4..i * 4 + 4]));
    list
}

#[test]
fn splats_come_back_bit_for_bit_at_every_degree() {
    let folder = tempfile::tempdir().unwrap();
    for degree in 0..=3 {
        let path = folder.path().join(format!("degree{degree}.ply"));
        let written = splats(37, degree);
        write_splats(
            &path,
            &written,
            &["Vertical Axis: z".into(), "two\nlines".into()],
        )
        .unwrap();
        let read = read_splats(&path).unwrap();
        assert_eq!(bits(&read), bits(&written), "degree {degree}");
        assert_eq!(
            Kind::of(&path).unwrap(),
            Kind::Splats {
                count: 37,
                sh_degree: degree,
                is_compressed: false,
            }
        );
        let bytes = std::fs::read(&path).unwrap();
        let end = bytes
            .windows(11)
            .position(|w| w == b"end_header\n")
            .unwrap()
            + 11;
        assert_eq!(bytes.len() - end, 37 * 4 * (17 + 3 * written.rest_count()));
        let header = String::from_utf8(bytes[..end].to_vec()).unwrap();
        assert!(header.starts_with(
            "ply\nformat binary_little_endian 1.0\ncomment Vertical Axis: z\ncomment two lines\n"
        ));
        let names: Vec<_> = header
            .lines()
            .filter_map(|l| l.strip_prefix("property float "))
            .collect();
        let expected: Vec<_> = properties(&written, 0)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, expected);
        // The third record's bytes, value by value.
        let record = &bytes[end + 2 * 4 * names.len()..][..4 * names.len()];
        for ((name, value), bytes) in properties(&written, 2)
            .iter()
            .zip(record.as_chunks::<4>().0)
        {
            assert_eq!(
                f32::from_le_bytes(*bytes).to_bits(),
                value.to_bits(),
                "{name}"
            );
        }
    }
}

/// A file with the properties reversed, unknown ones between them, lists, and other elements before and after.
fn unusual(splats: &Splats, encoding: &str, lists_in_vertex: bool) -> Vec<u8> {
    let n = splats.len();
    let mut header = format!("ply\r\nformat {encoding} 1.0\r\nobj_info odd\r\nelement junk 3\r\n");
    header += "property list uchar short numbers\r\nproperty double weight\r\nelement plain 2\r\nproperty int a\r\n";
    write!(header, "element vertex {n}\r\n").unwrap();
    let mut names: Vec<_> = properties(splats, 0);
    names.reverse();
    for (k, (name, _)) in names.iter().enumerate() {
        let kind = if k % 2 == 0 { "double" } else { "float32" };
        write!(header, "property {kind} {name}\r\n").unwrap();
        if k == 4 {
            header += "property uchar segment\r\n";
            if lists_in_vertex {
                header += "property list ushort float neighbours\r\n";
            }
        }
    }
    header += "element face 1\r\nproperty list uchar int vertex_indices\r\nend_header\r\n";
    let mut out = header.into_bytes();
    let ascii = encoding == "ascii";
    let big = encoding == "binary_big_endian";
    let mut put = |bytes: &[u8], text: String| {
        if ascii {
            out.extend(text.bytes());
            out.push(b' ');
        } else if big {
            out.extend(bytes.iter().rev());
        } else {
            out.extend(bytes);
        }
    };
    for length in [0u8, 2, 1] {
        put(&[length], length.to_string());
        for item in 0..i16::from(length) {
            put(&item.to_le_bytes(), item.to_string());
        }
        put(&1.5f64.to_le_bytes(), "1.5".into());
    }
    for a in [7i32, -7] {
        put(&a.to_le_bytes(), a.to_string());
    }
    for i in 0..n {
        let mut values = properties(splats, i);
        values.reverse();
        for (k, (_, value)) in values.iter().enumerate() {
            if k % 2 == 0 {
                put(
                    &f64::from(*value).to_le_bytes(),
                    format!("{:e}", f64::from(*value)),
                );
            } else {
                put(&value.to_le_bytes(), format!("{value:e}"));
            }
            if k == 4 {
                put(&[9], "9".into());
                if lists_in_vertex {
                    let length = (i % 3) as u16;
                    put(&length.to_le_bytes(), length.to_string());
                    for _ in 0..length {
                        put(&2.5f32.to_le_bytes(), "2.5".into());
                    }
                }
            }
        }
    }
    put(&[1], "1".into());
    put(&3i32.to_le_bytes(), "3".into());
    out
}

#[test]
fn order_encoding_types_and_strangers_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.ply");
    for degree in 0..=3 {
        let written = splats(11, degree);
        for encoding in ["ascii", "binary_little_endian", "binary_big_endian"] {
            for lists in [false, true] {
                std::fs::write(&path, unusual(&written, encoding, lists)).unwrap();
                let read = read_splats(&path).unwrap();
                assert_eq!(
                    bits(&read),
                    bits(&written),
                    "{encoding}, degree {degree}, lists {lists}"
                );
            }
        }
    }
}

#[test]
fn every_cut_of_every_encoding_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.ply");
    for encoding in ["ascii", "binary_little_endian", "binary_big_endian"] {
        let whole = unusual(&splats(3, 1), encoding, true);
        // The face at the end is not needed; an ascii number may lose digits unnoticed.
        let needed = whole.len() - 40;
        for len in (0..needed).step_by(7) {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_says(read_splats(&path), &path, &["PLY"]);
            assert_says(read_points(&path), &path, &["PLY"]);
        }
    }
}

#[test]
fn a_cut_file_names_record_and_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.ply");
    write_splats(&path, &splats(100, 3), &[]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let body = whole.len() - 100 * 62 * 4;
    let cut = body + 62 * 4 * 41 + 3;
    std::fs::write(&path, &whole[..cut]).unwrap();
    assert_says(
        read_splats(&path),
        &path,
        &["record 42 of 100", &format!("byte {cut}")],
    );
}

#[test]
fn absurd_counts_are_refused_without_reserving_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absurd.ply");
    write_splats(&path, &splats(10, 0), &[]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let count = b"element vertex 10";
    let at = whole.windows(count.len()).position(|w| w == count).unwrap();
    for absurd in ["18446744073709551615", "4000000000000", "11"] {
        for format in ["binary_little_endian", "ascii"] {
            let mut bytes = whole[..at].to_vec();
            bytes.extend(format!("element vertex {absurd}").bytes());
            bytes.extend(&whole[at + count.len()..]);
            let text = b"binary_little_endian";
            let format_at = bytes.windows(text.len()).position(|w| w == text).unwrap();
            bytes.splice(format_at..format_at + text.len(), format.bytes());
            std::fs::write(&path, bytes).unwrap();
            assert_says(read_splats(&path), &path, &["record", absurd, "vertex"]);
        }
    }
    std::fs::write(
        &path,
        "ply\nformat ascii 1.0\nelement vertex -3\nproperty float x\nend_header\n",
    )
    .unwrap();
    assert_says(read_splats(&path), &path, &["line 3"]);
    let long_list = "ply\nformat binary_little_endian 1.0\nelement face 1\nproperty list uint double a\nelement vertex 1\n\
                     property float x\nproperty float y\nproperty float z\nend_header\n\u{7f}\u{7f}\u{7f}\u{7f}....";
    std::fs::write(&path, long_list).unwrap();
    assert_says(read_points(&path), &path, &["element face", "ends early"]);
}

#[test]
fn point_clouds_are_told_from_splats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("points.ply");
    let header = "ply\nformat ascii 1.0\nelement vertex 2\nproperty double x\nproperty double y\nproperty double z\n";
    let rgb = "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n1 2 3 10 20 30\n-4.5 5 6 255 0 1\n";
    std::fs::write(&path, format!("{header}{rgb}")).unwrap();
    assert_eq!(
        Kind::of(&path).unwrap(),
        Kind::Points { count: 2, faces: 0 }
    );
    assert_says(read_splats(&path), &path, &["is a point cloud"]);
    let cloud = read_points(&path).unwrap();
    assert_eq!(cloud.positions[1].to_array(), [-4.5, 5.0, 6.0]);
    assert_eq!(cloud.colors, [[10, 20, 30], [255, 0, 1]]);
    let floats = "property float red\nproperty float green\nproperty float blue\nend_header\n1 2 3 0 0.5 1\n1 2 3 2 0 0\n";
    std::fs::write(&path, format!("{header}{floats}")).unwrap();
    assert_eq!(
        read_points(&path).unwrap().colors,
        [[0, 128, 255], [255, 0, 0]]
    );
    let compressed =
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty uint packed_position\nend_header\n1\n";
    std::fs::write(&path, compressed).unwrap();
    assert_says(read_splats(&path), &path, &["compressed", "chunk"]);
}

#[test]
fn a_splat_file_is_a_point_cloud_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("splats.ply");
    let mut scene = splats(2, 1);
    scene.sh_dc = vec![0.0, 10.0, -10.0, 0.0, 0.0, 0.0];
    write_splats(&path, &scene, &[]).unwrap();
    let cloud = read_points(&path).unwrap();
    assert_eq!(cloud.colors, [[128, 255, 0], [128, 128, 128]]);
    assert_eq!(cloud.positions[1].as_vec3().to_array(), scene.means[3..6]);
}

#[test]
fn splats_that_are_not_finite_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nan.ply");
    let mut scene = splats(5, 2);
    scene.log_scales[3 + 2] = f32::NAN;
    scene.sh_rest[3 * 8 * 3 + 5] = f32::INFINITY;
    write_splats(&path, &scene, &[]).unwrap();
    let read = read_splats(&path).unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!(
        read.logit_opacities,
        [0, 2, 4].map(|i| scene.logit_opacities[i])
    );
    scene.means.fill(f32::NAN);
    write_splats(&path, &scene, &[]).unwrap();
    assert_says(read_splats(&path), &path, &["no usable splat", "5 records"]);
}

#[test]
fn opaque_and_flat_splats_become_finite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat.ply");
    let mut scene = splats(3, 0);
    scene.logit_opacities[..2].copy_from_slice(&[f32::INFINITY, f32::NEG_INFINITY]);
    scene.log_scales[5] = f32::NEG_INFINITY;
    write_splats(&path, &scene, &[]).unwrap();
    let read = read_splats(&path).unwrap();
    let opacity = |logit: f32| 1.0 / (1.0 + (-logit).exp());
    assert_eq!(read.len(), 3);
    assert_eq!(opacity(read.logit_opacities[0]), 1.0);
    assert!(opacity(read.logit_opacities[1]) < 1e-8);
    assert!(read.log_scales[5].exp() < 1e-8);
    scene.log_scales[5] = f32::INFINITY;
    write_splats(&path, &scene, &[]).unwrap();
    assert_eq!(
        read_splats(&path).unwrap().len(),
        2,
        "an infinite size is nothing that can be drawn"
    );
}

#[test]
fn splats_that_disagree_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.ply");
    write_splats(&path, &splats(4, 1), &[]).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut wrong = splats(9, 1);
    wrong.quats.pop();
    assert_says(write_splats(&path, &wrong, &[]), &path, &["do not fit"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_hundred_thousand_splats_are_read_and_written_in_well_under_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.ply");
    let scene = splats(100_000, 3);
    let start = std::time::Instant::now();
    write_splats(&path, &scene, &[]).unwrap();
    let write_secs = start.elapsed().as_secs_f64();
    let start = std::time::Instant::now();
    let read = read_splats(&path).unwrap();
    let read_secs = start.elapsed().as_secs_f64();
    println!("100k splats of degree 3: written in {write_secs:.3} s, read in {read_secs:.3} s");
    assert_eq!(read.len(), scene.len());
    assert_eq!(bits(&read), bits(&scene));
    assert!(read_secs < 2.0, "reading took {read_secs:.2} s");
}

#[test]
fn damage_to_the_header_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("header.ply");
    let cases: [(&str, &[&str]); 6] = [
        ("", &["not a PLY file"]),
        ("obj\n", &["not a PLY file"]),
        (
            "ply\nformat ascii 1.0\nelement vertex",
            &["cut off", "header"],
        ),
        (
            "ply\nformat middle_endian 1.0\nend_header\n",
            &["line 2", "middle_endian"],
        ),
        (
            "ply\nformat ascii 1.0\nelement vertex 1\nproperty quaternion q\nend_header\n",
            &["line 4", "quaternion"],
        ),
        (
            "ply\nformat ascii 1.0\nelement face 0\nproperty float x\nend_header\n",
            &["vertex", "face"],
        ),
    ];
    for (content, parts) in cases {
        std::fs::write(&path, content).unwrap();
        assert_says(read_splats(&path), Path::new(&path), parts);
    }
}
