// What the batch's cells remember, from the field's density at a point of each: the density network alone, without its
// geometry outputs. Four cells an invocation.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> arena: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> cells: array<vec4<f32>>;

// What is left of a memory each time.
const KEPT: f32 = 0.7;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = quad_count();
    if id.x >= quads {
        return;
    }
    var x: array<mat4x4<f32>, BASE_IN>;
    for (var k = 0u; k < BASE_IN; k++) {
        let at = (FEATURES_AT + 4u * k) * quads + id.x;
        x[k] = mat4x4<f32>(arena[at], arena[at + quads], arena[at + 2u * quads], arena[at + 3u * quads]);
    }
    var logit = vec4(network[BASE_BIAS].x);
    for (var j = 0u; j < HIDDEN; j++) {
        let row = j * BASE_ROW;
        var h = vec4(network[row + BASE_ROW - 1u].x);
        for (var k = 0u; k < BASE_IN; k++) {
            h += x[k] * network[row + k];
        }
        logit += relu(h) * network[row + BASE_IN].x;
    }
    let at = batch.first_ray / 4u + id.x;
    cells[at] = max(KEPT * cells[at], density_of(logit));
}
