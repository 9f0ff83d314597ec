//! A trainer's whole state on the host, as named arrays: what a snapshot holds so that a resumed run is the
//! uninterrupted one, bit for bit.

use super::{
    SplatBuffers, TrainConfig,
    growth::STATISTICS,
    optimizer::{GROUPS, Moments, row_shapes},
    poses::Poses,
};
use crate::{
    Error, Result,
    gpu::Gpu,
    scene::{NamedTensor, Splats},
};
use serde::{Deserialize, Serialize};

const STATISTICS_NAME: &str = "growth.statistics";

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps in all phases; Adam's step.
    pub step: u64,
    /// Steps of the present phase.
    pub phase_step: u64,
    /// [`Self::phase_step`] of the last refinement of the set; 0: none.
    #[serde(default)]
    pub refined_at: u64,
    pub sh_degree: u32,
    /// See [`Splats::antialiased`].
    #[serde(default)]
    pub antialiased: bool,
}

/// Everything for an exact resume. Tensors: `splats.G`, `adam.G.first`, `adam.G.second` for G in means, quats,
/// log_scales, logit_opacities, sh_dc, sh_rest, with shapes as in [`Splats`]; and `growth.statistics`, `[n, 3]` (sum of
/// gradients, views, largest extent), while the set grows by them; and `poses.*` of the training views whose cameras have
/// moved.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainState {
    pub config: TrainConfig,
    pub progress: Progress,
    pub tensors: Vec<NamedTensor>,
}

impl TrainState {
    pub(super) fn download(
        gpu: &Gpu,
        config: TrainConfig,
        progress: Progress,
        splats: &SplatBuffers,
        moments: &[Moments; 6],
        statistics: Option<&wgpu::Buffer>,
        poses: &Poses,
    ) -> Result<Self> {
        let count = splats.count as usize;
        let mut tensors = Vec::with_capacity(3 * GROUPS.len());
        let parameters = super::optimizer::parameter_buffers(splats);
        for (group, row) in row_shapes(splats.sh_degree).into_iter().enumerate() {
            let shape: Vec<usize> = std::iter::once(count).chain(row).collect();
            let elements = shape.iter().product();
            let name = GROUPS[group];
            let Moments { first, second } = &moments[group];
            for (name, buffer) in [
                (format!("splats.{name}"), parameters[group]),
                (format!("adam.{name}.first"), first),
                (format!("adam.{name}.second"), second),
            ] {
                tensors.push(NamedTensor {
                    name,
                    shape: shape.clone(),
                    data: gpu.read(buffer, elements)?,
                });
            }
        }
        if let Some(statistics) = statistics {
            tensors.push(NamedTensor {
                name: STATISTICS_NAME.to_owned(),
                shape: vec![count, STATISTICS],
                data: gpu.read(statistics, count * STATISTICS)?,
            });
        }
        tensors.extend(poses.tensors());
        Ok(Self {
            config,
            progress,
            tensors,
        })
    }

    /// Splats in the state.
    pub fn len(&self) -> usize {
        self.tensors
            .iter()
            .find(|t| t.name == "splats.logit_opacities")
            .map_or(0, |t| t.data.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The scene alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a tensor is missing or of another shape.
    pub fn splats(&self) -> Result<Splats> {
        let sh_degree = self.progress.sh_degree;
        if sh_degree > 3 {
            return Err(Error::invalid(format!(
                "a saved state of SH degree {sh_degree}: at most 3 is supported"
            )));
        }
        let get = |group: usize| {
            self.row_tensor(&format!("splats.{}", GROUPS[group]), group)
                .map(<[f32]>::to_vec)
        };
        Ok(Splats {
            sh_degree,
            antialiased: self.progress.antialiased,
            means: get(0)?,
            quats: get(1)?,
            log_scales: get(2)?,
            logit_opacities: get(3)?,
            sh_dc: get(4)?,
            sh_rest: get(5)?,
        })
    }

    pub(super) fn upload_moments(&self, gpu: &Gpu) -> Result<Vec<Moments>> {
        (0..GROUPS.len())
            .map(|group| {
                let name = GROUPS[group];
                let first = self.row_tensor(&format!("adam.{name}.first"), group)?;
                let second = self.row_tensor(&format!("adam.{name}.second"), group)?;
                Ok(Moments {
                    first: gpu.storage_from("first moments", first),
                    second: gpu.storage_from("second moments", second),
                })
            })
            .collect()
    }

    pub(super) fn upload_statistics(&self, gpu: &Gpu) -> Result<Option<wgpu::Buffer>> {
        if !self.config.growth.has_statistics(self.config.phase) {
            return Ok(None);
        }
        let data = self.tensor(STATISTICS_NAME, &[STATISTICS])?;
        Ok(Some(gpu.storage_from("growth statistics", data)))
    }

    fn row_tensor(&self, name: &str, group: usize) -> Result<&[f32]> {
        self.tensor(name, &row_shapes(self.progress.sh_degree)[group])
    }

    /// A tensor with a row of shape `row` for each splat.
    fn tensor(&self, name: &str, row: &[usize]) -> Result<&[f32]> {
        let tensor = self
            .tensors
            .iter()
            .find(|t| t.name == name)
            .ok_or_else(|| Error::invalid(format!("a saved state lacks the tensor \"{name}\"")))?;
        let shape: Vec<usize> = std::iter::once(self.len())
            .chain(row.iter().copied())
            .collect();
        if tensor.shape != shape || tensor.data.len() != shape.iter().product::<usize>() {
            return Err(Error::invalid(format!(
                "the tensor \"{name}\" of a saved state has shape {:?} ({} values) instead of {shape:?}",
                tensor.shape,
                tensor.data.len()
            )));
        }
        Ok(&tensor.data)
    }
}
