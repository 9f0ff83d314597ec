// destination[i] = source[rows[i]] for rows of `width` elements, `rows` as `growth/row.wgsl` has them. Source and
// destination may be parts: what comes from another part of the source is left alone.

struct GatherParams {
    // Rows of the destination that are bound * width.
    count: u32,
    width: u32,
    // Invocations in a row of workgroups.
    stride: u32,
    // 1: fresh rows are zero.
    fresh_is_zero: u32,
    // Where in `rows` the destination begins.
    first_place: u32,
    // Rows of the source that are bound.
    first_row: u32,
    end_row: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> params: GatherParams;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read_write> destination: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = id.y * params.stride + id.x;
    if (index >= params.count) {
        return;
    }
    let place = index / params.width;
    let row = rows[params.first_place + place];
    let source_row = row & ROW;
    if (params.fresh_is_zero != 0u && (row & ROW_FRESH) != 0u) {
        destination[index] = 0.0;
    } else if (source_row >= params.first_row && source_row < params.end_row) {
        destination[index] = source[(source_row - params.first_row) * params.width + (index - place * params.width)];
    }
}
