// Histogram of one digit for every block.
@group(0) @binding(0) var<uniform> sort_pass: SortPass;
@group(0) @binding(1) var<storage, read> status: array<u32>;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> counters: array<u32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = id.x;
    let blocks = sort_pass.blocks;
    if block >= blocks {
        return;
    }
    var count = sort_pass.count;
    if sort_pass.count_index != NOT_IN_STATUS {
        count = status[sort_pass.count_index];
    }
    let chunk = (count + blocks - 1u) / blocks;
    let begin = min(block * chunk, count);
    let end = min(begin + chunk, count);
    for (var bin = 0u; bin < sort_pass.bins; bin++) {
        counters[bin * blocks + block] = 0u;
    }
    for (var i = begin; i < end; i++) {
        let key = keys[i];
        if sort_pass.skip == 0u || key != SKIPPED_KEY {
            let bin = (key >> sort_pass.shift) & (sort_pass.bins - 1u);
            counters[bin * blocks + block] += 1u;
        }
    }
}
