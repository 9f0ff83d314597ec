// One group adds up the partial sums.
@group(0) @binding(1) var<storage, read> partials: array<f32>;
// Shift, turn.
@group(0) @binding(2) var<storage, read_write> d_pose: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) local: u32) {
    let groups = (view.splats + 63u) / 64u;
    for (var k = 0u; k < 6u; k++) {
        var sum = 0.0;
        for (var i = local; i < groups; i += 64u) {
            sum += partials[6u * i + k];
        }
        let total = workgroup_sum(local, sum);
        if local == 0u {
            d_pose[k] = total;
        }
        workgroupBarrier();
    }
}
