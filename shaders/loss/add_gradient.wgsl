// Joins a network's gradient to the photo loss's: d_image = photo_weight * d_image + planes, where pixels count.

struct AddParams {
    pixels: u32,
    photo_weight: f32,
    padding0: u32,
    padding1: u32,
}

@group(0) @binding(0) var<uniform> params: AddParams;
// [3, height, width].
@group(0) @binding(1) var<storage, read> planes: array<f32>;
// [height, width]; alpha is how much the pixel counts.
@group(0) @binding(2) var<storage, read> target_image: array<vec4<f32>>;
// [height, width] of dL/drgb, dL/dalpha.
@group(0) @binding(3) var<storage, read_write> d_image: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + lane;
    if (i >= params.pixels) {
        return;
    }
    let added = vec3<f32>(planes[i], planes[params.pixels + i], planes[2u * params.pixels + i]);
    d_image[i] = params.photo_weight * d_image[i] + vec4<f32>(added * target_image[i].w, 0.0);
}
