// SSIM, third pass: blur the three partial derivatives along the rows (the window is its own transpose).

@group(0) @binding(0) var<uniform> params: LossParams;
// [3, height, width].
@group(0) @binding(1) var<storage, read> partials: array<f32>;
// [3, height, width].
@group(0) @binding(2) var<storage, read_write> blurred: array<f32>;

fn value(row: u32, x: i32) -> f32 {
    let inside = select(0.0, 1.0, x >= 0 && x < i32(params.width));
    return inside * partials[row + u32(clamp(x, 0, i32(params.width) - 1))];
}

fn four(row: u32, x: i32) -> vec4<f32> {
    return vec4<f32>(value(row, x), value(row, x + 1), value(row, x + 2), value(row, x + 3));
}

fn put(row: u32, x: u32, value: f32) {
    if (x < params.width) {
        blurred[row + x] = value;
    }
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // Rows of the three planes follow each other.
    let x0 = id.x * 8u;
    if (x0 >= params.width || id.y >= 3u * params.height) {
        return;
    }
    let x = i32(x0) - 5;
    let row = id.y * params.width;
    let values = eight(four(row, x), four(row, x + 4), four(row, x + 8), four(row, x + 12), four(row, x + 16));
    put(row, x0, values.near.x);
    put(row, x0 + 1u, values.near.y);
    put(row, x0 + 2u, values.near.z);
    put(row, x0 + 3u, values.near.w);
    put(row, x0 + 4u, values.far.x);
    put(row, x0 + 5u, values.far.y);
    put(row, x0 + 6u, values.far.z);
    put(row, x0 + 7u, values.far.w);
}
