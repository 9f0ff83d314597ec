//! A turned scene looks the same from a turned camera.

use super::made;
use glam::{DMat3, DMat4, DQuat, DVec3};
use luxedit::formats::splats::{Similarity, SplatFormat, decode};
use luxedit::scene::Splats;
use serde_json::json;
use std::path::Path;

/// Degrees 1 to 3 of the reference renderer (Kerbl et al. 2023), written as its CUDA code has them.
fn color(splats: &Splats, i: usize, d: DVec3) -> [f64; 3] {
    let DVec3 { x, y, z } = d;
    let (xx, yy, zz, xy, yz, xz) = (x * x, y * y, z * z, x * y, y * z, x * z);
    let (c1, c2, c3) = (
        0.4886025119029199,
        [
            1.0925484305920792,
            -1.0925484305920792,
            0.31539156525252005,
            -1.0925484305920792,
            0.5462742152960396,
        ],
        [
            -0.5900435899266435,
            2.890611442640554,
            -0.4570457994644658,
            0.3731763325901154,
            -0.4570457994644658,
            1.445305721320277,
            -0.5900435899266435,
        ],
    );
    let weights = [
        -c1 * y,
        c1 * z,
        -c1 * x,
        c2[0] * xy,
        c2[1] * yz,
        c2[2] * (2.0 * zz - xx - yy),
        c2[3] * xz,
        c2[4] * (xx - yy),
        c3[0] * y * (3.0 * xx - yy),
        c3[1] * xy * z,
        c3[2] * y * (4.0 * zz - xx - yy),
        c3[3] * z * (2.0 * zz - 3.0 * xx - 3.0 * yy),
        c3[4] * x * (4.0 * zz - xx - yy),
        c3[5] * z * (xx - yy),
        c3[6] * x * (xx - 3.0 * yy),
    ];
    [0, 1, 2].map(|c| {
        let rest = |k: usize| f64::from(splats.sh_rest[(i * 15 + k) * 3 + c]);
        weights
            .iter()
            .enumerate()
            .map(|(k, w)| w * rest(k))
            .sum::<f64>()
            + f64::from(splats.sh_dc[i * 3 + c])
    })
}

fn covariance(splats: &Splats, i: usize) -> DMat3 {
    let [w, x, y, z] = [0, 1, 2, 3].map(|k| f64::from(splats.quats[i * 4 + k]));
    let r = DMat3::from_quat(DQuat::from_xyzw(x, y, z, w).normalize());
    let s = [0, 1, 2].map(|k| f64::from(splats.log_scales[i * 3 + k]).exp());
    let m = r * DMat3::from_diagonal(DVec3::from_array(s));
    m * m.transpose()
}

fn assert_same_from_turned_camera(before: &Splats, after: &Splats, matrix: DMat4) {
    let linear = DMat3::from_mat4(matrix);
    let scale = linear.determinant().abs().cbrt();
    for i in 0..before.len() {
        let mean = |s: &Splats| DVec3::from_array([0, 1, 2].map(|k| f64::from(s.means[i * 3 + k])));
        assert!(mean(after).distance(matrix.transform_point3(mean(before))) < 1e-4);
        let expected = linear * covariance(before, i) * linear.transpose();
        let difference = covariance(after, i) - expected;
        let size = expected
            .to_cols_array()
            .into_iter()
            .map(f64::abs)
            .fold(0.0, f64::max);
        assert!(
            difference
                .to_cols_array()
                .iter()
                .all(|v| v.abs() < 1e-5 * size)
        );
        for d in [
            DVec3::new(0.3, -0.8, 0.2),
            DVec3::new(-0.5, 0.1, 0.9),
            DVec3::Z,
        ] {
            let d = d.normalize();
            let (a, b) = (color(before, i, d), color(after, i, linear * d / scale));
            assert!((0..3).all(|c| (a[c] - b[c]).abs() < 1e-5), "{a:?} {b:?}");
        }
    }
}

#[test]
fn turned_scenes_look_the_same() {
    let scene = made::scene(60, 3, 21);
    let turn = DMat3::from_quat(DQuat::from_xyzw(0.3, -0.5, 0.1, 0.9).normalize());
    for (scale, turn) in [(1.0, turn), (2.5, turn), (0.3, -turn)] {
        let similarity = Similarity {
            scale,
            turn,
            translation: DVec3::new(1.0, -2.0, 3.0),
        };
        let mut turned = scene.clone();
        similarity.apply(&mut turned);
        let mut matrix = DMat4::from_mat3(turn * scale);
        matrix.w_axis = similarity.translation.extend(1.0);
        assert_same_from_turned_camera(&scene, &turned, matrix);
    }
    for axis in 0..3 {
        let mut turned = scene.clone();
        Similarity::half_turn(axis).apply(&mut turned);
        assert_ne!(turned.sh_rest, scene.sh_rest);
        Similarity::half_turn(axis).apply(&mut turned);
        assert_eq!(
            (&turned.means, &turned.sh_rest),
            (&scene.means, &scene.sh_rest),
            "half turns are exact"
        );
    }
}

/// A glTF file of one splat a node: numbers in the JSON's own buffer, normalized shorts and bytes, a node tree.
#[test]
fn gltf_nodes_move_their_splats() {
    let scene = made::scene(1, 0, 22);
    let mut binary: Vec<u8> = Vec::new();
    let mut floats = |values: &[f32]| values.iter().for_each(|v| binary.extend(v.to_le_bytes()));
    floats(&scene.means);
    floats(&[0.0, 0.0, 0.0]);
    binary.extend([0i16, 0, 23170, 23170].iter().flat_map(|v| v.to_le_bytes()));
    binary.extend(
        [
            (-0.5f32).to_le_bytes(),
            0.25f32.to_le_bytes(),
            (-2.0f32).to_le_bytes(),
        ]
        .concat(),
    );
    binary.extend([191, 0, 0, 0]);
    let views: Vec<_> = [(0, 12), (12, 12), (24, 8), (32, 12), (44, 1)]
        .map(|(at, len)| json!({ "buffer": 0, "byteOffset": at, "byteLength": len }))
        .to_vec();
    let name = |part: &str| format!("KHR_gaussian_splatting:{part}");
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text: String = binary
        .chunks(3)
        .flat_map(|c| {
            let bits = u32::from(c[0]) << 16
                | u32::from(*c.get(1).unwrap_or(&0)) << 8
                | u32::from(*c.get(2).unwrap_or(&0));
            (0..4).map(move |i| {
                if i <= c.len() {
                    char::from(digits[(bits >> (18 - 6 * i) & 63) as usize])
                } else {
                    '='
                }
            })
        })
        .collect();
    let document = json!({
        "asset": { "version": "2.0" },
        "buffers": [{ "byteLength": binary.len(), "uri": format!("data:application/octet-stream;base64,{text}") }],
        "bufferViews": views,
        "accessors": [
            { "bufferView": 0, "componentType": 5126, "count": 1, "type": "VEC3" },
            { "bufferView": 1, "componentType": 5126, "count": 1, "type": "VEC3" },
            { "bufferView": 2, "componentType": 5122, "normalized": true, "count": 1, "type": "VEC4" },
            { "bufferView": 3, "componentType": 5126, "count": 1, "type": "VEC3" },
            { "bufferView": 4, "componentType": 5121, "normalized": true, "count": 1, "type": "SCALAR" },
        ],
        "meshes": [{ "primitives": [{ "mode": 0, "attributes": {
            "POSITION": 0, name("SH_DEGREE_0_COEF_0"): 1, name("ROTATION"): 2, name("SCALE"): 3, name("OPACITY"): 4,
        }, "extensions": { "KHR_gaussian_splatting": { "kernel": "ellipse", "colorSpace": "srgb_rec709_display" } } }] }],
        "nodes": [
            { "children": [1], "translation": [0.0, 0.0, 5.0] },
            { "mesh": 0, "scale": [2.0, 2.0, 2.0] },
            { "mesh": 0 },
        ],
    });
    let read = |document: &serde_json::Value| {
        decode(
            Path::new("a.gltf"),
            document.to_string().as_bytes(),
            SplatFormat::Gltf,
        )
    };
    let splats = read(&document).unwrap();
    assert_eq!(splats.len(), 2);
    let [x, y, z] = [0, 1, 2].map(|k| scene.means[k]);
    // Half a turn about z after the node's scale and place.
    assert_eq!(splats.means, [-2.0 * x, -2.0 * y, 2.0 * z + 5.0, -x, -y, z]);
    // A negative scale: the draft's logarithms.
    let expected = [-0.5, 0.25, -2.0];
    for k in 0..3 {
        assert!((splats.log_scales[3 + k] - expected[k]).abs() < 1e-6);
        assert!((splats.log_scales[k] - expected[k] - 2f32.ln()).abs() < 1e-6);
    }
    assert!((splats.logit_opacities[0] - (191.0f32 / 64.0).ln()).abs() < 1e-5);
    // A quarter turn about z, and half a one: three quarters.
    let h = std::f32::consts::FRAC_1_SQRT_2;
    let dot: f32 = splats.quats[..4]
        .iter()
        .zip([-h, 0.0, 0.0, h])
        .map(|(a, b)| a * b)
        .sum();
    assert!((dot.abs() - 1.0).abs() < 1e-4, "{:?}", &splats.quats[..4]);
    let says = |change: &dyn Fn(&mut serde_json::Value), part: &str| {
        let mut changed = document.clone();
        change(&mut changed);
        let sentence = read(&changed).unwrap_err().to_string();
        assert!(
            sentence.contains("a.gltf") && sentence.contains(part),
            "{sentence}"
        );
    };
    says(
        &|d| d["nodes"][1]["scale"] = json!([2.0, 1.0, 1.0]),
        "stretches",
    );
    says(&|d| d["nodes"][1]["children"] = json!([1]), "twice");
    says(
        &|d| d["buffers"][0]["uri"] = json!("../secret.bin"),
        "secret.bin",
    );
    says(
        &|d| d["accessors"][0]["count"] = json!(u64::MAX),
        "18446744073709551615",
    );
    says(&|d| d["accessors"][3]["count"] = json!(0), "SCALE");
    says(
        &|d| d["meshes"][0]["primitives"][0]["extensions"] = json!({}),
        "without Gaussian splats",
    );
}
