// The appearance gradients of rays into the rows of their views. One ray and value (the workgroup's y) an invocation.

@group(0) @binding(1) var<storage, read> rays: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> d_appearances: array<f32>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<atomic<i32>>;

const APPEARANCE: u32 = 32u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    let fixed = to_fixed(d_appearances[id.y * batch.rays + id.x], scales[0]);
    if fixed != 0 {
        atomicAdd(&sums[u32(rays[3u * id.x].w) * APPEARANCE + id.y], fixed);
    }
}
