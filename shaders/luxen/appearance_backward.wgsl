// dL/d(appearance) of four rays.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
// [HIDDEN][rays].
@group(0) @binding(2) var<storage, read> d_hidden: array<vec4<f32>>;
// [APPEARANCE][rays].
@group(0) @binding(3) var<storage, read_write> d_appearances: array<vec4<f32>>;

const BLOCKS: u32 = APPEARANCE / 4u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = batch.rays / 4u;
    if id.x >= quads {
        return;
    }
    var d: array<mat4x4<f32>, BLOCKS>;
    for (var k = 0u; k < BLOCKS; k++) {
        d[k] = mat4x4<f32>();
    }
    for (var j = 0u; j < HIDDEN; j++) {
        let back = d_hidden[j * quads + id.x];
        for (var k = 0u; k < BLOCKS; k++) {
            d[k] += outer(back, network[RAY + j * RAY_ROW + 4u + k]);
        }
    }
    for (var k = 0u; k < BLOCKS; k++) {
        for (var n = 0u; n < 4u; n++) {
            d_appearances[(4u * k + n) * quads + id.x] = d[k][n];
        }
    }
}
