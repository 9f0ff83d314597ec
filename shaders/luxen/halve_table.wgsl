// A whole table in half precision, as a step of Adam leaves it. Two entries an invocation.

@group(0) @binding(0) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> halves: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = linear_index(group, groups, local, 64u);
    if at < arrayLength(&halves) {
        let values = parameters[at];
        halves[at] = vec2(halved(values.xy), halved(values.zw));
    }
}
