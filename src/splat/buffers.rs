//! Splat parameters and their gradients as storage buffers. Each parameter has a buffer of its own, in the layout of
//! [`Splats`], because optimizers treat them differently; the widest, [`SplatBuffers::sh_rest`], may be larger than what
//! the adapter binds, and is bound in parts.

use super::rows::most_rows;
use crate::{Error, Result, gpu::Gpu, scene::Splats};

/// Parameters of `count` splats in `f32` storage buffers, laid out as in [`Splats`]. Clones share the buffers.
#[derive(Clone)]
pub struct SplatBuffers {
    pub count: u32,
    /// 0 to 3; `sh_rest` holds `(d+1)² − 1` coefficients a splat.
    pub sh_degree: u32,
    /// See [`Splats::antialiased`].
    pub antialiased: bool,
    /// `[n, 3]`, world units.
    pub means: wgpu::Buffer,
    /// `[n, 4]`, (w, x, y, z), normalized on use.
    pub quats: wgpu::Buffer,
    /// `[n, 3]`.
    pub log_scales: wgpu::Buffer,
    /// `[n]`.
    pub logit_opacities: wgpu::Buffer,
    /// `[n, 3]`.
    pub sh_dc: wgpu::Buffer,
    /// `[n, (d+1)² − 1, 3]`.
    pub sh_rest: wgpu::Buffer,
}

impl SplatBuffers {
    /// # Errors
    /// [`Error::Invalid`] for arrays that disagree, [`Error::Gpu`] when a buffer would pass the adapter's limits.
    pub fn upload(gpu: &Gpu, splats: &Splats) -> Result<Self> {
        if !splats.is_consistent() {
            return Err(Error::invalid(format!(
                "the splat arrays disagree: {} opacities, {} means, {} quats, {} log-scales, {} DC and {} further SH \
                 values at degree {}",
                splats.logit_opacities.len(),
                splats.means.len(),
                splats.quats.len(),
                splats.log_scales.len(),
                splats.sh_dc.len(),
                splats.sh_rest.len(),
                splats.sh_degree
            )));
        }
        let count = u32::try_from(splats.len())
            .map_err(|_| Error::invalid(format!("{} splats are too many", splats.len())))?;
        check_limits(gpu, count, splats.sh_degree)?;
        Ok(Self {
            count,
            sh_degree: splats.sh_degree,
            antialiased: splats.antialiased,
            means: gpu.storage_from("means", &splats.means),
            quats: gpu.storage_from("quats", &splats.quats),
            log_scales: gpu.storage_from("log_scales", &splats.log_scales),
            logit_opacities: gpu.storage_from("logit_opacities", &splats.logit_opacities),
            sh_dc: gpu.storage_from("sh_dc", &splats.sh_dc),
            sh_rest: gpu.storage_from("sh_rest", &splats.sh_rest),
        })
    }

    /// Copy back to the host; waits for the GPU.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub fn download(&self, gpu: &Gpu) -> Result<Splats> {
        let n = self.count as usize;
        Ok(Splats {
            sh_degree: self.sh_degree,
            antialiased: self.antialiased,
            means: gpu.read(&self.means, n * 3)?,
            quats: gpu.read(&self.quats, n * 4)?,
            log_scales: gpu.read(&self.log_scales, n * 3)?,
            logit_opacities: gpu.read(&self.logit_opacities, n)?,
            sh_dc: gpu.read(&self.sh_dc, n * 3)?,
            sh_rest: gpu.read(&self.sh_rest, n * 3 * Splats::rest_count_of(self.sh_degree))?,
        })
    }
}

/// What a backward pass writes: dL/dparameter, in the layouts of [`SplatBuffers`]; every element is overwritten, zero
/// for splats that the view does not see. Clones share the buffers.
#[derive(Clone)]
pub struct SplatGradients {
    pub count: u32,
    pub sh_degree: u32,
    pub means: wgpu::Buffer,
    pub quats: wgpu::Buffer,
    pub log_scales: wgpu::Buffer,
    pub logit_opacities: wgpu::Buffer,
    pub sh_dc: wgpu::Buffer,
    pub sh_rest: wgpu::Buffer,
    /// `[n, 2]`: dL/d(projected mean), per pixel; see [`crate::settings::GradientSum`].
    pub mean2d: wgpu::Buffer,
    /// `[n]`: largest extent from the projected mean, in pixels; 0 where the view does not see the splat.
    pub radii: wgpu::Buffer,
}

impl SplatGradients {
    /// # Errors
    /// [`Error::Gpu`] when a buffer would pass the adapter's limits.
    pub fn new(gpu: &Gpu, count: u32, sh_degree: u32) -> Result<Self> {
        check_limits(gpu, count, sh_degree)?;
        let floats =
            |label: &str, each: usize| gpu.storage(label, u64::from(count) * each as u64 * 4);
        Ok(Self {
            count,
            sh_degree,
            means: floats("d_means", 3),
            quats: floats("d_quats", 4),
            log_scales: floats("d_log_scales", 3),
            logit_opacities: floats("d_logit_opacities", 1),
            sh_dc: floats("d_sh_dc", 3),
            sh_rest: floats("d_sh_rest", 3 * Splats::rest_count_of(sh_degree)),
            mean2d: floats("d_mean2d", 2),
            radii: floats("radii", 1),
        })
    }
}

/// Words a splat that kernels bind whole: quaternions, or what is projected.
const WIDEST_BOUND_WHOLE: u32 = 12;

/// The most splats of this degree whose buffers `gpu` holds and draws.
pub(super) fn most_splats(gpu: &Gpu, sh_degree: u32) -> u64 {
    let rest_bytes = (4 * 3 * Splats::rest_count_of(sh_degree) as u64).max(4);
    most_rows(gpu, WIDEST_BOUND_WHOLE).min(gpu.buffer_limit() / rest_bytes)
}

fn check_limits(gpu: &Gpu, count: u32, sh_degree: u32) -> Result<()> {
    let most = most_splats(gpu, sh_degree);
    if u64::from(count) > most {
        return Err(Error::Gpu(format!(
            "{count} splats of SH degree {sh_degree} do not fit {}: its buffers of {} MiB, bound {} MiB at a time, take \
             {most} splats of this degree; reduce the number of splats",
            gpu.info.name,
            gpu.buffer_limit() >> 20,
            gpu.binding_limit() >> 20,
        )));
    }
    Ok(())
}
