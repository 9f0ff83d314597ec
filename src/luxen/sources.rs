//! Which files of WGSL make each kernel of the Luxens. The networks' widths are files of their own, because loops over
//! constants unroll and arrays of constant size stay in registers; so are the ways to read and keep values that only some
//! adapters have. A kernel is listed once, here, so that tests validate all of them on any machine.

use super::Size;
use crate::gpu::ShaderSource;

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

pub(super) const RAYS_OF_VIEWS: ShaderSource = shader!(
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
pub(super) const RAYS_OF_CAMERA: ShaderSource = shader!(
    "rays_of_camera",
    "luxen/batch",
    "luxen/ray",
    "luxen/spacing",
    "luxen/cells",
    "luxen/span",
    "luxen/crop",
    "luxen/rays_of_camera"
);
pub(super) const FIRST_BINS: ShaderSource = shader!(
    "first_bins",
    "luxen/batch",
    "luxen/random",
    "luxen/first_bins"
);
pub(super) const CELL_POINTS: ShaderSource = shader!(
    "cell_points",
    "luxen/batch",
    "luxen/random",
    "luxen/contraction",
    "luxen/cells",
    "luxen/cell_points"
);
pub(super) const POINTS: ShaderSource = shader!(
    "points",
    "luxen/batch",
    "luxen/spacing",
    "luxen/contraction",
    "luxen/points"
);
pub(super) const ENCODE: ShaderSource =
    shader!("encode", "luxen/grid", "luxen/entry_single", "luxen/encode");
pub(super) const ENCODE_HALF: ShaderSource = shader!(
    "encode_half",
    "luxen/grid",
    "luxen/half",
    "luxen/entry_half",
    "luxen/encode"
);
/// For software adapters that know integers of 64 bits.
pub(super) const ENCODE_WIDE: ShaderSource = shader!(
    "encode_wide",
    "luxen/grid",
    "luxen/entry_wide",
    "luxen/encode"
);
pub(super) const SCATTER: ShaderSource = shader!(
    "scatter",
    "luxen/grid",
    "luxen/fixed_point",
    "luxen/add_singly",
    "luxen/scatter"
);
/// For adapters that add 64 bits at once.
pub(super) const SCATTER_PAIRS: ShaderSource = shader!(
    "scatter_pairs",
    "luxen/grid",
    "luxen/fixed_point",
    "luxen/add_in_pairs",
    "luxen/scatter"
);
/// Quads of an invocation of either.
pub(super) const SCATTER_RUN: u32 = 4;
pub(super) const FIXED_SCALES: ShaderSource = shader!(
    "fixed_scales",
    "shared/workgroup_sum",
    "luxen/fixed_point",
    "luxen/fixed_scales"
);
/// Quads of an invocation.
pub(super) const PROPOSAL_GROUP: u32 = 2;
pub(super) const PROPOSAL: ShaderSource = shader!(
    "proposal",
    "luxen/batch",
    "luxen/quads",
    "luxen/proposal_network",
    "luxen/proposal"
);
pub(super) const PROPOSAL_BACKWARD: ShaderSource = shader!(
    "proposal_backward",
    "luxen/batch",
    "luxen/quads",
    "luxen/proposal_network",
    "luxen/proposal_backward"
);
pub(super) const PROPOSAL_HELD: ShaderSource = shader!(
    "proposal_held",
    "luxen/batch",
    "luxen/quads",
    "luxen/proposal_network",
    "luxen/proposal_held"
);
pub(super) const HELD_REDUCE: ShaderSource = shader!("held_reduce", "luxen/held_reduce");
pub(super) const RESAMPLE: ShaderSource = shader!(
    "resample",
    "luxen/batch",
    "luxen/random",
    "luxen/spacing",
    "luxen/compositing",
    "luxen/resample"
);
pub(super) const PHOTO_LOSS: ShaderSource = shader!(
    "photo_loss",
    "luxen/batch",
    "luxen/ray",
    "luxen/draw",
    "luxen/spacing",
    "luxen/compositing",
    "luxen/d_compositing",
    "luxen/photo_loss"
);
pub(super) const INTERLEVEL_LOSS: ShaderSource = shader!(
    "interlevel_loss",
    "luxen/batch",
    "luxen/spacing",
    "luxen/d_compositing",
    "luxen/interlevel_loss"
);
pub(super) const PICTURE: ShaderSource = shader!(
    "picture",
    "luxen/batch",
    "luxen/spacing",
    "luxen/compositing",
    "luxen/picture"
);
pub(super) const PATCHES: ShaderSource = shader!("patches", "luxen/batch", "luxen/patches");
pub(super) const LOSSES: ShaderSource = shader!(
    "losses",
    "shared/workgroup_sum",
    "luxen/batch",
    "luxen/losses"
);
pub(super) const ADAM_NETWORK: ShaderSource = shader!(
    "adam_network",
    "shared/dispatch",
    "shared/adam_update",
    "luxen/adam",
    "luxen/adam_network"
);
pub(super) const ADAM_TABLE: ShaderSource = shader!(
    "adam_table",
    "shared/dispatch",
    "shared/adam_update",
    "luxen/adam",
    "luxen/adam_levels",
    "luxen/keep_single",
    "luxen/adam_table"
);
/// For software adapters that know integers of 64 bits: twice as many parameters an invocation.
pub(super) const ADAM_TABLE_WIDE: ShaderSource = shader!(
    "adam_table_wide",
    "shared/dispatch",
    "shared/adam_update",
    "luxen/adam",
    "luxen/adam_levels",
    "luxen/adam_table_wide"
);
pub(super) const ADAM_TABLE_HALF: ShaderSource = shader!(
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
pub(super) const D_POINTS: ShaderSource = shader!(
    "d_points",
    "luxen/grid",
    "luxen/entry_single",
    "luxen/d_points"
);
pub(super) const D_POINTS_HALF: ShaderSource = shader!(
    "d_points_half",
    "luxen/grid",
    "luxen/half",
    "luxen/entry_half",
    "luxen/d_points"
);
pub(super) const POSE_VIEWS: ShaderSource = shader!(
    "pose_views",
    "luxen/ray",
    "luxen/turn",
    "luxen/pose",
    "luxen/pose_views"
);
pub(super) const POSE_SUMS: ShaderSource = shader!(
    "pose_sums",
    "shared/workgroup_sum",
    "luxen/batch",
    "luxen/pose_sums"
);
pub(super) const ADAM_POSES: ShaderSource = shader!(
    "adam_poses",
    "shared/adam_update",
    "luxen/turn",
    "luxen/pose",
    "luxen/adam_poses"
);
pub(super) const APPEARANCE_SCATTER: ShaderSource = shader!(
    "appearance_scatter",
    "luxen/batch",
    "luxen/fixed_point",
    "luxen/appearance_scatter"
);
pub(super) const APPEARANCE_MEAN: ShaderSource =
    shader!("appearance_mean", "luxen/batch", "luxen/appearance_mean");

/// Kernels of a size of networks, and of a way to keep what is summed.
pub(super) struct NetworkSources {
    pub radiance: ShaderSource,
    pub radiance_backward: ShaderSource,
    pub ray_head_sums: ShaderSource,
    pub layer_sums_kept: ShaderSource,
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

pub(super) fn by(size: Size) -> &'static [ShaderSource; 6] {
    match size {
        Size::Small => &SMALL,
        Size::Full => &FULL,
    }
}

/// `is_wide`: for adapters that take several values in one access of 64-bit integers.
pub(super) fn networks(size: Size, is_wide: bool) -> &'static NetworkSources {
    match (size, is_wide) {
        (Size::Small, false) => &SMALL_NETWORKS,
        (Size::Small, true) => &SMALL_NETWORKS_WIDE,
        (Size::Full, false) => &FULL_NETWORKS,
        (Size::Full, true) => &FULL_NETWORKS_WIDE,
    }
}
