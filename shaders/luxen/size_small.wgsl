const FEATURES: u32 = 16u;
const HIDDEN: u32 = 32u;
// See `layer`: sides of its tiles, and invocations of a workgroup.
const TILE: u32 = 16u;
const LANES: u32 = 16u;
// Quads of an invocation, see `group`.
const GROUP: u32 = 2u;
