// Channels as f32s, each on its own.
@group(0) @binding(1) var<storage, read> back: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> went_in: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

fn back_at(layer: Layer, row: u32, quad: u32) -> vec4<f32> {
    return back[(layer.row_at + min(row, layer.rows - 1u)) * layer.quads + quad];
}

fn in_at(layer: Layer, column: u32, quad: u32) -> vec4<f32> {
    return went_in[(layer.column_at + min(column, layer.columns - 1u)) * layer.quads + quad];
}

fn back_block(layer: Layer, row: u32, quad: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        back_at(layer, row, quad),
        back_at(layer, row + 1u, quad),
        back_at(layer, row + 2u, quad),
        back_at(layer, row + 3u, quad),
    );
}

fn in_block(layer: Layer, column: u32, quad: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        in_at(layer, column, quad),
        in_at(layer, column + 1u, quad),
        in_at(layer, column + 2u, quad),
        in_at(layer, column + 3u, quad),
    );
}
