// A table's entry, two features, as f16. Stored are multiples of 1/64: of features as fresh ones are, 1e-4, that keeps all
// eleven bits, where an f16 of the feature itself would be subnormal, which adapters may take for zero.

const HALF_SCALE: f32 = 64.0;
const HALF_MOST: f32 = 65504.0;

fn halved(features: vec2<f32>) -> u32 {
    return pack2x16float(clamp(HALF_SCALE * features, vec2(-HALF_MOST), vec2(HALF_MOST)));
}
