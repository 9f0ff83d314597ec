const FEATURES: u32 = 32u;
const HIDDEN: u32 = 64u;
// Quads of an invocation, see `group`.
const GROUP: u32 = 1u;
