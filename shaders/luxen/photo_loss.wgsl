// A ray's color, its difference from the pixel, and dL/d(density), dL/d(color) of its samples; with what a network says of
// the color, and the distortion loss of mip-NeRF 360. One ray an invocation.

@group(0) @binding(1) var<storage, read> rays: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bins: array<f32>;
@group(0) @binding(3) var<storage, read_write> arena: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_arena: array<f32>;
// A ray: difference loss, squared difference, distortion loss, interlevel loss; each with its share of the mean.
@group(0) @binding(5) var<storage, read_write> losses: array<vec4<f32>>;
// The network's gradient, [3][draw.plane].
@group(0) @binding(6) var<storage, read> given: array<f32>;
@group(0) @binding(7) var<storage, read> views: array<View>;
@group(0) @binding(8) var<uniform> draw: Draw;

fn color_of(first: vec3<u32>, i: u32) -> vec3<f32> {
    return vec3(arena[first.x + i], arena[first.y + i], arena[first.z + i]);
}

fn given_of(ray: u32) -> vec3<f32> {
    var at = batch.first_ray + ray;
    if draw.given == 2u {
        let view = views[0];
        let pixel = pixel_of(view, rays[3u * ray + 1u].xyz);
        at = pixel.y * view.size.x + pixel.x;
    }
    return vec3(given[at], given[at + draw.plane], given[at + 2u * draw.plane]);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let ray = id.x;
    if ray >= batch.rays {
        return;
    }
    composite(ray);
    let count = batch.samples;
    let first_bin = ray * (count + 1u);
    let weight = row_of(batch.density_at + 1u, ray);
    let color = vec3(row_of(batch.color_at, ray), row_of(batch.color_at + 1u, ray), row_of(batch.color_at + 2u, ray));
    var background = batch.background;
    if batch.background_kind != 0u {
        background = color_of(color, count - 1u);
    }
    var sum = vec3(0.0);
    var opacity = 0.0;
    // Sum of weight x middle, in bins' units.
    var moment = 0.0;
    for (var i = 0u; i < count; i++) {
        let w = arena[weight + i];
        sum += w * color_of(color, i);
        opacity += w;
        moment += w * 0.5 * (bins[first_bin + i] + bins[first_bin + i + 1u]);
    }
    let pixel_weight = rays[3u * ray + 1u].w;
    let difference = sum + (1.0 - opacity) * background - rays[3u * ray + 2u].xyz;
    let scale = batch.photo_scale * draw.photo_weight * pixel_weight;
    var d_color = 2.0 * scale * difference;
    let squared = scale * dot(difference, difference);
    var loss = squared;
    if batch.loss_kind != 0u {
        d_color = scale * sign(difference);
        loss = scale * dot(abs(difference), vec3(1.0));
    }
    if draw.given != 0u {
        d_color += draw.given_scale * pixel_weight * given_of(ray);
    }

    let d_weight = row_of(batch.d_density_at, ray);
    let d_first = vec3(
        row_of(batch.d_color_at, ray),
        row_of(batch.d_color_at + 1u, ray),
        row_of(batch.d_color_at + 2u, ray),
    );
    var before = vec2(0.0);
    var distortion = 0.0;
    for (var i = 0u; i < count; i++) {
        let w = arena[weight + i];
        let near = bins[first_bin + i];
        let far = bins[first_bin + i + 1u];
        let middle = 0.5 * (near + far);
        let behind = vec2(opacity, moment) - before - w * vec2(1.0, middle);
        let spread = middle * before.x - before.y + behind.y - middle * behind.x;
        distortion += w * spread + w * w * (far - near) / 3.0;
        before += w * vec2(1.0, middle);
        let d_distortion = 2.0 * spread + 2.0 / 3.0 * w * (far - near);
        let c = color_of(color, i);
        d_arena[d_weight + i] = dot(d_color, c - background) + batch.distortion_scale * d_distortion;
        var share = w;
        if i + 1u == count && batch.background_kind != 0u {
            share += 1.0 - opacity;
        }
        d_arena[d_first.x + i] = share * d_color.x;
        d_arena[d_first.y + i] = share * d_color.y;
        d_arena[d_first.z + i] = share * d_color.z;
    }
    d_composite(ray);
    losses[ray] = vec4(loss, squared, batch.distortion_scale * distortion, 0.0);
}
