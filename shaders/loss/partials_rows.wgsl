// SSIM, third pass: blur the three partial derivatives along the rows (the window is its own transpose).

@group(0) @binding(0) var<uniform> params: LossParams;
// [3, height, width].
@group(0) @binding(1) var<storage, read> partials: array<f32>;
// [3, height, width].
@group(0) @binding(2) var<storage, read_write> blurred: array<f32>;

var<private> sum_mean: vec4<f32>;
var<private> sum_aa: vec4<f32>;
var<private> sum_ab: vec4<f32>;

fn tap(x: i32, row: u32, weights: vec4<f32>) {
    let inside = x >= 0 && x < i32(params.width);
    let plane = params.width * params.height;
    let at = row + u32(clamp(x, 0, i32(params.width) - 1));
    let w = select(vec4<f32>(0.0), weights, inside);
    sum_mean += partials[at] * w;
    sum_aa += partials[plane + at] * w;
    sum_ab += partials[2u * plane + at] * w;
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x * 4u >= params.width || id.y >= params.height) {
        return;
    }
    let x0 = i32(id.x * 4u);
    let row = id.y * params.width;
    tap(x0 - 5, row, W0);
    tap(x0 - 4, row, W1);
    tap(x0 - 3, row, W2);
    tap(x0 - 2, row, W3);
    tap(x0 - 1, row, W4);
    tap(x0, row, W5);
    tap(x0 + 1, row, W6);
    tap(x0 + 2, row, W7);
    tap(x0 + 3, row, W8);
    tap(x0 + 4, row, W9);
    tap(x0 + 5, row, W10);
    tap(x0 + 6, row, W11);
    tap(x0 + 7, row, W12);
    tap(x0 + 8, row, W13);
    let plane = params.width * params.height;
    for (var i = 0u; i < 4u; i++) {
        let x = id.x * 4u + i;
        if (x < params.width) {
            blurred[row + x] = sum_mean[i];
            blurred[plane + row + x] = sum_aa[i];
            blurred[2u * plane + row + x] = sum_ab[i];
        }
    }
}
