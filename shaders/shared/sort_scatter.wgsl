// Moves the items to where the scanned counters say.
@group(0) @binding(0) var<uniform> sort_pass: SortPass;
@group(0) @binding(1) var<storage, read> status: array<u32>;
@group(0) @binding(2) var<storage, read> keys_in: array<u32>;
@group(0) @binding(3) var<storage, read> values_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> counters: array<u32>;
@group(0) @binding(5) var<storage, read_write> keys_out: array<u32>;
@group(0) @binding(6) var<storage, read_write> values_out: array<u32>;

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
    for (var i = begin; i < end; i++) {
        let key = keys_in[i];
        if sort_pass.skip == 0u || key != SKIPPED_KEY {
            let counter = ((key >> sort_pass.shift) & (sort_pass.bins - 1u)) * blocks + block;
            let place = counters[counter];
            counters[counter] = place + 1u;
            var value = i;
            if sort_pass.values_are_indices == 0u {
                value = values_in[i];
            }
            keys_out[place] = key;
            values_out[place] = value;
        }
    }
}
