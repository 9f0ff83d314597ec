//! What lenses do to straight lines. Captures come with the distortion that structure-from-motion fitted; the editor
//! works on ideal pinhole photos, so that each photo is straightened once, on load. Models as OpenCV and COLMAP define
//! them, on the normalized plane `(x/z, y/z)` of a camera in OpenCV axes.

use crate::scene::Intrinsics;
use glam::{DMat2, DVec2, DVec3};
use serde::{Deserialize, Serialize};

/// Nothing farther than this from the optical axis is straightened: a pinhole picture's size grows with the tangent.
pub const MAX_HALF_FIELD_DEGREES: f64 = 60.0;

/// Where the distorted radius grows slower than this per undistorted unit, the model is near its turning point and
/// cannot be inverted usefully.
const MIN_SLOPE: f64 = 0.1;

/// How the ideal projection of a point moves on the normalized plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Distortion {
    #[default]
    None,
    /// Brown–Conrady with the radial polynomial `1 + k1 r² + k2 r⁴ + k3 r⁶ + k4 r⁸` and tangential p1, p2:
    /// SIMPLE_RADIAL, RADIAL and OPENCV.
    Brown { k: [f64; 4], p: [f64; 2] },
    /// OPENCV_FISHEYE: `θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸)` of the angle θ to the optical axis.
    Fisheye { k: [f64; 4] },
}

impl Distortion {
    /// Brown–Conrady, or [`Distortion::None`] when every coefficient is zero.
    pub fn brown(k: [f64; 4], p: [f64; 2]) -> Self {
        if k.iter().chain(&p).all(|&v| v == 0.0) {
            Self::None
        } else {
            Self::Brown { k, p }
        }
    }

    /// Where the ideal point `p` of the normalized plane appears.
    pub fn distort(&self, p: DVec2) -> DVec2 {
        match *self {
            Self::None => p,
            Self::Brown { k, p: [p1, p2] } => {
                let r2 = p.length_squared();
                let radial = polynomial(k, r2);
                let tangential = DVec2::new(
                    2.0 * p1 * p.x * p.y + p2 * (r2 + 2.0 * p.x * p.x),
                    2.0 * p2 * p.x * p.y + p1 * (r2 + 2.0 * p.y * p.y),
                );
                p * radial + tangential
            }
            Self::Fisheye { k } => {
                let r = p.length();
                if r == 0.0 {
                    return p;
                }
                let theta = r.atan();
                p * (theta * polynomial(k, theta * theta) / r)
            }
        }
    }

    /// As [`Distortion::distort`] for a point in camera space. A fisheye lens also sees points beside and behind it.
    pub fn distort_point(&self, point: DVec3) -> DVec2 {
        match *self {
            Self::Fisheye { k } => {
                let r = point.truncate().length();
                if r == 0.0 {
                    return DVec2::ZERO;
                }
                let theta = r.atan2(point.z);
                point.truncate() * (theta * polynomial(k, theta * theta) / r)
            }
            _ => self.distort(point.truncate() / point.z),
        }
    }

    /// The ideal point that appears at `d`, by bisection on the radius and Newton's method; `None` outside of the part
    /// that can be straightened: beyond [`MAX_HALF_FIELD_DEGREES`] or past the model's turning point.
    pub fn undistort(&self, d: DVec2) -> Option<DVec2> {
        self.undistort_within(d, self.limit_radius())
    }

    /// `limit` is [`Distortion::limit_radius`].
    fn undistort_within(&self, d: DVec2, limit: f64) -> Option<DVec2> {
        if *self == Self::None {
            return Some(d);
        }
        let target = d.length();
        if target == 0.0 && matches!(self, Self::Fisheye { .. }) {
            return Some(d);
        }
        let (mut low, mut high) = (0.0, limit);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if self.distorted_radius(middle) < target {
                low = middle;
            } else {
                high = middle;
            }
        }
        let mut p = d.normalize_or_zero() * high;
        for _ in 0..20 {
            let residual = self.distort(p) - d;
            if residual.length() < 1e-14 {
                break;
            }
            p -= self.jacobian(p).inverse() * residual;
        }
        let found = p.is_finite()
            && (self.distort(p) - d).length() < 1e-9 * (1.0 + target)
            && p.length() <= limit * (1.0 + 1e-9);
        found.then_some(p)
    }

    /// The radius on the normalized plane up to which the model is used: infinite without distortion.
    pub fn limit_radius(&self) -> f64 {
        const STEPS: u32 = 600;
        let max_theta = MAX_HALF_FIELD_DEGREES.to_radians();
        // The radial functions are s·(1 + k1 s² + …), with s the radius or the angle.
        let (k, max) = match *self {
            Self::None => return f64::INFINITY,
            Self::Brown { k, .. } => (k, max_theta.tan()),
            Self::Fisheye { k } => (k, max_theta),
        };
        let slope = |s: f64| {
            let s2 = s * s;
            1.0 + s2 * (3.0 * k[0] + s2 * (5.0 * k[1] + s2 * (7.0 * k[2] + s2 * 9.0 * k[3])))
        };
        let last = (1..=STEPS)
            .map(|i| max * f64::from(i) / f64::from(STEPS))
            .take_while(|&s| slope(s) >= MIN_SLOPE)
            .last()
            .unwrap_or(max / f64::from(STEPS));
        match self {
            Self::Fisheye { .. } => last.tan(),
            _ => last,
        }
    }

    /// Distorted radius of an ideal radius, tangential terms left out.
    fn distorted_radius(&self, r: f64) -> f64 {
        match *self {
            Self::None => r,
            Self::Brown { k, .. } => r * polynomial(k, r * r),
            Self::Fisheye { k } => {
                let theta = r.atan();
                theta * polynomial(k, theta * theta)
            }
        }
    }

    fn jacobian(&self, p: DVec2) -> DMat2 {
        let step = 1e-6 * (1.0 + p.length());
        let along = |axis: DVec2| {
            (self.distort(p + axis * step) - self.distort(p - axis * step)) / (2.0 * step)
        };
        DMat2::from_cols(along(DVec2::X), along(DVec2::Y))
    }
}

/// `1 + k1 s + k2 s² + k3 s³ + k4 s⁴`.
fn polynomial(k: [f64; 4], s: f64) -> f64 {
    1.0 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])))
}

/// A camera's intrinsics as the capture has them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    #[serde(flatten)]
    pub intrinsics: Intrinsics,
    pub distortion: Distortion,
}

impl Lens {
    /// Pixel at which a point in camera space (OpenCV axes) appears; meaningless behind the camera.
    pub fn project(&self, point: DVec3) -> DVec2 {
        let k = &self.intrinsics;
        self.distortion.distort_point(point) * DVec2::new(k.fx, k.fy) + DVec2::new(k.cx, k.cy)
    }

    pub fn with_intrinsics(self, intrinsics: Intrinsics) -> Self {
        Self { intrinsics, ..self }
    }

    /// The pinhole camera of the straightened photo. Focal lengths are kept; the picture is cut to the largest axis-aligned
    /// rectangle of whole pixels between the straightened edges of the photo, in which every pixel has a source (as
    /// `cv2.getOptimalNewCameraMatrix` with alpha 0 chooses it), and the principal point moves with the cut. `None` when
    /// the principal point is not in the photo or nothing is left.
    pub fn straightened(&self) -> Option<Intrinsics> {
        let k = self.intrinsics;
        if self.distortion == Distortion::None {
            return Some(k);
        }
        let (w, h) = (f64::from(k.width), f64::from(k.height));
        let limit = self.distortion.limit_radius();
        // Beyond the limit: the farthest usable point in that direction.
        let ideal = |x: f64, y: f64| {
            let d = DVec2::new((x - k.cx) / k.fx, (y - k.cy) / k.fy);
            self.distortion
                .undistort_within(d, limit)
                .unwrap_or_else(|| d.normalize_or_zero() * limit)
        };
        let (mut left, mut right) = (f64::NEG_INFINITY, f64::INFINITY);
        let (mut top, mut bottom) = (f64::NEG_INFINITY, f64::INFINITY);
        for i in 0..=k.height {
            left = left.max(ideal(0.0, f64::from(i)).x);
            right = right.min(ideal(w, f64::from(i)).x);
        }
        for i in 0..=k.width {
            top = top.max(ideal(f64::from(i), 0.0).y);
            bottom = bottom.min(ideal(f64::from(i), h).y);
        }
        if !(left < 0.0 && right > 0.0 && top < 0.0 && bottom > 0.0) {
            return None;
        }
        // A millionth of a pixel of slack keeps a whole pixel that rounding would cut off.
        let x0 = (left * k.fx + k.cx - 1e-6).ceil();
        let x1 = (right * k.fx + k.cx + 1e-6).floor();
        let y0 = (top * k.fy + k.cy - 1e-6).ceil();
        let y1 = (bottom * k.fy + k.cy + 1e-6).floor();
        (x1 - x0 >= 1.0 && y1 - y0 >= 1.0).then_some(Intrinsics {
            cx: k.cx - x0,
            cy: k.cy - y0,
            width: (x1 - x0) as u32,
            height: (y1 - y0) as u32,
            ..k
        })
    }

    /// Where in the photo (pixels) the centre of pixel `(x, y)` of the straightened picture is.
    pub fn source_of(&self, straight: &Intrinsics, x: u32, y: u32) -> DVec2 {
        let k = &self.intrinsics;
        let ideal = DVec2::new(
            (f64::from(x) + 0.5 - straight.cx) / straight.fx,
            (f64::from(y) + 0.5 - straight.cy) / straight.fy,
        );
        self.distortion.distort(ideal) * DVec2::new(k.fx, k.fy) + DVec2::new(k.cx, k.cy)
    }
}
