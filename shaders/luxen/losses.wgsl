// The step's losses from its rays', added to those of earlier chunks. One workgroup.

@group(0) @binding(1) var<storage, read> losses: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> total: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = vec4(0.0);
    for (var ray = local; ray < batch.rays; ray += 64u) {
        sum += losses[ray];
    }
    for (var k = 0u; k < 4u; k++) {
        workgroupBarrier();
        let part = workgroup_sum(local, sum[k]);
        if local == 0u {
            let earlier = select(0.0, total[0][k], batch.first_ray != 0u);
            total[0][k] = earlier + part;
        }
    }
}
