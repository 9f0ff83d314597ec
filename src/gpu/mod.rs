//! The one device. In the window, egui, the kernels here and burn share a single wgpu device and queue, so that a
//! parameter buffer that the trainer updates is the buffer that the viewport draws, without a copy; headless the same
//! kernels run on a device of their own. cubecl reads its abilities from the *adapter*, so the device enables all that
//! the adapter offers. No adapter, or a lost device, is an [`Error::Gpu`] that says what to do, never a panic.
//!
//! burn's kernels are WGSL here, which as cubecl 0.11 writes it has no matrix units. Built with the feature `card` they are
//! SPIR-V on Vulkan, where the driver has the Vulkan memory model at device scope and buffer device addresses: from
//! `VK_KHR_cooperative_matrix` they take the card's matrix units, for products of matrices, convolutions and attention.
//! cubecl believes the adapter and uses what such a device must enable beyond what wgpu enables, so cubecl opens it; it is an
//! ordinary wgpu device all the same, which egui and the kernels here share. Mesa's software adapter crashes on that
//! SPIR-V, and burn cannot be told to give one device of a process the other language: hence a feature.

mod adapters;
mod bridge;
mod image;
mod packer;
#[cfg(target_os = "linux")]
mod pinned;
mod profile;
mod shader;
mod tuning;

pub use adapters::{device_descriptor, window_adapters, window_setup};
pub use bridge::{ImageToTensor, SHADERS, TensorBuffer, has_matrix_units, tensor_to_storage};
pub use image::GpuImage;
pub use packer::{Packer, Slice};
pub use profile::KernelTime;
pub use shader::{Kernel, ShaderSource};

use crate::{Error, Result};
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

const NO_SOFTWARE: &str = "this luxedit was built for graphics cards (cargo's feature `card`), and this adapter is software: \
run networks on the processor (--edit-device cpu)";

/// Device, queue, and what hangs on them. Cheap to share; one for the life of the process.
pub struct Gpu {
    pub instance: wgpu::Instance,
    pub adapter: wgpu::Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub info: wgpu::AdapterInfo,
    lost: Arc<AtomicBool>,
    last_error: Arc<Mutex<Option<String>>>,
    burn: OnceLock<Result<burn::tensor::Device, String>>,
    /// `None` inside: the adapter cannot.
    profiler: OnceLock<Option<Arc<profile::Profiler>>>,
}

const DEVICE_LOST: &str = "the graphics device was lost; restart luxedit and resume the project";

impl Gpu {
    /// The device that the window was opened on (by [`window_setup`]).
    pub fn from_eframe(state: &eframe::egui_wgpu::RenderState) -> Arc<Self> {
        Self::new(
            state.instance.clone(),
            state.adapter.clone(),
            state.device.clone(),
            state.queue.clone(),
        )
    }

    fn new(
        instance: wgpu::Instance,
        adapter: wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Arc<Self> {
        let lost = Arc::new(AtomicBool::new(false));
        let last_error = Arc::new(Mutex::new(None));
        let on_lost = (lost.clone(), last_error.clone());
        device.set_device_lost_callback(move |reason, message| {
            // `Destroyed` is the ordinary end of the program.
            if !matches!(reason, wgpu::DeviceLostReason::Destroyed) {
                on_lost.0.store(true, Ordering::Relaxed);
                remember(
                    &on_lost.1,
                    format!("the graphics device was lost: {message}"),
                );
            }
        });
        let on_error = last_error.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
            log::error!("{e}");
            remember(&on_error, e.to_string());
        }));
        Arc::new(Self {
            info: adapter.get_info(),
            instance,
            adapter,
            device,
            queue,
            lost,
            last_error,
            burn: OnceLock::new(),
            profiler: OnceLock::new(),
        })
    }

    /// The same device, for burn's networks. Registered on first use.
    ///
    /// # Errors
    /// [`Error::Gpu`] when burn refuses the device.
    pub fn burn_device(&self) -> Result<burn::tensor::Device> {
        self.burn
            .get_or_init(|| {
                if cfg!(feature = "card") && self.is_software() {
                    return Err(NO_SOFTWARE.into());
                }
                tuning::configure(self.is_software());
                burn::tensor::Device::wgpu_options()
                    .setup(burn::tensor::wgpu::WgpuSetup {
                        instance: self.instance.clone(),
                        adapter: self.adapter.clone(),
                        device: self.device.clone(),
                        queue: self.queue.clone(),
                        backend: self.info.backend,
                    })
                    .init()
                    .map_err(|e| format!("burn cannot use the graphics device: {e:?}"))
            })
            .clone()
            .map_err(Error::Gpu)
    }

    /// True for software adapters, where networks run faster on the CPU backend.
    pub fn is_software(&self) -> bool {
        adapters::is_software(&self.info)
    }

    /// Whether kernels can add 64 bits to storage at once.
    pub fn adds_pairs(&self) -> bool {
        let needed = wgpu::Features::SHADER_INT64 | wgpu::Features::SHADER_INT64_ATOMIC_ALL_OPS;
        self.device.features().contains(needed)
    }

    /// Whether kernels can pack and unpack f16. Core WGSL, but old software adapters of Mesa cannot.
    pub fn packs_half(&self) -> bool {
        let flags = self.adapter.get_downlevel_capabilities().flags;
        flags.contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32)
    }

    /// # Errors
    /// The first driver or validation error since the last call; a lost device stays an error.
    pub fn check(&self) -> Result<()> {
        let message = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match message {
            Some(message) => Err(Error::Gpu(message)),
            None => self.check_lost(),
        }
    }

    /// Whether the device is gone. Unlike [`Self::check`] this takes no error away from who submitted the work.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device is lost.
    pub fn check_lost(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(Error::Gpu(DEVICE_LOST.into()));
        }
        Ok(())
    }

    /// Wait until everything submitted so far has run.
    ///
    /// # Errors
    /// [`Error::Gpu`] for the first driver or validation error since the last call, or a lost device.
    pub fn wait(&self) -> Result<()> {
        self.settle(wgpu::PollType::wait_indefinitely())
    }

    /// Wait until a submission has run.
    ///
    /// # Errors
    /// [`Error::Gpu`] for the first driver or validation error since the last call, or a lost device.
    pub fn wait_for(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        self.settle(wgpu::PollType::Wait {
            submission_index: Some(submission),
            timeout: None,
        })
    }

    /// What was refused when it was submitted cannot be waited for: the driver's reason comes first.
    fn settle(&self, kind: wgpu::PollType) -> Result<()> {
        let polled = self.device.poll(kind);
        self.check()?;
        match polled {
            Ok(_) => Ok(()),
            Err(e) => Err(Error::Gpu(format!(
                "the graphics device stopped answering: {e}"
            ))),
        }
    }

    /// Largest storage binding the device allows, in bytes.
    pub fn binding_limit(&self) -> u64 {
        let limits = self.device.limits();
        // cubecl lifts the limit of a device whose shaders index in 64 bits; those here do not.
        limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            .min(self.adapter.limits().max_storage_buffer_binding_size)
    }

    /// Largest buffer the device allows, in bytes; kernels bind it in parts where it passes [`Self::binding_limit`].
    pub fn buffer_limit(&self) -> u64 {
        self.device.limits().max_buffer_size
    }

    /// What a storage buffer for `bytes` takes.
    pub fn storage_bytes(bytes: u64) -> u64 {
        bytes.max(16).next_multiple_of(16)
    }

    /// A storage buffer of `bytes` (rounded up to 16), zeroed, readable and copyable both ways.
    pub fn storage(&self, label: &str, bytes: u64) -> wgpu::Buffer {
        self.storage_with(label, bytes, wgpu::BufferUsages::INDIRECT)
    }

    /// As [`Self::storage`], and some kernels bind it as a uniform.
    pub fn storage_and_uniform(&self, label: &str, bytes: u64) -> wgpu::Buffer {
        self.storage_with(label, bytes, wgpu::BufferUsages::UNIFORM)
    }

    fn storage_with(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: Self::storage_bytes(bytes),
            usage: usage
                | wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// A storage buffer holding `data`.
    pub fn storage_from<T: bytemuck::NoUninit>(&self, label: &str, data: &[T]) -> wgpu::Buffer {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = self.storage(label, bytes.len() as u64);
        if !bytes.is_empty() {
            self.queue.write_buffer(&buffer, 0, bytes);
        }
        buffer
    }

    /// A uniform buffer holding `value`; rewrite it with `queue.write_buffer`.
    pub fn uniform_from<T: bytemuck::NoUninit>(&self, label: &str, value: &T) -> wgpu::Buffer {
        let bytes = bytemuck::bytes_of(value);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes.len().next_multiple_of(16) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue.write_buffer(&buffer, 0, bytes);
        buffer
    }

    /// Copy `count` elements back to the host; waits for the GPU.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device is lost or the driver fails.
    pub fn read<T: bytemuck::AnyBitPattern>(
        &self,
        buffer: &wgpu::Buffer,
        count: usize,
    ) -> Result<Vec<T>> {
        let bytes = (count * size_of::<T>()) as u64;
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes.next_multiple_of(4),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes.next_multiple_of(4));
        self.queue.submit([encoder.finish()]);
        let slice = staging.slice(..);
        let (sender, receiver) = crossbeam_channel::bounded(1);
        slice.map_async(wgpu::MapMode::Read, move |result| {
            if sender.send(result).is_err() {
                log::warn!("a read-back was abandoned");
            }
        });
        self.wait()?;
        receiver
            .recv()
            .map_err(|_| Error::Gpu("the graphics driver dropped a read-back".into()))?
            .map_err(|e| Error::Gpu(format!("reading back from the graphics device: {e}")))?;
        let view = slice
            .get_mapped_range()
            .map_err(|e| Error::Gpu(format!("reading back from the graphics device: {e}")))?;
        Ok(view[..bytes as usize]
            .chunks_exact(size_of::<T>())
            .map(bytemuck::pod_read_unaligned)
            .collect())
    }
}

fn remember(slot: &Mutex<Option<String>>, message: String) {
    slot.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert(message);
}
