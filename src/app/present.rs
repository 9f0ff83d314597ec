//! Storage buffer → window, without a copy: a paint callback of egui whose fragment shader reads the rendered image
//! where the rasterizer left it. The wipe happens here too, so dragging it costs no render.

use crate::gpu::{Gpu, GpuImage, ShaderSource};
use eframe::{
    egui,
    egui_wgpu::{Callback, CallbackResources, CallbackTrait, RenderState},
};

/// Every shader of the window.
pub const SHADERS: &[ShaderSource] = &[PRESENT];

const PRESENT: ShaderSource = ShaderSource {
    name: "viewport/present",
    parts: &[include_str!("../../shaders/viewport/present.wgsl")],
};

/// Must match `Present` in present.wgsl.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Uniform {
    after_size: [f32; 2],
    before_size: [f32; 2],
    before_rect: [f32; 4],
    wipe: f32,
    srgb_target: f32,
    padding: [f32; 2],
}
const _: () = assert!(size_of::<Uniform>() == 48);

/// The image before the edit and where it shows.
pub struct Before<'a> {
    pub image: &'a GpuImage,
    /// Its place in the viewport: min x, min y, max x, max y in [0, 1].
    pub rect: [f32; 4],
    /// It shows left of this share of the viewport's width.
    pub wipe: f32,
}

/// The pipeline that draws images into the window's surface.
pub struct Presenter {
    pipeline: wgpu::RenderPipeline,
    srgb_target: bool,
}

impl Presenter {
    pub fn new(gpu: &Gpu, state: &RenderState) -> Self {
        let module = gpu
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(PRESENT.name),
                source: wgpu::ShaderSource::Wgsl(PRESENT.wgsl().into()),
            });
        let pipeline = gpu
            .device
            .create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some(PRESENT.name),
                layout: None,
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: Some("vertex"),
                    compilation_options: Default::default(),
                    buffers: &[],
                },
                primitive: Default::default(),
                depth_stencil: None,
                multisample: Default::default(),
                fragment: Some(wgpu::FragmentState {
                    module: &module,
                    entry_point: Some("fragment"),
                    compilation_options: Default::default(),
                    targets: &[Some(state.target_format.into())],
                }),
                multiview_mask: None,
                cache: None,
            });
        Self {
            pipeline,
            srgb_target: state.target_format.is_srgb(),
        }
    }

    /// A shape that fills `rect` with `after`, and with `before` left of the wipe.
    pub fn shape(
        &self,
        gpu: &Gpu,
        rect: egui::Rect,
        after: &GpuImage,
        before: Option<&Before<'_>>,
    ) -> egui::Shape {
        let size = |image: &GpuImage| [image.width as f32, image.height as f32];
        let second = before.map_or(after, |b| b.image);
        let uniform = Uniform {
            after_size: size(after),
            before_size: size(second),
            before_rect: before.map_or([0.0, 0.0, 1.0, 1.0], |b| b.rect),
            wipe: before.map_or(0.0, |b| b.wipe),
            srgb_target: f32::from(u8::from(self.srgb_target)),
            padding: [0.0; 2],
        };
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("present"),
            size: size_of::<Uniform>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue
            .write_buffer(&buffer, 0, bytemuck::bytes_of(&uniform));
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("present"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                entry(0, buffer.as_entire_binding()),
                entry(1, after.buffer.as_entire_binding()),
                entry(2, second.buffer.as_entire_binding()),
            ],
        });
        let draw = Draw {
            pipeline: self.pipeline.clone(),
            bind_group,
        };
        egui::Shape::Callback(Callback::new_paint_callback(rect, draw))
    }
}

struct Draw {
    pipeline: wgpu::RenderPipeline,
    bind_group: wgpu::BindGroup,
}

impl CallbackTrait for Draw {
    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        _resources: &CallbackResources,
    ) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.draw(0..3, 0..1);
    }
}
