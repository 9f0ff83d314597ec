// dL/d(ray_hidden): what came back to the first color layer, summed over the samples of a ray. One ray and four neurons (the
// workgroup's y) an invocation.

@group(0) @binding(1) var<storage, read> kept: array<Kept>;
// [HIDDEN][rays].
@group(0) @binding(2) var<storage, read_write> d_hidden: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    let quads = batch.samples / 4u;
    let first = ((D_HEAD1_KEPT + id.y) * batch.rays + id.x) * quads;
    var sum = mat4x4<f32>();
    for (var i = 0u; i < quads; i++) {
        sum += unpacked(kept[first + i]);
    }
    let total = vec4(1.0) * sum;
    for (var c = 0u; c < 4u; c++) {
        d_hidden[(4u * id.y + c) * batch.rays + id.x] = total[c];
    }
}
