//! The pipelines of the Luxens, as the sizes of a field and the adapter want them.

use super::{
    TableStorage,
    sources::{
        ADAM_NETWORK, ADAM_POSES, ADAM_TABLE, ADAM_TABLE_HALF, ADAM_TABLE_WIDE, APPEARANCE_MEAN,
        APPEARANCE_SCATTER, CELL_POINTS, D_POINTS, D_POINTS_HALF, ENCODE, ENCODE_HALF, ENCODE_WIDE,
        FIRST_BINS, FIXED_SCALES, HELD_REDUCE, INTERLEVEL_LOSS, LOSSES, NetworkSources, PATCHES,
        PHOTO_LOSS, PICTURE, POINTS, POSE_SUMS, POSE_VIEWS, PROPOSAL, PROPOSAL_BACKWARD,
        PROPOSAL_HELD, RAYS_OF_CAMERA, RAYS_OF_VIEWS, RESAMPLE, SCATTER, SCATTER_PAIRS, by,
        networks,
    },
};
use crate::gpu::{Gpu, Kernel, ShaderSource};
use serde::{Deserialize, Serialize};

/// Widths of the field's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// 8 levels, 32 hidden neurons.
    Small,
    /// nerfacto's: 16 levels, 64 hidden neurons.
    Full,
}

impl Size {
    /// Levels of the field's grid.
    pub fn levels(self) -> u32 {
        match self {
            Self::Small => 8,
            Self::Full => 16,
        }
    }

    /// Quads of an invocation of the networks' kernels: each reads a weight once for all of them. A processor has the room.
    pub fn group(self) -> u32 {
        match self {
            Self::Small => 2,
            Self::Full => 1,
        }
    }

    /// Invocations that share the samples of a layer's gradient. Each leaves its own sum of every weight: many keep a
    /// graphics card busy, which the small size is not made for.
    pub fn splits(self) -> u32 {
        match self {
            Self::Small => 16,
            Self::Full => 64,
        }
    }

    /// Neurons of a hidden layer.
    pub fn hidden(self) -> u32 {
        match self {
            Self::Small => 32,
            Self::Full => 64,
        }
    }
}

/// Where the gradients of the proposals' weights are summed over samples. The sums differ by rounding alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightSums {
    /// As suits the adapter.
    #[default]
    Auto,
    /// Layer by layer, from what every sample leaves in memory: many invocations of little state, for graphics cards.
    Tiled,
    /// In the private memory of few invocations: for processors, whose software adapters pay for every access of storage.
    Held,
}

impl WeightSums {
    fn are_held(self, gpu: &Gpu) -> bool {
        match self {
            Self::Auto => gpu.is_software(),
            Self::Tiled => false,
            Self::Held => true,
        }
    }
}

/// A kernel that looks things up in tables, for what they may be read as.
pub(super) struct TableKernel {
    single: Kernel,
    /// Where the adapter can.
    half: Option<Kernel>,
}

impl TableKernel {
    fn new(gpu: &Gpu, single: &ShaderSource, half: &ShaderSource) -> Self {
        Self {
            single: Kernel::new(gpu, single),
            half: gpu.packs_half().then(|| Kernel::new(gpu, half)),
        }
    }

    pub fn of(&self, storage: TableStorage) -> &Kernel {
        match (storage, &self.half) {
            (TableStorage::Half, Some(half)) => half,
            (TableStorage::Single, _) | (_, None) => &self.single,
        }
    }
}

/// What a picture needs.
pub(super) struct ForwardKernels {
    pub rays_of_camera: Kernel,
    pub first_bins: Kernel,
    pub points: Kernel,
    pub encode: TableKernel,
    pub proposal: Kernel,
    pub resample: Kernel,
    pub ray_head: Kernel,
    pub radiance: Kernel,
    pub picture: Kernel,
    pub appearance_mean: Kernel,
}

impl ForwardKernels {
    pub fn new(gpu: &Gpu, size: Size) -> Self {
        let [ray_head, ..] = by(size);
        let encode = if is_wide(gpu) { &ENCODE_WIDE } else { &ENCODE };
        Self {
            rays_of_camera: Kernel::new(gpu, &RAYS_OF_CAMERA),
            first_bins: Kernel::new(gpu, &FIRST_BINS),
            points: Kernel::new(gpu, &POINTS),
            encode: TableKernel::new(gpu, encode, &ENCODE_HALF),
            proposal: Kernel::unchecked(gpu, &PROPOSAL),
            resample: Kernel::new(gpu, &RESAMPLE),
            ray_head: Kernel::new(gpu, ray_head),
            radiance: Kernel::unchecked(gpu, &networks(size, is_wide(gpu)).radiance),
            picture: Kernel::new(gpu, &PICTURE),
            appearance_mean: Kernel::new(gpu, &APPEARANCE_MEAN),
        }
    }
}

/// What a training step needs besides.
pub(super) struct BackwardKernels {
    pub rays_of_views: Kernel,
    pub patches: Kernel,
    pub photo_loss: Kernel,
    pub interlevel_loss: Kernel,
    pub losses: Kernel,
    pub radiance_backward: Kernel,
    pub ray_head_sums: Kernel,
    pub proposals: ProposalKernels,
    pub fixed_scales: Kernel,
    pub scatter: Kernel,
    /// Of channels on their own, and of those that are kept in blocks.
    pub layer_sums: Kernel,
    pub layer_sums_kept: Kernel,
    pub layer_reduce: Kernel,
    pub cell_points: Kernel,
    pub cell_densities: Kernel,
    pub appearance_backward: Kernel,
    pub appearance_scatter: Kernel,
    pub adam_network: Kernel,
    pub adam_table: TableUpdate,
    /// Where the adapter can.
    pub adam_table_half: Option<Kernel>,
}

/// Adam on a table in single precision.
pub(super) struct TableUpdate {
    pub kernel: Kernel,
    /// Parameters of an invocation.
    pub each: u32,
}

impl TableUpdate {
    fn new(gpu: &Gpu) -> Self {
        let (source, each) = match is_wide(gpu) {
            true => (&ADAM_TABLE_WIDE, 8),
            false => (&ADAM_TABLE, 4),
        };
        Self {
            kernel: Kernel::unchecked(gpu, source),
            each,
        }
    }
}

/// The proposals' networks on the way back, see [`WeightSums`].
pub(super) enum ProposalKernels {
    Tiled(Kernel),
    Held { backward: Kernel, reduce: Kernel },
}

impl ProposalKernels {
    pub fn new(gpu: &Gpu, sums: WeightSums) -> Self {
        if sums.are_held(gpu) {
            Self::Held {
                backward: Kernel::unchecked(gpu, &PROPOSAL_HELD),
                reduce: Kernel::new(gpu, &HELD_REDUCE),
            }
        } else {
            Self::Tiled(Kernel::unchecked(gpu, &PROPOSAL_BACKWARD))
        }
    }
}

impl BackwardKernels {
    pub fn new(gpu: &Gpu, size: Size, sums: WeightSums) -> Self {
        let [
            _,
            appearance_backward,
            cell_densities,
            layer_sums,
            layer_reduce,
            _,
        ] = by(size);
        let NetworkSources {
            radiance: _,
            radiance_backward,
            ray_head_sums,
            layer_sums_kept,
        } = networks(size, is_wide(gpu));
        Self {
            rays_of_views: Kernel::new(gpu, &RAYS_OF_VIEWS),
            patches: Kernel::new(gpu, &PATCHES),
            photo_loss: Kernel::new(gpu, &PHOTO_LOSS),
            interlevel_loss: Kernel::new(gpu, &INTERLEVEL_LOSS),
            losses: Kernel::with_raw_shared_memory(gpu, &LOSSES),
            radiance_backward: Kernel::unchecked(gpu, radiance_backward),
            ray_head_sums: Kernel::new(gpu, ray_head_sums),
            proposals: ProposalKernels::new(gpu, sums),
            fixed_scales: Kernel::with_raw_shared_memory(gpu, &FIXED_SCALES),
            scatter: match gpu.adds_pairs() {
                true => Kernel::new(gpu, &SCATTER_PAIRS),
                false => Kernel::new(gpu, &SCATTER),
            },
            layer_sums: Kernel::unchecked(gpu, layer_sums),
            layer_sums_kept: Kernel::unchecked(gpu, layer_sums_kept),
            layer_reduce: Kernel::new(gpu, layer_reduce),
            cell_points: Kernel::new(gpu, &CELL_POINTS),
            cell_densities: Kernel::unchecked(gpu, cell_densities),
            appearance_backward: Kernel::new(gpu, appearance_backward),
            appearance_scatter: Kernel::new(gpu, &APPEARANCE_SCATTER),
            adam_network: Kernel::new(gpu, &ADAM_NETWORK),
            adam_table: TableUpdate::new(gpu),
            adam_table_half: gpu.packs_half().then(|| Kernel::new(gpu, &ADAM_TABLE_HALF)),
        }
    }
}

/// What learning the cameras' poses needs.
pub(super) struct PoseKernels {
    pub views: Kernel,
    pub points: TableKernel,
    pub rays: Kernel,
    pub sums: Kernel,
    pub adam: Kernel,
}

impl PoseKernels {
    pub fn new(gpu: &Gpu, size: Size) -> Self {
        let [.., d_rays] = by(size);
        Self {
            views: Kernel::new(gpu, &POSE_VIEWS),
            points: TableKernel::new(gpu, &D_POINTS, &D_POINTS_HALF),
            rays: Kernel::new(gpu, d_rays),
            sums: Kernel::with_raw_shared_memory(gpu, &POSE_SUMS),
            adam: Kernel::new(gpu, &ADAM_POSES),
        }
    }
}

/// Whether kernels take several values in one access of 64-bit integers.
fn is_wide(gpu: &Gpu) -> bool {
    gpu.is_software() && gpu.device.features().contains(wgpu::Features::SHADER_INT64)
}
