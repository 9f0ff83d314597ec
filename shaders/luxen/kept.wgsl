// What the field's ways there and back leave to be summed, over samples for dL/d(weights) and over a ray's samples for what its
// direction and appearance get: blocks of four channels of a quad, in bfloat16. It has the range of f32 and half its bytes, and
// sums of thousands of products do not miss the bits.

// The upper halves of two values, rounded: `low` in the lower 16 bits. Infinities stay, and NaNs as arithmetic makes them.
fn halves_of(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
    let rounding = vec4(0x8000u);
    let rounded_low = bitcast<vec4<u32>>(low) + rounding;
    let rounded_high = bitcast<vec4<u32>>(high) + rounding;
    return (rounded_low >> vec4(16u)) | (rounded_high & vec4(0xffff0000u));
}

fn block_of(first: vec4<u32>, second: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        bitcast<vec4<f32>>(first << vec4(16u)),
        bitcast<vec4<f32>>(first & vec4(0xffff0000u)),
        bitcast<vec4<f32>>(second << vec4(16u)),
        bitcast<vec4<f32>>(second & vec4(0xffff0000u)),
    );
}
