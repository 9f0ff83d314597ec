// Halves of a split splat: drawn from the Gaussian that it was, and narrower.
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> quats: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> means: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_scales: array<f32>;

// ln 1.6
const LOG_SHRINK: f32 = 0.47000362924573563;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.rows || (rows[i] & ROW_SPLIT) == 0u {
        return;
    }
    let log_scale = vec3(log_scales[3u * i], log_scales[3u * i + 1u], log_scales[3u * i + 2u]);
    let rotation = quaternion_matrix(quats[i] * quaternion_inverse_length(quats[i]));
    let offset = rotation * (exp(log_scale) * random_normals(random_key(i, RANDOM_SPLIT)));
    for (var c = 0u; c < 3u; c++) {
        means[3u * i + c] += offset[c];
        log_scales[3u * i + c] = log_scale[c] - LOG_SHRINK;
    }
}
