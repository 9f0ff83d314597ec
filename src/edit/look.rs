//! What a scene shows besides its colors: how far away things are, how opaque, and which way they face. All of it comes
//! from what every render leaves behind, colors with their opacity and depths, so that it is the same for splats and
//! Luxens, in the window and in files, and switching costs no render.

use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Kernel, ShaderSource},
    scene::Camera,
};
use glam::DVec3;

const LOOK: ShaderSource = ShaderSource {
    name: "viewport/look",
    parts: &[include_str!("../../shaders/viewport/look.wgsl")],
};

/// Every kernel of this room.
pub const SHADERS: &[ShaderSource] = &[LOOK];

/// What is shown of a scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    #[default]
    Color,
    /// Mean camera z.
    Depth,
    /// How much of the light is stopped.
    Accumulation,
    /// Of the surface that the mean depths make, towards the camera, in world axes.
    Normals,
}

impl Look {
    pub const ALL: [Self; 4] = [Self::Color, Self::Depth, Self::Accumulation, Self::Normals];

    pub fn name(self) -> &'static str {
        match self {
            Self::Color => "color",
            Self::Depth => "depth",
            Self::Accumulation => "accumulation",
            Self::Normals => "normals",
        }
    }
}

/// How a look's values become colors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Not at all: depths in world units, normals' components from −1 to 1.
    Values,
    /// Logarithmic gray, from white at the first depth to black at the second; normals' −1 to 1 as 0 to 1; all over black.
    Picture { near: f64, far: f64 },
}

/// A picture is white at this share of the camera's distance from what is looked at, and black at that multiple of it.
const REACH: f64 = 2.0;

impl Scale {
    /// For a camera that looks at `center`.
    pub fn around(camera: &Camera, center: DVec3) -> Self {
        let distance = camera.position().distance(center).max(1e-6);
        Self::Picture {
            near: distance / REACH,
            far: distance * REACH,
        }
    }
}

/// `Look` of look.wgsl.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Uniform {
    right: [f32; 4],
    down: [f32; 4],
    forward: [f32; 4],
    intrinsics: [f32; 4],
    size: [u32; 2],
    kind: u32,
    is_picture: u32,
    near: f32,
    far: f32,
    padding: [f32; 2],
}
const _: () = assert!(size_of::<Uniform>() == 96);

/// Makes looks of renders.
pub struct LookKernel {
    kernel: Kernel,
}

impl LookKernel {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            kernel: Kernel::new(gpu, &LOOK),
        }
    }

    /// Record: `shown` becomes the look of a render from `camera`; its alpha is the render's. `depth`: `[h, w]` f32, sum
    /// of weight × camera z, perhaps with more behind it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the pictures differ in size, or for [`Look::Color`], which is the render itself.
    pub fn record(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        (look, scale): (Look, Scale),
        camera: &Camera,
        (image, depth): (&GpuImage, &wgpu::Buffer),
        shown: &GpuImage,
    ) -> Result<()> {
        let k = camera.intrinsics;
        let size = [k.width, k.height];
        if size != [image.width, image.height] || size != [shown.width, shown.height] {
            return Err(Error::invalid(
                "a look has the size of its render and of its camera",
            ));
        }
        let kind = match look {
            Look::Color => return Err(Error::invalid("colors are the render itself")),
            Look::Depth => 1,
            Look::Accumulation => 2,
            Look::Normals => 3,
        };
        let (is_picture, near, far) = match scale {
            Scale::Values => (0, 1.0, 2.0),
            Scale::Picture { near, far } => (1, near, far),
        };
        let world = camera.camera_to_world();
        let axis = |c: glam::DVec4| c.as_vec4().to_array();
        let uniform = gpu.uniform_from(
            "look",
            &Uniform {
                right: axis(world.x_axis),
                down: axis(world.y_axis),
                forward: axis(world.z_axis),
                intrinsics: [k.fx, k.fy, k.cx, k.cy].map(|v| v as f32),
                size,
                kind,
                is_picture,
                near: near as f32,
                far: far as f32,
                padding: [0.0; 2],
            },
        );
        let group = self.kernel.bind(
            gpu,
            &[
                uniform.as_entire_binding(),
                image.buffer.as_entire_binding(),
                depth.as_entire_binding(),
                shown.buffer.as_entire_binding(),
            ],
        );
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("look"),
            timestamp_writes: None,
        });
        let groups = [k.width.div_ceil(8), k.height.div_ceil(8), 1];
        self.kernel.dispatch(&mut pass, &group, groups);
        Ok(())
    }
}
