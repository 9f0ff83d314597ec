// The scale of each level from the magnitudes of its channels. One workgroup a level.

struct Channels {
    quads: u32,
    // First channel of level 0; channels of a level are neighbours.
    at: u32,
    each: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> channels: Channels;
@group(0) @binding(1) var<storage, read> arena: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    var sum = vec4(0.0);
    let first = (channels.at + group.x * channels.each) * channels.quads;
    for (var i = local; i < channels.each * channels.quads; i += 64u) {
        sum += abs(arena[first + i]);
    }
    let total = workgroup_sum(local, dot(sum, vec4(1.0)));
    if local == 0u {
        let scale = fixed_scale(total);
        scales[group.x] = scale;
        scales[16u + group.x] = 1.0 / scale;
    }
}
