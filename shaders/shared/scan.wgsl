// Exclusive prefix sum of `length` numbers in three kernels: sums of chunks, scan of the sums, scan inside the chunks.
// Sums saturate at 0xffffffff.
struct Scan {
    length: u32,
    // What the total is written to, see SCAN_TO_*.
    destination: u32,
    capacity: u32,
    padding: u32,
}

const SCAN_CHUNK: u32 = 64u;
const SCAN_TO_NOTHING: u32 = 0u;
const SCAN_TO_INTERSECTIONS: u32 = 1u;
// This plus a position: to that word of the status.
const SCAN_TO_WORD: u32 = 2u;

const STATUS_INTERSECTIONS: u32 = 0u;
const STATUS_OVERFLOW: u32 = 1u;
const STATUS_VISIBLE: u32 = 2u;
const STATUS_SORTED: u32 = 3u;

fn saturating_add(a: u32, b: u32) -> u32 {
    let sum = a + b;
    return select(sum, 0xffffffffu, sum < a);
}
