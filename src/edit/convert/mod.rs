//! What turns one kind of scene into another. Everything starts from what the scene shows: pictures with depths from the
//! cameras of its capture. That is what a field and splats have in common, and what they were trained to get right; what
//! a field holds where no camera looked is left behind.

mod fusion;
mod marching_cubes;
mod seeds;

pub use fusion::{Region, region_of, surface};
pub use marching_cubes::Grid;
pub use seeds::seeds;

use super::TrainableScene;
use crate::{
    Result,
    gpu::{Gpu, GpuImage},
    scene::Camera,
};
use std::sync::Arc;

/// A picture with its depths, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthView {
    pub camera: Camera,
    /// `[h, w]`: display-referred rgb over nothing, in its opacity (not multiplied with it), and the opacity.
    pub rgba: Vec<[u8; 4]>,
    /// `[h, w]`: camera z of the surface, world units; 0 where there is none.
    pub depth: Vec<f32>,
}

impl DepthView {
    /// Look at `scene`, whose renders are over `background`; `None`: its pictures are opaque.
    ///
    /// # Errors
    /// See [`TrainableScene::render`].
    pub fn of(
        gpu: &Arc<Gpu>,
        scene: &mut dyn TrainableScene,
        camera: &Camera,
        background: Option<[f32; 3]>,
    ) -> Result<Self> {
        let k = camera.intrinsics;
        let image = GpuImage::new(gpu, k.width, k.height);
        let depth = scene.render_depths(camera, &image)?.surface;
        let rgba = image.read_rgba(gpu)?;
        let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
        let rgba = rgba.as_chunks::<4>().0.iter();
        let rgba = rgba.map(|&[r, g, b, a]| match background {
            None => [byte(r), byte(g), byte(b), 255],
            Some(behind) => {
                let straight =
                    |v: f32, behind: f32| byte((v - (1.0 - a) * behind) / a.max(1.0 / 255.0));
                let [x, y, z] = behind;
                [straight(r, x), straight(g, y), straight(b, z), byte(a)]
            }
        });
        Ok(Self {
            camera: *camera,
            rgba: rgba.collect(),
            depth,
        })
    }

    /// The colors over a background, `[h, w, 3]`.
    pub fn over(&self, background: [f32; 3]) -> Vec<u8> {
        let pixels = self.rgba.iter().flat_map(|&[r, g, b, a]| {
            let alpha = f32::from(a) / 255.0;
            let over = |v: u8, behind: f32| {
                (f32::from(v) * alpha + 255.0 * behind * (1.0 - alpha)).round() as u8
            };
            let [x, y, z] = background;
            [over(r, x), over(g, y), over(b, z)]
        });
        pixels.collect()
    }

    /// World units that a pixel measures at camera z `depth`.
    pub fn footprint(&self, depth: f64) -> f64 {
        let k = self.camera.intrinsics;
        depth / k.fx.min(k.fy)
    }
}
