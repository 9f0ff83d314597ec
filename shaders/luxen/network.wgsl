// The field's networks in one buffer of vec4s: density network (features, ReLU layer, 16 outputs of which the first is the
// density's logit), color network (15 geometry outputs, direction and appearance, two ReLU layers, rgb). A ray's direction
// and appearance meet the first layer once a ray, in `ray_hidden`. Weights lie so that a kernel walks the hidden neurons
// once, and per neuron reads what comes in and what goes out.

const GEOMETRY: u32 = 16u;
const APPEARANCE: u32 = 32u;
// Spherical harmonics, then appearance.
const RAY_INPUTS: u32 = 16u + APPEARANCE;

// Density network, a neuron: weights in [FEATURES], weights out [16], bias.
const BASE_IN: u32 = FEATURES / 4u;
const BASE_ROW: u32 = BASE_IN + GEOMETRY / 4u + 1u;
const BASE_BIAS: u32 = HIDDEN * BASE_ROW;
// Color network, a neuron of the first layer: weights in [16] (that of the logit is unused), weights out [HIDDEN].
const HEAD: u32 = BASE_BIAS + GEOMETRY / 4u;
const HEAD_IN: u32 = GEOMETRY / 4u;
const HEAD_OUT: u32 = HIDDEN / 4u;
const HEAD_ROW: u32 = HEAD_IN + HEAD_OUT;
const HEAD_BIAS: u32 = HEAD + HIDDEN * HEAD_ROW;
// A neuron of the second layer: weights to r, g, b.
const COLOR: u32 = HEAD_BIAS + HEAD_OUT;
const COLOR_BIAS: u32 = COLOR + HIDDEN;
// What a ray brings to a neuron of the first layer: weights [RAY_INPUTS], bias.
const RAY: u32 = COLOR_BIAS + 1u;
const RAY_ROW: u32 = RAY_INPUTS / 4u + 1u;
// All of it: 48 KiB at most, bound as a uniform, because all invocations read the same weight.
const NETWORK: u32 = RAY + HIDDEN * RAY_ROW;

// Channels of the forward arena.
const FEATURES_AT: u32 = 4u;
const DENSITY_AT: u32 = FEATURES_AT + FEATURES;
const BASE_AT: u32 = DENSITY_AT + 3u;
const COLOR_AT: u32 = BASE_AT + GEOMETRY;

// Channels of the backward arena.
const D_DENSITY_AT: u32 = FEATURES;
const D_COLOR_AT: u32 = D_DENSITY_AT + 1u;

// Blocks of four channels that are kept for the sums over samples, see `kept`: what came back to each layer, then what
// went into it.
const D_COLOR_KEPT: u32 = 0u;
const D_BASE_KEPT: u32 = D_COLOR_KEPT + 1u;
const D_BASE_HIDDEN_KEPT: u32 = D_BASE_KEPT + GEOMETRY / 4u;
const D_HEAD1_KEPT: u32 = D_BASE_HIDDEN_KEPT + HIDDEN / 4u;
const D_HEAD2_KEPT: u32 = D_HEAD1_KEPT + HIDDEN / 4u;
const FEATURES_KEPT: u32 = D_HEAD2_KEPT + HIDDEN / 4u;
const BASE_HIDDEN_KEPT: u32 = FEATURES_KEPT + FEATURES / 4u;
const BASE_KEPT: u32 = BASE_HIDDEN_KEPT + HIDDEN / 4u;
const HEAD1_KEPT: u32 = BASE_KEPT + GEOMETRY / 4u;
const HEAD2_KEPT: u32 = HEAD1_KEPT + HIDDEN / 4u;
