//! Edits at a small size, brought to full size with the photo's detail: against a plain twin, and what must hold of them.

use super::runs::{CAPTURE, MODEL, edit_args, has_adapter, json, manifest, path, reconstruct};
use luxedit::{
    edit::detail::{edited_size, restore},
    formats::splats::read_splats,
    scene::{FloatImage, Photo},
};
use std::path::Path;
use tempfile::TempDir;

/// A picture with detail at several scales, values in `[0, 1]`.
fn scenery(width: u32, height: u32) -> Vec<f64> {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (
                f64::from(x) / f64::from(width),
                f64::from(y) / f64::from(height),
            );
            for c in 0..3 {
                let phase = f64::from(c) * 1.3;
                let waves = (u * 9.0 + phase).sin() + (v * 7.0 - phase).cos();
                let fine = ((f64::from(x * 13 + y * 29 + c * 7) * 0.7).sin() * 43.0).fract();
                rgb.push((0.5 + 0.18 * waves + 0.1 * fine).clamp(0.0, 1.0));
            }
        }
    }
    rgb
}

fn photo(width: u32, height: u32) -> Photo {
    let rgb = scenery(width, height);
    let bytes = rgb.iter().map(|v| (v * 255.0).round() as u8);
    Photo::new(width, height, bytes.collect())
}

/// Averages over whole blocks.
fn shrunk(photo: &Photo, divisor: u32) -> FloatImage {
    let (w, h) = (photo.width / divisor, photo.height / divisor);
    let full = photo.to_float().rgb;
    let at = |x: u32, y: u32, c: u32| full[((y * photo.width + x) * 3 + c) as usize];
    let mut rgb = Vec::new();
    for y in 0..h {
        for x in 0..w {
            for c in 0..3 {
                let block = (0..divisor * divisor)
                    .map(|i| at(x * divisor + i % divisor, y * divisor + i / divisor, c));
                rgb.push(block.sum::<f32>() / (divisor * divisor) as f32);
            }
        }
    }
    FloatImage::new(w, h, rgb)
}

/// Colors that no linear map of the photo's gives everywhere.
fn edit_of(guide: &FloatImage) -> FloatImage {
    let (width, height) = (guide.width, guide.height);
    let mut rgb = Vec::new();
    for (i, p) in guide.rgb.chunks_exact(3).enumerate() {
        let u = (i as u32 % width) as f32 / width as f32;
        let v = (i as u32 / width) as f32 / height as f32;
        rgb.extend([
            (p[0] * p[1] + 0.3 * u).clamp(0.0, 1.0),
            (p[2] * (1.0 - v)).clamp(0.0, 1.0),
            (0.5 + 0.4 * (p[0] - p[2]) * (u + v)).clamp(0.0, 1.0),
        ]);
    }
    FloatImage::new(width, height, rgb)
}

/// Solves `m x = b` of three unknowns by Cramer's rule.
fn solve(m: [[f64; 3]; 3], b: [f64; 3]) -> [f64; 3] {
    let det = |m: [[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = det(m);
    std::array::from_fn(|column| {
        let mut replaced = m;
        for row in 0..3 {
            replaced[row][column] = b[row];
        }
        det(replaced) / whole
    })
}

/// The guided filter as its paper writes it, window by window.
fn twin(edited: &FloatImage, guide: &FloatImage, photo: &Photo) -> Vec<f64> {
    let (w, h) = (guide.width as i64, guide.height as i64);
    let radius = (w.max(h) / 16).max(2);
    let value = |image: &FloatImage, x: i64, y: i64, c: usize| {
        f64::from(image.rgb[(y * w + x) as usize * 3 + c])
    };
    let window = |x: i64, y: i64| {
        let mut pixels = Vec::new();
        for v in (y - radius).max(0)..=(y + radius).min(h - 1) {
            for u in (x - radius).max(0)..=(x + radius).min(w - 1) {
                pixels.push((u, v));
            }
        }
        pixels
    };
    // [a0, a1, a2, b] of each channel of the edit.
    let map = |x: i64, y: i64| -> [[f64; 4]; 3] {
        let pixels = window(x, y);
        let n = pixels.len() as f64;
        let mean =
            |f: &dyn Fn(i64, i64) -> f64| pixels.iter().map(|&(u, v)| f(u, v)).sum::<f64>() / n;
        let center: [f64; 3] = std::array::from_fn(|c| mean(&|u, v| value(guide, u, v, c)));
        std::array::from_fn(|j| {
            let target = mean(&|u, v| value(edited, u, v, j));
            let spread = std::array::from_fn(|a| {
                std::array::from_fn(|b| {
                    let product = |u, v| {
                        (value(guide, u, v, a) - center[a]) * (value(guide, u, v, b) - center[b])
                    };
                    mean(&product) + if a == b { 1e-3 } else { 0.0 }
                })
            });
            let cross = std::array::from_fn(|a| {
                mean(&|u, v| {
                    (value(guide, u, v, a) - center[a]) * (value(edited, u, v, j) - target)
                })
            });
            let a = solve(spread, cross);
            let b = target - (0..3).map(|c| a[c] * center[c]).sum::<f64>();
            [a[0], a[1], a[2], b]
        })
    };
    let maps: Vec<_> = (0..w * h).map(|i| map(i % w, i / w)).collect();
    let smooth: Vec<[[f64; 4]; 3]> = (0..w * h)
        .map(|i| {
            let pixels = window(i % w, i / w);
            std::array::from_fn(|j| {
                std::array::from_fn(|k| {
                    let sum: f64 = pixels
                        .iter()
                        .map(|&(u, v)| maps[(v * w + u) as usize][j][k])
                        .sum();
                    sum / pixels.len() as f64
                })
            })
        })
        .collect();
    let full = photo.to_float().rgb;
    let mut out = Vec::new();
    for y in 0..photo.height {
        for x in 0..photo.width {
            let place = |i: u32, large: u32, small: i64| {
                let at = (f64::from(i) + 0.5) * small as f64 / f64::from(large) - 0.5;
                at.clamp(0.0, (small - 1) as f64)
            };
            let (px, py) = (place(x, photo.width, w), place(y, photo.height, h));
            let (x0, y0) = (px.floor() as i64, py.floor() as i64);
            let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
            let (fx, fy) = (px - x0 as f64, py - y0 as f64);
            for j in 0..3 {
                let k = |k: usize| {
                    let at = |x: i64, y: i64| smooth[(y * w + x) as usize][j][k];
                    (at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx) * (1.0 - fy)
                        + (at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx) * fy
                };
                let color = |c: usize| f64::from(full[((y * photo.width + x) * 3) as usize + c]);
                let v = k(0) * color(0) + k(1) * color(1) + k(2) * color(2) + k(3);
                out.push(v.clamp(0.0, 1.0));
            }
        }
    }
    out
}

fn largest_difference(a: &[f32], b: impl IntoIterator<Item = f64>) -> f64 {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn detail_of_the_photo_is_the_guided_filter_of_the_paper() {
    let photo = photo(72, 44);
    for divisor in [1, 2, 4] {
        let guide = shrunk(&photo, divisor);
        let edited = edit_of(&guide);
        let expected = twin(&edited, &guide, &photo);
        let found = restore(edited, &guide, &photo, 1.0).unwrap();
        assert_eq!((found.width, found.height), (72, 44));
        let worst = largest_difference(&found.rgb, expected);
        assert!(worst < 2e-4, "shrunk {divisor} times: {worst}");
    }
}

#[test]
fn a_change_of_color_keeps_every_detail_where_enlarging_loses_it() {
    let photo = photo(96, 64);
    let guide = shrunk(&photo, 4);
    let recolor = |p: &[f32]| [0.6 * p[0] + 0.2 * p[1], 0.5 * p[1] + 0.1, 0.1 + 0.3 * p[2]];
    let of =
        |image: &FloatImage| -> Vec<f32> { image.rgb.chunks_exact(3).flat_map(recolor).collect() };
    let edited = FloatImage::new(guide.width, guide.height, of(&guide));
    let truth = of(&photo.to_float());
    let rms = |picture: &FloatImage| {
        let squares = picture
            .rgb
            .iter()
            .zip(&truth)
            .map(|(a, b)| (a - b) * (a - b));
        (squares.sum::<f32>() / truth.len() as f32).sqrt()
    };
    let [plain, half, full] =
        [0.0, 0.5, 1.0].map(|s| rms(&restore(edited.clone(), &guide, &photo, s).unwrap()));
    assert!(full < 0.4 * plain, "{full} against {plain}");
    assert!(full < half && half < plain);
}

#[test]
fn without_detail_an_edit_of_full_size_stays_as_it_is() {
    let photo = photo(20, 12);
    let guide = photo.to_float();
    let edited = edit_of(&guide);
    let found = restore(edited.clone(), &guide, &photo, 0.0).unwrap();
    assert_eq!(found, edited);
    let other = FloatImage::new(4, 4, vec![0.5; 48]);
    let refusal = restore(edited, &other, &photo, 1.0)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("20×12") && refusal.contains("4×4"),
        "{refusal}"
    );
}

#[test]
fn the_edited_size_keeps_proportions_and_never_grows() {
    assert_eq!(edited_size(512, 512, 128), (128, 128));
    assert_eq!(edited_size(270, 480, 256), (144, 256));
    assert_eq!(edited_size(480, 270, 0), (480, 270));
    assert_eq!(edited_size(100, 60, 128), (100, 60));
    assert_eq!(edited_size(4000, 3, 64), (64, 1));
    assert_eq!(edited_size(u32::MAX, u32::MAX, 64), (64, 64));
    assert_eq!(
        edited_size(100, 50, 3),
        (32, 16),
        "a limit is no less than 32"
    );
}

/// Mean distance of the splats' colors from where they began.
fn color_change(from: &str, to: &str) -> f32 {
    let [a, b] = [from, to].map(|p| read_splats(&Path::new(p).join("scene.ply")).unwrap().sh_dc);
    let pairs = a.iter().zip(&b);
    pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}

#[test]
fn a_scene_is_edited_small_with_detail_and_its_colors_follow_faster() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let scene = reconstruct(&dir);
    let [slow, fast] = ["1", "8"].map(|rate| {
        let to = path(&dir, rate);
        let rest = [
            "--steps",
            "8",
            "--sweep-views",
            "2",
            "--diffusion-steps",
            "2",
            "--edited-side",
            "40",
        ];
        let rest = [&rest[..], &["--photo-detail", "1", "--color-rate", rate]].concat();
        json(&dir, &edit_args(&scene, &to, &rest));
        to
    });
    let kept = manifest(&slow);
    let edits = kept["edits"].as_array().unwrap();
    assert!(!edits.is_empty());
    for edit in edits {
        let [edited, render] = ["edited", "render"].map(|key| {
            let file = Path::new(&slow)
                .join("edits")
                .join(edit[key].as_str().unwrap());
            image::image_dimensions(file).unwrap()
        });
        assert_eq!(edited, render, "an edit comes back at full size");
        assert_eq!(edited.0.max(edited.1), 96);
    }
    let [slow, fast] = [slow, fast].map(|to| color_change(&scene, &to));
    assert!(fast > 3.0 * slow, "{fast} against {slow}");
}

#[test]
fn a_picture_is_edited_small_and_comes_back_at_its_size() {
    let dir = TempDir::new().unwrap();
    let photo = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(CAPTURE)
        .join("images");
    let mut photos: Vec<_> = std::fs::read_dir(photo)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    photos.sort();
    let photo = photos[0].display().to_string();
    let [plain, detailed] = ["0", "1"].map(|detail| {
        let to = path(&dir, &format!("{detail}.png"));
        let args = [
            "edit-image",
            &photo,
            "--prompt",
            "turn it into bronze",
            "-o",
            &to,
            "--model",
            MODEL,
        ];
        let more = [
            "--edit-device",
            "cpu",
            "--diffusion-steps",
            "2",
            "--edited-side",
            "32",
            "--photo-detail",
            detail,
        ];
        let (ok, _, stderr) = super::runs::luxedit(&dir, &[&args[..], &more[..]].concat());
        assert!(ok, "{stderr}");
        image::open(to).unwrap().to_rgb8()
    });
    let size = image::image_dimensions(&photo).unwrap();
    assert_eq!(plain.dimensions(), size);
    assert_eq!(detailed.dimensions(), size);
    // Steps between neighbors: the photo's are in its detail, and in what is only enlarged by chance.
    let steps = |picture: &image::RgbImage| -> Vec<f64> {
        let row = picture.width() as usize * 3;
        let rows = picture.as_raw().chunks_exact(row);
        rows.flat_map(|r| r.windows(4).map(|w| f64::from(w[3]) - f64::from(w[0])))
            .collect()
    };
    let original = steps(&image::open(&photo).unwrap().to_rgb8());
    let likeness = |picture: &image::RgbImage| -> f64 {
        let own = steps(picture);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        (dot(&own, &original) / (dot(&own, &own) * dot(&original, &original)).sqrt()).abs()
    };
    let (detailed, plain) = (likeness(&detailed), likeness(&plain));
    assert!(detailed > 1.5 * plain, "{detailed} against {plain}");
}
