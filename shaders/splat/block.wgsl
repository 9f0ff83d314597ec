// A thread owns a block of pixels: 2 or 4 rows of four.
const COLUMNS: u32 = 4u;
const BLOCKS_ACROSS: u32 = TILE.x / COLUMNS;
const THREADS: u32 = TILE.x * TILE.y / (COLUMNS * ROWS);

// First pixel of a thread's block.
fn block_origin(tile: vec2<u32>, local: u32) -> vec2<u32> {
    return tile * TILE + vec2(local % BLOCKS_ACROSS * COLUMNS, local / BLOCKS_ACROSS * ROWS);
}

// The pixels of a row that starts at `x`.
fn columns_from(x: u32) -> vec4<u32> {
    return vec4(x, x + 1u, x + 2u, x + 3u);
}
