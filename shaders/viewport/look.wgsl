// What a render shows besides its colors: depth, accumulation, normals. `values` as they are, or as a picture.

struct Look {
    // Camera axes in the world.
    right: vec4<f32>,
    down: vec4<f32>,
    forward: vec4<f32>,
    // Focal lengths and principal point, pixels.
    intrinsics: vec4<f32>,
    size: vec2<u32>,
    // 1: depth; 2: accumulation; 3: normals.
    kind: u32,
    // 1: a picture in [0, 1]; 0: values, in world units and world axes.
    is_picture: u32,
    // Depths that are white and black in a picture.
    near: f32,
    far: f32,
    padding: vec2<f32>,
}

@group(0) @binding(0) var<uniform> look: Look;
@group(0) @binding(1) var<storage, read> image: array<vec4<f32>>;
// Sum of weight x camera z.
@group(0) @binding(2) var<storage, read> depth: array<f32>;
@group(0) @binding(3) var<storage, read_write> shown: array<vec4<f32>>;

const LEAST_ALPHA: f32 = 1e-3;

// Mean camera z; 0 where there is nothing.
fn z_of(pixel: vec2<u32>) -> f32 {
    let i = pixel.y * look.size.x + pixel.x;
    let alpha = image[i].w;
    return select(0.0, depth[i] / max(alpha, LEAST_ALPHA), alpha > LEAST_ALPHA);
}

// In camera space.
fn point_of(pixel: vec2<u32>) -> vec3<f32> {
    let at = (vec2<f32>(pixel) + 0.5 - look.intrinsics.zw) / look.intrinsics.xy;
    return z_of(pixel) * vec3(at, 1.0);
}

// From the pixel to the neighbour along `step` that is nearer in depth, as a difference in the direction of `step`; zero
// where neither has a depth.
fn slope(pixel: vec2<u32>, step: vec2<u32>) -> vec3<f32> {
    let here = point_of(pixel);
    var best = vec3(0.0);
    var jump = 3.4e38;
    if all(pixel >= step) {
        let before = point_of(pixel - step);
        if before.z > 0.0 {
            best = here - before;
            jump = abs(best.z);
        }
    }
    if all(pixel + step < look.size) {
        let after = point_of(pixel + step);
        if after.z > 0.0 && abs(after.z - here.z) < jump {
            best = after - here;
        }
    }
    return best;
}

// In world space, towards the camera; zero where there is none.
fn normal_of(pixel: vec2<u32>) -> vec3<f32> {
    if z_of(pixel) <= 0.0 {
        return vec3(0.0);
    }
    let n = cross(slope(pixel, vec2(0u, 1u)), slope(pixel, vec2(1u, 0u)));
    let size = length(n);
    if size <= 0.0 {
        return vec3(0.0);
    }
    return (n.x * look.right.xyz + n.y * look.down.xyz + n.z * look.forward.xyz) / size;
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= look.size) {
        return;
    }
    let i = id.y * look.size.x + id.x;
    let alpha = image[i].w;
    var value: vec3<f32>;
    switch look.kind {
        case 1u: {
            let z = z_of(id.xy);
            let bright = clamp(log(look.far / max(z, 1e-12)) / log(look.far / look.near), 0.0, 1.0);
            value = vec3(select(z, bright * alpha, look.is_picture != 0u));
        }
        case 2u: {
            value = vec3(alpha);
        }
        default: {
            let n = normal_of(id.xy);
            value = select(n, (0.5 + 0.5 * n) * alpha, look.is_picture != 0u);
        }
    }
    shown[i] = vec4(value, alpha);
}
