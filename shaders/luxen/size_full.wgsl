const FEATURES: u32 = 32u;
const HIDDEN: u32 = 64u;
// Quads of an invocation, see `group`.
const GROUP: u32 = 1u;
// Invocations that share the samples of a layer's gradient, see `layer`.
const SPLITS: u32 = 64u;
