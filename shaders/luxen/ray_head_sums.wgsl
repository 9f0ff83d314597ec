// dL/d(ray_hidden): what came back to the first color layer, summed over the samples of a ray. One ray and neuron (the
// workgroup's y) an invocation.

@group(0) @binding(1) var<storage, read> d_arena: array<vec4<f32>>;
// [HIDDEN][rays].
@group(0) @binding(2) var<storage, read_write> d_hidden: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    let quads = batch.samples / 4u;
    let first = ((D_HEAD1_AT + id.y) * batch.rays + id.x) * quads;
    var sum = vec4(0.0);
    for (var i = 0u; i < quads; i++) {
        sum += d_arena[first + i];
    }
    d_hidden[id.y * batch.rays + id.x] = dot(sum, vec4(1.0));
}
