// What a ray's direction and appearance bring to the first layer of the color network; four rays an invocation.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> rays: array<vec4<f32>>;
// [views + 1][APPEARANCE].
@group(0) @binding(3) var<storage, read> appearances: array<f32>;
// [RAY_INPUTS][rays].
@group(0) @binding(4) var<storage, read_write> inputs: array<vec4<f32>>;
// [rays][HIDDEN].
@group(0) @binding(5) var<storage, read_write> ray_hidden: array<f32>;

const BLOCKS: u32 = RAY_INPUTS / 4u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = batch.rays / 4u;
    if id.x >= quads {
        return;
    }
    var x: array<mat4x4<f32>, BLOCKS>;
    for (var c = 0u; c < 4u; c++) {
        let ray = 4u * id.x + c;
        var harmonics = harmonics_of(rays[3u * ray + 1u].xyz);
        let row = u32(rays[3u * ray].w) * APPEARANCE;
        for (var k = 0u; k < 4u; k++) {
            for (var n = 0u; n < 4u; n++) {
                x[k][n][c] = harmonics[4u * k + n];
            }
        }
        for (var k = 4u; k < BLOCKS; k++) {
            for (var n = 0u; n < 4u; n++) {
                x[k][n][c] = appearances[row + 4u * (k - 4u) + n];
            }
        }
    }
    for (var k = 0u; k < BLOCKS; k++) {
        for (var n = 0u; n < 4u; n++) {
            inputs[(4u * k + n) * quads + id.x] = x[k][n];
        }
    }
    for (var j = 0u; j < HIDDEN; j++) {
        let row = RAY + j * RAY_ROW;
        var h = vec4(network[row + BLOCKS].x);
        for (var k = 0u; k < BLOCKS; k++) {
            h += x[k] * network[row + k];
        }
        for (var c = 0u; c < 4u; c++) {
            ray_hidden[(4u * id.x + c) * HIDDEN + j] = h[c];
        }
    }
}
