// Channels in blocks, as they are kept.
@group(0) @binding(1) var<storage, read> kept: array<Kept>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

fn back_block(layer: Layer, row: u32, quad: u32) -> mat4x4<f32> {
    let channel = layer.row_at + min(row, layer.rows - 1u);
    return unpacked(kept[channel / 4u * layer.quads + quad]);
}

fn in_block(layer: Layer, column: u32, quad: u32) -> mat4x4<f32> {
    let channel = layer.column_at - layer.skipped + min(column, layer.columns + layer.skipped - 1u);
    return unpacked(kept[channel / 4u * layer.quads + quad]);
}
