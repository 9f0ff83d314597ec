// The gradient of one layer's weights: for every pair of a channel that came back (rows) and a channel that went in
// (columns), the sum of their products over all samples. Tiles of 8 x 8 pairs, each summed by SPLITS invocations that share
// the samples; the bias is a column of ones after the last.

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

fn column_count() -> u32 {
    return layer.columns + layer.has_bias;
}

// Partial sums: [tile][8 x 8][SPLITS].
fn partial_at(row: u32, column: u32) -> u32 {
    let tile = row / 8u * ((column_count() + 7u) / 8u) + column / 8u;
    return (tile * 64u + (row % 8u) * 8u + column % 8u) * SPLITS;
}
