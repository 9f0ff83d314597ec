//! Finding an adapter and opening its device. A device serves egui, the kernels and burn at once, so it enables all that
//! the adapter offers; where burn writes SPIR-V, that is more than wgpu enables by itself, and cubecl opens the device.
//! eframe cannot call cubecl, so the window too opens on a device that is made here.

use super::Gpu;
use crate::{Error, Result};
use eframe::egui_wgpu::{WgpuSetup, WgpuSetupExisting};
use std::sync::Arc;

const HOW_TO_GET_AN_ADAPTER: &str = "luxedit needs a Vulkan, Metal or Direct3D 12 adapter, and found none. \
Install your graphics driver; on a machine without a graphics card, Mesa's software adapter serves: \
`sudo apt-get install mesa-vulkan-drivers libvulkan1` (Debian, Ubuntu), `sudo dnf install mesa-vulkan-drivers` (Fedora).";

/// What wgpu must enable so that egui, burn and the kernels can share a device.
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

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

fn best_of(instance: &wgpu::Instance) -> Result<wgpu::Adapter> {
    pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    }))
    .map_err(|e| Error::Gpu(format!("{HOW_TO_GET_AN_ADAPTER} ({e})")))
}

/// Adapters that a window may be opened on, the best first, and their instance. Which of them can show a picture on the
/// display is known only once there is a window.
///
/// # Errors
/// [`Error::Gpu`] when there is none.
pub fn window_adapters() -> Result<(wgpu::Instance, Vec<wgpu::Adapter>)> {
    let instance = instance();
    let best = best_of(&instance)?;
    let info = best.get_info();
    let all = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let others = all.into_iter().filter(|other| other.get_info() != info);
    let adapters = std::iter::once(best).chain(others).collect();
    Ok((instance, adapters))
}

/// Window set-up on a device of `adapter` that is fit for sharing.
///
/// # Errors
/// [`Error::Gpu`] when it opens none.
pub fn window_setup(instance: &wgpu::Instance, adapter: wgpu::Adapter) -> Result<WgpuSetup> {
    let (device, queue) = open_device(&adapter)?;
    Ok(WgpuSetup::Existing(WgpuSetupExisting {
        instance: instance.clone(),
        adapter,
        device,
        queue,
    }))
}

/// Whether an adapter computes on the processor.
pub(super) fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

fn no_device(e: &dyn std::fmt::Display) -> Error {
    Error::Gpu(format!("the graphics adapter opens no device: {e}"))
}

fn open_device(adapter: &wgpu::Adapter) -> Result<(wgpu::Device, wgpu::Queue)> {
    #[cfg(feature = "card")]
    if adapter.get_info().backend == wgpu::Backend::Vulkan && !is_software(&adapter.get_info()) {
        let opened = pollster::block_on(cubecl::wgpu::vulkan::try_request_vulkan_device(adapter));
        if let Some(opened) = opened.map_err(|e| no_device(&e))? {
            return Ok(opened);
        }
    }
    open_with(adapter, &device_descriptor(adapter))
}

fn open_with(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
) -> Result<(wgpu::Device, wgpu::Queue)> {
    let open = || pollster::block_on(adapter.request_device(descriptor)).map_err(|e| no_device(&e));
    #[cfg(target_os = "linux")]
    if is_software(&adapter.get_info()) {
        return super::pinned::with_pinned_workers(open);
    }
    open()
}

impl Gpu {
    /// A device without a window.
    ///
    /// # Errors
    /// [`Error::Gpu`] when there is no adapter, or it cannot open a device.
    pub fn headless() -> Result<Arc<Self>> {
        let instance = instance();
        let adapter = best_of(&instance)?;
        Self::open(instance, adapter)
    }

    /// [`Self::headless`] on a device of which less is asked, for what lesser adapters have. For the kernels, not for burn.
    ///
    /// # Errors
    /// See [`Self::headless`].
    pub fn headless_with(
        lessen: impl FnOnce(&mut wgpu::DeviceDescriptor<'static>),
    ) -> Result<Arc<Self>> {
        let instance = instance();
        let adapter = best_of(&instance)?;
        let mut descriptor = device_descriptor(&adapter);
        lessen(&mut descriptor);
        let (device, queue) = open_with(&adapter, &descriptor)?;
        Ok(Self::new(instance, adapter, device, queue))
    }

    /// The adapter of this number, from 0, in the driver's order, and its instance.
    ///
    /// # Errors
    /// [`Error::Gpu`] names the adapters that there are.
    pub fn numbered(number: u32) -> Result<(wgpu::Instance, wgpu::Adapter)> {
        let instance = instance();
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
        let (device, queue) = open_device(&adapter)?;
        Ok(Self::new(instance, adapter, device, queue))
    }
}
