//! Splat scenes and files in formats and versions that are read but not written, made on the spot.

use flate2::{Compression, write::GzEncoder};
use luxedit::scene::Splats;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::Write;
use std::path::Path;

/// `n` splats as trained scenes have them: quaternions of any length and sign, a few far away.
pub fn scene(n: usize, sh_degree: u32, seed: u64) -> Splats {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rest = Splats::rest_count_of(sh_degree) * 3;
    let mut splats = Splats {
        sh_degree,
        ..Splats::default()
    };
    for i in 0..n {
        let reach = if i % 50 == 7 { 60.0 } else { 2.0 };
        splats
            .means
            .extend((0..3).map(|_| rng.random_range(-reach..reach)));
        splats
            .quats
            .extend((0..4).map(|_| rng.random_range(-2.0f32..2.0)));
        splats
            .log_scales
            .extend((0..3).map(|_| rng.random_range(-7.0f32..0.5)));
        splats.logit_opacities.push(rng.random_range(-5.0..7.0));
        splats
            .sh_dc
            .extend((0..3).map(|_| rng.random_range(-1.7f32..1.7)));
        splats
            .sh_rest
            .extend((0..rest).map(|_| rng.random_range(-0.6f32..0.6)));
    }
    splats
}

/// SPZ bytes of versions 1, 2 and 4, and of a raw, unpacked version 3: `n` splats of degree 1 with random bytes.
pub fn spz(version: u32, n: usize, is_packed: bool) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(version));
    let position = if version == 1 { 6 } else { 9 };
    let rotation = if version < 3 { 3 } else { 4 };
    let streams: Vec<Vec<u8>> = [position, 1, 3, 3, rotation, 9]
        .into_iter()
        .map(|width| (0..n * width).map(|_| rng.random_range(16..112)).collect())
        .collect();
    let mut out = b"NGSP".to_vec();
    out.extend(version.to_le_bytes());
    out.extend((n as u32).to_le_bytes());
    out.extend([1, 12, 0, if version == 4 { 6 } else { 0 }]);
    if version == 4 {
        out.extend(32u32.to_le_bytes());
        out.extend([0; 12]);
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let packed: Vec<Vec<u8>> = streams
            .iter()
            .map(|s| ruzstd::encoding::compress_to_vec(s.as_slice(), level))
            .collect();
        for (packed, stream) in packed.iter().zip(&streams) {
            out.extend((packed.len() as u64).to_le_bytes());
            out.extend((stream.len() as u64).to_le_bytes());
        }
        out.extend(packed.concat());
        return out;
    }
    out.extend(streams.concat());
    if is_packed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&out).unwrap();
        encoder.finish().unwrap()
    } else {
        out
    }
}

/// A `.ksplat` file of one section with two full buckets of 4 and partial ones of 3 and 2, SH of degree 1, and the splats
/// that it holds, up to rounding.
pub fn ksplat(level: u16) -> (Vec<u8>, Splats) {
    let sizes = [4, 4, 3, 2];
    let n: usize = sizes.iter().sum();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut scene = scene(n, 1, 9);
    let (block, range) = (5.0f32, if level == 0 { 1u32 } else { 32767 });
    let centers: Vec<[f32; 3]> = (0..4).map(|k| [k as f32 * 10.0, 1.0, -3.0]).collect();
    let mut i = 0;
    for (center, size) in centers.iter().zip(sizes) {
        for _ in 0..size {
            for k in 0..3 {
                scene.means[i * 3 + k] = center[k] + rng.random_range(-2.4..2.4);
            }
            i += 1;
        }
    }
    let mut out = vec![0u8; 4096 + 1024];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(1, &[1]);
    for (k, v) in [1, 1, n as u32, n as u32].into_iter().enumerate() {
        put(4 + k * 4, &v.to_le_bytes());
    }
    put(20, &level.to_le_bytes());
    put(36, &(-1.5f32).to_le_bytes());
    put(40, &1.5f32.to_le_bytes());
    let header = [n as u32, n as u32, 4, 4];
    for (k, v) in header.into_iter().enumerate() {
        put(4096 + k * 4, &v.to_le_bytes());
    }
    put(4096 + 16, &block.to_le_bytes());
    put(4096 + 20, &12u16.to_le_bytes());
    put(4096 + 24, &range.to_le_bytes());
    put(4096 + 32, &2u32.to_le_bytes());
    put(4096 + 36, &2u32.to_le_bytes());
    put(4096 + 40, &1u16.to_le_bytes());
    for size in &sizes[2..] {
        out.extend((*size as u32).to_le_bytes());
    }
    out.extend(centers.iter().flatten().flat_map(|v| v.to_le_bytes()));
    let half = |v: f32| half::f16::from_f32(v).to_bits().to_le_bytes();
    let mut bucket = 0;
    let mut left = sizes[0];
    for i in 0..n {
        if left == 0 {
            bucket += 1;
            left = sizes[bucket];
        }
        left -= 1;
        for k in 0..3 {
            let v = scene.means[i * 3 + k];
            if level == 0 {
                out.extend(v.to_le_bytes());
            } else {
                let steps = (v - centers[bucket][k]) / (block / 2.0 / range as f32);
                out.extend(((steps.round() + range as f32) as u16).to_le_bytes());
            }
        }
        let mut float = |v: f32| {
            if level == 0 {
                out.extend(v.to_le_bytes());
            } else {
                out.extend(half(v));
            }
        };
        scene.log_scales[i * 3..][..3]
            .iter()
            .for_each(|v| float(v.exp()));
        scene.quats[i * 4..][..4].iter().for_each(|v| float(*v));
        let byte = |v: f32| (v * 255.0).round().clamp(0.0, 255.0) as u8;
        let color = |dc: f32| 0.5 + 0.282_094_8 * dc;
        out.extend(scene.sh_dc[i * 3..][..3].iter().map(|&dc| byte(color(dc))));
        out.push(byte(1.0 / (1.0 + (-scene.logit_opacities[i]).exp())));
        for channel in 0..3 {
            for k in 0..3 {
                let v = scene.sh_rest[(i * 3 + k) * 3 + channel];
                match level {
                    0 => out.extend(v.to_le_bytes()),
                    1 => out.extend(half(v)),
                    _ => out.push(byte((v + 1.5) / 3.0)),
                }
            }
        }
    }
    (out, scene)
}

/// The files of an unbundled SOG of version 1 with `n` splats of degree 1, in `folder`.
pub fn sog_v1(folder: &Path, n: usize) {
    let side = (n as f64).sqrt().ceil() as u32;
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut webp =
        |name: &str, width: u32, height: u32, alpha: std::ops::RangeInclusive<u8>, limit: u8| {
            let mut rgba: Vec<u8> = (0..width * height * 4)
                .map(|_| rng.random_range(0..=limit))
                .collect();
            for pixel in rgba.as_chunks_mut::<4>().0 {
                pixel[3] = rng.random_range(alpha.clone());
                if name == "shN_labels.webp" {
                    pixel[1] = 0;
                }
            }
            let mut out = Vec::new();
            image_webp::WebPEncoder::new(&mut out)
                .encode(&rgba, width, height, image_webp::ColorType::Rgba8)
                .unwrap();
            std::fs::write(folder.join(name), out).unwrap();
        };
    for name in ["means_l.webp", "means_u.webp", "scales.webp"] {
        webp(name, side, side, 255..=255, 255);
    }
    webp("quats.webp", side, side, 252..=255, 255);
    webp("sh0.webp", side, side, 0..=255, 255);
    webp("shN_centroids.webp", 192, 2, 255..=255, 255);
    webp("shN_labels.webp", side, side, 255..=255, 127);
    let meta = serde_json::json!({
        "means": { "shape": [n, 3], "dtype": "float32", "mins": [-1.0, -2.0, -0.5], "maxs": [1.0, 2.0, 3.0],
            "files": ["means_l.webp", "means_u.webp"] },
        "scales": { "shape": [n, 3], "mins": [-8.0, -8.0, -8.0], "maxs": [0.0, -1.0, -2.0], "files": ["scales.webp"] },
        "quats": { "shape": [n, 4], "encoding": "quaternion_packed", "files": ["quats.webp"] },
        "sh0": { "shape": [n, 1, 4], "mins": [-1.0, -1.0, -1.0, -4.0], "maxs": [1.0, 1.0, 1.0, 6.0], "files": ["sh0.webp"] },
        "shN": { "shape": [n, 3], "mins": -0.5, "maxs": 0.5, "quantization": 8,
            "files": ["shN_centroids.webp", "shN_labels.webp"] },
    });
    std::fs::write(folder.join("meta.json"), meta.to_string()).unwrap();
}
