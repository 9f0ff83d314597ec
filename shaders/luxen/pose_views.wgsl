// Views where learnt corrections have moved them.

@group(0) @binding(0) var<uniform> settings: Poses;
@group(0) @binding(1) var<storage, read> views: array<View>;
@group(0) @binding(2) var<storage, read> poses: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> moved: array<View>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= settings.count {
        return;
    }
    var view = views[id.x];
    let first = POSE * u32(view.position.w);
    let turn = poses[first + 1u].xyz;
    view.position += vec4(poses[first].xyz, 0.0);
    view.right = vec4(turned(turn, view.right.xyz), 0.0);
    view.down = vec4(turned(turn, view.down.xyz), 0.0);
    view.forward = vec4(turned(turn, view.forward.xyz), 0.0);
    moved[id.x] = view;
}
