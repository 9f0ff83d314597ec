@group(0) @binding(4) var<storage, read_write> d_table: array<atomic<i32>>;

// To an entry's two features.
fn add(row: u32, first: i32, second: i32) {
    if first != 0 {
        atomicAdd(&d_table[2u * row], first);
    }
    if second != 0 {
        atomicAdd(&d_table[2u * row + 1u], second);
    }
}
