//! The WGSL of the Luxens and its pipelines. The networks' widths are decided when the pipelines are made, because loops
//! over constants unroll and arrays of constant size stay in registers.

use super::TableStorage;
use crate::gpu::{Gpu, Kernel, ShaderSource};
use serde::{Deserialize, Serialize};

macro_rules! wgsl {
    ($file:literal) => {
        include_str!(concat!("../../shaders/", $file, ".wgsl"))
    };
}

macro_rules! shader {
    ($name:literal, $($part:literal),+) => {
        shader!(($name, ""), $($part),+)
    };
    (($name:literal, $suffix:literal), $($part:literal),+) => {
        ShaderSource {
            name: concat!("luxen/", $name, $suffix),
            parts: &[$(wgsl!($part)),+],
        }
    };
}

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

const RAYS_OF_VIEWS: ShaderSource = shader!(
    "rays_of_views",
    "luxen/batch",
    "luxen/random",
    "luxen/ray",
    "luxen/spacing",
    "luxen/cells",
    "luxen/span",
    "luxen/draw",
    "luxen/rays_of_views"
);
const RAYS_OF_CAMERA: ShaderSource = shader!(
    "rays_of_camera",
    "luxen/batch",
    "luxen/ray",
    "luxen/spacing",
    "luxen/cells",
    "luxen/span",
    "luxen/crop",
    "luxen/rays_of_camera"
);
const FIRST_BINS: ShaderSource = shader!(
    "first_bins",
    "luxen/batch",
    "luxen/random",
    "luxen/first_bins"
);
const CELL_POINTS: ShaderSource = shader!(
    "cell_points",
    "luxen/batch",
    "luxen/random",
    "luxen/contraction",
    "luxen/cells",
    "luxen/cell_points"
);
const POINTS: ShaderSource = shader!(
    "points",
    "luxen/batch",
    "luxen/spacing",
    "luxen/contraction",
    "luxen/points"
);
const ENCODE: ShaderSource = shader!("encode", "luxen/grid", "luxen/entry_single", "luxen/encode");
const ENCODE_HALF: ShaderSource = shader!(
    "encode_half",
    "luxen/grid",
    "luxen/half",
    "luxen/entry_half",
    "luxen/encode"
);
/// For software adapters that know integers of 64 bits.
const ENCODE_WIDE: ShaderSource = shader!(
    "encode_wide",
    "luxen/grid",
    "luxen/entry_wide",
    "luxen/encode"
);
const SCATTER: ShaderSource = shader!(
    "scatter",
    "luxen/grid",
    "luxen/fixed_point",
    "luxen/add_singly",
    "luxen/scatter"
);
/// For adapters that add 64 bits at once.
const SCATTER_PAIRS: ShaderSource = shader!(
    "scatter_pairs",
    "luxen/grid",
    "luxen/fixed_point",
    "luxen/add_in_pairs",
    "luxen/scatter"
);
/// Quads of an invocation of either.
pub(super) const SCATTER_RUN: u32 = 4;
const FIXED_SCALES: ShaderSource = shader!(
    "fixed_scales",
    "shared/workgroup_sum",
    "luxen/fixed_point",
    "luxen/fixed_scales"
);
/// Quads of an invocation.
pub(super) const PROPOSAL_GROUP: u32 = 2;
const PROPOSAL: ShaderSource = shader!(
    "proposal",
    "luxen/batch",
    "luxen/quads",
    "luxen/proposal_network",
    "luxen/proposal"
);
const PROPOSAL_BACKWARD: ShaderSource = shader!(
    "proposal_backward",
    "luxen/batch",
    "luxen/quads",
    "luxen/proposal_network",
    "luxen/proposal_backward"
);
const PROPOSAL_HELD: ShaderSource = shader!(
    "proposal_held",
    "luxen/batch",
    "luxen/quads",
    "luxen/proposal_network",
    "luxen/proposal_held"
);
const HELD_REDUCE: ShaderSource = shader!("held_reduce", "luxen/held_reduce");
const RESAMPLE: ShaderSource = shader!(
    "resample",
    "luxen/batch",
    "luxen/random",
    "luxen/spacing",
    "luxen/compositing",
    "luxen/resample"
);
const PHOTO_LOSS: ShaderSource = shader!(
    "photo_loss",
    "luxen/batch",
    "luxen/ray",
    "luxen/draw",
    "luxen/spacing",
    "luxen/compositing",
    "luxen/d_compositing",
    "luxen/photo_loss"
);
const INTERLEVEL_LOSS: ShaderSource = shader!(
    "interlevel_loss",
    "luxen/batch",
    "luxen/spacing",
    "luxen/d_compositing",
    "luxen/interlevel_loss"
);
const PICTURE: ShaderSource = shader!(
    "picture",
    "luxen/batch",
    "luxen/spacing",
    "luxen/compositing",
    "luxen/picture"
);
const PATCHES: ShaderSource = shader!("patches", "luxen/batch", "luxen/patches");
const LOSSES: ShaderSource = shader!(
    "losses",
    "shared/workgroup_sum",
    "luxen/batch",
    "luxen/losses"
);
const ADAM_NETWORK: ShaderSource = shader!(
    "adam_network",
    "shared/dispatch",
    "shared/adam_update",
    "luxen/adam",
    "luxen/adam_network"
);
const ADAM_TABLE: ShaderSource = shader!(
    "adam_table",
    "shared/dispatch",
    "shared/adam_update",
    "luxen/adam",
    "luxen/adam_levels",
    "luxen/keep_single",
    "luxen/adam_table"
);
/// For software adapters that know integers of 64 bits: twice as many parameters an invocation.
const ADAM_TABLE_WIDE: ShaderSource = shader!(
    "adam_table_wide",
    "shared/dispatch",
    "shared/adam_update",
    "luxen/adam",
    "luxen/adam_levels",
    "luxen/adam_table_wide"
);
const ADAM_TABLE_HALF: ShaderSource = shader!(
    "adam_table_half",
    "shared/dispatch",
    "shared/adam_update",
    "luxen/adam",
    "luxen/adam_levels",
    "luxen/half",
    "luxen/keep_half",
    "luxen/adam_table"
);
pub(super) const HALVE_TABLE: ShaderSource = shader!(
    "halve_table",
    "shared/dispatch",
    "luxen/half",
    "luxen/halve_table"
);
const D_POINTS: ShaderSource = shader!(
    "d_points",
    "luxen/grid",
    "luxen/entry_single",
    "luxen/d_points"
);
const D_POINTS_HALF: ShaderSource = shader!(
    "d_points_half",
    "luxen/grid",
    "luxen/half",
    "luxen/entry_half",
    "luxen/d_points"
);
const POSE_VIEWS: ShaderSource = shader!(
    "pose_views",
    "luxen/ray",
    "luxen/turn",
    "luxen/pose",
    "luxen/pose_views"
);
const POSE_SUMS: ShaderSource = shader!(
    "pose_sums",
    "shared/workgroup_sum",
    "luxen/batch",
    "luxen/pose_sums"
);
const ADAM_POSES: ShaderSource = shader!(
    "adam_poses",
    "shared/adam_update",
    "luxen/turn",
    "luxen/pose",
    "luxen/adam_poses"
);
const APPEARANCE_SCATTER: ShaderSource = shader!(
    "appearance_scatter",
    "luxen/batch",
    "luxen/fixed_point",
    "luxen/appearance_scatter"
);
const APPEARANCE_MEAN: ShaderSource =
    shader!("appearance_mean", "luxen/batch", "luxen/appearance_mean");

/// Kernels of a size of networks, and of a way to keep what is summed.
struct NetworkSources {
    radiance: ShaderSource,
    radiance_backward: ShaderSource,
    ray_head_sums: ShaderSource,
    layer_sums_kept: ShaderSource,
}

macro_rules! networks {
    ($size:literal, $kept:literal, $suffix:literal) => {
        NetworkSources {
            radiance: shader!(
                ("radiance", $suffix),
                "luxen/batch",
                "luxen/quads",
                $size,
                "luxen/network",
                "luxen/group",
                "luxen/kept",
                $kept,
                "luxen/radiance"
            ),
            radiance_backward: shader!(
                ("radiance_backward", $suffix),
                "luxen/batch",
                "luxen/quads",
                $size,
                "luxen/network",
                "luxen/group",
                "luxen/kept",
                $kept,
                "luxen/radiance_backward"
            ),
            ray_head_sums: shader!(
                ("ray_head_sums", $suffix),
                "luxen/batch",
                $size,
                "luxen/network",
                "luxen/kept",
                $kept,
                "luxen/ray_head_sums"
            ),
            layer_sums_kept: shader!(
                ("layer_sums_kept", $suffix),
                $size,
                "luxen/layer",
                "luxen/kept",
                $kept,
                "luxen/layer_kept",
                "luxen/layer_sums"
            ),
        }
    };
}

const SMALL_NETWORKS: NetworkSources = networks!("luxen/size_small", "luxen/kept_plain", "");
const FULL_NETWORKS: NetworkSources = networks!("luxen/size_full", "luxen/kept_plain", "");
/// For software adapters that know integers of 64 bits.
const SMALL_NETWORKS_WIDE: NetworkSources =
    networks!("luxen/size_small", "luxen/kept_wide", "_wide");
const FULL_NETWORKS_WIDE: NetworkSources = networks!("luxen/size_full", "luxen/kept_wide", "_wide");

macro_rules! by_size {
    ($size:literal) => {
        [
            shader!(
                "ray_head",
                "luxen/batch",
                "shared/harmonics",
                $size,
                "luxen/network",
                "luxen/directions",
                "luxen/ray_head"
            ),
            shader!(
                "appearance_backward",
                "luxen/batch",
                "luxen/quads",
                $size,
                "luxen/network",
                "luxen/appearance_backward"
            ),
            shader!(
                "cell_densities",
                "luxen/batch",
                "luxen/quads",
                $size,
                "luxen/network",
                "luxen/cell_densities"
            ),
            shader!(
                "layer_sums",
                $size,
                "luxen/layer",
                "luxen/layer_single",
                "luxen/layer_sums"
            ),
            shader!("layer_reduce", $size, "luxen/layer", "luxen/layer_reduce"),
            shader!(
                "d_rays",
                "luxen/batch",
                "luxen/spacing",
                "luxen/contraction_backward",
                "shared/harmonics",
                "luxen/d_directions",
                $size,
                "luxen/network",
                "luxen/d_rays"
            ),
        ]
    };
}

const SMALL: [ShaderSource; 6] = by_size!("luxen/size_small");
const FULL: [ShaderSource; 6] = by_size!("luxen/size_full");

/// Every kernel of the Luxens.
pub const SHADERS: &[ShaderSource] = &[
    RAYS_OF_VIEWS,
    RAYS_OF_CAMERA,
    FIRST_BINS,
    CELL_POINTS,
    POINTS,
    ENCODE,
    ENCODE_HALF,
    ENCODE_WIDE,
    SCATTER,
    SCATTER_PAIRS,
    FIXED_SCALES,
    PROPOSAL,
    PROPOSAL_BACKWARD,
    PROPOSAL_HELD,
    HELD_REDUCE,
    RESAMPLE,
    PHOTO_LOSS,
    INTERLEVEL_LOSS,
    PICTURE,
    PATCHES,
    LOSSES,
    ADAM_NETWORK,
    ADAM_TABLE,
    ADAM_TABLE_WIDE,
    ADAM_TABLE_HALF,
    HALVE_TABLE,
    APPEARANCE_SCATTER,
    APPEARANCE_MEAN,
    D_POINTS,
    D_POINTS_HALF,
    POSE_VIEWS,
    POSE_SUMS,
    ADAM_POSES,
    SMALL[0],
    SMALL[1],
    SMALL[2],
    SMALL[3],
    SMALL[4],
    SMALL[5],
    FULL[0],
    FULL[1],
    FULL[2],
    FULL[3],
    FULL[4],
    FULL[5],
    SMALL_NETWORKS.radiance,
    SMALL_NETWORKS.radiance_backward,
    SMALL_NETWORKS.ray_head_sums,
    SMALL_NETWORKS.layer_sums_kept,
    FULL_NETWORKS.radiance,
    FULL_NETWORKS.radiance_backward,
    FULL_NETWORKS.ray_head_sums,
    FULL_NETWORKS.layer_sums_kept,
    SMALL_NETWORKS_WIDE.radiance,
    SMALL_NETWORKS_WIDE.radiance_backward,
    SMALL_NETWORKS_WIDE.ray_head_sums,
    SMALL_NETWORKS_WIDE.layer_sums_kept,
    FULL_NETWORKS_WIDE.radiance,
    FULL_NETWORKS_WIDE.radiance_backward,
    FULL_NETWORKS_WIDE.ray_head_sums,
    FULL_NETWORKS_WIDE.layer_sums_kept,
];

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
            radiance: Kernel::unchecked(gpu, &networks(gpu, size).radiance),
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
        } = networks(gpu, size);
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

fn by(size: Size) -> &'static [ShaderSource; 6] {
    match size {
        Size::Small => &SMALL,
        Size::Full => &FULL,
    }
}

/// Whether kernels take several values in one access of 64-bit integers.
fn is_wide(gpu: &Gpu) -> bool {
    gpu.is_software() && gpu.device.features().contains(wgpu::Features::SHADER_INT64)
}

fn networks(gpu: &Gpu, size: Size) -> &'static NetworkSources {
    match (size, is_wide(gpu)) {
        (Size::Small, false) => &SMALL_NETWORKS,
        (Size::Small, true) => &SMALL_NETWORKS_WIDE,
        (Size::Full, false) => &FULL_NETWORKS,
        (Size::Full, true) => &FULL_NETWORKS_WIDE,
    }
}
