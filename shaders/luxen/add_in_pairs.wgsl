@group(0) @binding(4) var<storage, read_write> d_table: array<atomic<u64>>;

// To an entry's two features at once, as first + 2^32 second: a negative first lends from the second, see `adam_table`.
fn add(row: u32, first: i32, second: i32) {
    if first != 0 || second != 0 {
        let high = second - select(0, 1, first < 0);
        atomicAdd(&d_table[row], u64(bitcast<u32>(first)) | (u64(bitcast<u32>(high)) << 32u));
    }
}
