//! What the window draws. The trainer hands out its own parameter buffers, so that showing the newest state of a scene
//! costs no copy and no wait.

use super::SplatBuffers;

/// A scene as it is now, ready for a [`super::Rasterizer`]. Clones share the buffers.
#[derive(Clone)]
pub struct Drawable {
    pub splats: SplatBuffers,
    pub active_sh_degree: u32,
    /// Display-referred rgb behind the splats.
    pub background: [f32; 3],
    /// Changes when the buffers were replaced by others, not when their content was optimized.
    pub generation: u64,
}
