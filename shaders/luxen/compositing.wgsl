// Volume rendering (Max 1995, as NeRF discretizes it): weight = T (1 - exp(-sigma delta)), T the transmittance before the
// sample.

// Fills in the weight and the transmittance after each sample of a ray, from the densities.
fn composite(ray: u32) {
    let first_bin = ray * (batch.samples + 1u);
    let density = row_of(batch.density_at, ray);
    let weight = row_of(batch.density_at + 1u, ray);
    let after = row_of(batch.density_at + 2u, ray);
    var depth = 0.0;
    var transmittance = 1.0;
    var near = distance_of(bins[first_bin]);
    for (var i = 0u; i < batch.samples; i++) {
        let far = distance_of(bins[first_bin + i + 1u]);
        let optical = arena[density + i] * (far - near);
        depth += optical;
        arena[weight + i] = transmittance * (1.0 - exp(-optical));
        transmittance = exp(-depth);
        arena[after + i] = transmittance;
        near = far;
    }
}
