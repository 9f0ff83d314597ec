// SSIM, last pass: finish the blur of the partial derivatives along the columns and add L1's, which gives one channel of
// dL/dimage; sums |a - b| on the way.

@group(0) @binding(0) var<uniform> params: LossParams;
@group(0) @binding(1) var<storage, read> render: array<f32>;
@group(0) @binding(2) var<storage, read> reference: array<f32>;
// [3, height, width].
@group(0) @binding(3) var<storage, read> blurred: array<f32>;
// [height, width, 4]; alpha gets 0.
@group(0) @binding(4) var<storage, read_write> d_image: array<f32>;
// One sum of |a - b| a workgroup and channel.
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

var<private> d_mean: vec4<f32>;
var<private> d_aa: vec4<f32>;
var<private> d_ab: vec4<f32>;

fn tap(y: i32, column: u32, weights: vec4<f32>) {
    let inside = y >= 0 && y < i32(params.height);
    let plane = params.width * params.height;
    let at = u32(clamp(y, 0, i32(params.height) - 1)) * params.width + column;
    let w = select(vec4<f32>(0.0), weights, inside);
    d_mean += blurred[at] * w;
    d_aa += blurred[plane + at] * w;
    d_ab += blurred[2u * plane + at] * w;
}

@compute @workgroup_size(32, 2)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    var sum = 0.0;
    if (id.x < params.width && id.y * 4u < params.height) {
        let y0 = i32(id.y * 4u);
        let column = id.x;
        tap(y0 - 5, column, W0);
        tap(y0 - 4, column, W1);
        tap(y0 - 3, column, W2);
        tap(y0 - 2, column, W3);
        tap(y0 - 1, column, W4);
        tap(y0, column, W5);
        tap(y0 + 1, column, W6);
        tap(y0 + 2, column, W7);
        tap(y0 + 3, column, W8);
        tap(y0 + 4, column, W9);
        tap(y0 + 5, column, W10);
        tap(y0 + 6, column, W11);
        tap(y0 + 7, column, W12);
        tap(y0 + 8, column, W13);
        for (var i = 0u; i < 4u; i++) {
            let y = id.y * 4u + i;
            if (y < params.height) {
                let pixel = (y * params.width + column) * 4u;
                let weight = reference[pixel + 3u];
                let a = weight * render[pixel + params.channel];
                let b = weight * reference[pixel + params.channel];
                sum += abs(a - b);
                let d_ssim = d_mean[i] + 2.0 * a * d_aa[i] + b * d_ab[i];
                d_image[pixel + params.channel] =
                    weight * (params.l1_scale * sign(a - b) + params.ssim_scale * d_ssim);
                if (params.channel == 0u) {
                    d_image[pixel + 3u] = 0.0;
                }
            }
        }
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u) {
        sums[params.first_partial + group.y * groups.x + group.x] = total;
    }
}
