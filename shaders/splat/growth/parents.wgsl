// The rows that stay, in their order.
@group(0) @binding(1) var<storage, read> actions: array<u32>;
// Exclusive prefix sum of those that stay.
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.splats || actions[i] == ACTION_REMOVE {
        return;
    }
    rows[places[i]] = select(i, i | ROW_FRESH | ROW_SPLIT, actions[i] == ACTION_SPLIT_NOW);
}
