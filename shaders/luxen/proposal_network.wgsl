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

// Features of a quad as blocks of four channels; the last are the features 8 and 9, the bias's 1, and nothing.
fn features_of(quad: u32) -> array<mat4x4<f32>, ROW> {
    let quads = quad_count();
    let at = FEATURES_AT * quads + quad;
    return array<mat4x4<f32>, ROW>(
        mat4x4<f32>(arena[at], arena[at + quads], arena[at + 2u * quads], arena[at + 3u * quads]),
        mat4x4<f32>(arena[at + 4u * quads], arena[at + 5u * quads], arena[at + 6u * quads], arena[at + 7u * quads]),
        mat4x4<f32>(arena[at + 8u * quads], arena[at + 9u * quads], vec4(1.0), vec4(0.0)),
    );
}
