// Training rays: random pixels of random views, whole patches where the loss wants them. Photos lie one after another in
// up to four pools, because one binding may not hold them all.

@group(0) @binding(1) var<storage, read> views: array<View>;
@group(0) @binding(2) var<storage, read> pool0: array<u32>;
@group(0) @binding(3) var<storage, read> pool1: array<u32>;
@group(0) @binding(4) var<storage, read> pool2: array<u32>;
@group(0) @binding(5) var<storage, read> pool3: array<u32>;
@group(0) @binding(6) var<storage, read_write> rays: array<vec4<f32>>;

fn below(count: u32, ray: u32, purpose: u32) -> u32 {
    return min(u32(random(ray, purpose) * f32(count)), count - 1u);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    let ray = batch.first_ray + id.x;
    let side = batch.patch_side;
    let patch_index = ray / (side * side);
    let within = ray % (side * side);
    let chosen = below(batch.views, patch_index, FOR_VIEW);
    let view = views[chosen];
    let corner = vec2(
        below(max(view.size.x + 1u, side + 1u) - side, patch_index, FOR_COLUMN),
        below(max(view.size.y + 1u, side + 1u) - side, patch_index, FOR_ROW),
    );
    let pixel = min(corner + vec2(within % side, within / side), view.size.xy - 1u);
    let at = view.size.z + pixel.y * view.size.x + pixel.x;
    var packed: u32;
    switch view.size.w {
        case 0u: { packed = pool0[at]; }
        case 1u: { packed = pool1[at]; }
        case 2u: { packed = pool2[at]; }
        default: { packed = pool3[at]; }
    }
    let color = unpack4x8unorm(packed);
    let direction = direction_of(view, pixel);
    rays[3u * id.x] = vec4(view.position.xyz, f32(chosen));
    rays[3u * id.x + 1u] = vec4(direction, color.w);
    rays[3u * id.x + 2u] = vec4(color.xyz, dot(direction, view.forward.xyz));
}
