// Tiles for graphics cards: a group is one wave.
const TILE: u32 = 16u;
const BATCH: u32 = 6u;
const PARTS: u32 = 5u;
