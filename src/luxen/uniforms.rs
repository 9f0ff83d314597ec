//! What the kernels read as uniforms, laid out as their WGSL structs.

use bytemuck::{Pod, Zeroable};

/// `Batch` of `luxen/batch.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Batch {
    pub rays: u32,
    pub samples: u32,
    pub next_samples: u32,
    pub first_ray: u32,
    pub seed: u32,
    pub step: u32,
    pub is_training: u32,
    pub background_kind: u32,
    pub background: [f32; 3],
    pub average_density: f32,
    pub near: f32,
    pub far: f32,
    pub anneal: f32,
    pub photo_scale: f32,
    pub distortion_scale: f32,
    pub interlevel_scale: f32,
    pub density_at: u32,
    pub d_density_at: u32,
    pub color_at: u32,
    pub d_color_at: u32,
    pub patch_side: u32,
    pub views: u32,
    pub appearance_row: u32,
    pub loss_kind: u32,
    pub half_side: f32,
    pub least_density: f32,
}

/// `GridLevel` of `luxen/grid.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct GridLevel {
    /// Cells a unit.
    pub scale: f32,
    /// Vertices a side, where dense.
    pub resolution: u32,
    pub entries: u32,
    /// First row in the table.
    pub first: u32,
    pub is_dense: u32,
    pub padding: [u32; 3],
}

/// `Grid` of `luxen/grid.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct GridUniform {
    pub levels: [GridLevel; 16],
    pub shift: f32,
    pub quads: u32,
    pub features_at: u32,
    pub d_features_at: u32,
}

/// `Channels` of `luxen/fixed_scales.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Channels {
    pub quads: u32,
    pub at: u32,
    pub each: u32,
    pub padding: u32,
}

/// `Final` of `luxen/interlevel_loss.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct FinalLevel {
    pub samples: u32,
    pub weight_at: u32,
    pub padding: [u32; 2],
}

/// `Draw` of `luxen/draw.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Draw {
    pub views: u32,
    pub given: u32,
    pub plane: u32,
    pub given_scale: f32,
    pub photo_weight: f32,
    pub padding: [u32; 3],
}

/// `Layer` of `luxen/layer.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Layer {
    pub quads: u32,
    pub rows: u32,
    pub columns: u32,
    pub row_at: u32,
    pub column_at: u32,
    pub has_bias: u32,
    pub first: u32,
    pub row_stride: u32,
    pub column_stride: u32,
    pub bias_first: u32,
    pub bias_stride: u32,
    pub skipped: u32,
    pub first_tile: u32,
    pub first_partial: u32,
    pub first_weight: u32,
    pub padding: u32,
}

/// `Layers` of `luxen/layer.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Layers {
    pub count: u32,
    pub accumulates: u32,
    pub padding: [u32; 2],
    pub each: [Layer; 6],
}

impl Layers {
    /// # Panics
    /// When there are six already: no network has more.
    pub fn push(&mut self, layer: Layer) {
        self.each[self.count as usize] = layer;
        self.count += 1;
    }
}

/// `Held` of `luxen/held_reduce.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Held {
    pub count: u32,
    pub invocations: u32,
    pub accumulates: u32,
    pub padding: u32,
}

/// `AdamParams` of `luxen/adam.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct AdamParams {
    pub count: u32,
    pub levels: u32,
    pub collect_only: u32,
    pub step_size: f32,
    pub second_correction: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub carries: u32,
    pub in_pairs: u32,
    pub padding: [u32; 2],
    pub ends: [u32; 16],
}

/// `Poses` of `luxen/pose.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct PoseStep {
    pub count: u32,
    pub step_size: f32,
    pub second_correction: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub shift_weight: f32,
    pub turn_weight: f32,
}

/// `View` of `luxen/ray.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct View {
    pub position: [f32; 4],
    pub right: [f32; 4],
    pub down: [f32; 4],
    pub forward: [f32; 4],
    pub intrinsics: [f32; 4],
    pub size: [u32; 4],
}

/// `Crop` of `luxen/crop.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Crop {
    pub low: [f32; 4],
    pub high: [f32; 4],
}

impl Crop {
    pub fn new(crop: Option<&crate::scene::CropBox>) -> Self {
        let Some(crop) = crop else {
            return Self::zeroed();
        };
        Self {
            low: crop.low.extend(1.0).as_vec4().to_array(),
            high: crop.high.extend(1.0).as_vec4().to_array(),
        }
    }
}

const _: () = assert!(
    size_of::<Batch>() == 112
        && size_of::<GridLevel>() == 32
        && size_of::<GridUniform>() == 528
        && size_of::<Channels>() == 16
        && size_of::<FinalLevel>() == 16
        && size_of::<Draw>() == 32
        && size_of::<Layer>() == 64
        && size_of::<Layers>() == 400
        && size_of::<Held>() == 16
        && size_of::<AdamParams>() == 112
        && size_of::<PoseStep>() == 32
        && size_of::<View>() == 96
        && size_of::<Crop>() == 32
);

impl View {
    /// `first_pixel`: where the view's photo begins in its pool. The row of the appearance table is left to the caller.
    pub fn new(camera: &crate::scene::Camera, first_pixel: u32, pool: u32) -> Self {
        let world_from_camera = camera.camera_to_world();
        let k = &camera.intrinsics;
        let column = |c: glam::DVec4| c.as_vec4().to_array();
        Self {
            position: column(world_from_camera.w_axis),
            right: column(world_from_camera.x_axis),
            down: column(world_from_camera.y_axis),
            forward: column(world_from_camera.z_axis),
            intrinsics: [k.fx as f32, k.fy as f32, k.cx as f32, k.cy as f32],
            size: [k.width, k.height, first_pixel, pool],
        }
    }
}
