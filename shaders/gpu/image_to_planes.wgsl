// [height, width] of vec4 (rgba, row-major) to [3, height, width] planes, clamped to [0, 1].

struct Size {
    pixels: u32,
    // Elements from the start of the binding to the first plane.
    offset: u32,
}

@group(0) @binding(0) var<storage, read> image: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> planes: array<f32>;
@group(0) @binding(2) var<storage, read> size: Size;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + lane;
    if (i >= size.pixels) {
        return;
    }
    let pixel = clamp(image[i], vec4<f32>(0.0), vec4<f32>(1.0));
    planes[size.offset + i] = pixel.x;
    planes[size.offset + size.pixels + i] = pixel.y;
    planes[size.offset + 2u * size.pixels + i] = pixel.z;
}
