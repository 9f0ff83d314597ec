// What moving the camera does to the loss, from what moving the splats does: with world_to_camera' = exp(turn) ·
// world_to_camera + shift, a splat's place p in the camera's frame becomes p + turn × p + shift, and the splat itself turns
// along. One partial sum a group; in two passes, because colors follow a shift and not a turn.
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read> quats: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_means: array<f32>;
@group(0) @binding(4) var<storage, read> d_quats: array<vec4<f32>>;
// [groups, 6]: shift, turn.
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    var shift = vec3(0.0);
    var turn = vec3(0.0);
    if i < view.splats {
        let w = view.world_to_camera;
        let rotation = mat3x3<f32>(w[0].xyz, w[1].xyz, w[2].xyz);
        let p = (w * vec4(means[3u * i], means[3u * i + 1u], means[3u * i + 2u], 1.0)).xyz;
        let d_p = rotation * vec3(d_means[3u * i], d_means[3u * i + 1u], d_means[3u * i + 2u]);
        if GEOMETRY {
            let q = quats[i];
            let d_q = d_quats[i];
            let torque = 0.5 * (q.x * d_q.yzw - d_q.x * q.yzw + cross(q.yzw, d_q.yzw));
            shift = d_p;
            turn = cross(p, d_p) + rotation * torque;
        } else {
            turn = -cross(p, d_p);
        }
    }
    let first = 6u * (group.y * groups.x + group.x);
    for (var k = 0u; k < 6u; k++) {
        let value = select(turn[k % 3u], shift[k % 3u], k < 3u);
        let sum = workgroup_sum(local, value);
        // A last row of groups may reach beyond the splats.
        if local == 0u && i < view.splats {
            if GEOMETRY {
                partials[first + k] += sum;
            } else {
                partials[first + k] = sum;
            }
        }
        workgroupBarrier();
    }
}
