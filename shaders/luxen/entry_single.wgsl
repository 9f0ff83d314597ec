@group(0) @binding(1) var<storage, read> table: array<vec2<f32>>;

// Features of an entry, in units of `ENTRY_UNIT`.
fn entry(row: u32) -> vec2<f32> {
    return table[row];
}

const ENTRY_UNIT: f32 = 1.0;
