//! burn tensor ↔ wgpu buffer, no copy. A network's input or output is a slice of a buffer on the shared device: kernels
//! bind it, or copies fill it. burn records lazily on its own streams, so it is flushed before the buffer is handed
//! out: any later `queue.submit` is then ordered after burn's work.

use super::{Gpu, GpuImage, Kernel, ShaderSource};
use crate::{Error, Result};
use burn::backend::Cube;
use burn::backend::wgpu::{AutoCompiler, CubeBackend, CubeTensor, WgpuResource};
use burn::tensor::{Device, Tensor};
use cubecl::ir::{ElemType, FloatKind};
use cubecl::wgpu::WgpuServer;
use std::sync::{Mutex, PoisonError};

/// A burn tensor exposed as a slice of a wgpu buffer. Keeps the sub-allocation out of burn's pool while it lives.
pub struct TensorBuffer {
    pub buffer: wgpu::Buffer,
    /// Bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    _keep: (CubeTensor, Box<dyn std::any::Any + Send + Sync>),
}

impl TensorBuffer {
    /// Resolve what burn still holds back and expose the storage. Does not wait for the GPU.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the tensor does not live on the shared device, or is a strided view of another.
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Debug| {
            Error::Gpu(format!(
                "burn cannot share a tensor with the kernels: {e:?}"
            ))
        };
        let device = tensor.device();
        let fused = tensor
            .try_into_primitive::<Cube>()
            .map_err(|e| failed(&e))?;
        let client = fused.client.clone();
        let cube: CubeTensor = client.resolve_tensor_float::<CubeBackend>(fused);
        if !cube.is_contiguous() {
            return Err(failed(&"the tensor is a strided view"));
        }
        let managed = cube
            .client
            .get_resource::<WgpuServer<AutoCompiler>>(cube.handle.clone())
            .map_err(|e| failed(&e))?;
        device.flush().map_err(|e| failed(&e))?;
        cube.client.flush().map_err(|e| failed(&e))?;
        let resource: &WgpuResource = managed.resource();
        Ok(Self {
            buffer: resource.buffer.clone(),
            offset: resource.offset,
            size: resource.size,
            _keep: (cube, Box::new(managed)),
        })
    }
}

/// Whether burn's kernels on `device` multiply half-precision matrices on units made for it, adding up in single
/// precision.
pub fn has_matrix_units(device: &Device) -> bool {
    static KNOWN: Mutex<Vec<(Device, bool)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, units)) = known.iter().find(|(of, _)| of == device) {
        return *units;
    }
    let units = Tensor::<1>::zeros([1], device)
        .try_into_primitive::<Cube>()
        .is_ok_and(|tensor| {
            let cube: CubeTensor = tensor
                .client
                .clone()
                .resolve_tensor_float::<CubeBackend>(tensor);
            let [half, single] = [FloatKind::F16, FloatKind::F32].map(ElemType::Float);
            let mut shapes = cube.client.properties().features.matmul.cmma.iter();
            shapes.any(|shape| {
                shape.a_type == half && shape.b_type == half && shape.cd_type == single
            })
        });
    known.push((device.clone(), units));
    units
}

/// A copy of `tensor`, which must live on the shared device, in a buffer of its own, row-major. Does not wait for the GPU.
///
/// # Errors
/// [`Error::Gpu`] when the tensor lives elsewhere, or the device fails.
pub fn tensor_to_storage<const D: usize>(gpu: &Gpu, tensor: Tensor<D>) -> Result<wgpu::Buffer> {
    let shape = tensor.dims();
    let bytes = 4 * shape.iter().product::<usize>() as u64;
    // Networks return strided views; assigning into fresh storage lays them out.
    let fresh = Tensor::<D>::zeros(shape, &tensor.device());
    let laid_out = fresh.slice_assign(shape.map(|n| 0..n), tensor);
    let source = TensorBuffer::new(laid_out)?;
    let storage = gpu.storage("tensor copy", bytes);
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(&source.buffer, source.offset, &storage, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    Ok(storage)
}

/// Pictures into tensors on the shared device, without the host.
pub struct ImageToTensor {
    kernel: Kernel,
}

/// Shaders of this room.
pub const SHADERS: &[ShaderSource] = &[IMAGE_TO_PLANES];

const IMAGE_TO_PLANES: ShaderSource = ShaderSource {
    name: "image_to_planes",
    parts: &[include_str!("../../shaders/gpu/image_to_planes.wgsl")],
};

impl ImageToTensor {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            kernel: Kernel::new(gpu, &IMAGE_TO_PLANES),
        }
    }

    /// `[1, 3, height, width]` on `device`, which must be [`Gpu::burn_device`]. Values are clamped to [0, 1], alpha is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Gpu`] when `device` is another, or fails.
    pub fn convert(
        &self,
        gpu: &Gpu,
        image: &GpuImage,
        device: &burn::tensor::Device,
    ) -> Result<Tensor<4>> {
        let shape = [1, 3, image.height as usize, image.width as usize];
        let tensor = Tensor::<4>::zeros(shape, device);
        let storage = TensorBuffer::new(tensor.clone())?;
        let alignment = u64::from(gpu.device.limits().min_storage_buffer_offset_alignment);
        let start = storage.offset / alignment * alignment;
        let bytes = storage.offset - start + image.pixels() as u64 * 12;
        let size = gpu.storage_from(
            "image size",
            &[image.pixels() as u32, ((storage.offset - start) / 4) as u32],
        );
        let bind_group = self.kernel.bind(
            gpu,
            &[
                image.buffer.as_entire_binding(),
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &storage.buffer,
                    offset: start,
                    size: std::num::NonZeroU64::new(bytes),
                }),
                size.as_entire_binding(),
            ],
        );
        let groups = (image.pixels() as u32).div_ceil(256).max(1);
        let across = groups.min(65535);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.kernel
                .dispatch(&mut pass, &bind_group, [across, groups.div_ceil(across), 1]);
        }
        gpu.queue.submit([encoder.finish()]);
        Ok(tensor)
    }
}
