// The added rows: those that are pulled hardest, as many as there is room for.
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read_write> actions: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let child = linear_index(group, groups, local, 64u);
    if child >= growth.drawn {
        return;
    }
    let i = order[child];
    var row = i | ROW_FRESH;
    if actions[i] == ACTION_SPLIT {
        row |= ROW_SPLIT;
        actions[i] = ACTION_SPLIT_NOW;
    }
    rows[growth.kept + child] = row;
}
