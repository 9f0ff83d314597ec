// Training rays: random pixels of random views, whole patches where the loss wants them. Photos lie one after another in
// up to four pools, because one binding may not hold them all. A ray that crosses only empty cells and whose pixel shows
// the background has nothing to teach: another pixel is drawn in its place.

@group(0) @binding(1) var<storage, read> views: array<View>;
@group(0) @binding(2) var<storage, read> pool0: array<u32>;
@group(0) @binding(3) var<storage, read> pool1: array<u32>;
@group(0) @binding(4) var<storage, read> pool2: array<u32>;
@group(0) @binding(5) var<storage, read> pool3: array<u32>;
@group(0) @binding(6) var<storage, read_write> rays: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> cells: array<f32>;
@group(0) @binding(8) var<storage, read_write> spans: array<vec2<f32>>;
@group(0) @binding(9) var<uniform> draw: Draw;

// Pixels drawn at most for a ray.
const DRAWS: u32 = 8u;

fn below(count: u32, ray: u32, purpose: u32) -> u32 {
    return min(u32(random(ray, purpose) * f32(count)), count - 1u);
}

fn texel_of(view: View, pixel: vec2<u32>) -> vec4<f32> {
    let at = view.size.z + pixel.y * view.size.x + pixel.x;
    switch view.size.w {
        case 0u: { return unpack4x8unorm(pool0[at]); }
        case 1u: { return unpack4x8unorm(pool1[at]); }
        case 2u: { return unpack4x8unorm(pool2[at]); }
        default: { return unpack4x8unorm(pool3[at]); }
    }
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
    for (var attempt = 0u; attempt < DRAWS; attempt++) {
        let purpose = attempt * DRAW_PURPOSES;
        let view = views[below(draw.views, patch_index, purpose + FOR_VIEW)];
        let corner = vec2(
            below(max(view.size.x + 1u, side + 1u) - side, patch_index, purpose + FOR_COLUMN),
            below(max(view.size.y + 1u, side + 1u) - side, patch_index, purpose + FOR_ROW),
        );
        let pixel = min(corner + vec2(within % side, within / side), view.size.xy - 1u);
        let color = texel_of(view, pixel);
        let direction = direction_of(view, pixel);
        var span = span_of(view.position.xyz, direction);
        let sees_nothing = span.x >= span.y;
        if sees_nothing {
            span = vec2(0.0, 1.0);
        }
        spans[id.x] = span;
        rays[3u * id.x] = view.position;
        rays[3u * id.x + 1u] = vec4(direction, color.w);
        rays[3u * id.x + 2u] = vec4(color.xyz, dot(direction, view.forward.xyz));
        let difference = abs(color.xyz - batch.background);
        let is_background = all(difference < vec3(0.5 / 255.0)) || color.w == 0.0;
        if side > 1u || !sees_nothing || !is_background {
            break;
        }
    }
}
