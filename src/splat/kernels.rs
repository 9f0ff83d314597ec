//! The WGSL of the rasterizer, in one list.

use crate::gpu::ShaderSource;

/// Every kernel of the rasterizer.
pub const SHADERS: &[ShaderSource] = &[];
