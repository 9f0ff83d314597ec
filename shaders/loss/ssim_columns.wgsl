// SSIM, second pass: finish the blur along the columns, form SSIM (Wang et al. 2004, C1 = 0.01², C2 = 0.03²) and its
// partial derivatives with respect to E[a], E[aa] and E[ab], which the next passes blur back onto the pixels.

@group(0) @binding(0) var<uniform> params: LossParams;
// [5, height, width].
@group(0) @binding(1) var<storage, read> moments: array<f32>;
// [3, height, width]: d/dE[a], d/dE[aa], d/dE[ab].
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
// One sum of SSIM a workgroup and channel.
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

const C1: f32 = 0.0001;
const C2: f32 = 0.0009;

var<private> mean_a: vec4<f32>;
var<private> mean_b: vec4<f32>;
var<private> mean_aa: vec4<f32>;
var<private> mean_bb: vec4<f32>;
var<private> mean_ab: vec4<f32>;

fn tap(y: i32, column: u32, weights: vec4<f32>) {
    let inside = y >= 0 && y < i32(params.height);
    let plane = params.width * params.height;
    let at = u32(clamp(y, 0, i32(params.height) - 1)) * params.width + column;
    let w = select(vec4<f32>(0.0), weights, inside);
    mean_a += moments[at] * w;
    mean_b += moments[plane + at] * w;
    mean_aa += moments[2u * plane + at] * w;
    mean_bb += moments[3u * plane + at] * w;
    mean_ab += moments[4u * plane + at] * w;
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
        let variance_a = mean_aa - mean_a * mean_a;
        let variance_b = mean_bb - mean_b * mean_b;
        let covariance = mean_ab - mean_a * mean_b;
        let a1 = 2.0 * mean_a * mean_b + C1;
        let a2 = 2.0 * covariance + C2;
        let b1 = mean_a * mean_a + mean_b * mean_b + C1;
        let b2 = variance_a + variance_b + C2;
        let inverse = 1.0 / (b1 * b2);
        let ssim = a1 * a2 * inverse;
        // S = A1 A2 / (B1 B2) with A2 and B2 functions of E[a], E[aa], E[ab].
        let d_mean = 2.0 * (mean_b * (a2 - a1) - ssim * mean_a * (b2 - b1)) * inverse;
        let d_aa = -ssim / b2;
        let d_ab = 2.0 * a1 * inverse;
        let plane = params.width * params.height;
        let m = params.margin;
        let column_counts = column >= m && column + m < params.width;
        for (var i = 0u; i < 4u; i++) {
            let y = id.y * 4u + i;
            if (y < params.height) {
                let counts = select(0.0, 1.0, column_counts && y >= m && y + m < params.height);
                let at = y * params.width + column;
                sum += counts * ssim[i];
                partials[at] = counts * d_mean[i];
                partials[plane + at] = counts * d_aa[i];
                partials[2u * plane + at] = counts * d_ab[i];
            }
        }
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u) {
        sums[params.first_partial + group.y * groups.x + group.x] = total;
    }
}
