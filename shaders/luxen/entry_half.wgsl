@group(0) @binding(1) var<storage, read> table: array<u32>;

// Features of an entry, in units of `ENTRY_UNIT`.
fn entry(row: u32) -> vec2<f32> {
    return unpack2x16float(table[row]);
}

const ENTRY_UNIT: f32 = 1.0 / HALF_SCALE;
