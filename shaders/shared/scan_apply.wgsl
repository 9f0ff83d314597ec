@group(0) @binding(0) var<uniform> scan: Scan;
@group(0) @binding(1) var<storage, read> sums: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let chunk = linear_index(group, groups, local, 64u);
    if chunk >= (scan.length + SCAN_CHUNK - 1u) / SCAN_CHUNK {
        return;
    }
    let begin = chunk * SCAN_CHUNK;
    let end = min(begin + SCAN_CHUNK, scan.length);
    var sum = sums[chunk];
    for (var i = begin; i < end; i++) {
        let value = values[i];
        values[i] = sum;
        sum = saturating_add(sum, value);
    }
}
