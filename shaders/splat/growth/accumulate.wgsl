// After each backward pass: how strongly the photos pull at each projected mean, how often it was seen, and how large.
// Nothing happens while `halt` is set.
@group(0) @binding(1) var<storage, read> halt: array<u32>;
@group(0) @binding(2) var<storage, read> d_mean2d: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> radii: array<f32>;
// Per splat: sum of gradients, views, largest extent as a share of the picture's longer side.
@group(0) @binding(4) var<storage, read_write> statistics: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.splats || halt[0] != 0u {
        return;
    }
    let radius = radii[i];
    if radius == 0.0 {
        return;
    }
    let half_size = vec2(growth.half_width, growth.half_height);
    statistics[3u * i] += length(d_mean2d[i] * half_size);
    statistics[3u * i + 1u] += 1.0;
    let share = radius / (2.0 * max(half_size.x, half_size.y));
    statistics[3u * i + 2u] = max(statistics[3u * i + 2u], share);
}
