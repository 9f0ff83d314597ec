// One thread a visible splat, in depth order: a slot for each tile it touches.
@group(0) @binding(1) var<storage, read> status: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> first_slots: array<u32>;
@group(0) @binding(4) var<storage, read> projected: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> slot_ranges: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> tile_keys: array<u32>;
@group(0) @binding(7) var<storage, read_write> slot_splats: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rank = linear_index(group, groups, local, 64u);
    if rank >= status[STATUS_VISIBLE] {
        return;
    }
    let splat = order[rank];
    let first = min(first_slots[rank], view.capacity);
    let end = first + min(slot_ranges[splat].y, view.capacity - first);
    slot_ranges[splat] = vec2(first, end - first);
    let p0 = projected[PROJECTED * splat];
    let p1 = projected[PROJECTED * splat + 1u];
    let extent = vec2(p1.w, projected[PROJECTED * splat + 2u].w);
    let ellipse = ellipse_of(p0.xy, vec3(p0.zw, p1.x), cut_of(p1.y), extent);
    let rows = tile_rows(ellipse);
    var slot = first;
    for (var row = rows.x; row < rows.y; row++) {
        let span = tiles_in_row(ellipse, row);
        for (var column = span.x; column < span.y; column++) {
            if slot < end {
                tile_keys[slot] = row * view.tiles.x + column;
                slot_splats[slot] = splat;
                slot++;
            }
        }
    }
    // Another compiler's rounding could have counted one more: park what is left behind the last tile.
    for (; slot < end; slot++) {
        tile_keys[slot] = view.tiles.x * view.tiles.y;
        slot_splats[slot] = splat;
    }
}
