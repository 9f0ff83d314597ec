// The loss scalars from the workgroups' partial sums, in a fixed order. One workgroup.

struct ReduceParams {
    // Partial sums in each of the two lists.
    count: u32,
    ssim_weight: f32,
    // 1 / number of summands.
    l1_factor: f32,
    ssim_factor: f32,
}

@group(0) @binding(0) var<uniform> params: ReduceParams;
@group(0) @binding(1) var<storage, read> l1_sums: array<f32>;
@group(0) @binding(2) var<storage, read> ssim_sums: array<f32>;
// Mean L1, mean SSIM, loss, 0.
@group(0) @binding(3) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) local: u32) {
    var l1 = 0.0;
    var ssim = 0.0;
    for (var i = local; i < params.count; i += 64u) {
        l1 += l1_sums[i];
        ssim += ssim_sums[i];
    }
    let l1_total = workgroup_sum(local, l1);
    workgroupBarrier();
    let ssim_total = workgroup_sum(local, ssim);
    if (local == 0u) {
        let l1_mean = l1_total * params.l1_factor;
        let ssim_mean = ssim_total * params.ssim_factor;
        values[0] = l1_mean;
        values[1] = ssim_mean;
        values[2] = mix(l1_mean, 1.0 - ssim_mean, params.ssim_weight);
        values[3] = 0.0;
    }
}
