// The gradient of one layer's weights: for every pair of a channel that came back (rows) and a channel that went in
// (columns), the sum of their products over all samples; for every row, the bias, the sum of the channel itself. Tiles of
// TILE x TILE pairs, each summed by SPLITS invocations that share the samples.

struct Layer {
    quads: u32,
    // Rows and columns, and their first channels.
    rows: u32,
    columns: u32,
    row_at: u32,
    column_at: u32,
    has_bias: u32,
    // Where a weight's gradient goes: first + row * row_stride + column * column_stride, in f32s.
    first: u32,
    row_stride: u32,
    column_stride: u32,
    bias_first: u32,
    bias_stride: u32,
    // 1: add to what earlier chunks gave.
    accumulates: u32,
}

const SPLITS: u32 = 64u;

@group(0) @binding(0) var<uniform> layer: Layer;

// Partial sums: [tile][TILE x TILE][SPLITS], then the biases' [row][SPLITS].
fn partial_at(row: u32, column: u32) -> u32 {
    let tile = row / TILE * ((layer.columns + TILE - 1u) / TILE) + column / TILE;
    return ((tile * TILE + row % TILE) * TILE + column % TILE) * SPLITS;
}

fn bias_partial_at(row: u32) -> u32 {
    let tiles = (layer.rows + TILE - 1u) / TILE * ((layer.columns + TILE - 1u) / TILE);
    return (tiles * TILE * TILE + row) * SPLITS;
}
