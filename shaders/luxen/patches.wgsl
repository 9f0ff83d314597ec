// Patches of photos beside the rendered ones: `shown` becomes what the rays' pixels show. Pixels that do not count are
// black in both.

@group(0) @binding(1) var<storage, read> rays: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> render: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> shown: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    let at = batch.first_ray + id.x;
    let weight = rays[3u * id.x + 1u].w;
    render[at] = vec4(weight * render[at].xyz, render[at].w);
    shown[at] = vec4(weight * rays[3u * id.x + 2u].xyz, weight);
}
