const FEATURES: u32 = 32u;
const HIDDEN: u32 = 64u;
// See `layer`: sides of its tiles, and invocations of a workgroup.
const TILE: u32 = 8u;
const LANES: u32 = 64u;
// Quads of an invocation, see `group`.
const GROUP: u32 = 1u;
