// A thread owns a block of 4×2 pixels, as two rows of four.
const BLOCK_WIDTH: u32 = 4u;
const BLOCK_HEIGHT: u32 = 2u;
const BLOCKS_ACROSS: u32 = TILE / BLOCK_WIDTH;
const THREADS: u32 = TILE * TILE / (BLOCK_WIDTH * BLOCK_HEIGHT);
const COLUMNS: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

// First pixel of a thread's block.
fn block_origin(tile: vec2<u32>, local: u32) -> vec2<u32> {
    return tile * TILE + vec2(local % BLOCKS_ACROSS * BLOCK_WIDTH, local / BLOCKS_ACROSS * BLOCK_HEIGHT);
}
