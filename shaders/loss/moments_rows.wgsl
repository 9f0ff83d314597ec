// SSIM, first of four passes: blur a, b, aa, bb, ab along the rows. One invocation makes four adjacent pixels, so that each
// input is read 3.5 times instead of 11. The target's alpha is a weight on both pictures (a mask).

@group(0) @binding(0) var<uniform> params: LossParams;
@group(0) @binding(1) var<storage, read> render: array<f32>;
@group(0) @binding(2) var<storage, read> reference: array<f32>;
// [5, height, width]: a, b, aa, bb, ab.
@group(0) @binding(3) var<storage, read_write> moments: array<f32>;

var<private> sum_a: vec4<f32>;
var<private> sum_b: vec4<f32>;
var<private> sum_aa: vec4<f32>;
var<private> sum_bb: vec4<f32>;
var<private> sum_ab: vec4<f32>;

fn tap(x: i32, row: u32, weights: vec4<f32>) {
    let inside = x >= 0 && x < i32(params.width);
    let pixel = (row + u32(clamp(x, 0, i32(params.width) - 1))) * 4u;
    let weight = select(0.0, reference[pixel + 3u], inside);
    let a = weight * render[pixel + params.channel];
    let b = weight * reference[pixel + params.channel];
    sum_a += a * weights;
    sum_b += b * weights;
    sum_aa += (a * a) * weights;
    sum_bb += (b * b) * weights;
    sum_ab += (a * b) * weights;
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
            let at = row + x;
            moments[at] = sum_a[i];
            moments[plane + at] = sum_b[i];
            moments[2u * plane + at] = sum_aa[i];
            moments[3u * plane + at] = sum_bb[i];
            moments[4u * plane + at] = sum_ab[i];
        }
    }
}
