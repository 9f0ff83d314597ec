//! Compute kernels from `shaders/`. A kernel is one WGSL file; what it shares with others is imported by listing the
//! shared files in front of it, so a function exists once and naga's line numbers stay honest within a file. Every
//! room lists its sources, and the tests validate them without a GPU.

use super::{Gpu, profile::Profiler};
use std::sync::Arc;

/// A kernel's WGSL: shared parts first, then the file itself.
#[derive(Clone, Copy, Debug)]
pub struct ShaderSource {
    pub name: &'static str,
    pub parts: &'static [&'static str],
}

impl ShaderSource {
    pub fn wgsl(&self) -> String {
        self.parts.join("\n")
    }
}

/// What the translator guards at run time.
#[derive(Clone, Copy)]
enum Checks {
    All,
    None,
}

/// A compiled compute pipeline with its entry point `main` and bind group 0 in the order of the bindings.
pub struct Kernel {
    pub pipeline: wgpu::ComputePipeline,
    name: &'static str,
    profiler: Option<Arc<Profiler>>,
}

impl Kernel {
    pub fn new(gpu: &Gpu, source: &ShaderSource) -> Self {
        Self::build(gpu, source, true, Checks::All)
    }

    /// For kernels whose loops are over constants or counts of a uniform, and whose indices are within bounds whatever
    /// the buffers hold: the translator adds no checks of its own, which keep a driver from unrolling loops and holding
    /// small arrays in registers.
    pub(crate) fn unchecked(gpu: &Gpu, source: &ShaderSource) -> Self {
        Self::build(gpu, source, true, Checks::None)
    }

    /// For kernels that write their shared memory before they read it: it does not start as zero, which would cost more
    /// than the rest of a small group's work.
    pub fn with_raw_shared_memory(gpu: &Gpu, source: &ShaderSource) -> Self {
        Self::build(gpu, source, false, Checks::All)
    }

    fn build(
        gpu: &Gpu,
        source: &ShaderSource,
        zero_initialize_workgroup_memory: bool,
        checks: Checks,
    ) -> Self {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(source.name),
            source: wgpu::ShaderSource::Wgsl(source.wgsl().into()),
        };
        let module = match checks {
            Checks::All => gpu.device.create_shader_module(descriptor),
            // SAFETY: see `Kernel::unchecked`, whose callers vouch for the source; sources are constants of this program.
            Checks::None => unsafe {
                let none = wgpu::ShaderRuntimeChecks::unchecked();
                gpu.device.create_shader_module_trusted(descriptor, none)
            },
        };
        let pipeline = gpu
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(source.name),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory,
                    ..Default::default()
                },
                cache: None,
            });
        Self {
            pipeline,
            name: source.name,
            profiler: gpu.profiler.get().cloned().flatten(),
        }
    }

    /// Bind `buffers` to bindings 0, 1, 2 … of group 0.
    pub fn bind(&self, gpu: &Gpu, buffers: &[wgpu::BindingResource<'_>]) -> wgpu::BindGroup {
        let entries: Vec<_> = buffers
            .iter()
            .enumerate()
            .map(|(i, resource)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: resource.clone(),
            })
            .collect();
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.name),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &entries,
        })
    }

    /// Record one dispatch of `groups` workgroups.
    pub fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        bind_group: &wgpu::BindGroup,
        groups: [u32; 3],
    ) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, bind_group, &[]);
        let dispatch = |pass: &mut wgpu::ComputePass<'_>| {
            pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
        };
        match &self.profiler {
            Some(profiler) => profiler.timed(self.name, pass, dispatch),
            None => dispatch(pass),
        }
    }

    /// Record one dispatch whose group count lies in `arguments` at byte `offset`.
    pub fn dispatch_indirect(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        bind_group: &wgpu::BindGroup,
        arguments: &wgpu::Buffer,
        offset: u64,
    ) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, bind_group, &[]);
        let dispatch = |pass: &mut wgpu::ComputePass<'_>| {
            pass.dispatch_workgroups_indirect(arguments, offset);
        };
        match &self.profiler {
            Some(profiler) => profiler.timed(self.name, pass, dispatch),
            None => dispatch(pass),
        }
    }
}
