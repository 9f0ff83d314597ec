//! Adam on a field's parameters. Tables and appearances take their gradients from fixed-point sums, the networks from
//! f32s; a step whose rays did not fit one chunk carries what the earlier chunks gave.

use super::{
    FieldBuffers, FieldShape,
    field::{APPEARANCES, GROUPS},
    kernels::BackwardKernels,
    marcher::Recorder,
    uniforms::AdamParams,
    workspace::Gradients,
};
use crate::{
    Error, Result,
    gpu::{Gpu, Packer, Slice},
};
use bytemuck::Zeroable;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-15;
/// What is bound where nothing is carried: as much as an invocation would take.
const NOTHING_BYTES: u64 = 32;

/// First and second moments of one group, shaped as the parameters.
pub(super) struct Moments {
    pub first: wgpu::Buffer,
    pub second: wgpu::Buffer,
}

/// Moments and gradients of all groups, in the order of [`GROUPS`].
pub(super) struct Optimizer {
    pub moments: [Moments; 7],
    /// Networks: f32 gradients. Tables and appearances: fixed-point sums.
    pub gradients: [wgpu::Buffer; 7],
    /// Of tables and appearances, while a step has several chunks.
    carried: [wgpu::Buffer; 7],
    lengths: [usize; 7],
    /// Where each level of a group ends, in f32s.
    ends: [Vec<u32>; 7],
    /// How tables' sums were added, see [`Gpu::adds_pairs`].
    adds_pairs: bool,
}

/// One group's part of a step.
pub(super) struct Update {
    group: usize,
    uniform: Slice,
}

/// Whether a group's gradient comes as fixed-point sums.
pub(super) fn is_fixed_point(group: usize) -> bool {
    is_table(group) || group == APPEARANCES
}

fn is_table(group: usize) -> bool {
    matches!(group, 0 | 2 | 4)
}

/// Bytes of an optimizer's buffers.
pub(super) fn bytes(lengths: &[usize; 7], carries: bool) -> u64 {
    let group = |(group, length): (usize, &usize)| {
        let kept = Gpu::storage_bytes(*length as u64 * 4);
        let carried = if carries && is_fixed_point(group) {
            kept
        } else {
            Gpu::storage_bytes(NOTHING_BYTES)
        };
        3 * kept + carried
    };
    lengths.iter().enumerate().map(group).sum()
}

fn carried(gpu: &Gpu, lengths: &[usize; 7], carries: bool) -> [wgpu::Buffer; 7] {
    std::array::from_fn(|group| {
        if carries && is_fixed_point(group) {
            gpu.storage("carried gradients", lengths[group] as u64 * 4)
        } else {
            gpu.storage("nothing carried", NOTHING_BYTES)
        }
    })
}

impl Optimizer {
    /// Moments at rest, or those of a saved state.
    ///
    /// # Errors
    /// [`Error::Invalid`] for moments of another shape.
    pub fn new(
        gpu: &Gpu,
        shape: &FieldShape,
        saved: Option<&[[Vec<f32>; 2]; 7]>,
        carries: bool,
    ) -> Result<Self> {
        let lengths = shape.lengths();
        if let Some(saved) = saved {
            for (group, length) in lengths.iter().enumerate() {
                for values in &saved[group] {
                    if values.len() != *length {
                        return Err(Error::Invalid(format!(
                            "the moments of {} have {} values instead of {length}",
                            GROUPS[group],
                            values.len()
                        )));
                    }
                }
            }
        }
        let buffer = |label: &str, group: usize| gpu.storage(label, lengths[group] as u64 * 4);
        Ok(Self {
            moments: std::array::from_fn(|group| match saved {
                Some(saved) => Moments {
                    first: gpu.storage_from("first moments", &saved[group][0]),
                    second: gpu.storage_from("second moments", &saved[group][1]),
                },
                None => Moments {
                    first: buffer("first moments", group),
                    second: buffer("second moments", group),
                },
            }),
            gradients: std::array::from_fn(|group| buffer("gradients", group)),
            carried: carried(gpu, &lengths, carries),
            ends: std::array::from_fn(|group| match group {
                0 | 2 | 4 => shape.grids[group / 2].ends(),
                _ => vec![lengths[group] as u32],
            }),
            lengths,
            adds_pairs: gpu.adds_pairs(),
        })
    }

    pub fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let Self {
            moments,
            gradients,
            carried,
            lengths: _,
            ends: _,
            adds_pairs: _,
        } = self;
        moments
            .iter()
            .flat_map(|Moments { first, second }| [first, second])
            .chain(gradients)
            .chain(carried)
    }

    /// Make room for steps of several chunks, or give it up.
    pub fn carry(&mut self, gpu: &Gpu, carries: bool) {
        self.carried = carried(gpu, &self.lengths, carries);
    }

    /// What a group does at the end of a chunk. `steps` counts its updates from 1; `rate` is the learning rate.
    /// `None` where there is nothing to do.
    pub fn plan(
        &self,
        packer: &mut Packer,
        group: usize,
        steps: u64,
        rate: f64,
        is_last_chunk: bool,
        carries: bool,
    ) -> Option<Update> {
        if self.lengths[group] == 0 || (!is_last_chunk && !is_fixed_point(group)) {
            return None;
        }
        let exponent = steps.clamp(1, 1 << 30) as i32;
        let mut ends = [u32::MAX; 16];
        for (slot, end) in ends.iter_mut().zip(&self.ends[group]) {
            *slot = end / 4;
        }
        let uniform = packer.add(&AdamParams {
            count: (self.lengths[group] / 4) as u32,
            levels: self.ends[group].len() as u32,
            collect_only: u32::from(!is_last_chunk),
            step_size: (rate / (1.0 - f64::from(BETA1).powi(exponent))) as f32,
            second_correction: (1.0 / (1.0 - f64::from(BETA2).powi(exponent))) as f32,
            beta1: BETA1,
            beta2: BETA2,
            epsilon: EPSILON,
            carries: u32::from(carries),
            in_pairs: u32::from(self.adds_pairs && is_table(group)),
            ends,
            ..AdamParams::zeroed()
        });
        Some(Update { group, uniform })
    }

    pub fn record(
        &self,
        recorder: &mut Recorder<'_, '_>,
        kernels: &BackwardKernels,
        update: &Update,
        field: &FieldBuffers,
        gradients: &Gradients,
    ) {
        let group = update.group;
        let Moments { first, second } = &self.moments[group];
        let parameters = &field.groups[group];
        if is_fixed_point(group) {
            let scales = &gradients.scales[group / 2];
            let sums = &self.gradients[group];
            let carried = &self.carried[group];
            let mut buffers = vec![scales, sums, carried, parameters, first, second];
            let halves = field.halves.as_ref().map(|halves| &halves.tables);
            let half = halves.and_then(|tables| tables.get(group / 2));
            let (kernel, each) = match (half, &kernels.adam_table_half) {
                (Some(half), Some(kernel)) => {
                    buffers.push(half);
                    (kernel, 4)
                }
                (None, _) | (_, None) => (&kernels.adam_table.kernel, kernels.adam_table.each),
            };
            let groups = self.groups(group, each);
            recorder.run(kernel, update.uniform, &buffers, groups);
        } else {
            recorder.run(
                &kernels.adam_network,
                update.uniform,
                &[&self.gradients[group], parameters, first, second],
                self.groups(group, 4),
            );
        }
    }

    /// Workgroups that take all parameters of a group, `each` an invocation.
    fn groups(&self, group: usize, each: u32) -> [u32; 3] {
        let all = (self.lengths[group] as u32).div_ceil(64 * each);
        let across = all.clamp(1, 65_535);
        [across, all.div_ceil(across), 1]
    }
}
