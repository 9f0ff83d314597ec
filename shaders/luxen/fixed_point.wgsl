// Gradients that many samples add to are summed as 32-bit integers, because integer sums do not depend on their order.
// Each level has a power of two as scale, chosen from the sum of all magnitudes that will be added, so that no sum can
// overflow: with M that sum and at most 2^27 summands, each rounded by at most 1/2, |sum| <= 2^30 + 2^26 < 2^31.

// Scales of 16 levels, then their inverses.
fn fixed_scale(magnitudes: f32) -> f32 {
    // 2^e <= magnitudes < 2^(e + 1).
    let e = i32((bitcast<u32>(magnitudes) >> 23u) & 255u) - 127;
    return power_of_two(29 - clamp(e, -80, 80));
}

fn power_of_two(e: i32) -> f32 {
    return bitcast<f32>(u32(clamp(e, -126, 127) + 127) << 23u);
}

fn to_fixed(value: f32, scale: f32) -> i32 {
    return i32(round(value * scale));
}
