// dL/d(density) of a ray from dL/d(weight), which `d_arena` holds in its place:
// d_density_i = delta_i (d_weight_i T_{i+1} - sum over j > i of d_weight_j weight_j).
fn d_composite(ray: u32) {
    let first_bin = ray * (batch.samples + 1u);
    let d = row_of(batch.d_density_at, ray);
    let weight = row_of(batch.density_at + 1u, ray);
    let after = row_of(batch.density_at + 2u, ray);
    var behind = 0.0;
    var far = distance_of(bins[first_bin + batch.samples]);
    for (var k = batch.samples; k > 0u; k--) {
        let i = k - 1u;
        let near = distance_of(bins[first_bin + i]);
        let d_weight = d_arena[d + i];
        d_arena[d + i] = (far - near) * (d_weight * arena[after + i] - behind);
        behind += d_weight * arena[weight + i];
        far = near;
    }
}
