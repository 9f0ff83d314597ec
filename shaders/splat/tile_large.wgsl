// Tiles for graphics cards: a group is one wave.
const TILE: vec2<u32> = vec2<u32>(16u, 16u);
const ROWS: u32 = 2u;
const BATCH: u32 = 6u;
const PARTS: u32 = 5u;
