@group(0) @binding(7) var<storage, read_write> halves: array<vec2<u32>>;

// Four updated parameters, for those that read the table in half precision.
fn keep(at: u32, updated: vec4<f32>) {
    halves[at] = vec2(halved(updated.xy), halved(updated.zw));
}
