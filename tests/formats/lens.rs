//! Lenses: distortion and its inverse, and photos made straight.

use super::scenes::{assert_says, fixtures, ramp, transforms_capture};
use glam::{DVec2, DVec3};
use luxedit::formats::colmap::{MODELS, ModelCamera};
use luxedit::formats::undistort::{straighten_mask, straighten_photo};
use luxedit::formats::{Distortion, Info, Lens, inspect};
use luxedit::scene::Intrinsics;
use serde_json::Value;

fn lenses() -> Vec<Lens> {
    let intrinsics = |width, height, f, cx, cy| Intrinsics {
        fx: f,
        fy: f * 1.02,
        cx,
        cy,
        width,
        height,
    };
    let lens = |intrinsics, distortion| Lens {
        intrinsics,
        distortion,
    };
    vec![
        lens(
            intrinsics(60, 40, 50.0, 31.5, 18.2),
            Distortion::brown([-0.2, 0.05, 0.0, 0.0], [0.003, -0.002]),
        ),
        lens(
            intrinsics(60, 40, 50.0, 28.0, 21.0),
            Distortion::brown([0.25, -0.03, 0.0, 0.0], [0.0, 0.004]),
        ),
        lens(
            intrinsics(60, 40, 40.0, 30.0, 20.0),
            Distortion::brown([0.1, -0.4, 0.02, 0.01], [0.0, 0.0]),
        ),
        lens(
            intrinsics(60, 40, 30.0, 30.0, 20.5),
            Distortion::Fisheye {
                k: [0.03, -0.014, 0.004, -0.0007],
            },
        ),
        lens(
            intrinsics(60, 40, 45.0, 30.0, 20.5),
            Distortion::Rational {
                k: [0.21, -0.05, 0.01, 0.32, -0.03, 0.004],
                p: [0.002, -0.001],
            },
        ),
        lens(
            intrinsics(60, 40, 30.0, 30.0, 20.5),
            Distortion::ThinPrismFisheye {
                k: [0.03, -0.012, 0.004, -0.0006],
                p: [0.002, -0.003],
                s: [0.0015, -0.001],
            },
        ),
        lens(
            intrinsics(60, 40, 30.0, 30.0, 20.5),
            Distortion::RadTanThinPrismFisheye {
                k: [0.03, -0.012, 0.004, -0.0006, 0.0001, -0.00001],
                p: [0.002, -0.003],
                s: [0.0015, 0.0005, -0.001, 0.0002],
            },
        ),
        lens(
            intrinsics(60, 40, 30.0, 31.0, 19.5),
            Distortion::FieldOfView { omega: 0.9 },
        ),
        lens(
            intrinsics(60, 40, 40.0, 31.0, 19.5),
            Distortion::Division { k: -0.2 },
        ),
        lens(
            intrinsics(60, 40, 60.0, 31.0, 19.5),
            Distortion::Division { k: 0.1 },
        ),
        // A fisheye of nearly 180°: most of it is beyond what is straightened.
        lens(
            intrinsics(60, 60, 20.0, 30.0, 30.0),
            Distortion::Fisheye { k: [0.0; 4] },
        ),
    ]
}

#[test]
fn undistort_is_the_inverse_of_distort() {
    for lens in lenses() {
        let distortion = lens.distortion;
        let limit = distortion.limit_radius();
        assert!(limit > 0.3 && limit < 1.74, "{distortion:?}: {limit}");
        for i in 0..24 {
            for k in 0..20 {
                let angle = f64::from(i) / 24.0 * std::f64::consts::TAU;
                let ideal = DVec2::from_angle(angle) * (limit * 0.98 * f64::from(k) / 20.0);
                let back = distortion.undistort(distortion.distort(ideal));
                let back = back.unwrap_or_else(|| panic!("{distortion:?}: {ideal} has no inverse"));
                assert!(
                    back.abs_diff_eq(ideal, 1e-8),
                    "{distortion:?}: {ideal} comes back as {back}"
                );
                let point = DVec3::new(ideal.x, ideal.y, 1.0) * 3.0;
                assert!(
                    distortion
                        .distort_point(point)
                        .abs_diff_eq(distortion.distort(ideal), 1e-12)
                );
            }
        }
    }
    let barrel = Distortion::brown([-0.5, 0.0, 0.0, 0.0], [0.0; 2]);
    assert_eq!(
        barrel.undistort(DVec2::new(5.0, 0.0)),
        None,
        "nothing appears there"
    );
}

#[test]
fn every_straightened_pixel_has_a_source() {
    for lens in lenses() {
        let straight = lens.straightened().expect("a rectangle");
        let k = lens.intrinsics;
        assert_eq!((straight.fx, straight.fy), (k.fx, k.fy));
        let (mut nearest, mut farthest) = (DVec2::INFINITY, DVec2::NEG_INFINITY);
        for y in 0..straight.height {
            for x in 0..straight.width {
                let source = lens.source_of(&straight, x, y);
                nearest = nearest.min(source);
                farthest = farthest.max(source);
            }
        }
        assert!(nearest.min_element() >= 0.0, "{lens:?}: {nearest}");
        assert!(
            farthest.x <= f64::from(k.width) && farthest.y <= f64::from(k.height),
            "{lens:?}: {farthest}"
        );
        // The corners of the pixels too, not their centres only.
        let corner = |x: f64, y: f64| {
            let ideal = DVec2::new((x - straight.cx) / k.fx, (y - straight.cy) / k.fy);
            lens.distortion.distort(ideal) * DVec2::new(k.fx, k.fy) + DVec2::new(k.cx, k.cy)
        };
        let (w, h) = (f64::from(straight.width), f64::from(straight.height));
        for p in [
            corner(0.0, 0.0),
            corner(w, 0.0),
            corner(0.0, h),
            corner(w, h),
        ] {
            assert!(p.cmpge(DVec2::splat(-1e-6)).all(), "{lens:?}: {p}");
            assert!(
                p.x <= f64::from(k.width) + 1e-6 && p.y <= f64::from(k.height) + 1e-6,
                "{lens:?}: {p}"
            );
        }
    }
}

#[test]
fn straightened_photos_show_what_a_pinhole_would() {
    for lens in lenses() {
        let photo = ramp(lens.intrinsics.width, lens.intrinsics.height);
        let straight = lens.straightened().expect("a rectangle");
        let straightened = straighten_photo(&photo, &lens, &straight);
        assert_eq!(
            (straightened.width, straightened.height),
            (straight.width, straight.height)
        );
        for y in 0..straight.height {
            for x in 0..straight.width {
                // A point of the scene seen by the pinhole there: where the real lens put it, the ramp has this colour.
                let ray = DVec3::new(
                    (f64::from(x) + 0.5 - straight.cx) / straight.fx,
                    (f64::from(y) + 0.5 - straight.cy) / straight.fy,
                    1.0,
                );
                let pixel = lens.project(ray * 7.0);
                let last = DVec2::new(f64::from(photo.width - 1), f64::from(photo.height - 1));
                let expected = (pixel - 0.5).clamp(DVec2::ZERO, last) * 4.0;
                let i = ((y * straight.width + x) * 3) as usize;
                let got = &straightened.rgb[i..i + 3];
                assert!(
                    (f64::from(got[0]) - expected.x).abs() <= 0.51,
                    "{lens:?} ({x}, {y})"
                );
                assert!(
                    (f64::from(got[1]) - expected.y).abs() <= 0.51,
                    "{lens:?} ({x}, {y})"
                );
                assert_eq!(got[2], 77);
            }
        }
    }
}

#[test]
fn masks_follow_their_photos_at_any_size() {
    let lens = lenses()[0];
    let k = lens.intrinsics;
    let straight = lens.straightened().expect("a rectangle");
    // Twice the photo's size; the left half is ignored.
    let (width, height) = (k.width * 2, k.height * 2);
    let mask = (0..height)
        .flat_map(|_| (0..width).map(|x| if x < width / 2 { 0 } else { 255 }))
        .collect();
    let straightened = straighten_mask(&(width, height, mask), &lens, &straight);
    for y in 0..straight.height {
        for x in 0..straight.width {
            let source = lens.source_of(&straight, x, y);
            let expected = if source.x < f64::from(k.width) / 2.0 {
                0
            } else {
                255
            };
            assert_eq!(straightened[(y * straight.width + x) as usize], expected);
        }
    }
}

#[test]
fn a_pinhole_photo_is_left_alone() {
    let lens = Lens {
        intrinsics: lenses()[0].intrinsics,
        distortion: Distortion::brown([0.0; 4], [0.0; 2]),
    };
    assert_eq!(lens.distortion, Distortion::None);
    assert_eq!(lens.straightened(), Some(lens.intrinsics));
    let lost = Lens {
        intrinsics: Intrinsics {
            cx: -5.0,
            ..lens.intrinsics
        },
        distortion: lenses()[0].distortion,
    };
    assert_eq!(
        lost.straightened(),
        None,
        "the principal point is not in the photo"
    );
}

/// Points in camera space, and the pixels where pycolmap sees them (`tests/fixtures/make_lenses.py`).
#[test]
fn every_model_of_colmap_projects_as_colmap_does() {
    let path = fixtures().join("lenses.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let numbers = |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
    let mut seen = Vec::new();
    for case in &cases {
        let model = case["model"].as_str().unwrap();
        let &(model, count) = MODELS.iter().find(|(m, _)| *m == model).unwrap();
        seen.push(model);
        let params = numbers(&case["params"]);
        assert_eq!(params.len(), count, "{model}");
        let camera = ModelCamera {
            model,
            width: 640,
            height: 480,
            params,
        };
        let lens = camera.lens().unwrap();
        let rays = case["points"].as_array().unwrap();
        for (point, pixel) in rays.iter().zip(case["pixels"].as_array().unwrap()) {
            let point = DVec3::from_slice(&numbers(point));
            let expected = DVec2::from_slice(&numbers(pixel));
            let found = lens.project(point);
            assert!(
                found.abs_diff_eq(expected, 1e-7),
                "{model}: {point} at {found}, for pycolmap at {expected}"
            );
            let k = lens.intrinsics;
            let seen = (expected - DVec2::new(k.cx, k.cy)) / DVec2::new(k.fx, k.fy);
            let ideal = lens.distortion.undistort(seen).expect("within the limit");
            assert!(
                ideal.abs_diff_eq(point.truncate() / point.z, 1e-8),
                "{model}: {ideal}"
            );
        }
        let straight = lens.straightened().expect("a rectangle");
        println!(
            "{model}: {} x {} of 640 x 480",
            straight.width, straight.height
        );
        assert!(straight.width > 320 && straight.height > 240, "{model}");
    }
    assert_eq!(seen.len(), MODELS.len(), "all models");
}

#[test]
fn transforms_name_the_same_lenses() {
    let folder = tempfile::tempdir().unwrap();
    let lens_of = |edit: &dyn Fn(&mut Value)| {
        let path = transforms_capture(folder.path(), 1, |value| edit(value));
        match inspect(&path).unwrap() {
            Info::Capture(info) => info.lenses[0].lens.distortion,
            other => panic!("{other:?}"),
        }
    };
    let k = [0.03, -0.012, 0.004, -0.0006];
    let with = |value: &mut Value, model: &str, more: &[(&str, f64)]| {
        value["camera_model"] = model.into();
        for (i, k) in k.iter().enumerate() {
            value[format!("k{}", i + 1)] = (*k).into();
        }
        (value["p1"], value["p2"]) = (0.002.into(), (-0.003).into());
        for (key, number) in more {
            value[*key] = (*number).into();
        }
    };
    let p = [0.002, -0.003];
    for model in ["OPENCV_FISHEYE", "RADIAL_FISHEYE", "FISHEYE"] {
        let lens = lens_of(&|v| with(v, model, &[]));
        assert_eq!(lens, Distortion::Fisheye { k });
    }
    let prism = [("sx1", 0.0015), ("sy1", -0.001)];
    assert_eq!(
        lens_of(&|v| with(v, "THIN_PRISM_FISHEYE", &prism)),
        Distortion::ThinPrismFisheye {
            k,
            p,
            s: [0.0015, -0.001]
        }
    );
    let [k1, k2, k3, k4] = k;
    assert_eq!(
        lens_of(&|v| with(v, "FULL_OPENCV", &[("k5", 0.5), ("k6", 0.6)])),
        Distortion::Rational {
            k: [k1, k2, k3, k4, 0.5, 0.6],
            p
        }
    );
    assert_eq!(
        lens_of(&|v| with(v, "FOV", &[("omega", 0.9)])),
        Distortion::FieldOfView { omega: 0.9 }
    );
    assert_eq!(
        lens_of(&|v| with(v, "FOV", &[("omega", 0.0)])),
        Distortion::None
    );
    let aria: Vec<f64> = (0..12).map(|i| f64::from(i) * 1e-3).collect();
    let list = aria.clone();
    assert_eq!(
        lens_of(&|v| {
            v["camera_model"] = "FISHEYE624".into();
            v["frames"][0]["distortion_params"] = list.clone().into();
        }),
        Distortion::RadTanThinPrismFisheye {
            k: aria[..6].try_into().unwrap(),
            p: aria[6..8].try_into().unwrap(),
            s: aria[8..].try_into().unwrap(),
        }
    );
    let path = transforms_capture(folder.path(), 1, |v| {
        v["camera_model"] = "FISHEYE624".into();
    });
    assert_says(inspect(&path), &path, &["frame 0", "twelve"]);
}
