// Sum over a workgroup of 64 in a fixed order; the result is valid in invocation 0.

var<workgroup> partial_sums: array<f32, 64>;

fn workgroup_sum(local: u32, value: f32) -> f32 {
    partial_sums[local] = value;
    workgroupBarrier();
    var sum = 0.0;
    if (local < 8u) {
        for (var i = 0u; i < 8u; i++) {
            sum += partial_sums[local * 8u + i];
        }
    }
    workgroupBarrier();
    if (local < 8u) {
        partial_sums[local] = sum;
    }
    workgroupBarrier();
    sum = 0.0;
    if (local == 0u) {
        for (var i = 0u; i < 8u; i++) {
            sum += partial_sums[i];
        }
    }
    return sum;
}
