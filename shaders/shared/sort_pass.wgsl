// One pass of a least-significant-digit radix sort. Each of `blocks` threads owns a contiguous chunk of the items and
// walks it in order, which makes the sort stable without any barrier. `counters` is [bins, blocks].
struct SortPass {
    shift: u32,
    bins: u32,
    blocks: u32,
    // Where the number of items stands in `status`, or NOT_IN_STATUS: then it is `count`.
    count_index: u32,
    count: u32,
    // 1: the values are the items' own indices, `values_in` is not read.
    values_are_indices: u32,
    // 1: items whose key is SKIPPED_KEY are left out of the result.
    skip: u32,
    padding: u32,
}

const NOT_IN_STATUS: u32 = 0xffffffffu;
const SKIPPED_KEY: u32 = 0xffffffffu;
