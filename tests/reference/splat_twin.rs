//! The rasterizer once more, plain and slow in f64, sharing nothing with the kernels: no tiles, every pixel walks all
//! splats, the covariance is multiplied out, and what lies between parameters and image plane is differentiated by dual
//! numbers instead of by hand. It answers where no reference tensor exists, and tells a wrong kernel from a wrong idea.

use luxedit::scene::{Camera, Splats};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number and its derivatives by mean (0–2), quaternion (3–6), log-scales (7–9), and a shift (10–12) and a turn (13–15) of
/// the camera's frame.
#[derive(Clone, Copy, Debug)]
struct Dual {
    v: f64,
    d: [f64; VARIABLES],
}

impl Dual {
    const ZERO: Self = Self::of(0.0);

    const fn of(v: f64) -> Self {
        Self {
            v,
            d: [0.0; VARIABLES],
        }
    }

    fn variable(v: f32, index: usize) -> Self {
        let mut dual = Self::of(f64::from(v));
        dual.d[index] = 1.0;
        dual
    }

    /// A function's value and derivative applied.
    fn chain(self, v: f64, slope: f64) -> Self {
        Self {
            v,
            d: self.d.map(|d| d * slope),
        }
    }

    fn exp(self) -> Self {
        self.chain(self.v.exp(), self.v.exp())
    }

    fn sqrt(self) -> Self {
        self.chain(self.v.sqrt(), 0.5 / self.v.sqrt())
    }

    fn clamp(self, low: f64, high: f64) -> Self {
        if self.v < low {
            Self::of(low)
        } else if self.v > high {
            Self::of(high)
        } else {
            self
        }
    }
}

impl Add for Dual {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self {
            v: self.v + o.v,
            d: std::array::from_fn(|i| self.d[i] + o.d[i]),
        }
    }
}

impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        self.chain(-self.v, -1.0)
    }
}

impl Sub for Dual {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}

#[allow(clippy::suspicious_arithmetic_impl)] // the product rule
impl Mul for Dual {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self {
            v: self.v * o.v,
            d: std::array::from_fn(|i| self.d[i] * o.v + self.v * o.d[i]),
        }
    }
}

impl Mul<f64> for Dual {
    type Output = Self;
    fn mul(self, o: f64) -> Self {
        self.chain(self.v * o, o)
    }
}

impl Div for Dual {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        self * o.chain(1.0 / o.v, -1.0 / (o.v * o.v))
    }
}

const VARIABLES: usize = 16;

type Matrix = [[Dual; 3]; 3];

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| (0..3).fold(Dual::ZERO, |sum, k| sum + a[i][k] * b[k][j]))
    })
}

fn transposed(a: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| a[j][i]))
}

/// A splat on the image plane.
struct Projected {
    index: usize,
    mean2d: [Dual; 2],
    conic: [Dual; 3],
    depth: Dual,
    color: [Dual; 3],
    /// Basis values of the active coefficients.
    basis: Vec<f64>,
    /// Share of the opacity that antialiasing leaves; 1 without.
    compensation: Dual,
    /// Compensated.
    opacity: f64,
}

/// Basis values in the order and with the signs of 3DGS.
fn harmonics(d: [Dual; 3], degree: u32) -> Vec<Dual> {
    let [x, y, z] = d;
    let (xx, yy, zz) = (x * x, y * y, z * z);
    let one = Dual::of(1.0);
    let all = [
        one * 0.2820947917738781,
        y * -0.48860251190292,
        z * 0.48860251190292,
        x * -0.48860251190292,
        x * y * 1.0925484305920792,
        y * z * -1.0925484305920792,
        zz * 0.9461746957575601 - one * 0.3153915652525201,
        x * z * -1.0925484305920792,
        (xx - yy) * 0.5462742152960395,
        y * (xx * 3.0 - yy) * -0.5900435899266435,
        x * y * z * 2.890611442640554,
        y * (zz * -2.285228997322329 + one * 0.4570457994644658),
        z * (zz * 1.865881662950577 - one * 1.119528997770346),
        x * (zz * -2.285228997322329 + one * 0.4570457994644658),
        z * (xx - yy) * 1.445305721320277,
        x * (xx - yy * 3.0) * -0.5900435899266435,
    ];
    all[..((degree + 1) * (degree + 1)) as usize].to_vec()
}

fn project(splats: &Splats, camera: &Camera, degree: u32, index: usize) -> Option<Projected> {
    let m: [Dual; 3] = std::array::from_fn(|k| Dual::variable(splats.means[index * 3 + k], k));
    let q: [Dual; 4] = std::array::from_fn(|k| Dual::variable(splats.quats[index * 4 + k], 3 + k));
    let s: [Dual; 3] =
        std::array::from_fn(|k| Dual::variable(splats.log_scales[index * 3 + k], 7 + k).exp());
    let rows = camera.world_to_camera.transpose();
    let rows = [rows.x_axis, rows.y_axis, rows.z_axis];
    let shift: [Dual; 3] = std::array::from_fn(|k| Dual::variable(0.0, 10 + k));
    let turn: [Dual; 3] = std::array::from_fn(|k| Dual::variable(0.0, 13 + k));
    let turned = |v: [Dual; 3]| -> [Dual; 3] {
        std::array::from_fn(|k| {
            let (a, b) = ((k + 1) % 3, (k + 2) % 3);
            v[k] + turn[a] * v[b] - turn[b] * v[a]
        })
    };
    let p = turned(rows.map(|r| m[0] * r.x + m[1] * r.y + m[2] * r.z + Dual::of(r.w)));
    let p: [Dual; 3] = std::array::from_fn(|k| p[k] + shift[k]);
    if !(p[2].v > 0.01 && p[2].v < 1e10) {
        return None;
    }

    let length = q.iter().fold(Dual::ZERO, |sum, &c| sum + c * c).sqrt();
    let [w, x, y, z] = q.map(|c| c / length);
    let one = Dual::of(1.0);
    let rotation: Matrix = [
        [
            one - (y * y + z * z) * 2.0,
            (x * y - w * z) * 2.0,
            (x * z + w * y) * 2.0,
        ],
        [
            (x * y + w * z) * 2.0,
            one - (x * x + z * z) * 2.0,
            (y * z - w * x) * 2.0,
        ],
        [
            (x * z - w * y) * 2.0,
            (y * z + w * x) * 2.0,
            one - (x * x + y * y) * 2.0,
        ],
    ];
    let variance: Matrix = std::array::from_fn(|i| {
        std::array::from_fn(|j| if i == j { s[i] * s[i] } else { Dual::ZERO })
    });
    let sigma = product(&product(&rotation, &variance), &transposed(&rotation));
    let columns: Matrix = [
        turned(rows.map(|r| Dual::of(r.x))),
        turned(rows.map(|r| Dual::of(r.y))),
        turned(rows.map(|r| Dual::of(r.z))),
    ];
    let world = transposed(&columns);
    let sigma = product(&product(&world, &sigma), &transposed(&world));

    let k = camera.intrinsics;
    let slope = |value: Dual, focal: f64, center: f64, size: u32| {
        let size = f64::from(size);
        let margin = 0.3 * (0.5 * size / focal);
        value.clamp(-center / focal - margin, (size - center) / focal + margin)
    };
    let tx = p[2] * slope(p[0] / p[2], k.fx, k.cx, k.width);
    let ty = p[2] * slope(p[1] / p[2], k.fy, k.cy, k.height);
    let zz = p[2] * p[2];
    let jacobian: Matrix = [
        [Dual::of(k.fx) / p[2], Dual::ZERO, -(tx * k.fx / zz)],
        [Dual::ZERO, Dual::of(k.fy) / p[2], -(ty * k.fy / zz)],
        [Dual::ZERO; 3],
    ];
    let cov = product(&product(&jacobian, &sigma), &transposed(&jacobian));
    let (a, b, c) = (
        cov[0][0] + Dual::of(0.3),
        cov[0][1],
        cov[1][1] + Dual::of(0.3),
    );
    let determinant = a * c - b * b;
    let compensation = match splats.antialiased {
        true => ((cov[0][0] * cov[1][1] - b * b) / determinant).sqrt(),
        false => one,
    };

    let eye = camera.position();
    // The eye is where the camera's frame has its origin.
    let eye = [eye.x, eye.y, eye.z];
    let offset: [Dual; 3] = std::array::from_fn(|k| {
        let shifted = (0..3).fold(Dual::ZERO, |sum, i| sum + columns[k][i] * shift[i]);
        m[k] - Dual::of(eye[k]) + shifted
    });
    let distance = offset.iter().fold(Dual::ZERO, |sum, &c| sum + c * c).sqrt();
    let basis = harmonics(offset.map(|c| c / distance), degree);
    let rest = splats.rest_count() * 3;
    let color = std::array::from_fn(|channel| {
        let sum = basis
            .iter()
            .enumerate()
            .fold(Dual::of(0.5), |sum, (k, &value)| {
                let coefficient = match k {
                    0 => splats.sh_dc[index * 3 + channel],
                    _ => splats.sh_rest[index * rest + (k - 1) * 3 + channel],
                };
                sum + value * f64::from(coefficient)
            });
        if sum.v > 0.0 { sum } else { Dual::ZERO }
    });
    Some(Projected {
        index,
        mean2d: [
            p[0] / p[2] * k.fx + Dual::of(k.cx),
            p[1] / p[2] * k.fy + Dual::of(k.cy),
        ],
        conic: [c / determinant, -b / determinant, a / determinant],
        depth: p[2],
        color,
        basis: basis.iter().map(|b| b.v).collect(),
        compensation,
        opacity: compensation.v / (1.0 + f64::from(-splats.logit_opacities[index]).exp()),
    })
}

fn project_all(splats: &Splats, camera: &Camera, degree: u32) -> Vec<Projected> {
    let mut all: Vec<_> = (0..splats.len())
        .filter_map(|index| project(splats, camera, degree, index))
        .collect();
    // f32 depths, as the kernels sort by.
    all.sort_by(|a, b| (a.depth.v as f32).total_cmp(&(b.depth.v as f32)));
    all
}

/// One splat's share of a pixel.
struct Hit {
    /// Into the sorted splats.
    place: usize,
    dx: f64,
    dy: f64,
    /// opacity · exp(−σ), not limited to 0.999.
    raw: f64,
    /// Transmittance in front.
    transmittance: f64,
}

impl Hit {
    fn alpha(&self) -> f64 {
        self.raw.min(0.999)
    }
}

fn hits(sorted: &[Projected], x: u32, y: u32) -> (Vec<Hit>, f64) {
    let mut transmittance = 1.0;
    let mut list = Vec::new();
    for (place, splat) in sorted.iter().enumerate() {
        let dx = splat.mean2d[0].v - (f64::from(x) + 0.5);
        let dy = splat.mean2d[1].v - (f64::from(y) + 0.5);
        let [a, b, c] = splat.conic.map(|v| v.v);
        let sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy;
        if !(0.0..6.0).contains(&sigma) {
            continue;
        }
        let hit = Hit {
            place,
            dx,
            dy,
            raw: splat.opacity * (-sigma).exp(),
            transmittance,
        };
        if hit.alpha() < 1.0 / 255.0 {
            continue;
        }
        let after = transmittance * (1.0 - hit.alpha());
        if after <= 1e-4 {
            break;
        }
        transmittance = after;
        list.push(hit);
    }
    (list, transmittance)
}

/// `[h, w, 3]`, `[h, w]`, `[h, w]`.
pub struct TwinPicture {
    pub rgb: Vec<f32>,
    pub alpha: Vec<f32>,
    pub depth: Vec<f32>,
}

pub fn forward(splats: &Splats, camera: &Camera, background: [f32; 3], degree: u32) -> TwinPicture {
    let sorted = project_all(splats, camera, degree);
    let mut picture = TwinPicture {
        rgb: Vec::new(),
        alpha: Vec::new(),
        depth: Vec::new(),
    };
    for y in 0..camera.intrinsics.height {
        for x in 0..camera.intrinsics.width {
            let (list, transmittance) = hits(&sorted, x, y);
            let sum = |value: &dyn Fn(&Projected) -> f64| -> f64 {
                list.iter()
                    .map(|hit| hit.alpha() * hit.transmittance * value(&sorted[hit.place]))
                    .sum()
            };
            for channel in 0..3 {
                let behind = transmittance * f64::from(background[channel]);
                picture
                    .rgb
                    .push((sum(&|s| s.color[channel].v) + behind) as f32);
            }
            picture.alpha.push((1.0 - transmittance) as f32);
            picture.depth.push(sum(&|s| s.depth.v) as f32);
        }
    }
    picture
}

/// dL/drgb `[h, w, 3]`, dL/dalpha and dL/ddepth `[h, w]`.
pub struct Cotangents {
    pub rgb: Vec<f32>,
    pub alpha: Vec<f32>,
    pub depth: Vec<f32>,
}

/// The sum of what is drawn times its cotangents.
pub fn loss(
    splats: &Splats,
    camera: &Camera,
    background: [f32; 3],
    degree: u32,
    cotangents: &Cotangents,
) -> f64 {
    let picture = forward(splats, camera, background, degree);
    let sum = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    sum(&picture.rgb, &cotangents.rgb)
        + sum(&picture.alpha, &cotangents.alpha)
        + sum(&picture.depth, &cotangents.depth)
}

/// dL/d(image plane) of one splat.
#[derive(Clone, Default)]
struct Plane {
    mean2d: [f64; 2],
    absolute_mean2d: [f64; 2],
    conic: [f64; 3],
    depth: f64,
    color: [f64; 3],
    opacity: f64,
}

/// Gradients of all parameters, and of the projected means `[n, 2]`: as they are, and summed without their signs.
pub fn backward(
    splats: &Splats,
    camera: &Camera,
    background: [f32; 3],
    degree: u32,
    cotangents: &Cotangents,
) -> (Splats, [Vec<f32>; 2]) {
    let (gradients, mean2d, _) = backward_with_pose(splats, camera, background, degree, cotangents);
    (gradients, mean2d)
}

/// [`backward`], and dL/d(shift, turn) of the camera's frame.
pub fn backward_with_pose(
    splats: &Splats,
    camera: &Camera,
    background: [f32; 3],
    degree: u32,
    cotangents: &Cotangents,
) -> (Splats, [Vec<f32>; 2], [f32; 6]) {
    let sorted = project_all(splats, camera, degree);
    let mut planes = vec![Plane::default(); sorted.len()];
    let width = camera.intrinsics.width;
    for y in 0..camera.intrinsics.height {
        for x in 0..width {
            let pixel = (y * width + x) as usize;
            let v: [f64; 3] = std::array::from_fn(|c| cotangents.rgb[pixel * 3 + c].into());
            let v_alpha = f64::from(cotangents.alpha[pixel]);
            let v_depth = f64::from(cotangents.depth[pixel]);
            let (list, _) = hits(&sorted, x, y);
            // What one unit of light arriving from behind a splat is worth to the loss.
            let mut worth = (0..3).map(|c| v[c] * f64::from(background[c])).sum::<f64>() - v_alpha;
            for hit in list.iter().rev() {
                let splat = &sorted[hit.place];
                let plane = &mut planes[hit.place];
                let alpha = hit.alpha();
                let own =
                    (0..3).map(|c| v[c] * splat.color[c].v).sum::<f64>() + v_depth * splat.depth.v;
                let weight = alpha * hit.transmittance;
                for c in 0..3 {
                    plane.color[c] += weight * v[c];
                }
                plane.depth += weight * v_depth;
                if hit.raw <= 0.999 {
                    let d_alpha = hit.transmittance * (own - worth);
                    plane.opacity += d_alpha * hit.raw / splat.opacity;
                    let d_sigma = -d_alpha * hit.raw;
                    let [a, b, c] = splat.conic.map(|v| v.v);
                    let d_mean2d = [a * hit.dx + b * hit.dy, b * hit.dx + c * hit.dy];
                    for (axis, d) in d_mean2d.into_iter().enumerate() {
                        plane.mean2d[axis] += d_sigma * d;
                        plane.absolute_mean2d[axis] += (d_sigma * d).abs();
                    }
                    plane.conic[0] += d_sigma * 0.5 * hit.dx * hit.dx;
                    plane.conic[1] += d_sigma * hit.dx * hit.dy;
                    plane.conic[2] += d_sigma * 0.5 * hit.dy * hit.dy;
                }
                worth = alpha * own + (1.0 - alpha) * worth;
            }
        }
    }

    let n = splats.len();
    let rest = splats.rest_count() * 3;
    let mut gradients = Splats {
        sh_degree: splats.sh_degree,
        antialiased: splats.antialiased,
        means: vec![0.0; n * 3],
        quats: vec![0.0; n * 4],
        log_scales: vec![0.0; n * 3],
        logit_opacities: vec![0.0; n],
        sh_dc: vec![0.0; n * 3],
        sh_rest: vec![0.0; n * rest],
    };
    let mut mean2d = [vec![0.0; n * 2], vec![0.0; n * 2]];
    let mut pose = [0.0; 6];
    for (splat, plane) in sorted.iter().zip(&planes) {
        let opacity = splat.opacity / splat.compensation.v;
        let outputs = [
            (splat.mean2d[0], plane.mean2d[0]),
            (splat.mean2d[1], plane.mean2d[1]),
            (splat.conic[0], plane.conic[0]),
            (splat.conic[1], plane.conic[1]),
            (splat.conic[2], plane.conic[2]),
            (splat.depth, plane.depth),
            (splat.color[0], plane.color[0]),
            (splat.color[1], plane.color[1]),
            (splat.color[2], plane.color[2]),
            (splat.compensation, plane.opacity * opacity),
        ];
        let d: [f64; VARIABLES] =
            std::array::from_fn(|k| outputs.iter().map(|(o, g)| o.d[k] * g).sum::<f64>());
        for (sum, d) in pose.iter_mut().zip(&d[10..]) {
            *sum += d;
        }
        let d = d.map(|d| d as f32);
        let i = splat.index;
        gradients.means[i * 3..i * 3 + 3].copy_from_slice(&d[..3]);
        gradients.quats[i * 4..i * 4 + 4].copy_from_slice(&d[3..7]);
        gradients.log_scales[i * 3..i * 3 + 3].copy_from_slice(&d[7..10]);
        gradients.logit_opacities[i] = (plane.opacity * splat.opacity * (1.0 - opacity)) as f32;
        for channel in 0..3 {
            if splat.color[channel].v > 0.0 {
                for (k, basis) in splat.basis.iter().enumerate() {
                    let value = (basis * plane.color[channel]) as f32;
                    match k {
                        0 => gradients.sh_dc[i * 3 + channel] = value,
                        _ => gradients.sh_rest[i * rest + (k - 1) * 3 + channel] = value,
                    }
                }
            }
        }
        for axis in 0..2 {
            mean2d[0][i * 2 + axis] = plane.mean2d[axis] as f32;
            mean2d[1][i * 2 + axis] = plane.absolute_mean2d[axis] as f32;
        }
    }
    (gradients, mean2d, pose.map(|v| v as f32))
}
