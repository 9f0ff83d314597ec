const FEATURES: u32 = 16u;
const HIDDEN: u32 = 32u;
// Quads of an invocation, see `group`.
const GROUP: u32 = 2u;
// Invocations that share the samples of a layer's gradient, see `layer`.
const SPLITS: u32 = 16u;
