// dL/d(origin) and dL/d(direction) of a ray: through the positions of its samples, whose distances are given, and through
// the harmonics of its direction. One ray an invocation.

@group(0) @binding(1) var<uniform> network: array<vec4<f32>, NETWORK>;
@group(0) @binding(2) var<storage, read> rays: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bins: array<f32>;
// [3][samples].
@group(0) @binding(4) var<storage, read> d_points: array<f32>;
// [HIDDEN][rays].
@group(0) @binding(5) var<storage, read> d_hidden: array<f32>;
// A ray: of the origin, of the direction.
@group(0) @binding(6) var<storage, read_write> d_rays: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let ray = id.x;
    if ray >= batch.rays {
        return;
    }
    let origin = rays[3u * ray].xyz;
    let direction = rays[3u * ray + 1u].xyz;
    let first_bin = ray * (batch.samples + 1u);
    let rows = vec3(row_of(0u, ray), row_of(1u, ray), row_of(2u, ray));
    var d_origin = vec3(0.0);
    var d_direction = vec3(0.0);
    var near = distance_of(bins[first_bin]);
    for (var i = 0u; i < batch.samples; i++) {
        let far = distance_of(bins[first_bin + i + 1u]);
        let distance = 0.5 * (near + far);
        let d = vec3(d_points[rows.x + i], d_points[rows.y + i], d_points[rows.z + i]);
        let d_position = 0.25 * contract_backward(origin + direction * distance, d);
        d_origin += d_position;
        d_direction += distance * d_position;
        near = far;
    }
    var d_harmonics = array<f32, 16>();
    for (var j = 0u; j < HIDDEN; j++) {
        let back = d_hidden[j * batch.rays + ray];
        for (var k = 0u; k < 16u; k++) {
            d_harmonics[k] += back * network[RAY + j * RAY_ROW + k / 4u][k % 4u];
        }
    }
    d_direction += d_direction_of(direction, d_harmonics);
    d_rays[2u * ray] = vec4(d_origin, 0.0);
    d_rays[2u * ray + 1u] = vec4(d_direction, 0.0);
}
