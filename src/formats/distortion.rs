//! What lenses do to straight lines. Captures come with the distortion that structure-from-motion fitted; the editor
//! works on ideal pinhole photos, so that each photo is straightened once, on load. Models as OpenCV and COLMAP define
//! them, on the normalized plane `(x/z, y/z)` of a camera in OpenCV axes.

use crate::scene::Intrinsics;
use glam::{DMat2, DVec2, DVec3};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Nothing farther than this from the optical axis is straightened: a pinhole picture's size grows with the tangent.
pub const MAX_HALF_FIELD_DEGREES: f64 = 60.0;

/// Where the distorted radius grows slower than this per undistorted unit, the model is near its turning point and
/// cannot be inverted usefully.
const MIN_SLOPE: f64 = 0.1;

/// Pixels of the longer side of a photo; longer ones are damaged files.
pub(super) const MAX_SIDE: u32 = 1 << 20;

/// How the ideal projection of a point moves on the normalized plane. Names in capitals are COLMAP's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Distortion {
    #[default]
    None,
    /// Brown–Conrady with the radial polynomial `1 + k1 r² + k2 r⁴ + k3 r⁶ + k4 r⁸` and tangential p1, p2:
    /// SIMPLE_RADIAL, RADIAL and OPENCV.
    Brown { k: [f64; 4], p: [f64; 2] },
    /// FULL_OPENCV: the radial function `(1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶)`, and tangential p1, p2.
    Rational { k: [f64; 6], p: [f64; 2] },
    /// OPENCV_FISHEYE: `θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸)` of the angle θ to the optical axis. RADIAL_FISHEYE and
    /// FISHEYE leave out coefficients.
    Fisheye { k: [f64; 4] },
    /// THIN_PRISM_FISHEYE: on the plane of the angle θ, Brown–Conrady, and `s1 θ²` along x, `s2 θ²` along y.
    ThinPrismFisheye {
        k: [f64; 4],
        p: [f64; 2],
        s: [f64; 2],
    },
    /// RAD_TAN_THIN_PRISM_FISHEYE, Project Aria's FISHEYE624: on the plane of the angle a radial polynomial of six
    /// coefficients; of what that gives, tangential p0, p1 and the prism `s0 r² + s1 r⁴` along x, `s2 r² + s3 r⁴` along y.
    RadTanThinPrismFisheye {
        k: [f64; 6],
        p: [f64; 2],
        s: [f64; 4],
    },
    /// FOV (Devernay and Faugeras 2001): `atan(2 r tan(ω/2)) / ω`, ω in radians.
    FieldOfView { omega: f64 },
    /// DIVISION (Fitzgibbon 2001): the ideal radius is `d / (1 + k d²)` of the distorted radius d.
    Division { k: f64 },
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

    /// [`Distortion::FieldOfView`], or [`Distortion::None`] for an angle that cannot be told from zero. `None` for one that
    /// no lens has.
    pub fn field_of_view(omega: f64) -> Option<Self> {
        match omega.abs() {
            omega if omega < 1e-6 => Some(Self::None),
            omega if omega < PI => Some(Self::FieldOfView { omega }),
            _ => None,
        }
    }

    /// Where the ideal point `p` of the normalized plane appears.
    pub fn distort(&self, p: DVec2) -> DVec2 {
        let r = p.length();
        if r == 0.0 || *self == Self::None {
            return p;
        }
        self.bend(if self.is_angular() {
            p * (r.atan() / r)
        } else {
            p
        })
    }

    /// As [`Distortion::distort`] for a point in camera space. A fisheye lens also sees points beside and behind it.
    pub fn distort_point(&self, point: DVec3) -> DVec2 {
        if !self.is_angular() {
            return self.distort(point.truncate() / point.z);
        }
        let r = point.truncate().length();
        if r == 0.0 {
            return DVec2::ZERO;
        }
        self.bend(point.truncate() * (r.atan2(point.z) / r))
    }

    /// Whether radii are angles to the optical axis, else their tangents.
    fn is_angular(&self) -> bool {
        match self {
            Self::Fisheye { .. }
            | Self::ThinPrismFisheye { .. }
            | Self::RadTanThinPrismFisheye { .. } => true,
            Self::None
            | Self::Brown { .. }
            | Self::Rational { .. }
            | Self::FieldOfView { .. }
            | Self::Division { .. } => false,
        }
    }

    /// Where a point other than the middle appears; its radius is an angle or a tangent ([`Distortion::is_angular`]).
    fn bend(&self, q: DVec2) -> DVec2 {
        let r = q.length();
        let along = q * (self.radial(r) / r);
        match *self {
            Self::Brown { p, .. } | Self::Rational { p, .. } => along + tangential(p, q),
            Self::ThinPrismFisheye { p, s, .. } => {
                along + tangential(p, q) + DVec2::from_array(s) * (r * r)
            }
            Self::RadTanThinPrismFisheye { p, s, .. } => {
                let r2 = along.length_squared();
                let prism = DVec2::new(s[0] + s[1] * r2, s[2] + s[3] * r2) * r2;
                let [p0, p1] = p;
                along + tangential([p1, p0], along) + prism
            }
            _ => along,
        }
    }

    /// The radius that appears for a radius of the plane of [`Distortion::bend`], where nothing but it acts.
    fn radial(&self, s: f64) -> f64 {
        let s2 = s * s;
        match *self {
            Self::None => s,
            Self::Brown { k, .. } | Self::Fisheye { k } | Self::ThinPrismFisheye { k, .. } => {
                s * polynomial(&k, s2)
            }
            Self::Rational { k, .. } => s * polynomial(&k[..3], s2) / polynomial(&k[3..], s2),
            Self::RadTanThinPrismFisheye { k, .. } => s * polynomial(&k, s2),
            Self::FieldOfView { omega } => (2.0 * s * (0.5 * omega).tan()).atan() / omega,
            Self::Division { k } => 2.0 * s / (1.0 + (1.0 - 4.0 * k * s2).sqrt()),
        }
    }

    /// The ideal point that appears at `d`, by bisection on the radius and Newton's method; `None` outside of the part
    /// that can be straightened: beyond [`MAX_HALF_FIELD_DEGREES`] or past the model's turning point.
    pub fn undistort(&self, d: DVec2) -> Option<DVec2> {
        self.undistort_within(d, self.limit_radius())
    }

    /// `limit` is [`Distortion::limit_radius`].
    fn undistort_within(&self, d: DVec2, limit: f64) -> Option<DVec2> {
        let target = d.length();
        if *self == Self::None || target == 0.0 {
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
        // Models that flatten far out are judged by the angle, in which they are closer to straight.
        let by_angle = match self {
            Self::None => return f64::INFINITY,
            Self::Brown { .. } | Self::Rational { .. } => false,
            Self::Fisheye { .. }
            | Self::ThinPrismFisheye { .. }
            | Self::RadTanThinPrismFisheye { .. }
            | Self::FieldOfView { .. }
            | Self::Division { .. } => true,
        };
        let ideal = |s: f64| if by_angle { s.tan() } else { s };
        let max = if by_angle { max_theta } else { max_theta.tan() };
        let distorted = |s: f64| self.distorted_radius(ideal(s));
        let step = max / f64::from(STEPS);
        let is_usable = |s: f64| {
            let h = 1e-6 * max;
            let slope = (distorted(s + h) - distorted(s - h)) / (2.0 * h);
            // The second: no pole was passed.
            slope >= MIN_SLOPE && distorted(s) > distorted(s - step)
        };
        let last = (1..=STEPS)
            .map(|i| step * f64::from(i))
            .take_while(|&s| is_usable(s))
            .last();
        ideal(last.unwrap_or(step))
    }

    /// Distorted radius of an ideal radius; what does not act along it is left out.
    fn distorted_radius(&self, r: f64) -> f64 {
        self.radial(if self.is_angular() { r.atan() } else { r })
    }

    fn jacobian(&self, p: DVec2) -> DMat2 {
        let step = 1e-6 * (1.0 + p.length());
        let along = |axis: DVec2| {
            (self.distort(p + axis * step) - self.distort(p - axis * step)) / (2.0 * step)
        };
        DMat2::from_cols(along(DVec2::X), along(DVec2::Y))
    }
}

/// `1 + k1 s + k2 s² + …`.
fn polynomial(k: &[f64], s: f64) -> f64 {
    1.0 + k.iter().rev().fold(0.0, |sum, k| (sum + k) * s)
}

/// OpenCV's decentring terms.
fn tangential([p1, p2]: [f64; 2], q: DVec2) -> DVec2 {
    let r2 = q.length_squared();
    DVec2::new(
        2.0 * p1 * q.x * q.y + p2 * (r2 + 2.0 * q.x * q.x),
        2.0 * p2 * q.x * q.y + p1 * (r2 + 2.0 * q.y * q.y),
    )
}

/// A camera's intrinsics as the capture has them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    #[serde(flatten)]
    pub intrinsics: Intrinsics,
    pub distortion: Distortion,
}

impl Lens {
    /// The same, if a camera can have it.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about the camera.
    pub fn checked(self) -> std::result::Result<Self, String> {
        let Intrinsics {
            fx,
            fy,
            cx,
            cy,
            width,
            height,
        } = self.intrinsics;
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(format!("has the impossible size {width}x{height}"));
        }
        let finite = [fx, fy, cx, cy].iter().all(|v| v.is_finite());
        if !finite || fx <= 0.0 || fy <= 0.0 {
            return Err(format!(
                "has impossible intrinsics: focal lengths {fx}, {fy}, principal point {cx}, {cy}"
            ));
        }
        Ok(self)
    }

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
