//! burn tensor ↔ wgpu buffer, no copy. A network's input or output is a slice of a buffer on the shared device: kernels
//! bind it, or copies fill it. burn records lazily on its own streams, so it is flushed before the buffer is handed
//! out: any later `queue.submit` is then ordered after burn's work.

use crate::{Error, Result};
use burn::backend::Cube;
use burn::backend::wgpu::{AutoCompiler, CubeBackend, CubeTensor, WgpuResource};
use burn::tensor::Tensor;
use cubecl::wgpu::WgpuServer;

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
            Error::Gpu(format!("burn cannot share a tensor with the kernels: {e:?}"))
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
