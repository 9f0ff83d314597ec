// A proposal's density network: 10 features, a ReLU layer of 16, the logit. A neuron's row: weights in [10], bias, weight
// out; the output's bias follows the rows.

const FEATURES: u32 = 10u;
const HIDDEN: u32 = 16u;
const ROW: u32 = 3u;
const OUT_BIAS: u32 = HIDDEN * ROW;
const NETWORK: u32 = OUT_BIAS + 1u;

// Channels of the forward arena.
const FEATURES_AT: u32 = 4u;
const DENSITY_AT: u32 = 14u;
const LOGIT_AT: u32 = 17u;

// Channels of the backward arena.
const D_DENSITY_AT: u32 = FEATURES;
const D_LOGIT_AT: u32 = 11u;
const HIDDEN_AT: u32 = 12u;
const D_HIDDEN_AT: u32 = HIDDEN_AT + HIDDEN;
