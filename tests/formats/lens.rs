//! Lenses: distortion and its inverse, and photos made straight.

use super::scenes::ramp;
use glam::{DVec2, DVec3};
use luxedit::formats::undistort::{straighten_mask, straighten_photo};
use luxedit::formats::{Distortion, Lens};
use luxedit::scene::Intrinsics;

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
