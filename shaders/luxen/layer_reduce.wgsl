@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var number = 0u;
    for (var l = 1u; l < layers.count; l++) {
        number += select(0u, 1u, id.x >= layers.each[l].first_weight);
    }
    let layer = layers.each[number];
    let weight = id.x - layer.first_weight;
    let columns = layer.columns + layer.has_bias;
    if weight >= layer.rows * columns {
        return;
    }
    let row = weight / columns;
    let column = weight % columns;
    var first = partial_at(layer, row, column + layer.skipped);
    var at = layer.first + row * layer.row_stride + column * layer.column_stride;
    if column == layer.columns {
        first = bias_partial_at(layer, row);
        at = layer.bias_first + row * layer.bias_stride;
    }
    var sum = vec4(0.0);
    for (var i = 0u; i < SPLITS / 4u; i++) {
        sum += partials[first / 4u + i];
    }
    let earlier = select(0.0, gradients[at], layers.accumulates != 0u);
    gradients[at] = earlier + dot(sum, vec4(1.0));
}
