// dL/d(shift) and dL/d(small turn) of a view: the sum over its rays, added to that of earlier chunks. One workgroup a view.

@group(0) @binding(1) var<storage, read> rays: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> d_rays: array<vec4<f32>>;
// A view: shift, turn.
@group(0) @binding(3) var<storage, read_write> d_poses: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = f32(group.x);
    var sums = array<vec3<f32>, 2>();
    for (var ray = local; ray < batch.rays; ray += 64u) {
        if rays[3u * ray].w == row {
            sums[0] += d_rays[2u * ray].xyz;
            sums[1] += cross(rays[3u * ray + 1u].xyz, d_rays[2u * ray + 1u].xyz);
        }
    }
    for (var k = 0u; k < 2u; k++) {
        for (var axis = 0u; axis < 3u; axis++) {
            workgroupBarrier();
            let total = workgroup_sum(local, sums[k][axis]);
            if local == 0u {
                let at = 2u * group.x + k;
                let earlier = select(0.0, d_poses[at][axis], batch.first_ray != 0u);
                d_poses[at][axis] = earlier + total;
            }
        }
    }
}
