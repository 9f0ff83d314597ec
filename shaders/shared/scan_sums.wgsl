// One group scans the sums of the chunks and writes the total where it is wanted.
@group(0) @binding(0) var<uniform> scan: Scan;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
@group(0) @binding(2) var<storage, read_write> status: array<u32>;

const THREADS: u32 = 64u;
var<workgroup> parts: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) local: u32) {
    let chunks = (scan.length + SCAN_CHUNK - 1u) / SCAN_CHUNK;
    let each = (chunks + THREADS - 1u) / THREADS;
    let begin = min(local * each, chunks);
    let end = min(begin + each, chunks);
    var sum = 0u;
    for (var i = begin; i < end; i++) {
        sum = saturating_add(sum, sums[i]);
    }
    parts[local] = sum;
    workgroupBarrier();
    if local == 0u {
        var total = 0u;
        for (var i = 0u; i < THREADS; i++) {
            let part = parts[i];
            parts[i] = total;
            total = saturating_add(total, part);
        }
        if scan.destination >= SCAN_TO_WORD {
            status[scan.destination - SCAN_TO_WORD] = total;
        }
        if scan.destination == SCAN_TO_INTERSECTIONS {
            status[STATUS_INTERSECTIONS] = total;
            status[STATUS_OVERFLOW] = select(0u, 1u, total > scan.capacity);
            status[STATUS_SORTED] = min(total, scan.capacity);
        }
    }
    workgroupBarrier();
    sum = parts[local];
    for (var i = begin; i < end; i++) {
        let value = sums[i];
        sums[i] = sum;
        sum = saturating_add(sum, value);
    }
}
