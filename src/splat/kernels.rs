//! The WGSL of the rasterizer and its pipelines. Two things are decided when the pipelines are made, because loops over
//! constants unroll and the rest does not: the tile size (by kind of adapter) and the SH degree.

use crate::{
    gpu::{Gpu, Kernel, ShaderSource},
    settings::GradientSum,
};

macro_rules! wgsl {
    ($file:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/shaders/",
            $file,
            ".wgsl"
        ))
    };
}

macro_rules! shader {
    ($name:literal, $($part:literal),+) => {
        ShaderSource { name: $name, parts: &[$(wgsl!($part)),+] }
    };
}

const SORT_COUNT: ShaderSource = shader!("sort_count", "shared/sort_pass", "shared/sort_count");
const SORT_SCATTER: ShaderSource =
    shader!("sort_scatter", "shared/sort_pass", "shared/sort_scatter");
const SCAN_REDUCE: ShaderSource = shader!(
    "scan_reduce",
    "shared/dispatch",
    "shared/scan",
    "shared/scan_reduce"
);
const SCAN_SUMS: ShaderSource = shader!("scan_sums", "shared/scan", "shared/scan_sums");
const SCAN_APPLY: ShaderSource = shader!(
    "scan_apply",
    "shared/dispatch",
    "shared/scan",
    "shared/scan_apply"
);
const TILE_COUNTS: ShaderSource = shader!(
    "tile_counts",
    "shared/dispatch",
    "shared/scan",
    "splat/view",
    "splat/tile_counts"
);
const RANGES: ShaderSource = shader!("ranges", "shared/scan", "splat/view", "splat/ranges");
macro_rules! by_gradient {
    ($gradient:literal) => {
        [
            shader!(
                "rasterize_backward",
                "splat/tile_small",
                $gradient,
                "splat/view",
                "splat/block",
                "splat/rasterize_backward"
            ),
            shader!(
                "rasterize_backward",
                "splat/tile_large",
                $gradient,
                "splat/view",
                "splat/block",
                "splat/rasterize_backward"
            ),
            shader!(
                "gather_slots",
                $gradient,
                "shared/dispatch",
                "splat/view",
                "splat/gather_slots"
            ),
        ]
    };
}
const SIGNED: [ShaderSource; 3] = by_gradient!("splat/signed_gradients");
const ABSOLUTE: [ShaderSource; 3] = by_gradient!("splat/absolute_gradients");
const GEOMETRY_BACKWARD: ShaderSource = shader!(
    "geometry_backward",
    "shared/dispatch",
    "shared/quaternion",
    "splat/view",
    "splat/covariance",
    "splat/geometry_backward"
);

macro_rules! by_share {
    ($share:literal) => {
        shader!(
            "pose_gradient",
            $share,
            "shared/dispatch",
            "shared/workgroup_sum",
            "splat/view",
            "splat/pose_gradient"
        )
    };
}
/// Of colors, of geometry, and their sum; see [`super::poses`].
pub(super) const POSE: [ShaderSource; 3] = [
    by_share!("splat/pose_color"),
    by_share!("splat/pose_geometry"),
    shader!(
        "pose_sums",
        "shared/workgroup_sum",
        "splat/view",
        "splat/pose_sums"
    ),
];

macro_rules! by_tile {
    ($size:literal) => {
        [
            shader!(
                "project",
                $size,
                "shared/dispatch",
                "shared/quaternion",
                "shared/sort_pass",
                "splat/view",
                "splat/covariance",
                "splat/extent",
                "splat/project"
            ),
            shader!(
                "emit",
                $size,
                "shared/dispatch",
                "shared/scan",
                "splat/view",
                "splat/extent",
                "splat/emit"
            ),
            shader!(
                "rasterize",
                $size,
                "splat/view",
                "splat/block",
                "splat/rasterize"
            ),
        ]
    };
}
const SMALL_TILES: [ShaderSource; 3] = by_tile!("splat/tile_small");
const LARGE_TILES: [ShaderSource; 3] = by_tile!("splat/tile_large");

macro_rules! by_degree {
    ($degree:literal) => {
        [
            shader!(
                "color",
                $degree,
                "shared/dispatch",
                "shared/harmonics",
                "splat/view",
                "splat/color"
            ),
            shader!(
                "color_backward",
                $degree,
                "shared/dispatch",
                "shared/harmonics",
                "splat/view",
                "splat/color_backward"
            ),
        ]
    };
}
const DEGREES: [[ShaderSource; 2]; 4] = [
    by_degree!("splat/degree_0"),
    by_degree!("splat/degree_1"),
    by_degree!("splat/degree_2"),
    by_degree!("splat/degree_3"),
];

/// Every kernel of the rasterizer.
pub const SHADERS: &[ShaderSource] = &[
    SORT_COUNT,
    SORT_SCATTER,
    SCAN_REDUCE,
    SCAN_SUMS,
    SCAN_APPLY,
    TILE_COUNTS,
    RANGES,
    GEOMETRY_BACKWARD,
    SMALL_TILES[0],
    SMALL_TILES[1],
    SMALL_TILES[2],
    LARGE_TILES[0],
    LARGE_TILES[1],
    LARGE_TILES[2],
    SIGNED[0],
    SIGNED[1],
    SIGNED[2],
    ABSOLUTE[0],
    ABSOLUTE[1],
    ABSOLUTE[2],
    DEGREES[0][0],
    DEGREES[0][1],
    DEGREES[1][0],
    DEGREES[1][1],
    DEGREES[2][0],
    DEGREES[2][1],
    DEGREES[3][0],
    DEGREES[3][1],
    POSE[0],
    POSE[1],
    POSE[2],
];

/// Which of the tile sizes; both give the same pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileSize {
    /// 16×8: graphics emulated on a processor.
    Small,
    /// 16×16: graphics cards.
    Large,
}

impl TileSize {
    /// What runs fastest on this adapter.
    pub(super) fn of(gpu: &Gpu) -> Self {
        if gpu.is_software() {
            Self::Small
        } else {
            Self::Large
        }
    }

    /// Width and height, as `splat/tile_*.wgsl` have them.
    pub(super) fn pixels(self) -> [u32; 2] {
        match self {
            Self::Small => [16, 8],
            Self::Large => [16, 16],
        }
    }
}

/// Kernels of one SH degree.
pub(super) struct ColorKernels {
    pub forward: Kernel,
    pub backward: Kernel,
}

impl ColorKernels {
    pub fn new(gpu: &Gpu, degree: u32) -> Self {
        let [forward, backward] = &DEGREES[degree.min(3) as usize];
        Self {
            forward: Kernel::new(gpu, forward),
            backward: Kernel::new(gpu, backward),
        }
    }
}

/// Floats in each half of a slot, as `splat/*_gradients.wgsl` have them.
pub(super) fn half_slot(gradient: GradientSum) -> u32 {
    match gradient {
        GradientSum::Signed => 5,
        GradientSum::Absolute => 6,
    }
}

/// Kernels that add up over pixels and tiles.
pub(super) struct SumKernels {
    pub rasterize_backward: Kernel,
    pub gather_slots: Kernel,
}

impl SumKernels {
    pub fn new(gpu: &Gpu, tile_size: TileSize, gradient: GradientSum) -> Self {
        let [small, large, gather_slots] = match gradient {
            GradientSum::Signed => &SIGNED,
            GradientSum::Absolute => &ABSOLUTE,
        };
        let rasterize_backward = match tile_size {
            TileSize::Small => small,
            TileSize::Large => large,
        };
        Self {
            rasterize_backward: Kernel::with_raw_shared_memory(gpu, rasterize_backward),
            gather_slots: Kernel::new(gpu, gather_slots),
        }
    }
}

/// Kernels of [`super::sort`].
pub(super) struct SortKernels {
    pub sort_count: Kernel,
    pub sort_scatter: Kernel,
    pub scan_reduce: Kernel,
    pub scan_sums: Kernel,
    pub scan_apply: Kernel,
}

impl SortKernels {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            sort_count: Kernel::new(gpu, &SORT_COUNT),
            sort_scatter: Kernel::new(gpu, &SORT_SCATTER),
            scan_reduce: Kernel::new(gpu, &SCAN_REDUCE),
            scan_sums: Kernel::with_raw_shared_memory(gpu, &SCAN_SUMS),
            scan_apply: Kernel::new(gpu, &SCAN_APPLY),
        }
    }
}

/// All other kernels of the rasterizer.
pub(super) struct Kernels {
    pub sort: SortKernels,
    pub project: Kernel,
    pub tile_counts: Kernel,
    pub emit: Kernel,
    pub ranges: Kernel,
    pub rasterize: Kernel,
    pub sums: SumKernels,
    pub geometry_backward: Kernel,
}

impl Kernels {
    pub fn new(gpu: &Gpu, tile_size: TileSize) -> Self {
        let [project, emit, rasterize] = match tile_size {
            TileSize::Small => &SMALL_TILES,
            TileSize::Large => &LARGE_TILES,
        };
        Self {
            sort: SortKernels::new(gpu),
            project: Kernel::new(gpu, project),
            tile_counts: Kernel::new(gpu, &TILE_COUNTS),
            emit: Kernel::new(gpu, emit),
            ranges: Kernel::new(gpu, &RANGES),
            rasterize: Kernel::new(gpu, rasterize),
            sums: SumKernels::new(gpu, tile_size, GradientSum::Signed),
            geometry_backward: Kernel::new(gpu, &GEOMETRY_BACKWARD),
        }
    }
}
