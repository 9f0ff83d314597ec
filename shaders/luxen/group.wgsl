// GROUP neighbouring quads, of which a kernel reads each weight once. Functions take a quad's place as a constant, and are
// called once for each instead of in a loop: what lies in private arrays stays in registers.

// Four channels of a quad.
fn block(channel: u32, quad: u32) -> mat4x4<f32> {
    let quads = quad_count();
    let at = channel * quads + quad;
    return mat4x4<f32>(arena[at], arena[at + quads], arena[at + 2u * quads], arena[at + 3u * quads]);
}

// Whether no sample of the group is in the scene.
fn is_outside(first: u32) -> bool {
    var sum = vec4(0.0);
    for (var q = 0u; q < GROUP; q++) {
        sum += arena[3u * quad_count() + first + q];
    }
    return all(sum == vec4(0.0));
}
