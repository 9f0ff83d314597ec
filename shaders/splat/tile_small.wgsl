// Tiles for adapters that run a group on one core: one vector of wide threads, because loads cost more than arithmetic.
const TILE: vec2<u32> = vec2<u32>(16u, 8u);
const ROWS: u32 = 4u;
const BATCH: u32 = 16u;
const PARTS: u32 = 1u;
