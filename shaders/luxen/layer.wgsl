// The gradient of layers' weights: for every pair of a channel that came back (rows) and a channel that went in (columns),
// the sum of their products over all samples; for every row, the bias, the sum of the channel itself. Tiles of TILE x TILE
// pairs, which a processor's registers hold, each summed by a workgroup whose invocations share the samples.

struct Layer {
    // Of the samples, or rays, that are summed over.
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
    // Channels of the columns' first block that are no columns.
    skipped: u32,
    // Of the layer, in order: tile of the dispatch that sums, partial sum, weight or bias of the dispatch that reduces.
    first_tile: u32,
    first_partial: u32,
    first_weight: u32,
    padding: u32,
}

struct Layers {
    count: u32,
    // 1: add to what earlier chunks gave.
    accumulates: u32,
    padding0: u32,
    padding1: u32,
    each: array<Layer, 6>,
}

const TILE: u32 = 8u;

@group(0) @binding(0) var<uniform> layers: Layers;

fn tiles_across(layer: Layer) -> u32 {
    return (layer.columns + layer.skipped + TILE - 1u) / TILE;
}

// Partial sums: [tile][row][column][SPLITS], then the biases' [row][SPLITS]. Columns count those that are skipped.
fn partial_at(layer: Layer, row: u32, column: u32) -> u32 {
    let tile = row / TILE * tiles_across(layer) + column / TILE;
    return layer.first_partial + ((tile * TILE + row % TILE) * TILE + column % TILE) * SPLITS;
}

fn bias_partial_at(layer: Layer, row: u32) -> u32 {
    let tiles = (layer.rows + TILE - 1u) / TILE * tiles_across(layer);
    return layer.first_partial + (tiles * TILE * TILE + row) * SPLITS;
}
