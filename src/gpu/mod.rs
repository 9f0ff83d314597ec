//! The one device. In the window, egui, the kernels here and burn share a single wgpu device and queue, so that a
//! parameter buffer that the trainer updates is the buffer that the viewport draws, without a copy; headless the same
//! kernels run on a device of their own. cubecl reads its abilities from the *adapter*, so the device enables all that
//! the adapter offers. No adapter, or a lost device, is an [`Error::Gpu`] that says what to do, never a panic.
//!
//! burn's kernels are WGSL here, on every graphics interface. WGSL as cubecl 0.11 writes it has no matrix units: products of
//! matrices run on the ordinary units, convolutions through `conv_direct` (or, of one pixel, a product), attention through
//! `unit` kernels or written-out scores. burn's feature `vulkan` writes SPIR-V instead, which takes them from
//! `VK_KHR_cooperative_matrix` (and brings bf16), where the driver has the Vulkan memory model at device scope and buffer
//! device addresses. Such a device is still an ordinary wgpu device that egui and these kernels can share, but cubecl must
//! make it (`Device::wgpu_options().init_with_setup()`, then `WgpuSetup::Existing` for the window): it enables extensions
//! that wgpu does not, and for a device made elsewhere it would believe the adapter and use what is not enabled.

mod bridge;
mod image;
mod packer;
mod profile;
mod shader;

pub use bridge::{ImageToTensor, SHADERS, TensorBuffer, tensor_to_storage};
pub use image::GpuImage;
pub use packer::{Packer, Slice};
pub use profile::KernelTime;
pub use shader::{Kernel, ShaderSource};

use crate::{Error, Result};
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicBool, Ordering},
};

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

const HOW_TO_GET_AN_ADAPTER: &str = "luxedit needs a Vulkan, Metal or Direct3D 12 adapter, and found none. \
Install your graphics driver; on a machine without a graphics card, Mesa's software adapter serves: \
`sudo apt-get install mesa-vulkan-drivers libvulkan1` (Debian, Ubuntu), `sudo dnf install mesa-vulkan-drivers` (Fedora).";

const DEVICE_LOST: &str = "the graphics device was lost; restart luxedit and resume the project";

/// What a device must enable so that egui, burn and the kernels can share it.
pub fn device_descriptor(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    wgpu::DeviceDescriptor {
        label: Some("luxedit"),
        required_features: adapter
            .features()
            .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        trace: wgpu::Trace::Off,
        // SAFETY: `adapter.features()` may name experimental features; none of them is used by the kernels.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
    }
}

/// Window set-up that makes eframe create a device fit for sharing.
pub fn eframe_setup() -> eframe::egui_wgpu::WgpuSetup {
    let mut setup = eframe::egui_wgpu::WgpuSetupCreateNew::without_display_handle();
    setup.instance_descriptor.backends = wgpu::Backends::PRIMARY;
    setup.device_descriptor = Arc::new(device_descriptor);
    setup.into()
}

fn headless_instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

fn best_adapter() -> Result<(wgpu::Instance, wgpu::Adapter)> {
    let instance = headless_instance();
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    }))
    .map_err(|e| Error::Gpu(format!("{HOW_TO_GET_AN_ADAPTER} ({e})")))?;
    Ok((instance, adapter))
}

impl Gpu {
    /// A device without a window.
    ///
    /// # Errors
    /// [`Error::Gpu`] when there is no adapter, or it cannot open a device.
    pub fn headless() -> Result<Arc<Self>> {
        let (instance, adapter) = best_adapter()?;
        Self::open(instance, adapter)
    }

    /// [`Self::headless`] on a device that refuses storage bindings of more than `bytes`, as lesser adapters do.
    ///
    /// # Errors
    /// See [`Self::headless`].
    pub fn headless_with_binding_limit(bytes: u64) -> Result<Arc<Self>> {
        let (instance, adapter) = best_adapter()?;
        let mut descriptor = device_descriptor(&adapter);
        descriptor.required_limits.max_storage_buffer_binding_size = bytes;
        Self::open_with(instance, adapter, &descriptor)
    }

    /// The adapter of this number, from 0, in the driver's order, and its instance.
    ///
    /// # Errors
    /// [`Error::Gpu`] names the adapters that there are.
    pub fn numbered(number: u32) -> Result<(wgpu::Instance, wgpu::Adapter)> {
        let instance = headless_instance();
        let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        let number = number as usize;
        if number < adapters.len() {
            return Ok((instance, adapters.swap_remove(number)));
        }
        let names: Vec<String> = adapters
            .iter()
            .enumerate()
            .map(|(i, adapter)| format!("gpu:{i} {}", adapter.get_info().name))
            .collect();
        Err(Error::Gpu(match names.is_empty() {
            true => HOW_TO_GET_AN_ADAPTER.into(),
            false => format!("there is no gpu:{number}; there is {}", names.join(", ")),
        }))
    }

    /// A device of its own on `adapter`.
    ///
    /// # Errors
    /// [`Error::Gpu`] when it opens none.
    pub fn open(instance: wgpu::Instance, adapter: wgpu::Adapter) -> Result<Arc<Self>> {
        let descriptor = device_descriptor(&adapter);
        Self::open_with(instance, adapter, &descriptor)
    }

    fn open_with(
        instance: wgpu::Instance,
        adapter: wgpu::Adapter,
        descriptor: &wgpu::DeviceDescriptor<'_>,
    ) -> Result<Arc<Self>> {
        let (device, queue) = pollster::block_on(adapter.request_device(descriptor))
            .map_err(|e| Error::Gpu(format!("the graphics adapter opens no device: {e}")))?;
        Ok(Self::new(instance, adapter, device, queue))
    }

    /// The device that eframe made (with [`eframe_setup`]).
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
                if self.is_software() {
                    tune_briefly();
                }
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
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Whether kernels can pack and unpack f16. Core WGSL, but old software adapters of Mesa cannot.
    pub fn packs_half(&self) -> bool {
        let flags = self.adapter.get_downlevel_capabilities().flags;
        flags.contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32)
    }

    /// # Errors
    /// The first driver or validation error since the last call; a lost device stays an error.
    pub fn check(&self) -> Result<()> {
        let message = self.last_error.lock().map_or(None, |mut slot| slot.take());
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
    /// [`Error::Gpu`] when the device is lost.
    pub fn wait(&self) -> Result<()> {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|e| Error::Gpu(format!("the graphics device stopped answering: {e}")))?;
        self.check()
    }

    /// Largest storage binding the device allows, in bytes.
    pub fn binding_limit(&self) -> u64 {
        let limits = self.device.limits();
        limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
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

/// Kernels are timed once each instead of up to ten times: on a software adapter a single time tells them apart, and
/// tuning is most of what a first run takes. A configuration that was read before stays.
fn tune_briefly() {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    let bench = &mut config.autotune.bench;
    (
        bench.min_samples,
        bench.max_samples,
        bench.short_circuit_samples,
    ) = (1, 1, 1);
    bench.speed_factor = 1.0;
    if !CubeClRuntimeConfig::try_set(config) {
        log::debug!("burn has read its configuration already");
    }
}

fn remember(slot: &Mutex<Option<String>>, message: String) {
    if let Ok(mut slot) = slot.lock() {
        slot.get_or_insert(message);
    }
}
