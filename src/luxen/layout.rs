//! Where weights lie in the networks' buffers, and values in the arenas and in what a step keeps: the host's side of the
//! constants in `luxen/network.wgsl` and `luxen/proposal_network.wgsl` (a test compares them).

use super::{
    Size,
    sources::{PROPOSAL_GROUP, SCATTER_RUN},
    uniforms::{Layer, Layers},
    workspace::{HELD_LANES, TILE},
};
use bytemuck::Zeroable;

/// Values of a view's appearance.
pub const APPEARANCE: u32 = 32;
const GEOMETRY: u32 = 16;
const HARMONICS: u32 = 16;
const POINT_CHANNELS: u32 = 4;

/// A layer of a network, for its initialization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerWeights {
    pub rows: u32,
    pub columns: u32,
    /// f32 of row 0, column 0.
    pub first: u32,
    pub row_stride: u32,
    pub column_stride: u32,
    /// First bias and stride.
    pub bias: Option<(u32, u32)>,
    /// Inputs of the whole layer, where it is stored in parts.
    pub fan_in: u32,
    pub fan_out: u32,
}

/// Which buffer a layer's gradient is summed from, and the first channel there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The forward arena.
    Forward(u32),
    /// The backward arena.
    Backward(u32),
    /// What is kept in blocks.
    Kept(u32),
    /// One value a ray.
    Rays,
}

impl Source {
    fn channel(self) -> u32 {
        match self {
            Self::Forward(at) | Self::Backward(at) | Self::Kept(at) => at,
            Self::Rays => 0,
        }
    }
}

/// A layer, and the channels that its gradient is made of.
#[derive(Clone, Copy, Debug)]
pub struct LayerGradient {
    pub weights: LayerWeights,
    pub back: Source,
    pub went_in: Source,
}

impl LayerGradient {
    /// Channels before the first column in its block: none where channels are read one by one.
    fn skipped(&self) -> u32 {
        match self.went_in {
            Source::Kept(at) => at % 4,
            Source::Forward(_) | Source::Backward(_) | Source::Rays => 0,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self.back, Source::Kept(_))
    }

    /// Tiles that its gradient is summed in, see `luxen/layer.wgsl`.
    fn tiles(&self) -> u32 {
        let across = (self.weights.columns + self.skipped()).div_ceil(TILE);
        self.weights.rows.div_ceil(TILE) * across
    }

    fn partials(&self, size: Size) -> u32 {
        let biases = self.weights.rows.next_multiple_of(TILE);
        (self.tiles() * TILE * TILE + biases) * size.splits()
    }

    /// Weights and biases.
    fn parameters(&self) -> u32 {
        let w = &self.weights;
        w.rows * (w.columns + u32::from(w.bias.is_some()))
    }

    fn uniform(&self, quads: u32) -> Layer {
        let w = &self.weights;
        let (bias_first, bias_stride) = w.bias.unwrap_or((0, 0));
        Layer {
            quads,
            rows: w.rows,
            columns: w.columns,
            row_at: self.back.channel(),
            column_at: self.went_in.channel(),
            has_bias: u32::from(w.bias.is_some()),
            first: w.first,
            row_stride: w.row_stride,
            column_stride: w.column_stride,
            bias_first,
            bias_stride,
            skipped: self.skipped(),
            ..Layer::zeroed()
        }
    }
}

/// Layers that one dispatch sums.
pub(super) struct LayerSums {
    pub back: Source,
    pub went_in: Source,
    pub tiles: u32,
    pub layers: Layers,
}

/// A network's gradient: the dispatches that sum, and the one that reduces what they leave.
pub(super) struct NetworkSums {
    pub sums: Vec<LayerSums>,
    pub layers: Layers,
    pub parameters: u32,
    /// f32s that the sums leave.
    pub partials: u32,
}

impl NetworkSums {
    /// `quads`: of the samples, and of rays.
    pub fn new(layers: &[LayerGradient], size: Size, quads: [u32; 2], accumulates: bool) -> Self {
        let empty = Layers {
            accumulates: u32::from(accumulates),
            ..Layers::zeroed()
        };
        let mut network = Self {
            sums: Vec::new(),
            layers: empty,
            parameters: 0,
            partials: 0,
        };
        for layer in layers {
            let [of_samples, of_rays] = quads;
            let quads = match layer.back {
                Source::Rays => of_rays,
                _ => of_samples,
            };
            // Only layers whose values lie in one buffer share a dispatch.
            let shared = network
                .sums
                .pop_if(|last| layer.is_kept() && matches!(last.back, Source::Kept(_)));
            let mut dispatch = shared.unwrap_or(LayerSums {
                back: layer.back,
                went_in: layer.went_in,
                tiles: 0,
                layers: empty,
            });
            let uniform = Layer {
                first_tile: dispatch.tiles,
                first_partial: network.partials,
                first_weight: network.parameters,
                ..layer.uniform(quads)
            };
            dispatch.layers.push(uniform);
            dispatch.tiles += layer.tiles();
            network.sums.push(dispatch);
            network.layers.push(uniform);
            network.parameters += layer.parameters();
            network.partials += layer.partials(size);
        }
        network
    }
}

/// Channels that every level has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arena {
    pub features: u32,
    /// Channels of the forward arena.
    pub forward: u32,
    /// Channels of the backward arena.
    pub backward: u32,
    pub features_at: u32,
    /// The compositing weight and the transmittance follow.
    pub density_at: u32,
    pub d_density_at: u32,
    pub color_at: u32,
    pub d_color_at: u32,
}

/// The field's networks.
#[derive(Clone, Copy, Debug)]
pub struct FieldLayout {
    pub features: u32,
    pub hidden: u32,
    /// Quads of an invocation, see [`Size::group`].
    pub group: u32,
}

impl FieldLayout {
    pub fn new(size: Size) -> Self {
        Self {
            features: 2 * size.levels(),
            hidden: size.hidden(),
            group: size.group(),
        }
    }
    const fn base_in(&self) -> u32 {
        self.features / 4
    }
    const fn base_row(&self) -> u32 {
        self.base_in() + GEOMETRY / 4 + 1
    }
    const fn base_bias(&self) -> u32 {
        self.hidden * self.base_row()
    }
    const fn head(&self) -> u32 {
        self.base_bias() + GEOMETRY / 4
    }
    const fn head_row(&self) -> u32 {
        GEOMETRY / 4 + self.hidden / 4
    }
    const fn head_bias(&self) -> u32 {
        self.head() + self.hidden * self.head_row()
    }
    const fn color(&self) -> u32 {
        self.head_bias() + self.hidden / 4
    }
    const fn color_bias(&self) -> u32 {
        self.color() + self.hidden
    }
    const fn ray(&self) -> u32 {
        self.color_bias() + 1
    }
    const fn ray_row(&self) -> u32 {
        (HARMONICS + APPEARANCE) / 4 + 1
    }
    /// vec4s of the network's buffer.
    pub const fn vectors(&self) -> u32 {
        self.ray() + self.hidden * self.ray_row()
    }
    const fn base_at(&self) -> u32 {
        POINT_CHANNELS + self.features + 3
    }
    const fn d_base_kept(&self) -> u32 {
        1
    }
    const fn d_base_hidden_kept(&self) -> u32 {
        self.d_base_kept() + GEOMETRY / 4
    }
    const fn d_head1_kept(&self) -> u32 {
        self.d_base_hidden_kept() + self.hidden / 4
    }
    const fn d_head2_kept(&self) -> u32 {
        self.d_head1_kept() + self.hidden / 4
    }
    const fn features_kept(&self) -> u32 {
        self.d_head2_kept() + self.hidden / 4
    }
    const fn base_hidden_kept(&self) -> u32 {
        self.features_kept() + self.features / 4
    }
    const fn base_kept(&self) -> u32 {
        self.base_hidden_kept() + self.hidden / 4
    }
    const fn head1_kept(&self) -> u32 {
        self.base_kept() + GEOMETRY / 4
    }
    const fn head2_kept(&self) -> u32 {
        self.head1_kept() + self.hidden / 4
    }
    /// Blocks of four channels that a step keeps of a quad, see `luxen/kept.wgsl`.
    pub const fn kept_blocks(&self) -> u32 {
        self.head2_kept() + self.hidden / 4
    }

    pub fn arena(&self) -> Arena {
        Arena {
            features: self.features,
            forward: self.base_at() + GEOMETRY + 3,
            backward: self.features + 4,
            features_at: POINT_CHANNELS,
            density_at: POINT_CHANNELS + self.features,
            d_density_at: self.features,
            color_at: self.base_at() + GEOMETRY,
            d_color_at: self.features + 1,
        }
    }

    /// All layers. The last is summed over rays, the others over samples.
    pub fn layers(&self) -> [LayerGradient; 6] {
        let Self {
            features, hidden, ..
        } = *self;
        let head_inputs = HARMONICS + GEOMETRY - 1 + APPEARANCE;
        [
            LayerGradient {
                weights: LayerWeights {
                    rows: hidden,
                    columns: features,
                    first: 0,
                    row_stride: 4 * self.base_row(),
                    column_stride: 1,
                    bias: Some((4 * (self.base_row() - 1), 4 * self.base_row())),
                    fan_in: features,
                    fan_out: hidden,
                },
                back: Source::Kept(4 * self.d_base_hidden_kept()),
                went_in: Source::Kept(4 * self.features_kept()),
            },
            LayerGradient {
                weights: LayerWeights {
                    rows: GEOMETRY,
                    columns: hidden,
                    first: 4 * self.base_in(),
                    row_stride: 1,
                    column_stride: 4 * self.base_row(),
                    bias: Some((4 * self.base_bias(), 1)),
                    fan_in: hidden,
                    fan_out: GEOMETRY,
                },
                back: Source::Kept(4 * self.d_base_kept()),
                went_in: Source::Kept(4 * self.base_hidden_kept()),
            },
            LayerGradient {
                weights: LayerWeights {
                    rows: hidden,
                    columns: GEOMETRY - 1,
                    first: 4 * self.head() + 1,
                    row_stride: 4 * self.head_row(),
                    column_stride: 1,
                    bias: None,
                    fan_in: head_inputs,
                    fan_out: hidden,
                },
                back: Source::Kept(4 * self.d_head1_kept()),
                went_in: Source::Kept(4 * self.base_kept() + 1),
            },
            LayerGradient {
                weights: LayerWeights {
                    rows: hidden,
                    columns: hidden,
                    first: 4 * self.head() + GEOMETRY,
                    row_stride: 1,
                    column_stride: 4 * self.head_row(),
                    bias: Some((4 * self.head_bias(), 1)),
                    fan_in: hidden,
                    fan_out: hidden,
                },
                back: Source::Kept(4 * self.d_head2_kept()),
                went_in: Source::Kept(4 * self.head1_kept()),
            },
            LayerGradient {
                weights: LayerWeights {
                    rows: 3,
                    columns: hidden,
                    first: 4 * self.color(),
                    row_stride: 1,
                    column_stride: 4,
                    bias: Some((4 * self.color_bias(), 1)),
                    fan_in: hidden,
                    fan_out: 3,
                },
                back: Source::Kept(0),
                went_in: Source::Kept(4 * self.head2_kept()),
            },
            LayerGradient {
                weights: LayerWeights {
                    rows: hidden,
                    columns: HARMONICS + APPEARANCE,
                    first: 4 * self.ray(),
                    row_stride: 4 * self.ray_row(),
                    column_stride: 1,
                    bias: Some((4 * self.ray() + HARMONICS + APPEARANCE, 4 * self.ray_row())),
                    fan_in: head_inputs,
                    fan_out: hidden,
                },
                back: Source::Rays,
                went_in: Source::Rays,
            },
        ]
    }
}

/// A proposal's network.
#[derive(Clone, Copy, Debug)]
pub struct ProposalLayout;

impl ProposalLayout {
    const FEATURES: u32 = 10;
    const HIDDEN: u32 = 16;
    const ROW: u32 = 3;
    /// vec4s of the network's buffer.
    pub const VECTORS: u32 = Self::HIDDEN * Self::ROW + 1;

    pub fn arena() -> Arena {
        Arena {
            features: Self::FEATURES,
            forward: POINT_CHANNELS + Self::FEATURES + 4,
            backward: Self::FEATURES + 2 + 2 * Self::HIDDEN,
            features_at: POINT_CHANNELS,
            density_at: POINT_CHANNELS + Self::FEATURES,
            d_density_at: Self::FEATURES,
            color_at: 0,
            d_color_at: 0,
        }
    }

    pub fn layers() -> [LayerGradient; 2] {
        let row = 4 * Self::ROW;
        let hidden_at = Self::FEATURES + 2;
        [
            LayerGradient {
                weights: LayerWeights {
                    rows: Self::HIDDEN,
                    columns: Self::FEATURES,
                    first: 0,
                    row_stride: row,
                    column_stride: 1,
                    bias: Some((Self::FEATURES, row)),
                    fan_in: Self::FEATURES,
                    fan_out: Self::HIDDEN,
                },
                back: Source::Backward(hidden_at + Self::HIDDEN),
                went_in: Source::Forward(POINT_CHANNELS),
            },
            LayerGradient {
                weights: LayerWeights {
                    rows: 1,
                    columns: Self::HIDDEN,
                    first: row - 1,
                    row_stride: 0,
                    column_stride: row,
                    bias: Some((4 * Self::HIDDEN * Self::ROW, 0)),
                    fan_in: Self::HIDDEN,
                    fan_out: 1,
                },
                back: Source::Backward(Self::FEATURES + 1),
                went_in: Source::Backward(hidden_at),
            },
        ]
    }
}

/// The constants of `luxen/network.wgsl` and `luxen/proposal_network.wgsl`, by name.
pub fn constants(size: Option<Size>) -> Vec<(&'static str, u32)> {
    let Some(size) = size else {
        let arena = ProposalLayout::arena();
        return vec![
            ("FEATURES", ProposalLayout::FEATURES),
            ("HIDDEN", ProposalLayout::HIDDEN),
            ("ROW", ProposalLayout::ROW),
            ("OUT_BIAS", ProposalLayout::VECTORS - 1),
            ("NETWORK", ProposalLayout::VECTORS),
            ("FEATURES_AT", arena.features_at),
            ("DENSITY_AT", arena.density_at),
            ("LOGIT_AT", arena.forward - 1),
            ("D_DENSITY_AT", arena.d_density_at),
            ("D_LOGIT_AT", arena.d_density_at + 1),
            ("HIDDEN_AT", arena.d_density_at + 2),
            (
                "D_HIDDEN_AT",
                arena.d_density_at + 2 + ProposalLayout::HIDDEN,
            ),
        ];
    };
    let l = FieldLayout::new(size);
    let arena = l.arena();
    vec![
        ("FEATURES", l.features),
        ("HIDDEN", l.hidden),
        ("GROUP", l.group),
        ("SPLITS", size.splits()),
        ("APPEARANCE", APPEARANCE),
        ("BASE_ROW", l.base_row()),
        ("BASE_BIAS", l.base_bias()),
        ("HEAD", l.head()),
        ("HEAD_ROW", l.head_row()),
        ("HEAD_BIAS", l.head_bias()),
        ("COLOR", l.color()),
        ("COLOR_BIAS", l.color_bias()),
        ("RAY", l.ray()),
        ("RAY_ROW", l.ray_row()),
        ("NETWORK", l.vectors()),
        ("FEATURES_AT", arena.features_at),
        ("DENSITY_AT", arena.density_at),
        ("BASE_AT", l.base_at()),
        ("COLOR_AT", arena.color_at),
        ("D_DENSITY_AT", arena.d_density_at),
        ("D_COLOR_AT", arena.d_color_at),
        ("D_COLOR_KEPT", 0),
        ("D_BASE_KEPT", l.d_base_kept()),
        ("D_BASE_HIDDEN_KEPT", l.d_base_hidden_kept()),
        ("D_HEAD1_KEPT", l.d_head1_kept()),
        ("D_HEAD2_KEPT", l.d_head2_kept()),
        ("FEATURES_KEPT", l.features_kept()),
        ("BASE_HIDDEN_KEPT", l.base_hidden_kept()),
        ("BASE_KEPT", l.base_kept()),
        ("HEAD1_KEPT", l.head1_kept()),
        ("HEAD2_KEPT", l.head2_kept()),
    ]
}

/// What dispatches are counted by and their kernels say, too: kernel, name, value.
pub fn dispatch_constants() -> [(&'static str, &'static str, u32); 5] {
    [
        ("luxen/scatter", "RUN", SCATTER_RUN),
        ("luxen/scatter_pairs", "RUN", SCATTER_RUN),
        ("luxen/proposal_held", "HELD_LANES", HELD_LANES),
        ("luxen/layer_sums", "TILE", TILE),
        ("luxen/proposal", "GROUP", PROPOSAL_GROUP),
    ]
}
