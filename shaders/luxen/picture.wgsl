// Rays of a picture composited into its pixels.

@group(0) @binding(1) var<storage, read> rays: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bins: array<f32>;
@group(0) @binding(3) var<storage, read_write> arena: array<f32>;
@group(0) @binding(4) var<storage, read_write> image: array<vec4<f32>>;
// Sum of weight x camera z; then, where there is room for a second plane, camera z where half of the ray is stopped, 0
// where that does not happen.
@group(0) @binding(5) var<storage, read_write> depth: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let ray = id.x;
    let pixel = batch.first_ray + ray;
    if ray >= batch.rays || pixel >= arrayLength(&image) {
        return;
    }
    composite(ray);
    let first_bin = ray * (batch.samples + 1u);
    let weight = row_of(batch.density_at + 1u, ray);
    let red = row_of(batch.color_at, ray);
    let green = row_of(batch.color_at + 1u, ray);
    let blue = row_of(batch.color_at + 2u, ray);
    var sum = vec4(0.0);
    var distance = 0.0;
    var median = 0.0;
    var color = vec3(0.0);
    for (var i = 0u; i < batch.samples; i++) {
        let w = arena[weight + i];
        color = vec3(arena[red + i], arena[green + i], arena[blue + i]);
        let near = distance_of(bins[first_bin + i]);
        let far = distance_of(bins[first_bin + i + 1u]);
        if sum.w < 0.5 && sum.w + w >= 0.5 {
            median = mix(near, far, (0.5 - sum.w) / w);
        }
        sum += w * vec4(color, 1.0);
        distance += w * 0.5 * (near + far);
    }
    let background = select(batch.background, color, batch.background_kind != 0u);
    image[pixel] = vec4(clamp(sum.xyz + (1.0 - sum.w) * background, vec3(0.0), vec3(1.0)), sum.w);
    if pixel < arrayLength(&depth) {
        depth[pixel] = distance * rays[3u * ray + 2u].w;
    }
    let second = arrayLength(&image) + pixel;
    if second < arrayLength(&depth) {
        depth[second] = median * rays[3u * ray + 2u].w;
    }
}
