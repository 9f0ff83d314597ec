// Rows of the set to be: the living where they are, each dead one at a drawn splat, and the added ones behind.
@group(0) @binding(1) var<storage, read> dead: array<u32>;
// Exclusive prefix sum of the dead.
@group(0) @binding(2) var<storage, read> dead_before: array<u32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read> counts: array<u32>;
@group(0) @binding(5) var<storage, read_write> rows: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.rows {
        return;
    }
    if i >= growth.splats {
        rows[i] = targets[growth.dead + i - growth.splats] | ROW_FRESH;
    } else if dead[i] != 0u {
        rows[i] = targets[dead_before[i]] | ROW_FRESH;
    } else {
        rows[i] = select(i, i | ROW_FRESH, counts[i] != 0u);
    }
}
