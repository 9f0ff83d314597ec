//! Uniforms packed into one buffer a submission: every frame or step has its own, so that several can be recorded before
//! one is submitted.

use super::Gpu;
use bytemuck::Pod;

/// Collects uniforms, each at an offset that the device can bind.
#[derive(Default)]
pub struct Packer {
    bytes: Vec<u8>,
    align: usize,
}

/// Where one struct lies in the packed buffer.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    offset: u64,
    size: u64,
}

impl Packer {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            bytes: Vec::with_capacity(4096),
            align: gpu.device.limits().min_uniform_buffer_offset_alignment as usize,
        }
    }

    pub fn add<T: Pod>(&mut self, value: &T) -> Slice {
        let offset = self.bytes.len().next_multiple_of(self.align);
        self.bytes.resize(offset, 0);
        self.bytes.extend_from_slice(bytemuck::bytes_of(value));
        Slice {
            offset: offset as u64,
            size: size_of::<T>() as u64,
        }
    }

    pub fn finish(self, gpu: &Gpu) -> wgpu::Buffer {
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("uniforms"),
            size: (self.bytes.len() as u64).next_multiple_of(16),
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&buffer, 0, &self.bytes);
        buffer
    }
}

impl Slice {
    pub fn of(self, buffer: &wgpu::Buffer) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset: self.offset,
            size: wgpu::BufferSize::new(self.size),
        })
    }
}
