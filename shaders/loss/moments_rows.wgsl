// SSIM, first of four passes: blur a, b, aa + bb and ab along the rows (SSIM needs the variances' sum only). The target's
// alpha is a weight on both pictures (a mask).

@group(0) @binding(0) var<uniform> params: LossParams;
@group(0) @binding(1) var<storage, read> render: array<f32>;
@group(0) @binding(2) var<storage, read> reference: array<f32>;
// [4, height, width]: a, b, aa + bb, ab.
@group(0) @binding(3) var<storage, read_write> moments: array<f32>;

// a and b, masked.
fn pair(x: i32, row: u32) -> vec2<f32> {
    let pixel = (row + u32(clamp(x, 0, i32(params.width) - 1))) * 4u;
    let weight = select(0.0, reference[pixel + 3u], x >= 0 && x < i32(params.width));
    return weight * vec2<f32>(render[pixel + params.channel], reference[pixel + params.channel]);
}

struct Pairs {
    a: vec4<f32>,
    b: vec4<f32>,
}

fn four(x: i32, row: u32) -> Pairs {
    let p0 = pair(x, row);
    let p1 = pair(x + 1, row);
    let p2 = pair(x + 2, row);
    let p3 = pair(x + 3, row);
    return Pairs(vec4<f32>(p0.x, p1.x, p2.x, p3.x), vec4<f32>(p0.y, p1.y, p2.y, p3.y));
}

fn squares(p: Pairs) -> vec4<f32> {
    return p.a * p.a + p.b * p.b;
}

fn put(plane: u32, x: u32, y: u32, value: f32) {
    if (x < params.width) {
        moments[(plane * params.height + y) * params.width + x] = value;
    }
}

fn put_eight(plane: u32, x: u32, y: u32, values: Eight) {
    put(plane, x, y, values.near.x);
    put(plane, x + 1u, y, values.near.y);
    put(plane, x + 2u, y, values.near.z);
    put(plane, x + 3u, y, values.near.w);
    put(plane, x + 4u, y, values.far.x);
    put(plane, x + 5u, y, values.far.y);
    put(plane, x + 6u, y, values.far.z);
    put(plane, x + 7u, y, values.far.w);
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let x0 = id.x * 8u;
    if (x0 >= params.width || id.y >= params.height) {
        return;
    }
    let x = i32(x0) - 5;
    let row = id.y * params.width;
    let p0 = four(x, row);
    let p4 = four(x + 4, row);
    let p8 = four(x + 8, row);
    let p12 = four(x + 12, row);
    let p16 = four(x + 16, row);
    put_eight(0u, x0, id.y, eight(p0.a, p4.a, p8.a, p12.a, p16.a));
    put_eight(1u, x0, id.y, eight(p0.b, p4.b, p8.b, p12.b, p16.b));
    put_eight(2u, x0, id.y, eight(squares(p0), squares(p4), squares(p8), squares(p12), squares(p16)));
    put_eight(3u, x0, id.y, eight(p0.a * p0.b, p4.a * p4.b, p8.a * p8.b, p12.a * p12.b, p16.a * p16.b));
}
