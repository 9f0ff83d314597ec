//! What the kernels read as uniforms, laid out as their WGSL structs.

use super::{RenderOptions, SplatBuffers, rows::Rows};
use crate::scene::{Camera, Intrinsics, Splats};
use bytemuck::{Pod, Zeroable};

/// `View` of `splat/view.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct View {
    world_to_camera: [[f32; 4]; 4],
    position: [f32; 4],
    background: [f32; 4],
    focal: [f32; 2],
    center: [f32; 2],
    slope_low: [f32; 2],
    slope_high: [f32; 2],
    pub size: [u32; 2],
    pub tiles: [u32; 2],
    pub splats: u32,
    pub active_degree: u32,
    rest_count: u32,
    pub capacity: u32,
    /// 1 when depth is rendered, or has a cotangent.
    pub depth: u32,
    /// The part of a list that is bound.
    pub first: u32,
    pub end: u32,
    antialiased: u32,
}
const _: () = assert!(size_of::<View>() == 176);

/// `SortPass` of `shared/sort_pass.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct SortPass {
    pub shift: u32,
    pub bins: u32,
    pub blocks: u32,
    pub count_index: u32,
    pub count: u32,
    pub values_are_indices: u32,
    pub skip: u32,
    pub padding: u32,
}
const _: () = assert!(size_of::<SortPass>() == 32);

/// `Scan` of `shared/scan.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Scan {
    pub length: u32,
    pub destination: u32,
    pub capacity: u32,
    pub padding: u32,
}
const _: () = assert!(size_of::<Scan>() == 16);

pub(super) const SCAN_TO_NOTHING: u32 = 0;
pub(super) const SCAN_TO_INTERSECTIONS: u32 = 1;
const SCAN_TO_WORD: u32 = 2;
pub(super) const NOT_IN_STATUS: u32 = u32::MAX;

/// The scan destination that is a word of the status.
pub(super) fn scan_to_word(position: usize) -> u32 {
    SCAN_TO_WORD + position as u32
}

impl View {
    /// The same with another part bound.
    pub fn with_part(self, part: Rows) -> Self {
        Self {
            first: part.first,
            end: part.end,
            ..self
        }
    }

    pub fn rest_words(&self) -> u32 {
        3 * self.rest_count
    }

    pub fn new(
        camera: &Camera,
        options: &RenderOptions,
        splats: &SplatBuffers,
        tile_pixels: [u32; 2],
        capacity: u32,
        depth: bool,
    ) -> Self {
        let Intrinsics {
            fx,
            fy,
            cx,
            cy,
            width,
            height,
        } = camera.intrinsics;
        // gsplat's limits: the picture enlarged by 0.15 of its size on each side.
        let margin = [0.15 * f64::from(width) / fx, 0.15 * f64::from(height) / fy];
        let position = camera.position();
        let [r, g, b] = options.background;
        Self {
            world_to_camera: camera.world_to_camera.as_mat4().to_cols_array_2d(),
            position: [position.x as f32, position.y as f32, position.z as f32, 1.0],
            background: [r, g, b, 0.0],
            focal: [fx as f32, fy as f32],
            center: [cx as f32, cy as f32],
            slope_low: [(-cx / fx - margin[0]) as f32, (-cy / fy - margin[1]) as f32],
            slope_high: [
                ((f64::from(width) - cx) / fx + margin[0]) as f32,
                ((f64::from(height) - cy) / fy + margin[1]) as f32,
            ],
            size: [width, height],
            tiles: [
                width.div_ceil(tile_pixels[0]),
                height.div_ceil(tile_pixels[1]),
            ],
            splats: splats.count,
            active_degree: options.active_sh_degree.min(splats.sh_degree),
            rest_count: Splats::rest_count_of(splats.sh_degree) as u32,
            capacity,
            depth: u32::from(depth),
            first: 0,
            end: splats.count,
            antialiased: u32::from(splats.antialiased),
        }
    }
}
