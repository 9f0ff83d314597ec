//! Camera poses that are learnt along with the splats: structure-from-motion is right to about a pixel, and what it is
//! wrong by blurs a scene. Each training view has a small rigid motion of its own behind its pose, which is never written
//! to the capture; it is saved with the trainer's state. The gradient is summed on the GPU and read with the step's other
//! results, one step late; twelve numbers of Adam a view are the host's work.

use super::{SplatBuffers, SplatGradients, kernels, sort::groups_for};
use crate::{
    Error, Result,
    gpu::{Gpu, Kernel, Slice},
    scene::{Camera, NamedTensor},
};
use glam::{DMat4, DQuat, DVec3};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Adam's rates for poses: radians of a turn, scene extents of a shift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoseRates {
    /// At the first step; 0: poses stay.
    pub start: f64,
    /// At the last step; exponential in between.
    pub end: f64,
}

impl PoseRates {
    pub const OFF: Self = Self {
        start: 0.0,
        end: 0.0,
    };
    /// splatfacto's.
    pub const ON: Self = Self {
        start: 1e-4,
        end: 5e-7,
    };

    pub fn is_on(&self) -> bool {
        self.start > 0.0
    }
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-15;

/// dL/d(shift, turn) in the camera's frame.
pub(super) type PoseGradient = [f32; 6];

/// One view's motion and its optimizer. In `f32`, as it is saved, so that a resumed run is the uninterrupted one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pose {
    /// Shift, then rotation vector: world_to_camera' = motion · world_to_camera.
    motion: [f32; 6],
    first: [f32; 6],
    second: [f32; 6],
    steps: u32,
}

fn vectors(values: [f32; 6]) -> (DVec3, DVec3) {
    let [a, b, c, d, e, f] = values.map(f64::from);
    (DVec3::new(a, b, c), DVec3::new(d, e, f))
}

impl Pose {
    fn matrix(&self) -> DMat4 {
        let (shift, turn) = vectors(self.motion);
        DMat4::from_rotation_translation(DQuat::from_scaled_axis(turn), shift)
    }

    fn update(&mut self, gradient: PoseGradient, rate: f64, scene_extent: f64) {
        self.steps += 1;
        let exponent = self.steps.min(1 << 30) as i32;
        let mut change = [0.0; 6];
        for k in 0..6 {
            let g = f64::from(gradient[k]);
            let first = BETA1 * f64::from(self.first[k]) + (1.0 - BETA1) * g;
            let second = BETA2 * f64::from(self.second[k]) + (1.0 - BETA2) * g * g;
            self.first[k] = first as f32;
            self.second[k] = second as f32;
            let first = first / (1.0 - BETA1.powi(exponent));
            let second = second / (1.0 - BETA2.powi(exponent));
            change[k] = -rate * first / (second.sqrt() + EPSILON);
        }
        let shift = DVec3::new(change[0], change[1], change[2]) * scene_extent;
        let turn = DQuat::from_scaled_axis(DVec3::new(change[3], change[4], change[5]));
        let (old_shift, old_turn) = vectors(self.motion);
        let shift = turn * old_shift + shift;
        let turn = (turn * DQuat::from_scaled_axis(old_turn)).to_scaled_axis();
        self.motion = [shift.x, shift.y, shift.z, turn.x, turn.y, turn.z].map(|v| v as f32);
    }
}

/// The motions of all training views that have one, by their position among the training views.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Poses {
    views: BTreeMap<u32, Pose>,
}

const NAMES: [&str; 5] = [
    "poses.views",
    "poses.steps",
    "poses.motion",
    "poses.first",
    "poses.second",
];

impl Poses {
    /// Where the view's camera has got to.
    pub fn camera(&self, view: Option<u32>, camera: &Camera) -> Camera {
        match view.and_then(|view| self.views.get(&view)) {
            Some(pose) => Camera {
                world_to_camera: pose.matrix() * camera.world_to_camera,
                ..*camera
            },
            None => *camera,
        }
    }

    pub fn update(&mut self, view: u32, gradient: PoseGradient, rate: f64, scene_extent: f64) {
        if gradient.iter().all(|g| g.is_finite()) {
            let pose = self.views.entry(view).or_default();
            pose.update(gradient, rate, scene_extent);
        }
    }

    /// What a state holds; nothing where no pose has moved.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        if self.views.is_empty() {
            return Vec::new();
        }
        let count = self.views.len();
        let numbers = |name: usize, of: &dyn Fn(u32, &Pose) -> f32| NamedTensor {
            name: NAMES[name].to_owned(),
            shape: vec![count],
            data: self
                .views
                .iter()
                .map(|(view, pose)| of(*view, pose))
                .collect(),
        };
        let rows = |name: usize, of: fn(&Pose) -> [f32; 6]| NamedTensor {
            name: NAMES[name].to_owned(),
            shape: vec![count, 6],
            data: self.views.values().flat_map(of).collect(),
        };
        vec![
            numbers(0, &|view, _| view as f32),
            numbers(1, &|_, pose| pose.steps as f32),
            rows(2, |pose| pose.motion),
            rows(3, |pose| pose.first),
            rows(4, |pose| pose.second),
        ]
    }

    /// # Errors
    /// [`Error::Invalid`] when some of [`Self::tensors`] are missing or their shapes disagree.
    pub fn from_tensors(tensors: &[NamedTensor]) -> Result<Self> {
        let find = |name: &str| tensors.iter().find(|t| t.name == name);
        let Some(views) = find(NAMES[0]) else {
            return Ok(Self::default());
        };
        let count = views.data.len();
        let get = |name: &str, width: usize| {
            find(name)
                .filter(|t| t.data.len() == count * width)
                .map(|t| t.data.as_slice())
                .ok_or_else(|| {
                    Error::invalid(format!(
                        "a saved state has camera motions of {count} views, but its tensor \"{name}\" is missing or of \
                         another length"
                    ))
                })
        };
        let steps = get(NAMES[1], 1)?;
        let [motion, first, second] = [NAMES[2], NAMES[3], NAMES[4]].map(|name| get(name, 6));
        let row = |rows: &[f32], i: usize| std::array::from_fn(|k| rows[6 * i + k]);
        let (motion, first, second) = (motion?, first?, second?);
        Ok(Self {
            views: (0..count)
                .map(|i| {
                    let pose = Pose {
                        motion: row(motion, i),
                        first: row(first, i),
                        second: row(second, i),
                        steps: steps[i] as u32,
                    };
                    (views.data[i] as u32, pose)
                })
                .collect(),
        })
    }
}

/// The kernels that sum up a view's gradient.
pub(super) struct PoseKernels {
    color: Kernel,
    geometry: Kernel,
    sums: Kernel,
    partials: Option<wgpu::Buffer>,
    /// A [`PoseGradient`].
    pub d_pose: wgpu::Buffer,
}

impl PoseKernels {
    pub fn new(gpu: &Gpu) -> Self {
        let [color, geometry, sums] = &kernels::POSE;
        Self {
            color: Kernel::new(gpu, color),
            geometry: Kernel::new(gpu, geometry),
            sums: Kernel::new(gpu, sums),
            partials: None,
            d_pose: gpu.storage("d_pose", 32),
        }
    }

    pub fn make_room(&mut self, gpu: &Gpu, splats: u32) {
        let bytes = u64::from(splats.div_ceil(64)) * 24;
        if self.partials.as_ref().is_none_or(|p| p.size() < bytes) {
            self.partials = Some(gpu.storage("pose partials", bytes));
        }
    }

    /// Before the gradients of geometry are added to those of colors, and after.
    pub fn record(
        &self,
        gpu: &Gpu,
        pass: &mut wgpu::ComputePass<'_>,
        view: (Slice, &wgpu::Buffer),
        splats: &SplatBuffers,
        gradients: &SplatGradients,
        after_geometry: bool,
    ) {
        let Some(partials) = &self.partials else {
            return;
        };
        let (view_at, uniforms) = view;
        let kernel = match after_geometry {
            true => &self.geometry,
            false => &self.color,
        };
        let bind = kernel.bind(
            gpu,
            &[
                view_at.of(uniforms),
                splats.means.as_entire_binding(),
                splats.quats.as_entire_binding(),
                gradients.means.as_entire_binding(),
                gradients.quats.as_entire_binding(),
                partials.as_entire_binding(),
            ],
        );
        kernel.dispatch(pass, &bind, groups_for(splats.count));
        if after_geometry {
            let bind = self.sums.bind(
                gpu,
                &[
                    view_at.of(uniforms),
                    partials.as_entire_binding(),
                    self.d_pose.as_entire_binding(),
                ],
            );
            self.sums.dispatch(pass, &bind, [1, 1, 1]);
        }
    }
}
