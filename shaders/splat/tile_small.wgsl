// Tiles for adapters that run a group on one core: few, wide threads.
const TILE: u32 = 8u;
const BATCH: u32 = 16u;
const PARTS: u32 = 1u;
