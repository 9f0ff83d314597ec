// SSIM, second pass: finish the blur along the columns, form SSIM (Wang et al. 2004, C1 = 0.01², C2 = 0.03²) and its
// partial derivatives with respect to E[a], E[aa] and E[ab], which the next passes blur back onto the pixels.

@group(0) @binding(0) var<uniform> params: LossParams;
// [4, height, width]: a, b, aa + bb, ab.
@group(0) @binding(1) var<storage, read> planes: array<f32>;
// [3, height, width]: d/dE[a], d/dE[aa], d/dE[ab].
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
// One sum of SSIM a workgroup and channel.
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

const C1: f32 = 0.0001;
const C2: f32 = 0.0009;

var<private> sum: f32;

struct Ssim {
    value: vec4<f32>,
    d_mean: vec4<f32>,
    d_aa: vec4<f32>,
    d_ab: vec4<f32>,
}

fn ssim_of(a: vec4<f32>, b: vec4<f32>, squares: vec4<f32>, product: vec4<f32>) -> Ssim {
    let squared_means = a * a + b * b;
    let mean_product = a * b;
    let a1 = 2.0 * mean_product + C1;
    let a2 = 2.0 * (product - mean_product) + C2;
    let b1 = squared_means + C1;
    let b2 = squares - squared_means + C2;
    let inverse = 1.0 / (b1 * b2);
    // S = A1 A2 / (B1 B2) with A2 and B2 functions of E[a], E[aa], E[ab].
    let ssim = a1 * a2 * inverse;
    return Ssim(
        ssim,
        2.0 * (b * (a2 - a1) - ssim * a * (b2 - b1)) * inverse,
        -ssim * b1 * inverse,
        2.0 * a1 * inverse,
    );
}

fn put(column: u32, y: u32, ssim: f32, d_mean: f32, d_aa: f32, d_ab: f32) {
    if (y < params.height) {
        let m = params.margin;
        let counts = select(
            0.0,
            1.0,
            column >= m && column + m < params.width && y >= m && y + m < params.height,
        );
        let plane = params.width * params.height;
        let at = y * params.width + column;
        sum += counts * ssim;
        partials[at] = counts * d_mean;
        partials[plane + at] = counts * d_aa;
        partials[2u * plane + at] = counts * d_ab;
    }
}

fn put_four(column: u32, y: u32, s: Ssim) {
    put(column, y, s.value.x, s.d_mean.x, s.d_aa.x, s.d_ab.x);
    put(column, y + 1u, s.value.y, s.d_mean.y, s.d_aa.y, s.d_ab.y);
    put(column, y + 2u, s.value.z, s.d_mean.z, s.d_aa.z, s.d_ab.z);
    put(column, y + 3u, s.value.w, s.d_mean.w, s.d_aa.w, s.d_ab.w);
}

@compute @workgroup_size(32, 2)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let y0 = id.y * 8u;
    let column = id.x;
    if (column < params.width && y0 < params.height) {
        let a = blurred_eight(0u, y0, column);
        let b = blurred_eight(1u, y0, column);
        let squares = blurred_eight(2u, y0, column);
        let product = blurred_eight(3u, y0, column);
        put_four(column, y0, ssim_of(a.near, b.near, squares.near, product.near));
        put_four(column, y0 + 4u, ssim_of(a.far, b.far, squares.far, product.far));
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u) {
        sums[params.first_partial + group.y * groups.x + group.x] = total;
    }
}
