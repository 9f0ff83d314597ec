// Rays of a picture, one a pixel, row by row. A ray that sees nothing has a span of no length, and shows the background.

@group(0) @binding(1) var<uniform> camera: View;
@group(0) @binding(2) var<storage, read_write> rays: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> cells: array<f32>;
@group(0) @binding(4) var<storage, read_write> spans: array<vec2<f32>>;
@group(0) @binding(5) var<uniform> crop: Crop;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    // Rays beyond the last pixel repeat it.
    let pixel = min(batch.first_ray + id.x, camera.size.x * camera.size.y - 1u);
    let direction = direction_of(camera, vec2(pixel % camera.size.x, pixel / camera.size.x));
    let span = span_of(camera.position.xyz, direction);
    spans[id.x] = cropped(crop, span, camera.position.xyz, direction);
    rays[3u * id.x] = vec4(camera.position.xyz, f32(batch.appearance_row));
    rays[3u * id.x + 1u] = vec4(direction, 1.0);
    rays[3u * id.x + 2u] = vec4(0.0, 0.0, 0.0, dot(direction, camera.forward.xyz));
}
