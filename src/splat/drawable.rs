//! What a trainer hands to whoever draws: handles of the live parameters, no copy.

use super::SplatBuffers;

/// A scene ready to be drawn by a [`super::Rasterizer`].
#[derive(Clone)]
pub struct Drawable {
    pub splats: SplatBuffers,
    pub active_sh_degree: u32,
    /// Display-referred rgb behind the splats.
    pub background: [f32; 3],
    /// Grows with every change of the parameters.
    pub generation: u64,
}
