// Both features in one access, which is what a processor's adapter pays for.
@group(0) @binding(1) var<storage, read> table: array<u64>;

// Features of an entry, in units of `ENTRY_UNIT`.
fn entry(row: u32) -> vec2<f32> {
    let features = table[row];
    return bitcast<vec2<f32>>(vec2(u32(features), u32(features >> 32u)));
}

const ENTRY_UNIT: f32 = 1.0;
