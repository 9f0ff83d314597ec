// SSIM, last pass: finish the blur of the partial derivatives along the columns and add L1's, which gives one channel of
// dL/dimage; sums |a - b| on the way.

@group(0) @binding(0) var<uniform> params: LossParams;
@group(0) @binding(1) var<storage, read> render: array<f32>;
@group(0) @binding(2) var<storage, read> reference: array<f32>;
// [3, height, width].
@group(0) @binding(3) var<storage, read> planes: array<f32>;
// [height, width, 4]; alpha is left alone.
@group(0) @binding(4) var<storage, read_write> d_image: array<f32>;
// One sum of |a - b| a workgroup and channel.
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

var<private> sum: f32;

fn put(column: u32, y: u32, d_mean: f32, d_aa: f32, d_ab: f32) {
    if (y < params.height) {
        let pixel = (y * params.width + column) * 4u;
        let weight = reference[pixel + 3u];
        let a = weight * render[pixel + params.channel];
        let b = weight * reference[pixel + params.channel];
        sum += abs(a - b);
        let d_ssim = d_mean + 2.0 * a * d_aa + b * d_ab;
        d_image[pixel + params.channel] =
            weight * (params.l1_scale * sign(a - b) + params.ssim_scale * d_ssim);
    }
}

fn put_four(column: u32, y: u32, d_mean: vec4<f32>, d_aa: vec4<f32>, d_ab: vec4<f32>) {
    put(column, y, d_mean.x, d_aa.x, d_ab.x);
    put(column, y + 1u, d_mean.y, d_aa.y, d_ab.y);
    put(column, y + 2u, d_mean.z, d_aa.z, d_ab.z);
    put(column, y + 3u, d_mean.w, d_aa.w, d_ab.w);
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
        let d_mean = blurred_eight(0u, y0, column);
        let d_aa = blurred_eight(1u, y0, column);
        let d_ab = blurred_eight(2u, y0, column);
        put_four(column, y0, d_mean.near, d_aa.near, d_ab.near);
        put_four(column, y0 + 4u, d_mean.far, d_aa.far, d_ab.far);
    }
    let total = workgroup_sum(local, sum);
    if (local == 0u) {
        sums[params.first_partial + group.y * groups.x + group.x] = total;
    }
}
