// Slots of each splat, in depth order.
@group(0) @binding(1) var<storage, read> status: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> slot_ranges: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rank = linear_index(group, groups, local, 64u);
    if rank >= view.splats {
        return;
    }
    var count = 0u;
    if rank < status[STATUS_VISIBLE] {
        count = slot_ranges[order[rank]].y;
    }
    counts[rank] = count;
}
