// Where each tile's intersections begin and end in the sorted list, and the list of (splat, slot) itself.
@group(0) @binding(1) var<storage, read> status: array<u32>;
@group(0) @binding(2) var<storage, read> sorted_keys: array<u32>;
@group(0) @binding(3) var<storage, read> sorted_slots: array<u32>;
@group(0) @binding(4) var<storage, read> slot_splats: array<u32>;
@group(0) @binding(5) var<storage, read_write> intersections: array<vec2<u32>>;
// Zero before.
@group(0) @binding(6) var<storage, read_write> tile_ranges: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let count = status[STATUS_SORTED];
    let tiles = view.tiles.x * view.tiles.y;
    for (var i = id.x; i < count; i += groups.x * 64u) {
        let slot = sorted_slots[i];
        intersections[i] = vec2(slot_splats[slot], slot);
        let tile = sorted_keys[i];
        var previous = 0xffffffffu;
        if i > 0u {
            previous = sorted_keys[i - 1u];
        }
        if tile != previous {
            if tile < tiles {
                tile_ranges[tile].x = i;
            }
            if previous < tiles {
                tile_ranges[previous].y = i;
            }
        }
        if i + 1u == count && tile < tiles {
            tile_ranges[tile].y = count;
        }
    }
}
