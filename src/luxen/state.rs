//! A trainer's whole state on the host, as named arrays: what a snapshot holds so that a resumed run is the uninterrupted
//! one, bit for bit.

use super::{
    FieldBuffers, FieldShape, LuxenConfig, field::GROUPS, optimizer::Optimizer, poses::Poses,
};
use crate::{Error, Result, gpu::Gpu, scene::NamedTensor};
use serde::{Deserialize, Serialize};

const CELLS_TENSOR: &str = "cells";

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuxenProgress {
    /// Optimizer steps in all phases.
    pub step: u64,
    /// Steps of the present phase.
    pub phase_step: u64,
    /// Steps at which the proposals learned: their Adam's step.
    pub proposal_steps: u64,
    /// Steps since they last did.
    pub proposal_idle: u64,
    /// Steps at which poses learned.
    #[serde(default)]
    pub pose_steps: u64,
    /// Training views that the field knows the appearance of.
    pub views: u32,
}

/// Everything for an exact resume. Tensors: `G`, `adam.G.first`, `adam.G.second`, one-dimensional, for G in
/// proposal_0.table, proposal_0.network, proposal_1.table, proposal_1.network, field.table, field.network, appearances;
/// of a bounded scene also `cells`; where cameras' poses were learnt also `poses`, `[views, 6, 4]`: shift and turn in the
/// world, first moments of both, second moments of both, each of three numbers and a zero.
#[derive(Clone, Debug, PartialEq)]
pub struct LuxenState {
    pub config: LuxenConfig,
    pub progress: LuxenProgress,
    pub tensors: Vec<NamedTensor>,
}

impl LuxenState {
    pub(super) fn download(
        gpu: &Gpu,
        config: LuxenConfig,
        progress: LuxenProgress,
        shape: &FieldShape,
        field: &FieldBuffers,
        optimizer: &Optimizer,
        poses: Option<&Poses>,
    ) -> Result<Self> {
        let mut tensors = Vec::with_capacity(3 * GROUPS.len());
        for (group, length) in shape.lengths().into_iter().enumerate() {
            let moments = &optimizer.moments[group];
            for (name, buffer) in [
                (GROUPS[group].to_owned(), &field.groups[group]),
                (format!("adam.{}.first", GROUPS[group]), &moments.first),
                (format!("adam.{}.second", GROUPS[group]), &moments.second),
            ] {
                tensors.push(NamedTensor {
                    name,
                    shape: vec![length],
                    data: gpu.read(buffer, length)?,
                });
            }
        }
        if config.half_side.is_some() {
            let length = shape.cells as usize;
            tensors.push(NamedTensor {
                name: CELLS_TENSOR.to_owned(),
                shape: vec![length],
                data: gpu.read(&field.cells, length)?,
            });
        }
        if let Some(poses) = poses {
            tensors.push(poses.tensor(gpu, shape.views)?);
        }
        Ok(Self {
            config,
            progress,
            tensors,
        })
    }

    pub fn shape(&self) -> FieldShape {
        FieldShape::new(&self.config, self.progress.views)
    }

    /// The parameters alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a tensor is missing or of another shape.
    pub fn parameters(&self) -> Result<[Vec<f32>; 7]> {
        self.config.check()?;
        let lengths = self.shape().lengths();
        let mut groups: [Vec<f32>; 7] = Default::default();
        for (group, values) in groups.iter_mut().enumerate() {
            values.clone_from(self.tensor(GROUPS[group], lengths[group])?);
        }
        Ok(groups)
    }

    /// What the cells of a bounded scene's box remember.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the tensor is missing or of another shape.
    pub fn cells(&self) -> Result<Vec<f32>> {
        let shape = self.shape();
        match self.config.half_side {
            Some(_) => self.tensor(CELLS_TENSOR, shape.cells as usize).cloned(),
            None => Ok(shape.fresh_cells(&self.config)),
        }
    }

    /// First and second moments.
    pub(super) fn moments(&self) -> Result<[[Vec<f32>; 2]; 7]> {
        let lengths = self.shape().lengths();
        let mut groups: [[Vec<f32>; 2]; 7] = Default::default();
        for (group, pair) in groups.iter_mut().enumerate() {
            for (order, values) in ["first", "second"].into_iter().zip(pair) {
                let name = format!("adam.{}.{order}", GROUPS[group]);
                values.clone_from(self.tensor(&name, lengths[group])?);
            }
        }
        Ok(groups)
    }

    fn tensor(&self, name: &str, length: usize) -> Result<&Vec<f32>> {
        let tensor = self
            .tensors
            .iter()
            .find(|t| t.name == name)
            .ok_or_else(|| Error::invalid(format!("a saved state lacks the tensor \"{name}\"")))?;
        if tensor.data.len() != length {
            return Err(Error::invalid(format!(
                "the tensor \"{name}\" of a saved state has {} values instead of {length}",
                tensor.data.len()
            )));
        }
        Ok(&tensor.data)
    }
}
