//! The artist's camera: turntable orbit, pan, zoom towards the pointer, fly, and "look through training view i", with
//! short flights between them. Knows nothing of egui; the viewport translates gestures into these moves.

use crate::scene::{Camera, Intrinsics, orbit, rig::Stance};
use glam::{DMat3, DMat4, DQuat, DVec2, DVec3};

/// Seconds of a flight from one pose to another.
const FLIGHT_SECS: f64 = 0.45;
/// The turntable stops this close to the poles (sine of the elevation).
const POLE: f64 = 0.995;

/// Where the camera is. Axes as OpenCV: x right, y down, z forward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    pub position: DVec3,
    pub world_from_camera: DQuat,
    /// Distance along the view to the point that orbiting turns around, world units.
    pub pivot_distance: f64,
}

impl Pose {
    pub fn look_at(eye: DVec3, target: DVec3, up: DVec3) -> Self {
        let unit = Intrinsics {
            fx: 1.0,
            fy: 1.0,
            cx: 0.5,
            cy: 0.5,
            width: 1,
            height: 1,
        };
        Self::of(
            &Camera::look_at(eye, target, up, unit),
            (target - eye).length(),
        )
    }

    pub fn of(camera: &Camera, pivot_distance: f64) -> Self {
        let world = camera.camera_to_world();
        Self {
            position: world.w_axis.truncate(),
            world_from_camera: DQuat::from_mat3(&DMat3::from_mat4(world)).normalize(),
            pivot_distance: pivot_distance.max(1e-6),
        }
    }

    pub fn right(&self) -> DVec3 {
        self.world_from_camera * DVec3::X
    }
    pub fn down(&self) -> DVec3 {
        self.world_from_camera * DVec3::Y
    }
    pub fn forward(&self) -> DVec3 {
        self.world_from_camera * DVec3::Z
    }
    pub fn pivot(&self) -> DVec3 {
        self.position + self.forward() * self.pivot_distance
    }

    fn toward(&self, other: &Self, t: f64) -> Self {
        Self {
            position: self.position.lerp(other.position, t),
            world_from_camera: self.world_from_camera.slerp(other.world_from_camera, t),
            pivot_distance: self.pivot_distance + (other.pivot_distance - self.pivot_distance) * t,
        }
    }
}

/// What the camera sees through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lens {
    /// Vertical field of view, radians.
    Free { fov_y: f64 },
    /// The intrinsics of a training view, fitted into the viewport.
    View {
        index: usize,
        intrinsics: Intrinsics,
    },
}

impl Lens {
    /// Intrinsics for a viewport of `size` pixels.
    pub fn intrinsics(&self, size: [u32; 2]) -> Intrinsics {
        let [width, height] = size;
        let (w, h) = (f64::from(width), f64::from(height));
        match *self {
            Self::Free { fov_y } => {
                let f = 0.5 * h / (0.5 * fov_y).tan();
                Intrinsics {
                    fx: f,
                    fy: f,
                    cx: 0.5 * w,
                    cy: 0.5 * h,
                    width,
                    height,
                }
            }
            Self::View { intrinsics: k, .. } => {
                let s = fit_scale(&k, size);
                Intrinsics {
                    fx: k.fx * s,
                    fy: k.fy * s,
                    cx: k.cx * s + 0.5 * (w - f64::from(k.width) * s),
                    cy: k.cy * s + 0.5 * (h - f64::from(k.height) * s),
                    width,
                    height,
                }
            }
        }
    }
}

/// How much a picture is magnified to lie within the viewport.
fn fit_scale(k: &Intrinsics, size: [u32; 2]) -> f64 {
    (f64::from(size[0]) / f64::from(k.width)).min(f64::from(size[1]) / f64::from(k.height))
}

struct Flight {
    from: (Pose, Lens),
    to: (Pose, Lens),
    /// Seconds since take-off.
    elapsed: f64,
}

/// A move of the fly mode, each component in [-1, 1], camera axes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thrust {
    pub right: f64,
    pub up: f64,
    pub forward: f64,
}

/// The camera and what it does next.
pub struct CameraControl {
    pose: Pose,
    lens: Lens,
    flight: Option<Flight>,
    home: Pose,
    up: DVec3,
    center: DVec3,
    /// World units; sets the speed of flying.
    radius: f64,
    /// Radians, of the free lens.
    fov_y: f64,
}

impl Default for CameraControl {
    fn default() -> Self {
        let fov_y = 50f64.to_radians();
        let pose = Pose::look_at(DVec3::new(0.0, -3.0, 1.0), DVec3::ZERO, DVec3::Z);
        Self {
            pose,
            lens: Lens::Free { fov_y },
            flight: None,
            home: pose,
            up: DVec3::Z,
            center: DVec3::ZERO,
            radius: 1.0,
            fov_y,
        }
    }
}

impl CameraControl {
    /// Start anew for a scene. The home pose stands where the capture's cameras stand on average, or, without a
    /// capture, in front of the centre and a little above.
    pub fn frame_scene(&mut self, center: DVec3, radius: f64, up: DVec3, cameras: &[Camera]) {
        self.center = center;
        self.radius = radius.max(1e-6);
        self.up = up.normalize_or(DVec3::Z);
        let side = self.up.any_orthonormal_vector();
        let eye = match orbit::front(center, cameras) {
            Some(front) => cameras[front].position(),
            None => center + (side + self.up * 0.35).normalize() * self.radius,
        };
        let eye = if (eye - center).length() < 1e-6 {
            center + side * self.radius
        } else {
            eye
        };
        self.home = Pose::look_at(eye, center, self.up);
        self.pose = self.home;
        self.lens = Lens::Free { fov_y: self.fov_y };
        self.flight = None;
    }

    /// Where a rig of cameras would stand to see what is seen now.
    pub fn stance(&self) -> Stance {
        Stance {
            center: self.pose.pivot(),
            eye: self.pose.position,
            up: self.up,
        }
    }

    /// Make the next axis of the scene its up direction, and look at the scene anew.
    pub fn turn_next_axis_up(&mut self) {
        const AXES: [DVec3; 6] = [
            DVec3::Z,
            DVec3::NEG_Y,
            DVec3::Y,
            DVec3::NEG_Z,
            DVec3::X,
            DVec3::NEG_X,
        ];
        let along = |axis: &DVec3| axis.dot(self.up);
        let now = (0..AXES.len()).max_by(|a, b| along(&AXES[*a]).total_cmp(&along(&AXES[*b])));
        let next = AXES[now.map_or(0, |i| (i + 1) % AXES.len())];
        self.frame_scene(self.center, self.radius, next, &[]);
    }

    /// The camera for a viewport of `size` pixels.
    pub fn camera(&self, size: [u32; 2]) -> Camera {
        let (pose, intrinsics) = match &self.flight {
            None => (self.pose, self.lens.intrinsics(size)),
            Some(flight) => {
                let t = ease(flight.elapsed / FLIGHT_SECS);
                let (a, b) = (flight.from.1.intrinsics(size), flight.to.1.intrinsics(size));
                let mix = |a: f64, b: f64| a + (b - a) * t;
                let between = Intrinsics {
                    fx: mix(a.fx, b.fx),
                    fy: mix(a.fy, b.fy),
                    cx: mix(a.cx, b.cx),
                    cy: mix(a.cy, b.cy),
                    ..a
                };
                (flight.from.0.toward(&flight.to.0, t), between)
            }
        };
        let world_from_camera =
            DMat4::from_rotation_translation(pose.world_from_camera, pose.position);
        Camera {
            world_to_camera: world_from_camera.inverse(),
            intrinsics,
        }
    }

    /// The training view that the camera looks through, and its share of a viewport of `size`: min x, min y, max x,
    /// max y in [0, 1]. `None` while flying there.
    pub fn through(&self, size: [u32; 2]) -> Option<(usize, [f64; 4])> {
        let Lens::View {
            index,
            intrinsics: k,
        } = self.lens
        else {
            return None;
        };
        if self.flight.is_some() {
            return None;
        }
        let s = fit_scale(&k, size);
        let half = [
            0.5 * f64::from(k.width) * s / f64::from(size[0]),
            0.5 * f64::from(k.height) * s / f64::from(size[1]),
        ];
        Some((
            index,
            [0.5 - half[0], 0.5 - half[1], 0.5 + half[0], 0.5 + half[1]],
        ))
    }

    /// The training view that the camera looks through or is on its way to.
    pub fn view_index(&self) -> Option<usize> {
        match self.flight.as_ref().map_or(self.lens, |f| f.to.1) {
            Lens::View { index, .. } => Some(index),
            Lens::Free { .. } => None,
        }
    }

    pub fn fov_y(&self) -> f64 {
        self.fov_y
    }

    pub fn set_fov_y(&mut self, fov_y: f64) {
        self.fov_y = fov_y.clamp(5f64.to_radians(), 150f64.to_radians());
        if let Lens::Free { fov_y } = &mut self.lens {
            *fov_y = self.fov_y;
        }
    }

    pub fn is_flying(&self) -> bool {
        self.flight.is_some()
    }

    /// Let time pass. Returns whether the camera moved.
    pub fn advance(&mut self, secs: f64) -> bool {
        let Some(flight) = &mut self.flight else {
            return false;
        };
        flight.elapsed += secs;
        if flight.elapsed >= FLIGHT_SECS {
            (self.pose, self.lens) = flight.to;
            self.flight = None;
        }
        true
    }

    fn fly_to(&mut self, pose: Pose, lens: Lens) {
        self.settle();
        self.flight = Some(Flight {
            from: (self.pose, self.lens),
            to: (pose, lens),
            elapsed: 0.0,
        });
    }

    /// End a flight where it is, so that a gesture takes over without a jump.
    fn settle(&mut self) {
        if let Some(flight) = self.flight.take() {
            let t = ease(flight.elapsed / FLIGHT_SECS);
            self.pose = flight.from.0.toward(&flight.to.0, t);
            self.lens = if t < 0.5 { flight.from.1 } else { flight.to.1 };
        }
    }

    /// The artist takes over: from a training view on, with the free lens.
    fn take_over(&mut self) {
        self.settle();
        self.lens = Lens::Free { fov_y: self.fov_y };
    }

    pub fn go_home(&mut self) {
        let home = self.home;
        self.fly_to(home, Lens::Free { fov_y: self.fov_y });
    }

    /// Turn to a point of the scene and orbit around it from now on.
    pub fn focus_on(&mut self, point: DVec3) {
        self.settle();
        let distance = (point - self.pose.position).length();
        if distance > 1e-6 {
            let pose = Pose::look_at(self.pose.position, point, self.up);
            self.fly_to(pose, Lens::Free { fov_y: self.fov_y });
        }
    }

    /// Turn to the scene's centre, from the distance at which it is well seen.
    pub fn focus_center(&mut self) {
        self.settle();
        let back = (self.pose.position - self.center).normalize_or(-self.pose.forward());
        let eye = self.center + back * self.radius;
        self.fly_to(
            Pose::look_at(eye, self.center, self.up),
            Lens::Free { fov_y: self.fov_y },
        );
    }

    pub fn look_through(&mut self, index: usize, camera: &Camera) {
        let depth = (self.center - camera.position()).dot(camera.forward());
        let pivot = if depth > 1e-3 * self.radius {
            depth
        } else {
            self.radius
        };
        let pose = Pose::of(camera, pivot);
        self.fly_to(
            pose,
            Lens::View {
                index,
                intrinsics: camera.intrinsics,
            },
        );
    }

    /// Keep the pose, with the free lens.
    pub fn leave_view(&mut self) {
        if self.view_index().is_some() {
            let pose = self.pose;
            self.fly_to(pose, Lens::Free { fov_y: self.fov_y });
        }
    }

    /// Turn around the pivot; `yaw` and `pitch` in radians.
    pub fn orbit(&mut self, yaw: f64, pitch: f64) {
        self.take_over();
        let pivot = self.pose.pivot();
        self.turn(yaw, pitch);
        self.pose.position = pivot - self.pose.forward() * self.pose.pivot_distance;
    }

    /// Turn around the camera itself; `yaw` and `pitch` in radians.
    pub fn look(&mut self, yaw: f64, pitch: f64) {
        self.take_over();
        self.turn(yaw, pitch);
    }

    fn turn(&mut self, yaw: f64, pitch: f64) {
        let turned = DQuat::from_axis_angle(self.up, yaw) * self.pose.world_from_camera;
        let pitched = DQuat::from_axis_angle(turned * DVec3::X, pitch) * turned;
        let elevation = |q: DQuat| (q * DVec3::Z).dot(self.up);
        let leaves_pole = elevation(pitched).abs() < elevation(turned).abs();
        let rotation = if elevation(pitched).abs() < POLE || leaves_pole {
            pitched
        } else {
            turned
        };
        self.pose.world_from_camera = self.levelled(rotation, 0.2).normalize();
    }

    /// Take out a share of the roll: training views are held in a hand, a turntable is not.
    fn levelled(&self, rotation: DQuat, share: f64) -> DQuat {
        let forward = rotation * DVec3::Z;
        let right = forward.cross(self.up);
        if right.length() < 0.05 {
            return rotation;
        }
        let right = right.normalize();
        let level = DQuat::from_mat3(&DMat3::from_cols(right, forward.cross(right), forward));
        // Upside down is a choice that levelling would undo with a somersault.
        if (rotation * DVec3::Y).dot(level * DVec3::Y) < 0.0 {
            return rotation;
        }
        rotation.slerp(level, share)
    }

    /// Move sideways so that the pivot plane follows the pointer; pixels of a viewport of `size`.
    pub fn pan(&mut self, delta: DVec2, size: [u32; 2]) {
        self.take_over();
        let k = self.lens.intrinsics(size);
        let per_pixel = self.pose.pivot_distance / k.fy;
        self.pose.position -=
            (self.pose.right() * delta.x + self.pose.down() * delta.y) * per_pixel;
    }

    /// Move towards (`factor` < 1) or away from what is under `pointer` on the pivot plane; pixels.
    pub fn zoom(&mut self, factor: f64, pointer: DVec2, size: [u32; 2]) {
        self.take_over();
        let k = self.lens.intrinsics(size);
        let in_camera = DVec3::new((pointer.x - k.cx) / k.fx, (pointer.y - k.cy) / k.fy, 1.0);
        let target =
            self.pose.position + self.pose.world_from_camera * in_camera * self.pose.pivot_distance;
        let factor = factor.clamp(0.2, 5.0);
        let nearest = 1e-3 * self.radius;
        if self.pose.pivot_distance * factor < nearest {
            // Closer than close: move on through.
            self.pose.position += self.pose.forward() * nearest;
            return;
        }
        self.pose.position = target + (self.pose.position - target) * factor;
        self.pose.pivot_distance *= factor;
    }

    /// Fly for `secs`; `speed` 1 crosses the scene in about two seconds.
    pub fn thrust(&mut self, thrust: Thrust, secs: f64, speed: f64) {
        self.take_over();
        let direction = self.pose.right() * thrust.right - self.pose.down() * thrust.up
            + self.pose.forward() * thrust.forward;
        self.pose.position += direction * (0.7 * self.radius * speed * secs);
    }
}

fn ease(t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
